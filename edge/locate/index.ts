// Stage two, locate: which region answers, and for which tenant. Where credential and header both name a tenant
// they must agree; the edge holds the numbers together, the region the rest of an id, and slugs.

import type { Principal } from '../../shared/principal.ts'
import { SLUG, tenantNumberOf } from '../../shared/tenant.ts'
import type { EdgeConfig, Region } from '../env.ts'
import type { Identity } from '../identify/index.ts'

export type Location =
  | { outcome: 'located'; region: Region; principal: Principal }
  | { outcome: 'tenant_mismatch' }
  /** A genuine credential of a region that this edge has no way to. */
  | { outcome: 'region_unavailable' }

/** `claimedTenant` is the request's `X-Tenant`; operators act for no tenant, so it says nothing of theirs. */
export function locate(
  identity: Identity,
  claimedTenant: string | null,
  { regions, controlRegion }: Pick<EdgeConfig, 'regions' | 'controlRegion'>,
): Location {
  if (identity.kind === 'operator') {
    return { outcome: 'located', region: controlRegion, principal: identity.principal }
  }
  const { principal, home } = identity
  if (claimedTenant !== null && !mayBe(claimedTenant, principal.tenant)) return { outcome: 'tenant_mismatch' }
  const region = regions.get(home)
  if (region === undefined) return { outcome: 'region_unavailable' }
  return {
    outcome: 'located',
    region,
    principal: claimedTenant === null ? principal : { ...principal, claimedTenant },
  }
}

const mayBe = (claimed: string, tenant: bigint): boolean =>
  SLUG.test(claimed) || tenantNumberOf(claimed) === tenant
