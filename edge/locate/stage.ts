// Stage two in the pipeline: what the host names, before anybody is identified; and the region that answers, once the
// credential has said whom it speaks for.
import type { Principal } from '../../shared/principal.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { decided, ofTenant, type RequestContext } from '../context.ts'
import type { EdgeConfig } from '../env.ts'
import { unavailable } from '../forward/ask_instances.ts'
import { type NoteFailure, tenantMismatch } from '../identify/stage.ts'
import type { Stage } from '../stage.ts'
import { hostNames, tenantAt } from './host.ts'
import { locate } from './index.ts'
import type { Snapshots } from './snapshots.ts'
import type { TenantDirectory } from './tenant_directory.ts'

const NOTHING_DONE = 'Nothing was done.'

/** Before anything else reads where a request goes. */
export function hosting(config: EdgeConfig): Stage {
  const nameOf = hostNames(config)
  return function hosting(context) {
    context.named = nameOf(context)
    return undefined
  }
}

/**
 * The tenant that the host names. Comes after a credential that says its tenant by itself, so that a stranger has nobody
 * asked; and before a token, which may not.
 */
export function naming(config: EdgeConfig, directory: TenantDirectory, noteFailure: NoteFailure): Stage {
  return async function naming(context) {
    if (context.host !== undefined) return undefined
    const host = await tenantAt(context, directory)
    if (host === 'no_such_tenant') {
      noteFailure(context.clientIp)
      throw tenantMismatch()
    }
    if (host !== 'unavailable') context.host = host
    else if (!leftToRegion(context)) throw unavailable(config.controlRegion.name, NOTHING_DONE)
    return undefined
  }
}

/** The credential's home region can hold one slug against it as well. */
function leftToRegion(context: RequestContext): boolean {
  const { identity, named } = context
  if (identity === undefined || typeof named !== 'object' || !('slug' in named)) return false
  context.claimedTenant ??= named.slug
  return context.claimedTenant === named.slug
}

export const locating = (config: EdgeConfig, snapshots: Snapshots): Stage => {
  const held = (tenant: TenantNumber) => snapshots.get(tenant, Date.now())
  const lastOf = (principal: Principal) =>
    ofTenant(principal) ? snapshots.last(principal.tenant) : undefined
  return function locating(context) {
    const location = locate(decided(context.identity), context, held, config)
    if (location.outcome === 'tenant_mismatch') throw tenantMismatch()
    if (location.outcome === 'region_unavailable') throw unavailable('of this credential', NOTHING_DONE)
    context.region = location.region
    context.principal = location.principal
    context.snapshot = location.snapshot
    context.lastSnapshot = location.snapshot ?? lastOf(location.principal)
    return undefined
  }
}
