// What a provider's word changes. The first sign-in makes a member of someone whom one of the tenant's identity providers
// lets in, with all that belongs to it (quota, event, audit entry), in whatever transaction that happens; from then on
// their record follows the role that their tokens come with, by whatever they change, and feed and trail tell of that, too.
import type { EventType } from '../../shared/event_types.ts'
import type { Id } from '../../shared/ids.ts'
import type { JwtPrincipal } from '../../shared/principal.ts'
import type { Role } from '../../shared/roles.ts'
import { type Actor, auditOf } from './audit.ts'
import { emitting } from './events.ts'
import { addMember, changeMember, newMember } from './members.ts'
import { type ChangedWord, vouchedIn } from './membership.ts'
import { type ShardLoan, take } from './quotas.ts'
import { type LogStanding, memberSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

interface During {
  logs: LogStanding
  nowMs: number
  requestId: string
  ip: string | null
}

/**
 * Only for someone whom this very transaction has read to be no member.
 * @throws {Problem} `quota_exceeded`
 */
export async function joining(
  scope: TenantScope,
  loan: ShardLoan,
  principal: JwtPrincipal,
  role: Role,
  during: During,
): Promise<Actor> {
  const { nowMs } = during
  const { issuer, subject, email = null } = principal
  const identity = { issuer, subject }
  const member = newMember(
    { email, role, decidedBy: 'provider', vouched: vouchedIn(principal, nowMs), identity },
    nowMs,
  )
  await take(scope, loan, 'members', 1, nowMs)
  await addMember(scope.service('members'), member)
  return told(scope, member.id, 'member.created', 'members.join', during)
}

/**
 * Writes down what a member is by now, and by what: their sessions, and whatever they let others in with, are held against
 * it. Behind the work, which may itself have given them a role, or removed them.
 */
export async function wordFollows(
  scope: TenantScope,
  { member: id, role, vouched }: ChangedWord,
  during: During,
): Promise<void> {
  const members = scope.service('members')
  const before = await members.space(memberSpace).get([id])
  if (before?.decidedBy !== 'provider') return
  // What it came of is shown to nobody, and so is no change of the member.
  if (role === before.role) return changeMember(members, before, { ...before, vouched })
  const updatedAt = new Date(during.nowMs).toISOString()
  await changeMember(members, before, { ...before, role, vouched, updatedAt, version: before.version + 1 })
  told(scope, id, 'member.updated', 'members.follow', during)
}

/** Tells in feed and audit trail of what became of a member by coming. @returns them */
function told(
  scope: TenantScope,
  id: Id<'mem'>,
  type: EventType,
  action: string,
  { logs, nowMs, requestId, ip }: During,
): Actor {
  const actor: Actor = { kind: 'member', id }
  emitting(scope, { standing: logs, nowMs, actor, requestId })(type, id)
  auditOf(scope).append(logs.epoch, {
    at: new Date(nowMs).toISOString(),
    actor,
    action,
    target: id,
    ip,
    requestId,
    outcome: 'done',
  })
  return actor
}
