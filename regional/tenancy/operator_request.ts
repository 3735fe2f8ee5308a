// What an operator does to a tenant, in that tenant's own audit trail; and once, although it may be asked twice.
import { expireAt } from '../jobs/expiry.ts'
import type { Actor, AuditEntry } from './audit.ts'
import { idempotencySpace, isLive, markerKey, newMarker } from './idempotency.ts'
import type { TenantScope } from './region_database.ts'

/** Which operator asked, and with which request. */
export interface OperatorRequest {
  operatorId: string
  requestId: string
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
