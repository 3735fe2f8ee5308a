// Who asks. The edge says it in the assertion; the region reads the credential behind it again before it believes.
import type { OperatorRole } from './credentials/operator_token.ts'
import type { Id } from './ids.ts'
import type { TenantNumber } from './tenant.ts'

/** Who acts for a tenant. */
export type TenantPrincipal =
  | ApiKeyPrincipal
  | SignedUrlPrincipal
  | JwtPrincipal
  | SessionPrincipal
  | AdminLinkPrincipal
  | WebhookSourcePrincipal
  | InvitationPrincipal

interface OfTenant {
  tenant: TenantNumber
  /** What the request's `X-Tenant` says, an id or a slug. The tenant must be that one, or it is `tenant_mismatch`. */
  claimedTenant?: string
}

export interface ApiKeyPrincipal extends OfTenant {
  kind: 'api_key'
  keyId: Id<'key'>
  /** SHA-256 of the key in base64url. */
  secretHash: string
}

/** Whoever holds a signed URL. `keyId` is the key that signed it. */
export interface SignedUrlPrincipal extends OfTenant {
  kind: 'signed_url'
  keyId: Id<'key'>
  /** What the one operation needs that it is for. */
  scope: string
  expiresAtMs: number
  nonce: string
}

/** A person, by a token of one of the tenant's identity providers. Which role they have, the region decides. */
export interface JwtPrincipal extends OfTenant {
  kind: 'jwt'
  providerId: Id<'idp'>
  issuer: string
  /** The one that the token was accepted for. */
  audience: string
  subject: string
  /** When the token was issued, in seconds, where it says so (RFC 7519 section 4.1.6). */
  iat?: number
  expiresAtMs: number
  /** Only one that the issuer says it has verified. */
  email?: string
  /** What the token says in the claim that roles are mapped from. */
  roles?: { claim: string; values: ReadonlyArray<string> }
}

/** Someone in the console. The edge takes a session from the console's own pages alone. */
export interface SessionPrincipal extends OfTenant {
  kind: 'session'
  sessionId: Id<'ses'>
  /** SHA-256 of the cookie's value in base64url. */
  secretHash: string
}

/** A third party that calls the URL of one of the tenant's webhook sources. */
export interface WebhookSourcePrincipal extends OfTenant {
  kind: 'webhook_source'
  sourceId: Id<'whs'>
  /** SHA-256 of the URL's token in base64url. */
  secretHash: string
}

/** Whoever holds an admin link: on the way into the console, and nowhere else. */
export interface AdminLinkPrincipal extends OfTenant {
  kind: 'admin_link'
  linkId: Id<'lnk'>
  secretHash: string
  /** Opened at another host than the one that it was made for. */
  elsewhere?: true
  /** The session that using the link is to begin. Coming again with the same one, the link has been used by itself. */
  begins?: { sessionId: Id<'ses'>; secretHash: string }
}

/** Whoever holds an invitation: on the way into the console, and nowhere else. */
export interface InvitationPrincipal extends OfTenant {
  kind: 'invitation'
  invitationId: Id<'inv'>
  /** SHA-256 of the token in base64url. */
  secretHash: string
  /** The session that accepting is to begin. Coming again with the same one, it was accepted by itself. */
  begins?: { sessionId: Id<'ses'>; secretHash: string }
}

/** One name for who acts, the same with every request and no other caller's of the tenant. */
export function callerOf(principal: TenantPrincipal): string {
  switch (principal.kind) {
    case 'jwt':
      return `${principal.issuer} ${principal.subject}`
    case 'session':
      return principal.sessionId
    case 'admin_link':
      return principal.linkId
    case 'webhook_source':
      return principal.sourceId
    case 'invitation':
      return principal.invitationId
    default:
      return principal.keyId
  }
}

export const isOfTenant = (principal: Principal): principal is TenantPrincipal => 'tenant' in principal

export type OperatorPrincipal = {
  kind: 'operator'
  operatorId: string
  role: OperatorRole
  secretHash: string
}

/** One region asks another on the control plane's behalf. */
export type RegionPrincipal = { kind: 'region'; region: string }

/** An edge asks for itself, before it knows who its client is. */
export type EdgePrincipal = { kind: 'edge' }

export type Principal = TenantPrincipal | OperatorPrincipal | RegionPrincipal | EdgePrincipal
