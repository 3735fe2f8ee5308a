// Endpoints and deliveries as they are kept, in the subspace of the service `webhook-endpoints`.
import { createHash } from 'node:crypto'
import { type Id, idFromBytes, idTimeMs, uuidv7 } from '../../shared/ids.ts'
import type { CallFailure } from '../outbound/client.ts'
import type { LogPosition } from '../storage/log_space.ts'
import { jsonSpace } from '../storage/space.ts'
import type { TenantEvent } from '../tenancy/events.ts'
import type { ServiceScope } from '../tenancy/region_database.ts'

export const SERVICE = 'webhook-endpoints'

export type DeliveryMode = 'parallel' | 'fifo'
export type DisableReason = 'asked' | 'failing' | 'gone'

/** One generation of secrets, sealed. */
export interface SealedSigner {
  sealed: string
  /** `whpk_…` */
  publicKey: string
  /** Null for the newest; those before it sign until then. */
  untilMs: number | null
}

export interface EndpointRecord {
  id: Id<'whe'>
  url: string
  description: string | null
  /** Of the events that it gets, such as `project.created` or `project.*`; none are all. */
  types: ReadonlyArray<string>
  enabled: boolean
  /** Why it is not enabled, and since when. */
  disabled: { reason: DisableReason; at: string } | null
  mode: DeliveryMode
  /** Deliveries a second, at most. */
  rate: number | null
  headerNames: ReadonlyArray<string>
  /** The headers with their values, as JSON. */
  sealedHeaders: string | null
  /** The newest first. */
  signers: ReadonlyArray<SealedSigner>
  createdAt: string
  updatedAt: string
  version: number
}

/** Whether what failed before counts no more, and what waits because of it waits in vain. */
export const isNewStart = (before: EndpointRecord, after: EndpointRecord): boolean =>
  after.enabled && (!before.enabled || after.url !== before.url || after.mode !== before.mode)

/** How far an endpoint is. Written by whoever delivers, apart from what its people write. */
export interface LaneRecord {
  /** Every event up to this one was delivered, or has a delivery that waits or was given up, or is not wanted. */
  cursor: LogPosition
  /** Some events behind the cursor have deliveries already; none behind this one. */
  highest: LogPosition
  /** The first failure since the last success. */
  failingSinceMs: number | null
  /** Warnings told since then, and when the last of them was. */
  warnings: number
  warnedMs?: number
  /** What its receiver, or its rate, was to be spared when nobody had it in hand any more. */
  pace?: Pace
}

/** Milliseconds since 1970: nothing is sent before `pausedUntilMs`; `onTimeMs` is of the rate (GCRA). */
export interface Pace {
  pausedUntilMs: number
  onTimeMs: number
  /** Failures, and times that its receiver asked for less, since the last success: what the next pause grows from. */
  failuresInRow: number
  throttles: number
}

export const DELIVERY_STATUSES = ['pending', 'delivered', 'failed'] as const
/** `pending`: waits for its next try; `failed`: given up. */
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number]

/** One event on its way to one endpoint. There is a record from the first try on. */
export interface DeliveryRecord {
  id: Id<'del'>
  endpointId: Id<'whe'>
  eventId: Id<'evt'>
  type: string
  sequence: LogPosition
  status: DeliveryStatus
  attempts: number
  /** Since it was last put on its way. */
  failures: number
  createdAt: string
  /** Of the last try. */
  attemptedAt: string | null
  nextAttemptMs: number | null
  /** Where its entry among those that are due stands: {@link dueAtOf}; null when it has none. */
  dueAt: number | null
  /** Made to try the endpoint out: tried once. */
  test?: true
  /** It has arrived before, and is on its way again because somebody asked: that is tried once. */
  arrived?: true
  /** Until it is delivered: so that it outlives what the feed keeps. */
  event?: TenantEvent
}

export interface AttemptRecord {
  at: string
  durationMs: number | null
  /** Of the answer; null where none came. */
  status: number | null
  error: CallFailure | null
  answer: string | null
}

/** When a pending delivery is tried again. */
export interface DueEntry {
  notBeforeMs: number
}

/** Where order matters all of them stand at 0, by their sequence; and so do tests, which wait for nothing. */
export const dueAtOf = ({ test }: Pick<DeliveryRecord, 'test'>, mode: DeliveryMode, atMs: number): number =>
  test || mode === 'fifo' ? 0 : atMs

export const endpointSpace = jsonSpace<[id: string], EndpointRecord>('endpoint')
export const laneSpace = jsonSpace<[id: string], LaneRecord>('lane')
export const deliverySpace = jsonSpace<[id: string], DeliveryRecord>('delivery')
/** Of each delivery, the last ones: it may be sent again as often as anybody likes. */
export const KEPT_ATTEMPTS = 50
export const attemptSpace = jsonSpace<[deliveryId: string, number: number], AttemptRecord>('attempt')
export const ofEndpointSpace = jsonSpace<[endpointId: string, id: string], 1>('of-endpoint')
/** Without those that were delivered: they are nearly all. */
export const ofStatusSpace = jsonSpace<[status: Exclude<DeliveryStatus, 'delivered'>, id: string], 1>(
  'of-status',
)
export const dueSpace = jsonSpace<
  [endpointId: string, dueAt: number, sequence: LogPosition, id: string],
  DueEntry
>('due')

/** Changes with every change of endpoints, or of what is due, that whoever delivers has not made. */
export const changedSpace = jsonSpace<['changed'], string>('changed')

/** Who delivers for this tenant, and until when. It is read with every result, so that no two record. */
export const holderSpace = jsonSpace<['holder'], { pump: string; untilMs: number }>('holder')

/**
 * An event has one delivery to an endpoint, with one id, however often it is begun: so what was recorded is known again.
 * Ids of deliveries sort by the time of their events.
 */
export function deliveryId(endpointId: string, eventId: string): Id<'del'> {
  const time = idTimeMs('evt', eventId) ?? 0
  const digest = createHash('sha256').update(`${endpointId} ${eventId}`).digest()
  return idFromBytes('del', uuidv7(time, digest))
}

/** What a record of before leaves in the indexes, replaced by what the one of now has. */
export function writeDelivery(
  tx: Pick<ServiceScope, 'space'>,
  before: DeliveryRecord | undefined,
  after: DeliveryRecord,
): void {
  tx.space(deliverySpace).set([after.id], after)
  if (before === undefined) tx.space(ofEndpointSpace).set([after.endpointId, after.id], 1)
  if (before?.status !== after.status) {
    if (before !== undefined && before.status !== 'delivered') {
      tx.space(ofStatusSpace).clear([before.status, before.id])
    }
    if (after.status !== 'delivered') tx.space(ofStatusSpace).set([after.status, after.id], 1)
  }
  if (before !== undefined && before.dueAt !== null) {
    tx.space(dueSpace).clear([before.endpointId, before.dueAt, before.sequence, before.id])
  }
  if (after.dueAt !== null) {
    const entry = { notBeforeMs: after.nextAttemptMs ?? 0 }
    tx.space(dueSpace).set([after.endpointId, after.dueAt, after.sequence, after.id], entry)
  }
}

/** Forgets a delivery, attempts and all. */
export function clearDelivery(tx: Pick<ServiceScope, 'space'>, record: DeliveryRecord): void {
  const { id, endpointId, status, dueAt, sequence } = record
  tx.space(deliverySpace).clear([id])
  tx.space(ofEndpointSpace).clear([endpointId, id])
  if (status !== 'delivered') tx.space(ofStatusSpace).clear([status, id])
  if (dueAt !== null) tx.space(dueSpace).clear([endpointId, dueAt, sequence, id])
  tx.space(attemptSpace).clearUnder([id])
}

/** Whether its receiver has it, be it on its way there once more. */
export const hasArrived = ({ status, arrived }: DeliveryRecord): boolean =>
  arrived === true || status === 'delivered'

/** A delivery on its way, again or for the first time. */
export const onItsWay = (
  record: DeliveryRecord,
  mode: DeliveryMode,
  event: TenantEvent,
  nowMs: number,
): DeliveryRecord => ({
  ...record,
  status: 'pending',
  failures: 0,
  nextAttemptMs: nowMs,
  dueAt: dueAtOf(record, mode, nowMs),
  ...(hasArrived(record) && { arrived: true }),
  event,
})

export const newDelivery = (endpointId: Id<'whe'>, event: TenantEvent): DeliveryRecord => ({
  id: deliveryId(endpointId, event.id),
  endpointId,
  eventId: event.id,
  type: event.type,
  sequence: event.sequence,
  status: 'pending',
  attempts: 0,
  failures: 0,
  createdAt: event.at,
  attemptedAt: null,
  nextAttemptMs: null,
  dueAt: null,
})

/** Whether an endpoint wants an event. Of itself it is only told what it names. */
export function wants({ id, types }: Pick<EndpointRecord, 'id' | 'types'>, event: TenantEvent): boolean {
  if (types.length === 0) return event.resource !== id
  return types.includes(event.type) || types.includes(`${event.type.split('.')[0]}.*`)
}

export const boundTo = (tenant: bigint, id: string): string => `webhook endpoint ${tenant} ${id}`
