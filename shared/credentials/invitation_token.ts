// Invitations, as the invited person holds them. Whoever invents or alters one is refused offline; what it gives, and
// whether it still does, stands in the tenant's home region.
import type { Id } from '../ids.ts'
import type { CredentialHead } from './head.ts'
import type { Roots } from './roots.ts'
import { mintToken, type TokenKind, verifyToken } from './tagged_token.ts'

/** Where an invitation leads: a page that says how to accept it, and changes nothing. */
export const INVITATION_PATH = '/admin/enter/invitation'
export const INVITATION_TOKEN = /^ci_[0-9A-Za-z]{40,200}$/

const INVITATION: TokenKind<'inv'> = {
  prefix: 'ci_',
  idPrefix: 'inv',
  purpose: 'invitation v1',
  extraBytes: 0,
}

export interface InvitationClaims extends CredentialHead {
  invitationId: Id<'inv'>
}

export const mintInvitation = (
  { invitationId, ...head }: Omit<InvitationClaims, 'rootId'>,
  roots: Roots,
): Promise<{ text: string; secretHash: string }> =>
  mintToken(INVITATION, { ...head, id: invitationId, extra: new Uint8Array() }, roots)

/** @returns undefined for what is none of ours. */
export async function verifyInvitation(
  text: string,
  roots: Roots,
): Promise<{ invitation: InvitationClaims; secretHash: string } | undefined> {
  const verified = await verifyToken(INVITATION, text, roots)
  if (verified === undefined) return undefined
  const { rootId, tenant, region, id: invitationId } = verified.claims
  return { invitation: { rootId, tenant, region, invitationId }, secretHash: verified.secretHash }
}
