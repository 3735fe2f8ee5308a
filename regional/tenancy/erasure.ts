// Erasure: the end of a tenant. From the commit of `begin` on nobody is let in and nothing is written; then a worker
// clears the prefix from its last key down, a bounded chunk a transaction. What it has cleared is counted in the same
// commits, beside the status, which goes last: so a crash at any instant loses neither the work nor the count.
// What remains is a certificate in the region's own keys, with nothing of the tenant's in it but its id.
import { type Id, newId } from '../../shared/ids.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { TakeTurn } from '../admission/admission.ts'
import { CostMeter } from '../admission/cost.ts'
import { weightOf } from '../admission/weights.ts'
import { advanced, noProgress, type Progress } from '../jobs/progress.ts'
import { laterSpace } from '../jobs/record.ts'
import type { Log } from '../log.ts'
import type { StepOutcome } from '../metrics.ts'
import { type Reply, requireMatch } from '../operation.ts'
import { numberKey, subspaceName } from '../storage/keys.ts'
import { jsonSpace } from '../storage/space.ts'
import { auditOf } from './audit.ts'
import { sameText } from './authorise.ts'
import { costDays, costRow } from './cost.ts'
import { type OperatorRequest, operatorEntry } from './operator_request.ts'
import { certificateSpace, jobPointer, laterKey, laterPointer, leaseSpace, pointerKey } from './pointers.ts'
import { profileSpace, type StatusRecord, statusSpace } from './records.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'
import type { Attempt } from './retry.ts'
import { flushSpace } from './usage.ts'

/** What was cleared of one subspace. */
export interface Cleared {
  keys: number
  bytes: number
}

export interface Erasure {
  id: Id<'job'>
  tenant: Id<'ten'>
  /** The operator; null where an owner of the organisation asked. */
  by: { operatorId: string | null; requestId: string }
  /** In bytes. */
  progress: Progress
  cleared: Readonly<Record<string, Cleared>>
  /** The lowest key that was cleared, in hexadecimal: it saves going through what is no longer there. */
  clearedFrom?: string
  createdMs: number
  startedMs: number | null
  /** When the last transaction found nothing left, and cleared the status itself. */
  finishedMs: number | null
}

const erasureSpace = jsonSpace<['erasure'], Erasure>('erasure')
const erasureOf = (scope: TenantScope) => scope.system('status', erasureSpace)

/** One transaction reads and clears so much: well below FoundationDB's five seconds and ten megabytes. */
const CHUNK_ROWS = 2_000
const CHUNK_BYTES = 500_000
/** When the control region cannot be reached. */
const TRY_AGAIN_MS = 5_000
/** While another erasure tries: however many wait, looking at them costs little. */
const WAIT_BEHIND_MS = 30_000

export interface EraserDependencies {
  database: RegionDatabase
  /** Has the control region free the slug and keep the number as one that was used. Repeatable. */
  release: (number: TenantNumber) => Promise<void>
  /** Told when a tenant has been erased: nothing of it may stay in the files either. */
  overwriteCleared: () => void
  /** Told what a step came to, and how long it took. */
  stepped?: (kind: 'erasure', outcome: StepOutcome, seconds: number) => void
  log: Log
  now: () => number
}

export class TenantEraser {
  private readonly dependencies: EraserDependencies
  /** Where the control region did not answer last: one erasure at a time asks it, since each waits in a place that others' jobs need. */
  private isSilent = false
  private asking = 0

  constructor(dependencies: EraserDependencies) {
    this.dependencies = dependencies
  }

  /**
   * Shuts the tenant for good and has it erased; called again, it answers with the same erasure. Where nothing is there of it, since
   * this region was restored from before it was made, that is certified at once.
   * @returns undefined when there is no such tenant
   * @throws {Problem} `precondition_failed`
   */
  async begin(
    number: TenantNumber,
    tenant: Id<'ten'>,
    by: OperatorRequest,
    ifMatch: string | undefined,
  ): Promise<Erasure | undefined> {
    const { database, now } = this.dependencies
    const nowMs = now()
    const id = newId('job', nowMs)
    const begun = await database.tenant<Erasure | 'nothing' | undefined>(number, async (scope) => {
      const [status, profile, earlier] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        scope.system('profile', profileSpace).get(['profile']),
        erasureOf(scope).get(['erasure']),
      ])
      if (earlier !== undefined) return { value: earlier, commit: false }
      if (status === undefined) return { value: 'nothing', commit: false }
      const letIn = status.status === 'active' || status.status === 'suspended'
      if (!letIn || profile?.id !== tenant) return { value: undefined, commit: false }
      requireMatch(ifMatch, `"${profile.version}"`)
      const erasure = shut(scope, status, { id, tenant: profile.id, by, nowMs })
      auditOf(scope).append(status.epoch, operatorEntry('tenants.erase', tenant, by, nowMs))
      return { value: erasure, commit: true }
    })
    const erasure = begun === 'nothing' ? await this.certifyNothing(number, { id, tenant, by, nowMs }) : begun
    return erasure?.tenant === tenant ? erasure : undefined
  }

  /** @returns the certificate that there is already, or one of nothing */
  private certifyNothing(number: TenantNumber, asked: Asked): Promise<Erasure> {
    const { nowMs } = asked
    return this.dependencies.database.region(async (scope) => {
      const certificates = scope.space(certificateSpace)
      const key: [Buffer] = [numberKey(number)]
      const kept = await certificates.get(key)
      if (kept !== undefined) return { value: kept, commit: false }
      const progress = advanced(noProgress(nowMs), { done: 0, total: 0 }, nowMs)
      const certificate = { ...newErasure(asked), progress, startedMs: nowMs, finishedMs: nowMs }
      certificates.set(key, certificate)
      return { value: certificate, commit: true }
    })
  }

  /** The erasure of a tenant, under way or long over; undefined when there is none. */
  async read(number: TenantNumber, tenant: string): Promise<Erasure | undefined> {
    const erasure = await findErasure(this.dependencies.database, number)
    return erasure?.tenant === tenant ? erasure : undefined
  }

  /** The same, for whoever knows the job's id. */
  async readJob(number: TenantNumber, job: string): Promise<Erasure | undefined> {
    const erasure = await findErasure(this.dependencies.database, number)
    return erasure !== undefined && sameText(erasure.id, job) ? erasure : undefined
  }

  /**
   * Goes on with an erasure for as long as it may, each step in its turn.
   * @returns when to go on, in milliseconds since 1970; undefined when it is over
   */
  async goOn(
    number: TenantNumber,
    mayGoOn: () => boolean,
    turn: TakeTurn = (_, work) => work(new CostMeter()),
  ): Promise<number | undefined> {
    const { overwriteCleared, now, stepped } = this.dependencies
    do {
      const fromMs = performance.now()
      const over = (outcome: StepOutcome) =>
        stepped?.('erasure', outcome, (performance.now() - fromMs) / 1_000)
      // What its plan was may be cleared by now.
      const asking = { tenant: number, weight: weightOf(undefined), operation: 'erasure' }
      const chunk = await turn(asking, (meter) => this.clearChunk(number, meter))
      if (chunk === 'over') return undefined
      if (chunk === 'cleared') {
        over('done')
        continue
      }
      if (this.isSilent && this.asking > 0) return now() + WAIT_BEHIND_MS
      if (!(await this.release(number))) {
        over('failed')
        return now() + TRY_AGAIN_MS
      }
      if (await this.finish(number)) {
        overwriteCleared()
        return undefined
      }
    } while (mayGoOn())
    return now()
  }

  /** @returns false where the control region could not be told */
  private async release(number: TenantNumber): Promise<boolean> {
    const { release, log } = this.dependencies
    this.asking++
    try {
      await release(number)
      this.isSilent = false
      return true
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      this.isSilent = true
      log.error('the control region could not be told of an erased tenant', { code: error.code })
      return false
    } finally {
      this.asking--
    }
  }

  /** Clears the last rows of all that is there but the status. */
  private clearChunk(number: TenantNumber, meter: CostMeter): Promise<'cleared' | 'empty' | 'over'> {
    const { database, now } = this.dependencies
    const days = costDays(now())
    const clear = async (scope: TenantScope): Promise<Attempt<'cleared' | 'empty' | 'over'>> => {
      const nowMs = now()
      const before = await this.underWay(scope)
      if (before === undefined) return { value: 'over', commit: false }
      const clearedFrom =
        before.clearedFrom === undefined ? undefined : Buffer.from(before.clearedFrom, 'hex')
      const rows = await scope.lastRows('profile', clearedFrom, CHUNK_ROWS, CHUNK_BYTES)
      const lowest = rows.at(-1)
      if (lowest === undefined) return { value: 'empty', commit: false }
      const estimate = before.startedMs === null ? await scope.estimateBytes() : before.progress.total
      scope.clearBetween(lowest.key, clearedFrom)
      // A flush of usage does not read the status: this is what it reads instead.
      scope.regional(flushSpace, ['gone', numberKey(number)]).set(1)
      for (const day of days) scope.regional(costRow, [day, numberKey(number)]).clear()
      const bytes = rows.reduce((sum, row) => sum + row.bytes, 0)
      const done = before.progress.done + bytes
      erasureOf(scope).set(['erasure'], {
        ...before,
        cleared: counted(before.cleared, rows),
        clearedFrom: lowest.key.toString('hex'),
        // What is told beforehand is an estimate, of a large tenant perhaps of a part only: once passed, it is none.
        progress: advanced(
          before.progress,
          { done, total: estimate === null || done > estimate ? null : estimate },
          nowMs,
        ),
        startedMs: before.startedMs ?? nowMs,
      })
      return { value: 'cleared', commit: true }
    }
    return database.erasure(number, [], days, clear, meter)
  }

  /** The last transaction: finds nothing left, clears status and pointers, and leaves the certificate. */
  private async finish(number: TenantNumber): Promise<boolean> {
    const { database, now } = this.dependencies
    const read = async (scope: TenantScope) => ({
      value: await scope.system('status', laterSpace).get(['later']),
      commit: false,
    })
    const later = await database.tenant(number, read, { batch: true })
    return database.erasure(number, later === undefined ? [] : [later], [], async (scope) => {
      const nowMs = now()
      const [before, left, kept, last] = await Promise.all([
        this.underWay(scope),
        scope.lastRows('profile', undefined, 1, CHUNK_BYTES),
        scope.system('status', laterSpace).get(['later']),
        scope.lastRows('status', undefined, CHUNK_ROWS, CHUNK_BYTES),
      ])
      if (before === undefined) return { value: true, commit: false }
      if (kept !== later) return { value: false, commit: false }
      if (left.length > 0) {
        // Nobody writes here any more, so this should not be; what is there goes as well.
        const { clearedFrom: _, ...again } = before
        erasureOf(scope).set(['erasure'], again)
        return { value: false, commit: true }
      }
      scope.erase()
      const done = before.progress.done + last.reduce((sum, { bytes }) => sum + bytes, 0)
      const { clearedFrom: _, ...erasure } = before
      scope.regional(certificateSpace, [numberKey(number)]).set({
        ...erasure,
        cleared: counted(before.cleared, last),
        progress: advanced(before.progress, { done, total: done }, nowMs),
        startedMs: before.startedMs ?? nowMs,
        finishedMs: nowMs,
      })
      scope.regional(jobPointer, pointerKey(number)).clear()
      scope.regional(leaseSpace, pointerKey(number)).clear()
      if (kept !== undefined) scope.regional(laterPointer, laterKey(number, kept)).clear()
      return { value: true, commit: true }
    })
  }

  private async underWay(scope: TenantScope): Promise<Erasure | undefined> {
    const [status, erasure] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      erasureOf(scope).get(['erasure']),
    ])
    return status?.status === 'erasing' ? erasure : undefined
  }
}

/** Of a tenant, under way or long over. */
async function findErasure(database: RegionDatabase, number: TenantNumber): Promise<Erasure | undefined> {
  const underWay = await database.tenant(number, async (scope) => ({
    value: await erasureOf(scope).get(['erasure']),
    commit: false,
  }))
  return (
    underWay ??
    database.region(async (scope) => ({
      value: await scope.space(certificateSpace).get([numberKey(number)]),
      commit: false,
    }))
  )
}

/** What this very request of the organisation's own was answered, if it is the one that shut it. */
export async function answerOfShutting(
  database: RegionDatabase,
  number: TenantNumber,
  requestId: string,
): Promise<Reply | undefined> {
  const erasure = await findErasure(database, number)
  const isIts = erasure?.by.operatorId === null && erasure.by.requestId === requestId
  return isIts ? shutting(erasure) : undefined
}

/** The answer to whoever shuts their own organisation. */
export const shutting = ({ id, tenant }: Erasure): Reply => ({ status: 202, body: { id, tenant } })

type Asked = Pick<Erasure, 'id' | 'tenant' | 'by'> & { nowMs: number }

const newErasure = ({ id, tenant, by, nowMs }: Asked): Erasure => ({
  id,
  tenant,
  by,
  progress: noProgress(nowMs),
  cleared: {},
  createdMs: nowMs,
  startedMs: null,
  finishedMs: null,
})

/** Shuts the tenant, for good with this commit, and has a worker erase it. */
export function shut(scope: TenantScope, status: StatusRecord, asked: Asked): Erasure {
  const erasure = newErasure(asked)
  scope.system('status', statusSpace).set(['status'], { ...status, status: 'erasing' })
  erasureOf(scope).set(['erasure'], erasure)
  scope.wake()
  return erasure
}

function counted(
  before: Erasure['cleared'],
  rows: ReadonlyArray<{ key: Buffer; bytes: number }>,
): Record<string, Cleared> {
  const cleared: Record<string, Cleared> = { ...before }
  for (const { key, bytes } of rows) {
    const name = subspaceName(key)
    const so = cleared[name] ?? { keys: 0, bytes: 0 }
    cleared[name] = { keys: so.keys + 1, bytes: so.bytes + bytes }
  }
  return cleared
}
