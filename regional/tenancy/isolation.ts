// Isolation as it is kept: in the tenant, so that its edges hear of a lower limit and its people can see it, and among
// the region's own keys, so that an operator sees all of them. It is a lease: the process that isolates a tenant renews it, and
// a job ends it when nobody has, so that it ends by itself whatever becomes of that process.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Isolation, IsolationChange, IsolationStage } from '../admission/noisy.ts'
import type { UpkeepKind } from '../jobs/kind.ts'
import { enqueue } from '../jobs/queue.ts'
import type { Log } from '../log.ts'
import { numberKey, numberOfKey } from '../storage/keys.ts'
import { jsonSpace } from '../storage/space.ts'
import { emitting } from './events.ts'
import {
  type IsolationRecord,
  isolationSpace,
  profileSpace,
  type StatusRecord,
  statusSpace,
} from './records.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'

export interface NoisyRow extends IsolationRecord {
  /** Units a second that it asked for, and that were its share, when that was last written. */
  asked: number
  fair: number
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
  private readonly renewedMs = new Map<TenantNumber, number>()

  constructor(dependencies: IsolationsDependencies) {
    this.dependencies = dependencies
  }

  /** Writes down what changed, and renews what goes on. What fails is tried again with the next renewal. */
  async keep(changes: ReadonlyArray<IsolationChange>, present: ReadonlyArray<Isolation>): Promise<void> {
    const { now } = this.dependencies
    const nowMs = now()
    const changed = new Set(changes.map(({ tenant }) => tenant))
    const due = present.filter(
      ({ tenant }) => !changed.has(tenant) && nowMs - (this.renewedMs.get(tenant) ?? 0) >= RENEW_MS,
    )
    for (const change of [...changes, ...due]) await this.write(change)
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

  private async write({ tenant, stage, asked, fair }: IsolationChange): Promise<void> {
    const { database, now, log } = this.dependencies
    try {
      const record = await database.tenant(tenant, async (scope) => {
        const value = await isolate(scope, stage, now())
        return { value, commit: true }
      })
      await database.region(async (scope) => {
        const rows = scope.space(noisySpace)
        if (record === undefined) rows.clear([numberKey(tenant)])
        else rows.set([numberKey(tenant)], { ...record, asked: Math.round(asked), fair: Math.round(fair) })
        return { value: undefined, commit: true }
      })
      if (stage === undefined) this.renewedMs.delete(tenant)
      else this.renewedMs.set(tenant, now())
    } catch (error) {
      log.error('an isolation could not be written', { tenant: String(tenant), error })
    }
  }
}

/** @returns what is kept of it now */
async function isolate(
  scope: TenantScope,
  stage: IsolationStage | undefined,
  nowMs: number,
): Promise<IsolationRecord | undefined> {
  const records = scope.system('profile', isolationSpace)
  const [status, before] = await Promise.all([
    scope.system('status', statusSpace).get(['status']),
    records.get(['isolation']),
  ])
  if (status?.status !== 'active') return undefined
  const after = stage && { stage, sinceMs: before?.sinceMs ?? nowMs, untilMs: nowMs + LEASE_MS }
  await change(scope, status, before, after, nowMs)
  // Where there is one already, its job comes back until it is over.
  if (after !== undefined && before === undefined) {
    enqueue(scope, isolationEnds, {}, nowMs, { runAtMs: after.untilMs })
  }
  return after
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
