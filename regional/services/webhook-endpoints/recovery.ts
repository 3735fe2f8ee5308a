// What an endpoint has missed: events of a time that it wants and has not got; listed, or put on their way again.
import { type JobTransaction, jobKind } from '../../jobs/kind.ts'
import type { LogPosition, TenantEvent, TenantTransaction } from '../../tenancy/service.ts'
import {
  type DeliveryRecord,
  deliveryId,
  deliverySpace,
  type EndpointRecord,
  endpointSpace,
  type LaneRecord,
  laneSpace,
  newDelivery,
  onItsWay,
  wants,
  writeDelivery,
} from '../../webhooks/records.ts'
import type { Missed } from './schema.ts'
import { addDelivery, callAnew } from './store.ts'

/** Events looked at in one transaction. */
const AT_A_TIME = 100
const MAX_READ = 500

interface Window {
  sinceMs: number
  untilMs: number
}

interface MissedEvent {
  event: TenantEvent
  delivery: DeliveryRecord | undefined
  why: Missed['why']
}

/** What an endpoint has not got of these events, and why. */
async function missedOf(
  tx: Pick<TenantTransaction, 'space'>,
  endpoint: EndpointRecord,
  lane: LaneRecord | undefined,
  events: ReadonlyArray<TenantEvent>,
  { sinceMs, untilMs }: Window,
): Promise<MissedEvent[]> {
  const wanted = events.filter((event) => {
    const atMs = Date.parse(event.at)
    return atMs >= sinceMs && atMs < untilMs && wants(endpoint, event)
  })
  const all = await Promise.all(
    wanted.map(async (event): Promise<MissedEvent | undefined> => {
      const delivery = await tx.space(deliverySpace).get([deliveryId(endpoint.id, event.id)])
      if (delivery?.status === 'delivered' || delivery?.arrived) return undefined
      const isHeld = lane !== undefined && event.sequence > lane.cursor
      return { event, delivery, why: delivery?.status ?? (isHeld ? 'held' : 'not_sent') }
    }),
  )
  return all.filter((each) => each !== undefined)
}

/** @param after where the last page ended */
export async function listMissed(
  tx: Pick<TenantTransaction, 'space' | 'events'>,
  endpoint: EndpointRecord,
  window: Window,
  limit: number,
  after: LogPosition | undefined,
): Promise<{ missed: Missed[]; next: LogPosition | undefined }> {
  const lane = await tx.space(laneSpace).get([endpoint.id])
  let through = after ?? (await tx.events.before(window.sinceMs))
  const missed: Missed[] = []
  for (let read = 0; read < MAX_READ; read += AT_A_TIME) {
    const { events, more } = await tx.events.page(AT_A_TIME, through)
    for (const { event, delivery, why } of await missedOf(tx, endpoint, lane, events, window)) {
      if (missed.length === limit) return { missed, next: through }
      const { id: eventId, type, at, sequence } = event
      missed.push({ eventId, type, at, sequence, why, deliveryId: delivery?.id ?? null })
      through = sequence
    }
    through = events.at(-1)?.sequence ?? through
    if (!more || isPast(events, window)) return { missed, next: undefined }
  }
  return { missed, next: through }
}

/** Events stand in the order of their commits, which is that of their times to about a minute. */
const isPast = (events: ReadonlyArray<TenantEvent>, { untilMs }: Window): boolean => {
  const last = events.at(-1)
  return last !== undefined && Date.parse(last.at) > untilMs + 60_000
}

/** Puts what an endpoint has missed on its way again, some events a step. */
export const recover = jobKind<Window & { endpoint: string }, { through: LogPosition; done: number }>({
  kind: 'webhook-endpoints.recover',
  service: 'webhook-endpoints',
  retry: { firstMs: 1_000, maxMs: 60_000, tries: 20 },
  async step(tx, { payload, place }) {
    const [endpoint, lane] = await Promise.all([
      tx.space(endpointSpace).get([payload.endpoint]),
      tx.space(laneSpace).get([payload.endpoint]),
    ])
    if (endpoint === undefined) return { cancelled: true }
    const from = place?.through ?? (await tx.events.before(payload.sinceMs))
    const { events, more } = await tx.events.page(AT_A_TIME, from)
    const sent = await sendMissed(tx, endpoint, lane, events, payload)
    const done = (place?.done ?? 0) + sent
    const through = events.at(-1)?.sequence ?? from
    return more && !isPast(events, payload) ? { next: { through, done }, done } : { finished: true, done }
  },
})

/** @returns how many are on their way again; what is still to come comes by itself */
async function sendMissed(
  tx: JobTransaction,
  endpoint: EndpointRecord,
  lane: LaneRecord | undefined,
  events: ReadonlyArray<TenantEvent>,
  window: Window,
): Promise<number> {
  const missed = await missedOf(tx, endpoint, lane, events, window)
  const again = missed.filter(({ why, delivery }) => {
    // What is being sent at this moment, or is to be, is on its way.
    if (why === 'pending') return (delivery?.nextAttemptMs ?? 0) > tx.nowMs
    return why === 'failed' || why === 'not_sent'
  })
  for (const { event, delivery } of again) {
    const fresh = onItsWay(delivery ?? newDelivery(endpoint.id, event), endpoint.mode, event, tx.nowMs)
    if (delivery === undefined) await addDelivery(tx, fresh, tx.nowMs)
    else writeDelivery(tx, delivery, fresh)
  }
  if (again.length > 0) callAnew(tx, tx.nowMs)
  return again.length
}
