// Stage four in the pipeline: asks the region, and learns from its answer what it says to the edge alone.
import { SNAPSHOT, STALE_PROVIDERS, TOOK } from '../../shared/headers.ts'
import { Problem } from '../../shared/problems.ts'
import { readSnapshot } from '../../shared/snapshot.ts'
import { answerOfRegion } from '../answer.ts'
import { decided, ofTenant } from '../context.ts'
import type { Counts } from '../counts.ts'
import type { EdgeConfig } from '../env.ts'
import type { Refusals } from '../identify/refusals.ts'
import type { Snapshots } from '../locate/snapshots.ts'
import type { TenantDirectory } from '../locate/tenant_directory.ts'
import type { Stage } from '../stage.ts'
import { forward } from './index.ts'

export interface ForwardDependencies {
  config: EdgeConfig
  snapshots: Snapshots
  directory: TenantDirectory
  refusals: Refusals
  counts: Counts
  headerTimeoutMs: number
}

export function forwarding(dependencies: ForwardDependencies): Stage {
  const { config, snapshots, directory, refusals, counts, headerTimeoutMs } = dependencies
  const { regions, publicOrigin } = config
  return async function forwarding(context) {
    const { principal } = context
    try {
      const response = await forward(context, { publicOrigin, headerTimeoutMs, regions, counts })
      context.elsewhereMs = context.waitedMs + Number(response.headers.get(TOOK))
      if (ofTenant(principal)) {
        refusals.learn(principal, context.path, response, Date.now())
        const newer = readSnapshot(response.headers.get(SNAPSHOT))
        if (newer) context.snapshot = snapshots.learn(principal.tenant, newer, Date.now())
        context.outdated = response.headers.has(STALE_PROVIDERS)
        if (context.outdated) directory.forgetProvidersOf(principal.tenant)
      }
      return answerOfRegion(context, response, publicOrigin)
    } catch (error) {
      const { aborted } = context.request.signal
      if (error instanceof Problem && error.code === 'region_unavailable' && !aborted) {
        counts.add('region_unavailable', decided(context.region).name)
      }
      throw error
    }
  }
}
