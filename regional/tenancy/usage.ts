// Usage: what a tenant asked of the platform, by the hour. A change counts itself in its own commit. A read never waits
// for a commit, so reads are gathered in memory and flushed every second, by a flush that can do nothing but add.
import { randomUUID } from 'node:crypto'
import { QUANTITIES, type Quantity } from '../../shared/plans.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { numberKey } from '../storage/keys.ts'
import { jsonSpace } from '../storage/space.ts'
import { readQuota } from './quotas.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'

export const USAGE_METRICS = ['reads', 'writes'] as const
export type UsageMetric = (typeof USAGE_METRICS)[number]

/** The hour of a time, in UTC, such as `2026-11-23T10`. */
export const hourOf = (nowMs: number): string => new Date(nowMs).toISOString().slice(0, 13)

export const countWrite = (scope: TenantScope, nowMs: number): void =>
  scope.usage().add([hourOf(nowMs), 'writes'], 1)

export interface UsageReport {
  quotas: Record<Quantity, { used: number; limit: number }>
  /** The last 24 hours that had any requests, oldest first. */
  hours: ReadonlyArray<{ hour: string } & Record<UsageMetric, number>>
}

const REPORTED_HOURS = 24

export async function readUsage(scope: TenantScope, nowMs: number): Promise<UsageReport> {
  const [quotas, { entries }] = await Promise.all([
    Promise.all(QUANTITIES.map(async (each) => [each, await readQuota(scope, each, nowMs)] as const)),
    scope.usage().page({
      after: [hourOf(nowMs - REPORTED_HOURS * 60 * 60 * 1000), LAST_METRIC],
      limit: REPORTED_HOURS * USAGE_METRICS.length,
    }),
  ])
  const hours = new Map<string, Record<UsageMetric, number>>()
  for (const [[hour, metric], count] of entries) {
    hours.set(hour, { ...(hours.get(hour) ?? { reads: 0, writes: 0 }), [metric]: count })
  }
  return {
    quotas: Object.fromEntries(quotas) as UsageReport['quotas'],
    hours: [...hours].map(([hour, counts]) => ({ hour, ...counts })),
  }
}

/** Sorts behind every other metric. */
const LAST_METRIC: UsageMetric = 'writes'

/**
 * By process, the last flush that was applied: a flush that is retried after an unknown outcome finds itself here. And
 * the tenants that are gone: a flush reads no tenant's status, and must not count for one that is being erased.
 */
export const flushSpace = jsonSpace<[process: string] | ['gone', tenant: Buffer], number>('flush')

/** Tenants in one transaction of a flush. */
const BATCH = 100

/** What is added in one commit. It keeps its number until it is known to be added, so that it is added once. */
interface Flush {
  number: number
  counts: ReadonlyMap<TenantNumber, ReadonlyMap<string, number>>
}

export class UsageMeter {
  private readonly database: RegionDatabase
  private readonly process = randomUUID()
  private flushes = 0
  private readonly reads = new Map<TenantNumber, Map<string, number>>()
  private readonly unwritten: Flush[] = []

  constructor(database: RegionDatabase) {
    this.database = database
  }

  countRead(tenant: TenantNumber, nowMs: number): void {
    const hour = hourOf(nowMs)
    const ofTenant = this.reads.get(tenant) ?? new Map<string, number>()
    this.reads.set(tenant, ofTenant.set(hour, (ofTenant.get(hour) ?? 0) + 1))
  }

  /** Adds what was gathered. What could not be added stays for the next flush, under the number that it has. */
  async flush(): Promise<void> {
    await this.writeAll()
    this.gather()
    await this.writeAll()
  }

  /** In the order of their numbers, since only the last one that was added is remembered. */
  private async writeAll(): Promise<void> {
    for (let next = this.unwritten[0]; next !== undefined; next = this.unwritten[0]) {
      await this.write(next)
      if (this.unwritten[0] === next) this.unwritten.shift()
    }
  }

  private gather(): void {
    const gathered = [...this.reads]
    this.reads.clear()
    for (let i = 0; i < gathered.length; i += BATCH) {
      this.unwritten.push({ number: ++this.flushes, counts: new Map(gathered.slice(i, i + BATCH)) })
    }
  }

  private write({ number, counts }: Flush): Promise<void> {
    return this.database.addUsage([...counts.keys()], async (applied, usageOf) => {
      if (((await applied.get([this.process])) ?? 0) >= number) return { value: undefined, commit: false }
      applied.set([this.process], number)
      const tenants = [...counts]
      const gone = await Promise.all(tenants.map(([tenant]) => applied.get(['gone', numberKey(tenant)])))
      for (const [i, [tenant, hours]] of tenants.entries()) {
        if (gone[i] !== undefined) continue
        for (const [hour, count] of hours) usageOf(tenant).add([hour, 'reads'], count)
      }
      return { value: undefined, commit: true }
    })
  }
}
