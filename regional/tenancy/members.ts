// A tenant's members as they are kept: one record each, who they are beside it, and the owners beside that. Whoever
// writes one writes all three, so that one identity is one member's and there is always an owner.
import { newId } from '../../shared/ids.ts'
import { Problem } from '../../shared/problems.ts'
import {
  identityKey,
  identitySpace,
  type MemberRecord,
  memberSpace,
  ownerSpace,
  type PersonIdentity,
} from './records.ts'
import type { Scope } from './region_database.ts'

/** The subspace of the service `members`. */
type Members = Scope

export function newMember(
  member: Pick<MemberRecord, 'email' | 'role' | 'decidedBy' | 'vouched'> & { identity?: PersonIdentity },
  nowMs: number,
): MemberRecord {
  const createdAt = new Date(nowMs).toISOString()
  const { identity = null, ...rest } = member
  return { id: newId('mem', nowMs), ...rest, identity, createdAt, updatedAt: createdAt, version: 1 }
}

/** @throws {Problem} `conflict` when the identity is another member's. */
export async function addMember(members: Members, member: MemberRecord): Promise<void> {
  if (member.identity !== null) await claim(members, member, member.identity)
  write(members, member)
}

/** @throws {Problem} `conflict` when no owner would be left, or the identity is another member's. */
export async function changeMember(
  members: Members,
  before: MemberRecord,
  after: MemberRecord,
): Promise<void> {
  if (isOwner(before) && !isOwner(after)) await leaveAnOwner(members, before)
  if (before.identity === null && after.identity !== null) await claim(members, after, after.identity)
  write(members, after)
}

/** @throws {Problem} `conflict` when no owner would be left. */
export async function removeMember(members: Members, member: MemberRecord): Promise<void> {
  if (isOwner(member)) await leaveAnOwner(members, member)
  if (member.identity !== null) {
    members.space(identitySpace).set(identityKey(member.identity), { member: null })
  }
  members.space(memberSpace).clear([member.id])
}

/** An owner by a provider's word may be none tomorrow: only those count that the organisation made. */
const isOwner = ({ role, decidedBy }: MemberRecord): boolean =>
  role === 'owner' && decidedBy === 'organisation'

function write(members: Members, { vouched, ...rest }: MemberRecord): void {
  // Once the organisation decides, what a provider says of somebody is nobody's business.
  const member: MemberRecord = rest.decidedBy === 'provider' && vouched ? { ...rest, vouched } : rest
  members.space(memberSpace).set([member.id], member)
  if (isOwner(member)) members.space(ownerSpace).set([member.id], 1)
}

async function claim(members: Members, { id }: MemberRecord, identity: PersonIdentity): Promise<void> {
  const key = identityKey(identity)
  const holder = await members.space(identitySpace).get(key)
  if (holder !== undefined && holder.member !== null) {
    throw new Problem('conflict', 'This identity is another member’s.')
  }
  members.space(identitySpace).set(key, { member: id })
}

/** Reads another owner, so that two who go at the same time conflict. */
async function leaveAnOwner(members: Members, { id }: MemberRecord): Promise<void> {
  const owners = members.space(ownerSpace)
  const { entries } = await owners.page({ limit: 2 })
  if (entries.every(([[owner]]) => owner === id)) {
    throw new Problem('conflict', 'An organisation has at least one owner. Make someone else an owner first.')
  }
  owners.clear([id])
}
