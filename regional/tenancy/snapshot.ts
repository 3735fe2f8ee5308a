// The tenant's snapshot, for the edge that asked: sent only when the edge's is another one than the status key says, so
// that the profile is read once after a change, and not with every request.
import { limitsOf, rateLimitsOf } from '../../shared/plans.ts'
import { compareVersions, type SnapshotVersion, type TenantSnapshot } from '../../shared/snapshot.ts'
import { profileSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** @returns undefined when the edge's snapshot is the present one. */
export async function newerSnapshot(
  scope: TenantScope,
  present: SnapshotVersion,
  held: SnapshotVersion | undefined,
): Promise<TenantSnapshot | undefined> {
  if (held !== undefined && compareVersions(held, present) === 0) return undefined
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  if (profile === undefined) return undefined
  const { region, plan, overrides } = profile
  const limits = rateLimitsOf(limitsOf(plan, overrides))
  return { epoch: present.epoch, version: present.version, region, plan, limits }
}
