// What an operator does to a tenant, in that tenant's own audit trail; and once, although it may be asked twice.
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import type { Actor, AuditEntry } from './audit.ts'
import {
  idempotencySpace,
  isLive,
  markerKey,
  newMarker,
  newRecord,
  type RequestIdentity,
  recordKey,
  rememberedUntil,
  replay,
  type Sealer,
} from './idempotency.ts'
import type { TenantScope } from './region_database.ts'

/** Which operator asked, and with which request. */
export interface OperatorRequest {
  operatorId: string
  requestId: string
}

/** One that changes something: whatever an operator sends again under the same key is the same change. */
export interface OperatorChange extends OperatorRequest {
  idempotencyKey?: string | undefined
}

export const operatorActor = ({ operatorId }: Pick<OperatorRequest, 'operatorId'>): Actor => ({
  kind: 'operator',
  id: operatorId,
})

export const operatorEntry = (
  action: string,
  target: string,
  { operatorId, requestId }: OperatorRequest,
  nowMs: number,
): AuditEntry => ({
  at: new Date(nowMs).toISOString(),
  actor: operatorActor({ operatorId }),
  action,
  target,
  ip: null,
  requestId,
  outcome: 'done',
})

/**
 * Marks the request as carried out, in the transaction that does so.
 * @returns false when it was carried out before, by a commit whose outcome was unknown or a call that came twice
 */
export async function firstTime(
  scope: TenantScope,
  { requestId }: OperatorRequest,
  nowMs: number,
): Promise<boolean> {
  const key: [Buffer] = [markerKey(requestId)]
  const markers = scope.system('idempotency', idempotencySpace)
  if (isLive(await markers.get(key), nowMs)) return false
  const marker = newMarker(requestId, 0, nowMs)
  markers.set(key, marker)
  await expireAt(scope, marker.expiresAt, 'request', key[0], nowMs)
  return true
}

/** A change as it was asked for, and who asks. */
export interface AskedChange {
  tenant: TenantNumber
  by: OperatorChange
  /** Method and route, since a key holds for one. */
  route: string
  /** All else that was sent, as JSON. */
  content: unknown
  /** Of this call, however often its transaction is tried. */
  attempt: number
}

/**
 * Carries a change out, once: its record is written in the same transaction, with its answer.
 * @returns what the first one came to; `replayed` when that was another call
 * @throws {Problem} `idempotency_key_reuse` for another change under the same key
 */
export async function changeOnce<T extends object>(
  scope: TenantScope,
  asked: AskedChange,
  sealer: Sealer,
  nowMs: number,
  work: () => Promise<T>,
): Promise<{ value: T & { replayed: boolean }; commit: boolean }> {
  const { attempt } = asked
  const identity = identityOf(asked)
  const key: [Buffer] = [recordKey(identity)]
  const bound = `${asked.tenant} ${key[0].toString('hex')}`
  const records = scope.system('idempotency', idempotencySpace)
  const known = await records.get(key)
  if (isLive(known, nowMs)) {
    const { body } = replay(known, identity, (sealed) => sealer.open(sealed, bound), nowMs)
    return { value: { ...(body as T), replayed: known.attempt !== attempt }, commit: false }
  }
  const result = await work()
  const reply = { status: 200, body: result }
  records.set(
    key,
    newRecord(identity, attempt, reply, (text) => sealer.seal(text, bound), nowMs),
  )
  await expireAt(scope, rememberedUntil(identity, nowMs), 'request', key[0], nowMs)
  return { value: { ...result, replayed: false }, commit: true }
}

const identityOf = ({ by, route, content }: AskedChange): RequestIdentity => ({
  requestId: by.requestId,
  principal: `operator ${by.operatorId}`,
  route,
  key: by.idempotencyKey,
  content: Buffer.from(JSON.stringify(content)),
})
