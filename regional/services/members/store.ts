// Members, as the organisation manages them: the very records that every token of theirs is checked against.
import { Problem } from '../../../shared/problems.ts'
import { mayGrant, type Role } from '../../../shared/roles.ts'
import { addMember, changeMember, newMember, removeMember } from '../../tenancy/members.ts'
import { type MemberRecord, memberSpace, type PersonIdentity } from '../../tenancy/records.ts'
import { notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'

/** @throws {Problem} `insufficient_scope`, `conflict`, `quota_exceeded` */
export async function createMember(
  tx: TenantTransaction,
  { identity, role, email }: { identity: PersonIdentity; role: Role; email: string | null },
): Promise<MemberRecord> {
  requireGrant(tx, role)
  const member = newMember({ email, role, decidedBy: 'organisation', identity }, tx.context.nowMs)
  await tx.take('members', 1)
  await addMember(tx, member)
  tx.emit('member.created', member.id)
  return member
}

/** Oldest first. */
export const listMembers = (
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], MemberRecord>> => tx.space(memberSpace).page({ limit, after })

/** @throws {Problem} `not_found` */
export async function readMember(tx: TenantTransaction, id: string): Promise<MemberRecord> {
  const member = await tx.space(memberSpace).get([id])
  if (member === undefined) throw notFound()
  return member
}

/**
 * A role that is set here holds, whatever the member's identity provider says from then on.
 * @throws {Problem} `insufficient_scope`, `conflict`
 */
export async function updateMember(
  tx: TenantTransaction,
  before: MemberRecord,
  { role, identity }: { role?: Role | undefined; identity?: PersonIdentity | undefined },
): Promise<MemberRecord> {
  requireGrant(tx, before.role)
  if (role !== undefined) requireGrant(tx, role)
  if (identity !== undefined && before.identity !== null) {
    throw new Problem('conflict', 'The member has an identity, and keeps it. Add another member.')
  }
  const after: MemberRecord = {
    ...before,
    ...(role !== undefined && { role, decidedBy: 'organisation' }),
    ...(identity !== undefined && { identity }),
    updatedAt: new Date(tx.context.nowMs).toISOString(),
    version: before.version + 1,
  }
  await changeMember(tx, before, after)
  tx.emit('member.updated', after.id)
  return after
}

/** @throws {Problem} `insufficient_scope`, `conflict` */
export async function deleteMember(tx: TenantTransaction, member: MemberRecord): Promise<void> {
  requireGrant(tx, member.role)
  await removeMember(tx, member)
  await tx.take('members', -1)
  tx.emit('member.deleted', member.id)
}

/** Nobody gives, changes or takes away a role that allows more than they may. */
export function requireGrant({ context }: TenantTransaction, role: Role): void {
  if (mayGrant(context.scopes, role)) return
  throw new Problem('insufficient_scope', `The role ${role} allows more than you may.`)
}
