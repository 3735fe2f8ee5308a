// The first sign-in: makes a member of someone whom one of the tenant's identity providers lets in, with all that belongs
// to it (quota, event, audit entry), in whatever transaction that happens.
import type { JwtPrincipal } from '../../shared/principal.ts'
import type { Role } from '../../shared/roles.ts'
import { type Actor, auditOf } from './audit.ts'
import { emitting } from './events.ts'
import { addMember, newMember } from './members.ts'
import { type ShardLoan, take } from './quotas.ts'
import type { LogStanding } from './records.ts'
import type { TenantScope } from './region_database.ts'

/**
 * Only for someone whom this very transaction has read to be no member.
 * @throws {Problem} `quota_exceeded`
 */
export async function joining(
  scope: TenantScope,
  loan: ShardLoan,
  { issuer, subject, email = null }: Omit<JwtPrincipal, 'email'> & { email?: string | null },
  role: Role,
  { logs, nowMs, requestId }: { logs: LogStanding; nowMs: number; requestId: string },
): Promise<Actor> {
  const identity = { issuer, subject }
  const member = newMember({ email, role, decidedBy: 'provider', identity }, nowMs)
  await take(scope, loan, 'members', 1, nowMs)
  await addMember(scope.service('members'), member)
  const actor: Actor = { kind: 'member', id: member.id }
  const at = new Date(nowMs).toISOString()
  emitting(scope, { standing: logs, nowMs, actor, requestId })('member.created', member.id)
  auditOf(scope).append(logs.epoch, {
    at,
    actor,
    action: 'members.join',
    target: member.id,
    ip: null,
    requestId,
    outcome: 'done',
  })
  return actor
}
