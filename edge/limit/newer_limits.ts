// A tenant's limits, asked of its region by the edge itself, where no answer to a request brings them in time: in the
// background while a tenant is refused, because none of its requests reaches a region then; and before a stream begins in an
// isolate that has not heard of its tenant for a minute.
import { type SnapshotAnswer, snapshotPath } from '../../shared/edge_calls.ts'
import { readSnapshot, type SnapshotVersion, type TenantSnapshot } from '../../shared/snapshot.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { decided, ofTenant, type RequestContext } from '../context.ts'
import type { EdgeConfig, Region } from '../env.ts'
import { ASKED_WITHIN_MS, askRegion } from '../locate/ask_region.ts'
import type { Snapshots } from '../locate/snapshots.ts'
import { Refreshed } from '../refreshed.ts'
import { LocalMeters } from './local_meters.ts'

/** For one tenant, and for all of them together. */
const ONCE_A_SECOND = { rate: 1, burst: 1 }
const QUESTIONS = { rate: 50, burst: 100 }
/** Streams that begin together share an answer. It need not be kept: the snapshot is. */
const SHARED_MS = 1_000
const SHARED = 1_000
/** Of a tenant's home, and of the region that it has moved to. */
const LONGEST_MS = 2 * (ASKED_WITHIN_MS + 500)

export interface NewerLimits {
  /** To be told of each request that is refused: asks in the background. */
  afterRefusal(context: RequestContext): void
  /** Sees to it that the context has a snapshot, where the region has one to give. */
  beforeStream(context: RequestContext): Promise<void>
}

interface NewerLimitsDependencies {
  snapshots: Snapshots
  regions: EdgeConfig['regions']
  waitUntil(work: Promise<unknown>): void
  now(): number
}

export function newerLimits({ snapshots, regions, waitUntil, now }: NewerLimitsDependencies): NewerLimits {
  const asked = new LocalMeters()
  const may = (name: string, limit: typeof QUESTIONS) =>
    asked.admit(name, limit, 1, now()).outcome === 'admitted'
  const shared = new Map([...regions.values()].map((region) => [region, answersOf(region)] as const))

  return {
    afterRefusal({ principal, region, snapshot }) {
      if (!ofTenant(principal)) return
      const { tenant } = principal
      if (may(String(tenant), ONCE_A_SECOND) && may('all', QUESTIONS)) {
        // Where no region answers, the limits stay as they are.
        waitUntil(learn(decided(region), tenant, snapshot).catch(() => {}))
      }
    },
    async beforeStream(context) {
      const { principal, region, snapshot } = context
      if (snapshot !== undefined || !ofTenant(principal)) return
      const had = await shared.get(decided(region))?.get(principal.tenant)
      if (had?.outcome !== 'had') return
      context.snapshot = had.value
      context.lastSnapshot = had.value
    },
  }

  function answersOf(region: Region): Refreshed<TenantNumber, TenantSnapshot> {
    return new Refreshed({
      freshMs: SHARED_MS,
      staleMs: SHARED_MS,
      keepMs: SHARED_MS,
      againMs: SHARED_MS,
      loadMs: LONGEST_MS,
      capacity: SHARED,
      waitUntil,
      now,
      load: async (tenant) => {
        const value = await learn(region, tenant, undefined)
        return value && { value, atMs: now() }
      },
    })
  }

  /** @returns undefined where there is no other than the one that is held. @throws {Error} when the region does not answer */
  async function learn(
    region: Region,
    tenant: TenantNumber,
    held: SnapshotVersion | undefined,
  ): Promise<TenantSnapshot | undefined> {
    const ask = async (of: Region) => (await askRegion(of, snapshotPath(tenant, held))) as SnapshotAnswer
    const answer = await ask(region)
    const moved = regions.get(answer.movedTo ?? region.name) ?? region
    const { snapshot } = moved === region ? answer : await ask(moved)
    const newer = readSnapshot(snapshot)
    return newer && snapshots.learn(tenant, newer, Date.now())
  }
}
