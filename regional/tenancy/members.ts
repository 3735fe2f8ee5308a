// A tenant's members as they are kept: one record each, who they are beside it, and the owners beside that. Whoever
// writes one writes all three, so that one identity is one member's and there is always an owner, who can sign in where one could.
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

/** @throws {Problem} `conflict` when no owner would be left, none who can sign in, or the identity is another member's. */
export async function changeMember(
  members: Members,
  before: MemberRecord,
  after: MemberRecord,
): Promise<void> {
  if (isOwner(before) && !isOwner(after)) await leaveAnOwner(members, before)
  if (before.identity === null && after.identity !== null) await claim(members, after, after.identity)
  write(members, after)
}

/** @throws {Problem} `conflict` when no owner would be left, or none who can sign in. */
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

async function leaveAnOwner(members: Members, leaving: MemberRecord): Promise<void> {
  if (!(await isAnotherLeft(members, leaving))) {
    throw new Problem(
      'conflict',
      leaving.identity === null
        ? 'An organisation has at least one owner. Make someone else an owner first.'
        : 'An organisation keeps an owner who can sign in. Make someone else with an identity an owner first.',
    )
  }
  members.space(ownerSpace).clear([leaving.id])
}

/** Reads another owner, so that two who go at the same time conflict: one with an identity, where who goes has one. */
async function isAnotherLeft(
  members: Members,
  leaving: MemberRecord,
  after?: [owner: string],
): Promise<boolean> {
  const { entries, more } = await members.space(ownerSpace).page({ limit: 25, after })
  const others = entries.map(([key]) => key).filter(([id]) => id !== leaving.id)
  if (leaving.identity === null) return others.length > 0
  const records = await Promise.all(others.map((key) => members.space(memberSpace).get(key)))
  if (records.some((record) => record !== undefined && record.identity !== null)) return true
  return more && isAnotherLeft(members, leaving, entries.at(-1)?.[0])
}
