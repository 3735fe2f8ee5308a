// Finishes what a crash left half made: tenants of this region whose making began and did not end.
import { numberOfKey } from '../storage/keys.ts'
import type { TenantLifecycle } from '../tenancy/lifecycle.ts'
import { provisioningPointer } from '../tenancy/pointers.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Calls } from './calls.ts'

/** A making younger than this is most likely still under way. */
const PATIENCE_MS = 10_000
const PAGE = 100

export interface FinisherDependencies {
  region: string
  database: RegionDatabase
  lifecycle: TenantLifecycle
  control: Calls
  now: () => number
}

/**
 * One round over the region's pointers; what cannot be finished now is left for the next round.
 * @param olderThanMs leaves younger ones alone; at start-up nothing is under way, so 0
 */
export async function finishProvisioning(
  { region, database, lifecycle, control, now }: FinisherDependencies,
  olderThanMs = PATIENCE_MS,
): Promise<void> {
  let after: [tenant: Buffer] | undefined
  for (let more = true; more; ) {
    const page = await database.region(async (scope) => ({
      value: await scope.space(provisioningPointer).page({ limit: PAGE, after }),
      commit: false,
    }))
    for (const [[key], { since }] of page.entries) {
      const number = numberOfKey(key)
      after = [key]
      if (now() - Date.parse(since) < olderThanMs) continue
      const slug = await lifecycle.unfinished(number)
      if (slug === undefined) continue
      if (await control.claim({ number, slug, region })) await lifecycle.activate(number)
      else await lifecycle.abandon(number)
    }
    more = page.more
  }
}
