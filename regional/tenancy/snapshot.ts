// The tenant's snapshot, for the edge that asked: sent only when the edge's is another one than the status key says, so
// that the profile is read once after a change, and not with every request.
import { limitsOf, type PlanLimits, rateLimitsOf } from '../../shared/plans.ts'
import { compareVersions, type SnapshotVersion, type TenantSnapshot } from '../../shared/snapshot.ts'
import type { IsolationStage } from '../admission/noisy.ts'
import { isolationSpace, profileSpace, statusSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** @returns undefined when the edge's snapshot is the present one. */
export async function newerSnapshot(
  scope: TenantScope,
  present: SnapshotVersion,
  held: SnapshotVersion | undefined,
): Promise<TenantSnapshot | undefined> {
  if (held !== undefined && compareVersions(held, present) === 0) return undefined
  const [profile, isolation] = await Promise.all([
    scope.system('profile', profileSpace).get(['profile']),
    scope.system('profile', isolationSpace).get(['isolation']),
  ])
  if (profile === undefined) return undefined
  const { region, plan, overrides, corsOrigins = [] } = profile
  const limits = limitedBy(isolation?.stage, limitsOf(plan, overrides))
  return { ...present, region, plan, limits: rateLimitsOf(limits), streams: limits.streams, corsOrigins }
}

/** Of the rate limits, what is left to a tenant that is limited because it asked for far more than its share. */
const LIMITED_PART = 0.25

function limitedBy(stage: IsolationStage | undefined, limits: PlanLimits): PlanLimits {
  if (stage !== 'limited') return limits
  const part = (limit: number) => Math.max(1, Math.floor(limit * LIMITED_PART))
  return { ...limits, requestsPerSecond: part(limits.requestsPerSecond), burst: part(limits.burst) }
}

/** Counts the tenant's snapshot up, in the transaction that changes what it says. */
export async function renewSnapshot(scope: TenantScope): Promise<void> {
  const statuses = scope.system('status', statusSpace)
  const status = await statuses.get(['status'])
  if (status === undefined) throw new Error('a tenant has a status')
  statuses.set(['status'], { ...status, version: status.version + 1 })
}
