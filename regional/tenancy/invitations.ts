// What an invitation comes to for whoever holds it: it lets them become a member, once, and begin the one session that
// they accepted it for. It holds as long as whoever made it may give that role.
import type { InvitationPrincipal } from '../../shared/principal.ts'
import { Problem, type ProblemCode } from '../../shared/problems.ts'
import type { Actor } from './audit.ts'
import { invalid, type Standing, sameHash } from './authorise.ts'
import type { Emit } from './events.ts'
import { mayStillGive } from './issuers.ts'
import { invitationSpace, memberSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** At a time, ended ones included: nobody uses us to write to half the world. */
export const MAX_INVITATIONS = 200

export const MAKER_GONE = 'Whoever made the invitation may not let you in any more. Ask for a new one.'

export async function ofInvitation(
  scope: TenantScope,
  { invitationId, secretHash, begins }: InvitationPrincipal,
  nowMs: number,
): Promise<Standing> {
  const members = scope.service('members')
  const invitation = await members.space(invitationSpace).get([invitationId])
  if (invitation === undefined || !sameHash(invitation, secretHash)) {
    return { outcome: 'unknown', problem: invalid() }
  }
  const { accepted, revokedAt, expiresAtMs, invitedBy, role } = invitation
  const invitee: Actor = { kind: 'invitee', id: invitationId }
  const refused = (code: ProblemCode, detail: string): Standing => ({
    outcome: 'refused',
    problem: new Problem(code, detail),
    actor: invitee,
  })
  if (accepted !== null) {
    const member = await members.space(memberSpace).get([accepted.member])
    const isOwn = accepted.session !== undefined && accepted.session === begins?.sessionId
    if (!isOwn || member === undefined)
      return refused('invitation_used', 'The invitation was accepted already.')
    return { outcome: 'holds', scopes: ['members:read'], actor: { kind: 'member', id: member.id } }
  }
  if (revokedAt !== null)
    return refused('invitation_revoked', 'The invitation was taken back. Ask whoever sent it.')
  if (expiresAtMs <= nowMs)
    return refused('invitation_expired', 'The invitation has expired. Ask for a new one.')
  if (!(await mayStillGive(scope, invitedBy, role, nowMs))) return refused('invitation_revoked', MAKER_GONE)
  return { outcome: 'holds', scopes: ['members:read'], actor: invitee }
}

/** All that nobody has accepted. */
export async function takeBackInvitations(scope: TenantScope, nowMs: number, emit: Emit): Promise<void> {
  const invitations = scope.service('members').space(invitationSpace)
  const { entries } = await invitations.page({ limit: MAX_INVITATIONS })
  const revokedAt = new Date(nowMs).toISOString()
  for (const [key, invitation] of entries) {
    const { accepted, revokedAt: already, expiresAtMs } = invitation
    if (accepted !== null || already !== null || expiresAtMs <= nowMs) continue
    invitations.set(key, { ...invitation, revokedAt })
    emit('invitation.revoked', invitation.id)
  }
}
