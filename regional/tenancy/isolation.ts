// Isolation as it is kept: in the tenant, so that its edges hear of a lower limit and its people can see it, and among
// the region's own keys, so that an operator sees all of them. Each process that isolates a tenant has a lease in it, which
// it renews; the strongest stage counts, so that processes which judge otherwise do not undo each other's judgement. A job
// ends it when no lease is left, so that it ends by itself whatever becomes of those processes.
import { randomUUID } from 'node:crypto'
import type { TenantNumber } from '../../shared/tenant.ts'
import { ISOLATION_STAGES, type Isolation, type IsolationStage } from '../admission/noisy.ts'
import type { UpkeepKind } from '../jobs/kind.ts'
import { enqueue } from '../jobs/queue.ts'
import type { Log } from '../log.ts'
import { numberKey, numberOfKey } from '../storage/keys.ts'
import { jsonSpace } from '../storage/space.ts'
import { emitting } from './events.ts'
import {
  type IsolationLease,
  type IsolationRecord,
  isolationSpace,
  profileSpace,
  type StatusRecord,
  statusSpace,
} from './records.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'

export interface NoisyRow extends Omit<IsolationRecord, 'leases'> {
  /** Units a second that it asked for, and that were its share, where it asked for most: in one process. */
  asked: number
  /** Null in rows of before, of tenants that had gone silent. */
  fair: number | null
}
const noisySpace = jsonSpace<[tenant: Buffer], NoisyRow>('noisy')

const LEASE_MS = 60_000
const RENEW_MS = 20_000
/** Rows of one answer, and of one sweep. */
const MAX_ROWS = 1_000

export interface NoisyTenant extends NoisyRow {
  tenant: TenantNumber
}

export interface IsolationsDependencies {
  database: RegionDatabase
  now: () => number
  log: Log
}

export class Isolations {
  private readonly dependencies: IsolationsDependencies
  /** In the leases. */
  private readonly process = randomUUID()
  /** Of each tenant in which this process may have a lease: what it wrote last. */
  private readonly written = new Map<TenantNumber, { stage: IsolationStage | undefined; atMs: number }>()

  constructor(dependencies: IsolationsDependencies) {
    this.dependencies = dependencies
  }

  /**
   * Makes what is kept what this process finds: writes what differs from what it wrote last, renews what goes on, and
   * gives up its leases in all others. What fails is made good the next time.
   */
  async keep(present: ReadonlyArray<Isolation>): Promise<void> {
    const nowMs = this.dependencies.now()
    const over = new Set(this.written.keys())
    for (const isolation of present) {
      over.delete(isolation.tenant)
      const last = this.written.get(isolation.tenant)
      if (last?.stage === isolation.stage && nowMs - last.atMs < RENEW_MS) continue
      await this.write(isolation.tenant, isolation)
    }
    for (const tenant of over) await this.write(tenant, undefined)
  }

  /** Of this region, whichever process isolates them; the largest first. */
  async list(): Promise<ReadonlyArray<NoisyTenant>> {
    const nowMs = this.dependencies.now()
    const { entries } = await this.dependencies.database.region(async (scope) => ({
      value: await scope.space(noisySpace).page({ limit: MAX_ROWS }),
      commit: false,
    }))
    return entries
      .filter(([, { untilMs }]) => untilMs > nowMs)
      .map(([[key], row]) => ({ tenant: numberOfKey(key), ...row }))
      .toSorted((a, b) => b.asked - a.asked)
  }

  /** Forgets rows whose time is over. */
  sweep(): Promise<void> {
    const nowMs = this.dependencies.now()
    return this.dependencies.database.region(async (scope) => {
      const rows = scope.space(noisySpace)
      const { entries } = await rows.page({ limit: MAX_ROWS })
      const over = entries.filter(([, { untilMs }]) => untilMs <= nowMs)
      for (const [key] of over) rows.clear(key)
      return { value: undefined, commit: over.length > 0 }
    })
  }

  private async write(tenant: TenantNumber, found: Isolation | undefined): Promise<void> {
    const { database, now, log } = this.dependencies
    // Not known, until it is known to be written: an attempt that fails may have been committed.
    this.written.set(tenant, { stage: undefined, atMs: 0 })
    try {
      const nowMs = now()
      const record = await database.tenant(tenant, async (scope) => {
        const value = await lease(scope, this.process, found, nowMs)
        return { value, commit: true }
      })
      await database.region(async (scope) => {
        const rows = scope.space(noisySpace)
        if (record === undefined) rows.clear([numberKey(tenant)])
        else rows.set([numberKey(tenant)], rowOf(record))
        return { value: undefined, commit: true }
      })
      if (found === undefined) this.written.delete(tenant)
      else this.written.set(tenant, { stage: found.stage, atMs: nowMs })
    } catch (error) {
      log.error('an isolation could not be written', { tenant: String(tenant), error })
    }
  }
}

/** Renews or gives up the lease of one process. @returns what is kept of the tenant now */
async function lease(
  scope: TenantScope,
  process: string,
  found: Isolation | undefined,
  nowMs: number,
): Promise<IsolationRecord | undefined> {
  const records = scope.system('profile', isolationSpace)
  const [status, before] = await Promise.all([
    scope.system('status', statusSpace).get(['status']),
    records.get(['isolation']),
  ])
  if (status?.status !== 'active') return undefined
  const { [process]: _, ...others } = leasesOf(before)
  const leases = found === undefined ? others : { ...others, [process]: leaseOf(found, nowMs) }
  const after = standing(leases, before?.sinceMs ?? nowMs, nowMs)
  await change(scope, status, before, after, nowMs)
  // Where there is one already, its job comes back until it is over.
  if (after !== undefined && before === undefined) {
    enqueue(scope, isolationEnds, {}, nowMs, { runAtMs: after.untilMs })
  }
  return after
}

type Leases = Readonly<Record<string, IsolationLease>>

/** A record of before is as one lease, of a process that nobody knows. */
function leasesOf(record: IsolationRecord | undefined): Leases {
  if (record === undefined) return {}
  const { leases, stage, untilMs } = record
  return leases ?? { unknown: { stage, untilMs, asked: 0, fair: 0 } }
}

const leaseOf = ({ stage, asked, fair }: Isolation, nowMs: number): IsolationLease => ({
  stage,
  untilMs: nowMs + LEASE_MS,
  asked: Math.round(asked),
  fair: Math.round(fair),
})

/** Not the sum: the lease of a process that was replaced stands beside its successor's for a while. */
function rowOf(record: IsolationRecord): NoisyRow {
  const { stage, sinceMs, untilMs } = record
  const [largest] = Object.values(leasesOf(record)).toSorted((a, b) => b.asked - a.asked)
  return { stage, sinceMs, untilMs, asked: largest?.asked ?? 0, fair: largest?.fair ?? 0 }
}

/** What leases come to; those that are over are forgotten. */
function standing(leases: Leases, sinceMs: number, nowMs: number): IsolationRecord | undefined {
  const live = Object.entries(leases).filter(([, { untilMs }]) => untilMs > nowMs)
  const stage = ISOLATION_STAGES.findLast((each) => live.some(([, held]) => held.stage === each))
  if (stage === undefined) return undefined
  const untilMs = Math.max(...live.map(([, held]) => held.untilMs))
  return { stage, sinceMs, untilMs, leases: Object.fromEntries(live) }
}

async function change(
  scope: TenantScope,
  status: StatusRecord,
  before: IsolationRecord | undefined,
  after: IsolationRecord | undefined,
  nowMs: number,
): Promise<void> {
  const records = scope.system('profile', isolationSpace)
  if (after === undefined) records.clear(['isolation'])
  else records.set(['isolation'], after)
  if (before?.stage === after?.stage) return
  if ((before?.stage === 'limited') !== (after?.stage === 'limited')) {
    scope.system('status', statusSpace).set(['status'], { ...status, version: status.version + 1 })
  }
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  if (profile === undefined) return
  const by = { kind: 'system' as const, id: 'fair-shares' }
  const emit = emitting(scope, { standing: status, nowMs, actor: by, requestId: by.id })
  if (after === undefined) emit('tenant.released', profile.id)
  else emit('tenant.isolated', profile.id, { stage: after.stage })
}

/** Ends an isolation that nobody renews any more. */
export const isolationEnds: UpkeepKind<object> = {
  kind: 'platform.isolation',
  retry: { firstMs: 1_000, maxMs: 60_000, tries: Number.POSITIVE_INFINITY },
  async upkeep(scope, _, nowMs) {
    const [status, before] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      scope.system('profile', isolationSpace).get(['isolation']),
    ])
    if (status === undefined || before === undefined) return { finished: true }
    if (before.untilMs > nowMs) return { next: undefined, runAtMs: before.untilMs }
    await change(scope, status, before, undefined, nowMs)
    return { finished: true }
  },
}
