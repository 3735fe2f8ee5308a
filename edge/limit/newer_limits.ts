// While a tenant is refused, none of its requests reaches a region, so no answer says that its limits have changed. The edge asks
// for them itself then, in the background.
import { type SnapshotAnswer, snapshotPath } from '../../shared/edge_calls.ts'
import { readSnapshot } from '../../shared/snapshot.ts'
import { decided, ofTenant, type RequestContext } from '../context.ts'
import { askRegion } from '../locate/ask_region.ts'
import type { Snapshots } from '../locate/snapshots.ts'
import { LocalMeters } from './local_meters.ts'

/** For one tenant, and for all of them together. */
const ONCE_A_SECOND = { rate: 1, burst: 1 }
const QUESTIONS = { rate: 50, burst: 100 }

interface NewerLimitsDependencies {
  snapshots: Snapshots
  waitUntil(work: Promise<unknown>): void
  now(): number
}

/** @returns to be told of each request that is refused */
export function newerLimits({ snapshots, waitUntil, now }: NewerLimitsDependencies) {
  const asked = new LocalMeters()
  const may = (name: string, limit: typeof QUESTIONS) =>
    asked.admit(name, limit, 1, now()).outcome === 'admitted'

  return ({ principal, region, snapshot }: RequestContext): void => {
    if (!ofTenant(principal)) return
    const { tenant } = principal
    if (may(String(tenant), ONCE_A_SECOND) && may('all', QUESTIONS)) {
      // Where no region answers, the limits stay as they are.
      waitUntil(learn().catch(() => {}))
    }

    async function learn(): Promise<void> {
      const answer = (await askRegion(decided(region), snapshotPath(tenant, snapshot))) as SnapshotAnswer
      const newer = readSnapshot(answer.snapshot)
      if (newer) snapshots.learn(tenant, newer, Date.now())
    }
  }
}
