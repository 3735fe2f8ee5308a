// Minting: a new API key and the record that will answer for it; a URL that a key signs, which no record answers for;
// an admin link; an invitation.
import { type AdminLinkClaims, mintAdminLink } from '../../shared/admin_link.ts'
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import {
  type InvitationClaims,
  mintInvitation,
  verifyInvitation,
} from '../../shared/credentials/invitation_token.ts'
import type { Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import { type SignedRequest, type SignedUrlClaims, signUrl } from '../../shared/signed_url.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { CredentialRecord, Issuer } from './records.ts'

export interface NewKey {
  tenant: TenantNumber
  name: string
  scopes: ReadonlyArray<string>
  expiresAt: string | null
  createdBy: Issuer | null
  nowMs: number
}

/** A key's text, which is shown once, and its record, which is kept. */
export type Mint = (key: NewKey) => Promise<{ text: string; record: CredentialRecord }>

export const minting =
  (environment: string, region: string, roots: Roots): Mint =>
  async ({ tenant, name, scopes, expiresAt, createdBy, nowMs }) => {
    const keyId = newId('key', nowMs)
    const { text, secretHash } = await mintApiKey(environment, { tenant, region, keyId }, roots)
    const createdAt = new Date(nowMs).toISOString()
    return { text, record: { id: keyId, name, scopes, secretHash, createdAt, expiresAt, createdBy } }
  }

export type SignUrl = (
  claims: Omit<SignedUrlClaims, 'rootId' | 'nonce' | 'region'>,
  request: SignedRequest,
) => Promise<string>

export const urlSigning =
  (region: string, roots: Roots): SignUrl =>
  (claims, request) =>
    signUrl({ ...claims, region }, request, roots)

export interface InvitationTokens {
  mint(claims: Omit<InvitationClaims, 'rootId' | 'region'>): Promise<{ text: string; secretHash: string }>
  /** @returns undefined for what is none of ours. */
  verify(text: string): ReturnType<typeof verifyInvitation>
}

export const invitationTokens = (region: string, roots: Roots): InvitationTokens => ({
  mint: (claims) => mintInvitation({ ...claims, region }, roots),
  verify: (text) => verifyInvitation(text, roots),
})

export type LinkAdmin = (
  claims: Omit<AdminLinkClaims, 'rootId' | 'region'>,
  origin: string,
) => Promise<{ url: string; secretHash: string }>

export const adminLinking =
  (region: string, roots: Roots): LinkAdmin =>
  (claims, origin) =>
    mintAdminLink({ ...claims, region }, origin, roots)
