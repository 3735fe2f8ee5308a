// Who asks. The edge says it in the assertion; the region reads the credential behind it again before it believes.
import type { OperatorRole } from './credentials/operator_token.ts'
import type { Id } from './ids.ts'
import type { TenantNumber } from './tenant.ts'

export type TenantPrincipal = {
  kind: 'api_key'
  tenant: TenantNumber
  keyId: Id<'key'>
  /** SHA-256 of the key in base64url. */
  secretHash: string
  /** What the request's `X-Tenant` says, an id or a slug. The tenant must be that one, or it is `tenant_mismatch`. */
  claimedTenant?: string
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
