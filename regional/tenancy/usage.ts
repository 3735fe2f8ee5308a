// Usage: what a tenant asked of the platform, by the hour. A change counts itself in its own commit. A read never waits
// for a commit, so reads (and what only describes requests: errors, time) are gathered in memory and flushed every
// second, by a flush that can do nothing but add.
import { randomUUID } from 'node:crypto'
import { QUANTITIES, type Quantity } from '../../shared/plans.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { IsolationStage } from '../admission/noisy.ts'
import { numberKey } from '../storage/keys.ts'
import { jsonSpace, type KeyBounds } from '../storage/space.ts'
import { dayOf } from './cost.ts'
import { readQuota } from './quotas.ts'
import { isolationSpace } from './records.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'

/** `errors`: refused or failed, of those who are the tenant's own. `milliseconds`: spent in the region on all of them. */
const USAGE_METRICS = ['errors', 'milliseconds', 'reads', 'writes'] as const
export type UsageMetric = (typeof USAGE_METRICS)[number]

/** What requests cost, in units: a change is committed, recorded, told and audited. */
const UNITS = { read: 1, write: 5 }

/** The hour of a time, in UTC, such as `2026-11-23T10`. */
function hourOf(nowMs: number): string {
  const begins = nowMs - (nowMs % HOUR_MS)
  if (begins !== hour.begins) hour = { begins, text: new Date(begins).toISOString().slice(0, 13) }
  return hour.text
}

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
/** The one asked for last, which is nearly always the present one. */
let hour = { begins: Number.NaN, text: '' }

export const countWrite = (scope: TenantScope, nowMs: number): void =>
  scope.usage().add([hourOf(nowMs), 'writes'], 1)

export interface UsagePeriod extends Record<UsageMetric, number> {
  /** RFC 3339, UTC */
  start: string
  units: number
}

export interface UsageWindow {
  fromMs: number
  toMs: number
  by: 'hour' | 'day'
}

export interface UsageReport {
  quotas: Record<Quantity, { used: number; limit: number }>
  /** Null unless it asks a busy region for far more than its share. */
  isolation: { stage: IsolationStage; since: string; until: string } | null
  /** Periods that had any requests, oldest first. */
  history: ReadonlyArray<UsagePeriod>
}

export async function readUsage(
  scope: TenantScope,
  nowMs: number,
  window: UsageWindow,
): Promise<UsageReport> {
  const [quotas, history, isolation] = await Promise.all([
    Promise.all(QUANTITIES.map(async (each) => [each, await readQuota(scope, each, nowMs)] as const)),
    historyIn(scope, window),
    scope.system('profile', isolationSpace).get(['isolation']),
  ])
  const time = (ms: number) => new Date(ms).toISOString()
  return {
    quotas: Object.fromEntries(quotas) as UsageReport['quotas'],
    history,
    isolation: isolation
      ? { stage: isolation.stage, since: time(isolation.sinceMs), until: time(isolation.untilMs) }
      : null,
  }
}

async function historyIn(scope: TenantScope, { fromMs, toMs, by }: UsageWindow): Promise<UsagePeriod[]> {
  const hours = Math.ceil((toMs - fromMs) / HOUR_MS) + 1
  const { entries } = await scope.usage().page({
    after: [hourOf(fromMs - HOUR_MS), LAST_METRIC],
    limit: hours * USAGE_METRICS.length,
  })
  const last = hourOf(toMs - 1)
  const periods = new Map<string, Record<UsageMetric, number>>()
  for (const [[hour, metric], count] of entries) {
    if (hour > last) break
    const start = by === 'hour' ? `${hour}:00:00Z` : `${hour.slice(0, 10)}T00:00:00Z`
    const counts = periods.get(start) ?? { errors: 0, milliseconds: 0, reads: 0, writes: 0 }
    periods.set(start, counts)
    counts[metric] += count
  }
  return [...periods].map(([start, counts]) => ({ start, ...counts, units: unitsOf(counts) }))
}

const unitsOf = ({ reads, writes }: Record<'reads' | 'writes', number>): number =>
  reads * UNITS.read + writes * UNITS.write

/** A year can be looked back on for another month. */
const KEPT_MS = 400 * DAY_MS
/** Rows in one transaction. */
const FORGOTTEN_AT_ONCE = 500

/** @returns whether there is more to forget now, and when the oldest that is left is to be forgotten */
export async function forgetUsage(
  scope: TenantScope,
  nowMs: number,
): Promise<{ more: boolean; nextMs: number | undefined }> {
  const usage = scope.usage()
  const old = await usage.page({ to: [hourOf(nowMs - KEPT_MS)], limit: FORGOTTEN_AT_ONCE })
  for (const [key] of old.entries) usage.clear(key)
  if (old.more) return { more: true, nextMs: undefined }
  const [oldest] = (await usage.page({ limit: 1 })).entries
  const nextMs = oldest && Date.parse(`${oldest[0][0]}:00:00Z`) + HOUR_MS + KEPT_MS
  return { more: false, nextMs }
}

/** Sorts behind every other metric. */
const LAST_METRIC: UsageMetric = 'writes'

/**
 * By process and day, the last flush that was applied: a flush that is retried after an unknown outcome finds itself here.
 * And the tenants that are gone: a flush reads no tenant's status, and must not count for one that is being erased.
 */
export type FlushKey =
  | ['last', day: string, process: string]
  | ['gone', tenant: Buffer]
  /** Of older versions, for ever. */
  | [process: string]
export const flushSpace = jsonSpace<FlushKey, number>('flush')

/** Tenants in one transaction of a flush. */
const BATCH = 100
/** Rows in one transaction of a sweep. */
const PAGE = 2_000

/** A change counts itself as a write; `changes` is for the region's own account of what tenants cost. */
type Gathered = Exclude<UsageMetric, 'writes'> | 'changes'
const GATHERED_METRICS = ['errors', 'milliseconds', 'reads'] as const satisfies Gathered[]

/** By hour and metric. */
type Counted = Map<string, Partial<Record<Gathered, number>>>

/** What is added in one commit. It keeps its number until it is known to be added, so that it is added once. */
interface Flush {
  key: ['last', day: string, process: string]
  number: number
  counts: ReadonlyMap<TenantNumber, Counted>
}

export class UsageMeter {
  private readonly database: RegionDatabase
  private readonly now: () => number
  private readonly startedMs: number
  private readonly process = randomUUID()
  private flushes = 0
  /** Of the milliseconds that tenants took within an hour, what makes no whole one yet. */
  private rests = { hour: '', of: new Map<TenantNumber, number>() }
  private readonly gathered = new Map<TenantNumber, Counted>()
  private readonly unwritten: Flush[] = []

  constructor(database: RegionDatabase, now: () => number) {
    this.database = database
    this.now = now
    this.startedMs = now()
  }

  /** @param amount of milliseconds also parts of one; of all else whole ones */
  count(tenant: TenantNumber, metric: Gathered, amount: number, nowMs: number): void {
    const ofTenant = this.gathered.get(tenant) ?? new Map()
    this.gathered.set(tenant, ofTenant)
    const hour = hourOf(nowMs)
    const counts = ofTenant.get(hour) ?? {}
    ofTenant.set(hour, counts)
    const whole = metric === 'milliseconds' ? this.wholeOf(tenant, amount, hour) : amount
    counts[metric] = (counts[metric] ?? 0) + whole
  }

  /** Most reads take less than half a millisecond: each by itself would count as none. */
  private wholeOf(tenant: TenantNumber, ms: number, hour: string): number {
    if (this.rests.hour !== hour) this.rests = { hour, of: new Map() }
    const all = (this.rests.of.get(tenant) ?? 0) + ms
    const whole = Math.round(all)
    this.rests.of.set(tenant, all - whole)
    return whole
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
    const key: Flush['key'] = ['last', dayOf(this.now()), this.process]
    const gathered = [...this.gathered]
    this.gathered.clear()
    for (let i = 0; i < gathered.length; i += BATCH) {
      this.unwritten.push({ key, number: ++this.flushes, counts: new Map(gathered.slice(i, i + BATCH)) })
    }
  }

  /** Forgets flushes of more than a day ago: whoever added them has tried them again long since, or is gone. */
  async sweep(): Promise<void> {
    const dayAgoMs = this.now() - DAY_MS
    await this.forget({ under: ['last'], to: ['last', dayOf(dayAgoMs)] })
    // Older versions say no day; when this process has been here for one, so has everybody who may still flush.
    if (this.startedMs < dayAgoMs) await this.forget({ to: ['gone'] })
  }

  private async forget(bounds: KeyBounds<FlushKey>): Promise<void> {
    for (let more = true; more; ) {
      more = await this.database.region(async (scope) => {
        const rows = scope.space(flushSpace)
        const page = await rows.page({ ...bounds, limit: PAGE })
        for (const [key] of page.entries) rows.clear(key)
        return { value: page.more, commit: page.entries.length > 0 }
      })
    }
  }

  private write({ key, number, counts }: Flush): Promise<void> {
    return this.database.addUsage([...counts.keys()], async (applied, usageOf, costs) => {
      if (((await applied.get(key)) ?? 0) >= number) return { value: undefined, commit: false }
      applied.set(key, number)
      const tenants = [...counts]
      const gone = await Promise.all(tenants.map(([tenant]) => applied.get(['gone', numberKey(tenant)])))
      for (const [i, [tenant, hours]] of tenants.entries()) {
        if (gone[i] !== undefined) continue
        for (const [hour, counts] of hours) {
          const { reads = 0, changes = 0 } = counts
          costs.add([hour.slice(0, 10), numberKey(tenant)], unitsOf({ reads, writes: changes }))
          for (const metric of GATHERED_METRICS) {
            const count = counts[metric]
            if (count !== undefined) usageOf(tenant).add([hour, metric], count)
          }
        }
      }
      return { value: undefined, commit: true }
    })
  }
}
