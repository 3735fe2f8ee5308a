// Endpoints and deliveries as their people change and read them. Whatever changes what is to be sent also says so to
// whoever delivers, in the same commit.
import { type Id, idFromBytes, newId, uuidv7 } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import type { JobTransaction } from '../../jobs/kind.ts'
import { eventsKeptFor } from '../../tenancy/retention.ts'
import {
  FEED_BEGINNING,
  notFound,
  type Page,
  type TenantEvent,
  type TenantTransaction,
} from '../../tenancy/service.ts'
import {
  attemptSpace,
  changedSpace,
  clearDelivery,
  type DeliveryRecord,
  deliverySpace,
  type EndpointRecord,
  endpointSpace,
  isNewStart,
  KEPT_ATTEMPTS,
  laneSpace,
  newDelivery,
  ofEndpointSpace,
  ofStatusSpace,
  onItsWay,
  writeDelivery,
} from '../../webhooks/records.ts'
import type { Delivery, DeliveryQuery, Endpoint } from './schema.ts'

type Reading = Pick<TenantTransaction, 'space'>
type Writing = Pick<JobTransaction, 'space' | 'webhooks'>

/** Has whoever delivers read again what there is to deliver, and to whom. */
export function callAnew(tx: Writing, nowMs: number): void {
  tx.space(changedSpace).set(['changed'], newId('req', nowMs))
  tx.webhooks.call()
}

export async function addEndpoint(tx: TenantTransaction, endpoint: EndpointRecord): Promise<void> {
  await tx.take('webhookEndpoints', 1)
  const end = await tx.events.end()
  tx.space(endpointSpace).set([endpoint.id], endpoint)
  tx.space(laneSpace).set([endpoint.id], {
    cursor: end,
    highest: FEED_BEGINNING,
    failingSinceMs: null,
    warnings: 0,
  })
  await tx.webhooks.follow(true)
  tx.emit('webhook_endpoint.created', endpoint.id)
  callAnew(tx, tx.context.nowMs)
}

/** @throws {Problem} `not_found` */
export async function readEndpoint(tx: Reading, id: string): Promise<EndpointRecord> {
  const endpoint = await tx.space(endpointSpace).get([id])
  if (endpoint === undefined) throw notFound()
  return endpoint
}

export const listEndpoints = (
  tx: Reading,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], EndpointRecord>> => tx.space(endpointSpace).page({ limit, after })

export async function shownEndpoint(tx: Reading, record: EndpointRecord): Promise<Endpoint> {
  const { headerNames, sealedHeaders: _, signers, types, version: __, ...rest } = record
  const lane = await tx.space(laneSpace).peek([record.id])
  const failingSinceMs = lane?.failingSinceMs ?? null
  return {
    ...rest,
    types: [...types],
    headers: [...headerNames],
    publicKey: signers[0]?.publicKey ?? '',
    failingSince: failingSinceMs === null ? null : new Date(failingSinceMs).toISOString(),
  }
}

export async function writeEndpoint(
  tx: TenantTransaction,
  before: EndpointRecord,
  after: EndpointRecord,
): Promise<void> {
  tx.space(endpointSpace).set([after.id], after)
  if (isNewStart(before, after)) {
    const lane = await tx.space(laneSpace).get([after.id])
    if (lane !== undefined) {
      const { pace: _, warnedMs: __, ...rest } = lane
      tx.space(laneSpace).set([after.id], { ...rest, failingSinceMs: null, warnings: 0 })
    }
  }
  const what =
    after.enabled === before.enabled ? 'updated' : after.enabled ? 'enabled' : ('disabled' as const)
  tx.emit(`webhook_endpoint.${what}`, after.id, what === 'disabled' ? { reason: 'asked' } : undefined)
  callAnew(tx, tx.context.nowMs)
}

export async function removeEndpoint(tx: TenantTransaction, { id }: EndpointRecord): Promise<void> {
  await tx.take('webhookEndpoints', -1)
  tx.space(endpointSpace).clear([id])
  tx.space(laneSpace).clear([id])
  const { entries } = await tx.space(endpointSpace).page({ limit: 1 })
  if (entries.length === 0) await tx.webhooks.follow(false)
  tx.emit('webhook_endpoint.deleted', id)
  callAnew(tx, tx.context.nowMs)
}

const CLEARED_AT_A_TIME = 100

/** Clears some of the deliveries of an endpoint that was removed. */
export async function clearSome(tx: Reading, id: string): Promise<{ cleared: number; more: boolean }> {
  const { entries, more } = await tx.space(ofEndpointSpace).page({ under: [id], limit: CLEARED_AT_A_TIME })
  await Promise.all(
    entries.map(async ([key]) => {
      const delivery = await tx.space(deliverySpace).get([key[1]])
      if (delivery !== undefined) clearDelivery(tx, delivery)
      tx.space(ofEndpointSpace).clear(key)
    }),
  )
  return { cleared: entries.length, more }
}

/** Writes a delivery that there was not yet, before anybody has tried it. It is kept as long as events. */
export async function addDelivery(
  tx: Pick<JobTransaction, 'space' | 'organisation' | 'expire'>,
  delivery: DeliveryRecord,
  nowMs: number,
): Promise<void> {
  const keptMs = eventsKeptFor(await tx.organisation())
  writeDelivery(tx, undefined, delivery)
  await tx.expire('delivery', delivery.id, nowMs + keptMs)
}

/** An event of nobody's, to try an endpoint out. It stands before all others, so that none keeps it waiting. */
export async function sendTest(tx: TenantTransaction, endpoint: EndpointRecord): Promise<DeliveryRecord> {
  const { nowMs, actor } = tx.context
  const event: TenantEvent = {
    id: newId('evt', nowMs),
    type: 'webhook_endpoint.test',
    at: new Date(nowMs).toISOString(),
    resource: endpoint.id,
    actor,
    sequence: FEED_BEGINNING,
  }
  const fresh: DeliveryRecord = { ...newDelivery(endpoint.id, event), test: true }
  const delivery = onItsWay(fresh, endpoint.mode, event, nowMs)
  await addDelivery(tx, delivery, nowMs)
  callAnew(tx, nowMs)
  return delivery
}

/** @throws {Problem} `not_found` */
export async function readDelivery(tx: Reading, id: string): Promise<DeliveryRecord> {
  const delivery = await tx.space(deliverySpace).get([id])
  if (delivery === undefined) throw notFound()
  return delivery
}

/** The last ones. More are left of deliveries from when all were kept. */
export async function attemptsOf(tx: Reading, { id }: DeliveryRecord) {
  const { entries } = await tx.space(attemptSpace).page({ under: [id], limit: KEPT_ATTEMPTS, reverse: true })
  return entries.toReversed().map(([[, number], attempt]) => ({ number, ...attempt }))
}

export const shownDelivery = (record: DeliveryRecord): Delivery => {
  const { failures: _, nextAttemptMs, dueAt: __, event: ___, arrived: ____, test = false, ...rest } = record
  return {
    ...rest,
    test,
    nextAttemptAt: nextAttemptMs === null ? null : new Date(nextAttemptMs).toISOString(),
  }
}

/**
 * Puts a delivery on its way again.
 * @returns undefined when its event is not kept any more
 * @throws {Problem} `not_found`, `conflict` where it would be held
 */
export async function sendAgain(
  tx: TenantTransaction,
  before: DeliveryRecord,
): Promise<DeliveryRecord | undefined> {
  const endpoint = await readEndpoint(tx, before.endpointId)
  if (!endpoint.enabled && !before.test) {
    throw new Problem(
      'conflict',
      'Its endpoint is disabled, which holds what is sent. Enable the endpoint first.',
    )
  }
  const event = before.event ?? (await tx.events.at(before.sequence))
  if (event === undefined) return undefined
  const { nowMs } = tx.context
  const after = onItsWay(before, endpoint.mode, event, nowMs)
  writeDelivery(tx, before, after)
  callAnew(tx, nowMs)
  return after
}

/** Looked at for one page of a list. */
const MAX_READ = 500
const READ_AT_A_TIME = 100

export interface DeliveryPage {
  deliveries: DeliveryRecord[]
  /** Where the list goes on; undefined at its end. */
  next: string | undefined
}

/** The newest first. A page may be short: it says where to go on. */
export async function listDeliveries(
  tx: Reading,
  { endpoint, type, status, since, until, limit }: DeliveryQuery,
  after: string | undefined,
): Promise<DeliveryPage> {
  const from = since === undefined ? undefined : firstIdOf(Date.parse(since))
  const to = until === undefined ? undefined : firstIdOf(Date.parse(until))
  const read = async (behind: string | undefined): Promise<{ ids: string[]; more: boolean }> => {
    const bounds = <K extends ReadonlyArray<string>>(...under: string[]) => {
      const key = (id: string | undefined) =>
        id === undefined ? undefined : ([...under, id] as unknown as K)
      return {
        ...(under.length > 0 && { under }),
        from: key(from),
        to: key(to),
        after: key(behind),
        limit: READ_AT_A_TIME,
        reverse: true,
      }
    }
    const idsOf = ({ entries, more }: Page<ReadonlyArray<string>, unknown>) => ({
      ids: entries.map(([key]) => key.at(-1) ?? ''),
      more,
    })
    if (status !== undefined && status !== 'delivered') {
      return idsOf(await tx.space(ofStatusSpace).page(bounds<[typeof status, string]>(status)))
    }
    if (endpoint !== undefined) {
      return idsOf(await tx.space(ofEndpointSpace).page(bounds<[string, string]>(endpoint)))
    }
    return idsOf(await tx.space(deliverySpace).page(bounds<[string]>()))
  }
  const isWanted = (record: DeliveryRecord): boolean =>
    (endpoint === undefined || record.endpointId === endpoint) &&
    (status === undefined || record.status === status) &&
    (type === undefined || type === record.type || type === `${record.type.split('.')[0]}.*`)
  const deliveries: DeliveryRecord[] = []
  let behind = after
  for (let looked = 0; looked < MAX_READ; looked += READ_AT_A_TIME) {
    const { ids, more } = await read(behind)
    const records = await Promise.all(ids.map((id) => tx.space(deliverySpace).get([id])))
    for (const [i, id] of ids.entries()) {
      if (deliveries.length === limit) return { deliveries, next: behind }
      behind = id
      const record = records[i]
      if (record !== undefined && isWanted(record)) deliveries.push(record)
    }
    if (!more) return { deliveries, next: undefined }
  }
  return { deliveries, next: behind }
}

/** Ids know no time before 1970. */
const firstIdOf = (ms: number): Id<'del'> => idFromBytes('del', uuidv7(Math.max(0, ms), new Uint8Array(10)))
