// Invitations as they are kept, beside the members that they become. A token is kept as its hash alone; accepting reads
// the invitation and writes that it was accepted, so of two at the same time one conflicts.
import type { Id } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import { mailboxOf } from '../../mail/mailbox.ts'
import { MAKER_GONE, MAX_INVITATIONS } from '../../tenancy/invitations.ts'
import { addMember, changeMember, newMember } from '../../tenancy/members.ts'
import {
  type InvitationRecord,
  identityKey,
  identitySpace,
  invitationSpace,
  type MemberRecord,
  memberSpace,
  type PersonIdentity,
} from '../../tenancy/records.ts'
import { notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'
import type { Invitation } from './invitation_schema.ts'
import { requireGrant } from './store.ts'

/** How long an invitation is still told as accepted, revoked or expired. */
const TOLD_MS = 7 * 24 * 60 * 60 * 1000

/** An organisation is anybody's who signs up, and says to whom its letters go: so few go to one mailbox. */
const LETTERS = { most: 3, withinMs: 60 * 60 * 1000 } as const

/**
 * @returns it as it is kept: where enough letters went to its mailbox, it is a link to pass on
 * @throws {Problem} `insufficient_scope`, `quota_exceeded`
 */
export async function addInvitation(
  tx: TenantTransaction,
  asked: InvitationRecord,
): Promise<InvitationRecord> {
  requireGrant(tx, asked.role)
  const { entries } = await tx.space(invitationSpace).page({ limit: MAX_INVITATIONS })
  if (entries.length >= MAX_INVITATIONS) {
    throw new Problem(
      'quota_exceeded',
      `There are ${MAX_INVITATIONS} invitations, more than that at a time is too many.`,
    )
  }
  // What has ended is told for longer than an hour: nothing that was sent is missing here.
  const letters = entries.filter(([, earlier]) => isLetterTo(asked.email, earlier, tx.context.nowMs))
  const invitation: InvitationRecord = letters.length < LETTERS.most ? asked : { ...asked, delivery: 'link' }
  tx.space(invitationSpace).set([invitation.id], invitation)
  await tx.expire('invitation', invitation.id, invitation.expiresAtMs + TOLD_MS)
  tx.emit('invitation.created', invitation.id)
  return invitation
}

/** Also one that was never taken: who knows where it got to. */
const isLetterTo = (
  address: string,
  { email, delivery, createdAt }: InvitationRecord,
  nowMs: number,
): boolean =>
  delivery !== 'link' &&
  mailboxOf(email) === mailboxOf(address) &&
  Date.parse(createdAt) > nowMs - LETTERS.withinMs

/** Revoked is also one whose maker may not give its role any more: it opens nothing. */
export async function statusOf(
  { accepted, revokedAt, expiresAtMs, invitedBy, role }: InvitationRecord,
  issuers: Pick<TenantTransaction['issuers'], 'mayStillGive'>,
  nowMs: number,
): Promise<Invitation['status']> {
  if (accepted !== null) return 'accepted'
  if (revokedAt !== null) return 'revoked'
  if (expiresAtMs <= nowMs) return 'expired'
  return (await issuers.mayStillGive(invitedBy, role)) ? 'open' : 'revoked'
}

/** Oldest first. */
export const listInvitations = (
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], InvitationRecord>> => tx.space(invitationSpace).page({ limit, after })

/** @throws {Problem} `not_found` */
export async function readInvitation(tx: TenantTransaction, id: string): Promise<InvitationRecord> {
  const invitation = await tx.space(invitationSpace).get([id])
  if (invitation === undefined) throw notFound()
  return invitation
}

/**
 * @throws {Problem} `not_found`; `insufficient_scope` for a role above one's own; `conflict` for one that was accepted: whoever
 * became a member by it stays one
 */
export async function revokeInvitation(tx: TenantTransaction, id: string): Promise<void> {
  const invitation = await readInvitation(tx, id)
  requireGrant(tx, invitation.role)
  if (invitation.accepted !== null) {
    throw new Problem(
      'conflict',
      `The invitation was accepted already. Whoever accepted it stays a member until they are removed: DELETE /v1/members/${invitation.accepted.member} does that.`,
    )
  }
  if (invitation.revokedAt !== null) return
  const revokedAt = new Date(tx.context.nowMs).toISOString()
  tx.space(invitationSpace).set([id], { ...invitation, revokedAt })
  tx.emit('invitation.revoked', id)
}

/**
 * Makes a member of whoever holds the token. From then on the organisation's word about them holds, not a provider's.
 * @param identity who accepts, as their identity provider says it; null where the console lets them in without one
 * @param session the console’s, that accepting it begins
 * @throws {Problem} `not_found`, `invitation_revoked`, `invitation_used`, `invitation_expired`, `conflict`,
 * `quota_exceeded`
 */
export async function acceptInvitation(
  tx: TenantTransaction,
  token: { invitationId: Id<'inv'>; secretHash: string },
  identity: PersonIdentity | null,
  session?: Id<'ses'>,
): Promise<MemberRecord> {
  const { nowMs } = tx.context
  const invitation = await readInvitation(tx, token.invitationId)
  if (invitation.secretHash !== token.secretHash) throw notFound()
  requireOpen(invitation, nowMs)
  if (!(await tx.issuers.mayStillGive(invitation.invitedBy, invitation.role))) {
    throw new Problem('invitation_revoked', MAKER_GONE)
  }
  const before = identity === null ? undefined : await memberWith(tx, identity)
  const member = await (before === undefined
    ? joined(tx, invitation, identity)
    : promoted(tx, invitation, before))
  const accepted = { at: new Date(nowMs).toISOString(), member: member.id, ...(session && { session }) }
  tx.space(invitationSpace).set([invitation.id], { ...invitation, accepted })
  tx.emit('invitation.accepted', invitation.id)
  return member
}

function requireOpen({ revokedAt, accepted, expiresAtMs }: InvitationRecord, nowMs: number): void {
  if (revokedAt !== null) {
    throw new Problem('invitation_revoked', 'The invitation was taken back. Ask whoever sent it.')
  }
  if (accepted !== null) throw new Problem('invitation_used', 'The invitation was accepted already.')
  if (expiresAtMs <= nowMs) {
    throw new Problem('invitation_expired', 'The invitation has expired. Ask for a new one.')
  }
}

async function memberWith(
  tx: TenantTransaction,
  identity: PersonIdentity,
): Promise<MemberRecord | undefined> {
  const holder = await tx.space(identitySpace).get(identityKey(identity))
  return holder === undefined || holder.member === null
    ? undefined
    : tx.space(memberSpace).get([holder.member])
}

async function joined(
  tx: TenantTransaction,
  { email, role }: InvitationRecord,
  identity: PersonIdentity | null,
): Promise<MemberRecord> {
  const member = newMember(
    { email, role, decidedBy: 'organisation', ...(identity && { identity }) },
    tx.context.nowMs,
  )
  await tx.take('members', 1)
  await addMember(tx, member)
  tx.emit('member.created', member.id)
  return member
}

async function promoted(
  tx: TenantTransaction,
  { role }: InvitationRecord,
  before: MemberRecord,
): Promise<MemberRecord> {
  if (before.decidedBy === 'organisation') {
    throw new Problem('conflict', 'You are a member already. Your role is changed at /v1/members.')
  }
  const updatedAt = new Date(tx.context.nowMs).toISOString()
  const after = {
    ...before,
    role,
    decidedBy: 'organisation' as const,
    updatedAt,
    version: before.version + 1,
  }
  await changeMember(tx, before, after)
  tx.emit('member.updated', after.id)
  return after
}
