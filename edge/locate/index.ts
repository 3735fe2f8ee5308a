// Stage two, locate: which region answers, and for which tenant. Where credential, host and header name a tenant
// they must agree; the edge holds the numbers together, the region the rest of an id, and slugs.

import type { Principal } from '../../shared/principal.ts'
import type { TenantSnapshot } from '../../shared/snapshot.ts'
import { SLUG, type TenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import type { RequestContext } from '../context.ts'
import type { EdgeConfig, Region } from '../env.ts'
import type { Identity } from '../identify/identity.ts'

export type Location =
  | { outcome: 'located'; region: Region; principal: Principal; snapshot?: TenantSnapshot | undefined }
  | { outcome: 'tenant_mismatch' }
  /** A genuine credential of a region that this edge has no way to. */
  | { outcome: 'region_unavailable' }

/**
 * `claimedTenant` is the request's `X-Tenant`, `host` the tenant that its host names; operators act for no tenant, so
 * neither says anything of theirs.
 */
export function locate(
  identity: Identity,
  { claimedTenant, host }: Pick<RequestContext, 'claimedTenant' | 'host'>,
  snapshots: (tenant: TenantNumber) => TenantSnapshot | undefined,
  { regions, controlRegion }: Pick<EdgeConfig, 'regions' | 'controlRegion'>,
): Location {
  if (identity.kind === 'operator' || identity.kind === 'visitor') {
    const region = 'home' in identity ? regions.get(identity.home ?? '') : controlRegion
    if (region === undefined) return { outcome: 'region_unavailable' }
    return { outcome: 'located', region, principal: identity.principal }
  }
  const { principal, home } = identity
  if (host !== undefined && host !== principal.tenant) return { outcome: 'tenant_mismatch' }
  if (claimedTenant !== undefined && !mayBe(claimedTenant, principal.tenant)) {
    return { outcome: 'tenant_mismatch' }
  }
  // A snapshot is younger than the credential: the tenant may have moved since the key was minted.
  const snapshot = snapshots(principal.tenant)
  const region = regions.get(snapshot?.region ?? home)
  if (region === undefined) return { outcome: 'region_unavailable' }
  return {
    outcome: 'located',
    region,
    snapshot,
    principal: claimedTenant === undefined ? principal : { ...principal, claimedTenant },
  }
}

const mayBe = (claimed: string, tenant: bigint): boolean =>
  SLUG.test(claimed) || tenantNumberOf(claimed) === tenant
