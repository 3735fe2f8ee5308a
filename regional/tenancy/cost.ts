// What tenants cost a region, by the day: so that an operator sees who costs what without reading every tenant. Written
// with the usage that it sums up, in the region's own keys; kept for a few days.
import { setImmediate as nextRound } from 'node:timers/promises'
import type { TenantNumber } from '../../shared/tenant.ts'
import { counterSpace } from '../storage/counter_space.ts'
import { numberOfKey } from '../storage/keys.ts'
import { jsonSpace, type Space } from '../storage/space.ts'
import type { RegionDatabase } from './region_database.ts'

export interface TenantCost {
  number: TenantNumber
  units: number
}

type CostKey = [day: string, tenant: Buffer]
/** Its requests' units. */
export const costSpace = counterSpace<CostKey>('cost')
/** The same rows, to clear. */
export const costRow = jsonSpace<CostKey, never>('cost')

const DAY_MS = 24 * 60 * 60 * 1000
const KEPT_DAYS = 7
/** Rows of one transaction. */
const PAGE = 2_000
/** How old a ranking may be. */
const RANKED_FOR_MS = 5_000

/** Days that may have a row of a tenant's at `nowMs`. */
export const costDays = (nowMs: number): string[] =>
  Array.from({ length: KEPT_DAYS + 2 }, (_, back) => dayOf(nowMs - (back - 1) * DAY_MS))

export const dayOf = (nowMs: number): string => new Date(nowMs).toISOString().slice(0, 10)

/** The most expensive first; of equals, the older tenant. */
export const byCost = (a: TenantCost, b: TenantCost): number =>
  b.units - a.units || (a.number < b.number ? -1 : a.number > b.number ? 1 : 0)

export class Costs {
  private readonly database: RegionDatabase
  private readonly now: () => number
  private ranked: { atMs: number; costs: Promise<ReadonlyArray<TenantCost>> } | undefined

  constructor(database: RegionDatabase, now: () => number) {
    this.database = database
    this.now = now
  }

  /** What each tenant of this region cost today and yesterday (UTC), the most expensive first, behind `after`. */
  async ranking(limit: number, after: TenantCost | undefined): Promise<ReadonlyArray<TenantCost>> {
    const nowMs = this.now()
    const costs = await this.rankedAt(nowMs)
    return costs.filter((cost) => after === undefined || byCost(after, cost) < 0).slice(0, limit)
  }

  private rankedAt(nowMs: number): Promise<ReadonlyArray<TenantCost>> {
    // A clock that was set back makes none of them last.
    const ageMs = nowMs - (this.ranked?.atMs ?? 0)
    if (this.ranked !== undefined && ageMs >= 0 && ageMs < RANKED_FOR_MS) return this.ranked.costs
    const ranked = { atMs: nowMs, costs: this.rank(nowMs) }
    this.ranked = ranked
    ranked.costs.catch(() => {
      if (this.ranked === ranked) this.ranked = undefined
    })
    return ranked.costs
  }

  private async rank(nowMs: number): Promise<ReadonlyArray<TenantCost>> {
    const units = new Map<TenantNumber, number>()
    for (const day of [dayOf(nowMs), dayOf(nowMs - DAY_MS)]) {
      for (let after: CostKey | undefined, more = true; more; ) {
        const page = await this.inRegion((costs) => costs.page({ under: [day], limit: PAGE, after }))
        for (const [[, tenant], cost] of page.entries) {
          const number = numberOfKey(tenant)
          units.set(number, (units.get(number) ?? 0) + cost)
        }
        after = page.entries.at(-1)?.[0]
        more = page.more
        // The embedded engine has each page at once, and there may be hundreds: others have their turn between them.
        await nextRound()
      }
    }
    return [...units].map(([number, cost]) => ({ number, units: cost })).toSorted(byCost)
  }

  /** Forgets days that nobody asks about any more. */
  async sweep(): Promise<void> {
    const before = dayOf(this.now() - KEPT_DAYS * DAY_MS)
    for (let more = true; more; ) {
      const page = await this.inRegion(async (costs) => {
        const oldest = await costs.page({ limit: PAGE })
        const old = oldest.entries.filter(([[day]]) => day < before)
        for (const [key] of old) costs.clear(key)
        return { more: oldest.more && old.length === oldest.entries.length }
      }, true)
      more = page.more
    }
  }

  private inRegion<T>(work: (costs: Space<CostKey, number>) => Promise<T>, commit = false): Promise<T> {
    return this.database.region(async (scope) => ({ value: await work(scope.counters(costSpace)), commit }))
  }
}
