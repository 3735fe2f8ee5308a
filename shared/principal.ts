// Who asks. The edge says it in the assertion; the region reads the credential behind it again before it believes.
import type { OperatorRole } from './credentials/operator_token.ts'
import type { Id } from './ids.ts'
import type { TenantNumber } from './tenant.ts'

/** Who acts for a tenant; behind each of them stands an API key, which must hold. */
export type TenantPrincipal = ApiKeyPrincipal | SignedUrlPrincipal

interface OfTenant {
  tenant: TenantNumber
  keyId: Id<'key'>
  /** What the request's `X-Tenant` says, an id or a slug. The tenant must be that one, or it is `tenant_mismatch`. */
  claimedTenant?: string
}

export interface ApiKeyPrincipal extends OfTenant {
  kind: 'api_key'
  /** SHA-256 of the key in base64url. */
  secretHash: string
}

/** Whoever holds a signed URL. `keyId` is the key that signed it. */
export interface SignedUrlPrincipal extends OfTenant {
  kind: 'signed_url'
  /** What the one operation needs that it is for. */
  scope: string
  expiresAtMs: number
  nonce: string
}

export type OperatorPrincipal = {
  kind: 'operator'
  operatorId: string
  role: OperatorRole
  secretHash: string
}

/** One region asks another on the control plane's behalf. */
export type RegionPrincipal = { kind: 'region'; region: string }

export type Principal = TenantPrincipal | OperatorPrincipal | RegionPrincipal
