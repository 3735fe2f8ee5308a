// What was tried and has not arrived waits for its next try, for hours perhaps. After a new start of its endpoint it need
// not: all of it is put on its way, where the endpoint's mode has it stand. So is what was due but not tried again yet: it
// failed before, and that does not count any more.
import { type JobTransaction, jobKind } from '../../jobs/kind.ts'
import type { LogPosition, TenantTransaction } from '../../tenancy/service.ts'
import {
  deliverySpace,
  dueAtOf,
  dueSpace,
  type EndpointRecord,
  endpointSpace,
  onItsWay,
  writeDelivery,
} from '../../webhooks/records.ts'
import { callAnew } from './store.ts'

const AT_A_TIME = 100

type Place = [endpointId: string, dueAt: number, sequence: LogPosition, id: string]

/** The first of them go with the change itself, the rest by a job. */
export async function resume(tx: TenantTransaction, endpoint: EndpointRecord): Promise<void> {
  const after = await resumeSome(tx, endpoint, tx.context.nowMs, undefined)
  if (after !== undefined) tx.enqueue(resumeRest, { endpoint: endpoint.id, after })
}

export const resumeRest = jobKind<{ endpoint: string; after: Place }, Place>({
  kind: 'webhook-endpoints.resume',
  service: 'webhook-endpoints',
  promised: true,
  retry: { firstMs: 1_000, maxMs: 60_000, tries: Number.POSITIVE_INFINITY },
  async step(tx, { payload, place = payload.after }) {
    const endpoint = await tx.space(endpointSpace).get([payload.endpoint])
    if (endpoint === undefined || !endpoint.enabled) return { finished: true }
    const next = await resumeSome(tx, endpoint, tx.nowMs, place)
    callAnew(tx, tx.nowMs)
    return next === undefined ? { finished: true } : { next }
  },
})

/** @returns where to go on; undefined when all of them are on their way */
async function resumeSome(
  tx: Pick<JobTransaction, 'space'>,
  { id: endpointId, mode }: EndpointRecord,
  nowMs: number,
  after: Place | undefined,
): Promise<Place | undefined> {
  const page = { under: [endpointId] as [string], limit: AT_A_TIME, after }
  const { entries, more } = await tx.space(dueSpace).page(page)
  await Promise.all(
    entries.map(async ([[, dueAt, , id], { notBeforeMs }]) => {
      const delivery = await tx.space(deliverySpace).get([id])
      if (delivery?.event === undefined) return
      const isDue = notBeforeMs <= nowMs && dueAt === dueAtOf(delivery, mode, dueAt || nowMs)
      if (isDue && delivery.failures === 0) return
      writeDelivery(tx, delivery, onItsWay(delivery, mode, delivery.event, nowMs))
    }),
  )
  return more ? entries.at(-1)?.[0] : undefined
}
