// The scan: finds tenants with something to do by the region's pointers. It only reads, from another shard each time
// and on from where it last stopped, so that workers side by side do not all go for the same tenants.
import type { TenantNumber } from '../../shared/tenant.ts'
import { numberOfKey } from '../storage/keys.ts'
import { jobPointer, laterKey, laterPointer, POINTER_SHARDS, pointerKey } from '../tenancy/pointers.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'

/** Pointers of one shard in one scan. */
const PAGE = 64

export class PointerScan {
  private readonly database: RegionDatabase
  private readonly now: () => number
  private readonly random: () => number
  private readonly stoppedAt: Array<Buffer | undefined> = Array(POINTER_SHARDS).fill(undefined)

  constructor(database: RegionDatabase, now: () => number, random: () => number) {
    this.database = database
    this.now = now
    this.random = random
  }

  /** Tenants whose pointers say that they are to be visited. */
  async round(): Promise<TenantNumber[]> {
    const [pages, due] = await this.database.region(async (scope) => ({
      value: await Promise.all([
        Promise.all(
          this.stoppedAt.map((last, shard) =>
            scope.space(jobPointer).page({
              under: [shard],
              limit: PAGE,
              after: last && [shard, last],
            }),
          ),
        ),
        Promise.all(
          this.stoppedAt.map((_, shard) => scope.space(laterPointer).page({ under: [shard], limit: PAGE })),
        ),
      ]),
      commit: false,
    }))
    const first = Math.floor(this.random() * POINTER_SHARDS)
    const found: TenantNumber[] = []
    pages.forEach(({ entries, more }, shard) => {
      this.stoppedAt[shard] = more ? entries.at(-1)?.[0][1] : undefined
    })
    for (let i = 0; i < POINTER_SHARDS; i++) {
      const shard = pages[(first + i) % POINTER_SHARDS]
      for (const [[, tenant]] of shard?.entries ?? []) found.push(numberOfKey(tenant))
    }
    const nowMs = this.now()
    const times = due.flatMap(({ entries }) => entries.filter(([[, atMs]]) => atMs <= nowMs))
    found.push(
      ...(await this.promote(times.map(([[, atMs, tenant]]) => ({ atMs, tenant: numberOfKey(tenant) })))),
    )
    return found
  }

  /** Turns later pointers whose time has come into pointers, each in a commit that no other worker's can double. */
  private async promote(
    times: ReadonlyArray<{ atMs: number; tenant: TenantNumber }>,
  ): Promise<ReadonlyArray<TenantNumber>> {
    if (times.length === 0) return []
    await this.database.region(async (scope) => {
      await Promise.all(
        times.map(async ({ atMs, tenant }) => {
          const key = laterKey(tenant, atMs)
          if ((await scope.space(laterPointer).get(key)) === undefined) return
          scope.space(laterPointer).clear(key)
          scope.space(jobPointer).set(pointerKey(tenant), 1)
        }),
      )
      return { value: undefined, commit: true }
    })
    return times.map(({ tenant }) => tenant)
  }
}
