// Stage two in the pipeline: what the host names, before anybody is identified; and the region that answers, once the
// credential has said whom it speaks for.
import { TENANT } from '../../shared/headers.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { decided } from '../context.ts'
import type { EdgeConfig } from '../env.ts'
import { unavailable } from '../forward/index.ts'
import { tenantMismatch } from '../identify/stage.ts'
import type { Stage } from '../stage.ts'
import { hostNames, tenantAt } from './host.ts'
import { locate } from './index.ts'
import type { Snapshots } from './snapshots.ts'
import type { TenantDirectory } from './tenant_directory.ts'

/** Before anything else reads where a request goes. */
export function hosting(config: EdgeConfig): Stage {
  const nameOf = hostNames(config)
  return function hosting(context) {
    context.named = nameOf(context)
    return undefined
  }
}

export function naming(config: EdgeConfig, directory: TenantDirectory): Stage {
  return async function naming(context) {
    const host = await tenantAt(context.named, directory)
    if (host.outcome === 'no_such_tenant') throw tenantMismatch()
    if (host.outcome === 'unavailable') throw unavailable(config.controlRegion.name, 'Nothing was done.')
    if (host.outcome === 'tenant') context.host = host.number
    return undefined
  }
}

export const locating = (config: EdgeConfig, snapshots: Snapshots): Stage => {
  const held = (tenant: TenantNumber) => snapshots.get(tenant, Date.now())
  return function locating(context) {
    const claims = { claimedTenant: context.headers.get(TENANT) ?? null, host: context.host }
    const location = locate(decided(context.identity), claims, held, config)
    if (location.outcome === 'tenant_mismatch') throw tenantMismatch()
    if (location.outcome === 'region_unavailable') throw unavailable('of this credential')
    context.region = location.region
    context.principal = location.principal
    context.snapshot = location.snapshot
    return undefined
  }
}

/** Where what everybody may read is read. */
export const inControlRegion = ({ controlRegion }: EdgeConfig): Stage =>
  function inControlRegion(context) {
    context.region = controlRegion
    return undefined
  }
