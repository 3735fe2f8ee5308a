// One step of one job: the effect and the job's place after it in one commit. The entry in the queue, read and cleared
// in that transaction, is what makes the step happen once: whoever finds it gone, or renewed, changes nothing.
import { AsyncLocalStorage } from 'node:async_hooks'
import { Problem, type ProblemCode } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { TakeTurn } from '../admission/admission.ts'
import type { Log } from '../log.ts'
import type { StepOutcome } from '../metrics.ts'
import type { TransactionMeter } from '../storage/metered.ts'
import { callDeliveries, emitting, feedOf } from '../tenancy/events.ts'
import { follow } from '../tenancy/follow.ts'
import { mayStillGive } from '../tenancy/issuers.ts'
import { organisationOf } from '../tenancy/profile.ts'
import { requireProject } from '../tenancy/projects.ts'
import { type ShardLoan, type ShardLoans, take } from '../tenancy/quotas.ts'
import { type LogStanding, statusSpace } from '../tenancy/records.ts'
import type { RegionDatabase, TenantScope } from '../tenancy/region_database.ts'
import type { Tails } from '../tenancy/tails.ts'
import { expireFor } from './expiry.ts'
import { finish } from './finish.ts'
import {
  CannotBeDone,
  type Job,
  type JobKind,
  type JobKinds,
  type JobTransaction,
  type ServiceJobKind,
  type Step,
} from './kind.ts'
import { isUpkeep } from './look.ts'
import { advanced } from './progress.ts'
import { enqueue, hasten, jobsOf, requeue } from './queue.ts'
import { type DueEntry, dueSpace, endSpace, type JobRecord, jobSpace } from './record.ts'
import { nextTryMs } from './schedule.ts'

export interface StepDependencies {
  database: RegionDatabase
  kinds: JobKinds
  loans: ShardLoans
  /** Tells work outside of what changes meanwhile. */
  tails: Pick<Tails, 'subscribe'>
  /** Each step has its turn beside what somebody waits for. */
  turn: TakeTurn
  now: () => number
  /** From 0 to 1. */
  random: () => number
  log: Log
  /** Told of every step, for metrics. */
  stepped?: (kind: string, outcome: StepOutcome, seconds: number) => void
}

/** An entry of the queue, as it was read before the step. */
export interface Turn {
  dueMs: number
  id: string
  entry: DueEntry
  /** Of its tenant, by plan. */
  weight: number
}

/** How long a job of a kind that this worker does not know (it may be older than the job) is left alone. */
const UNKNOWN_KIND_MS = 60_000

/** Of work that nobody can cancel. */
const NEVER = new AbortController().signal

/** Of the database, or of a region that is asked: too busy or too slow. */
const NO_TIME: ReadonlySet<ProblemCode> = new Set(['contention', 'overloaded', 'deadline_exceeded'])
/** One that is not there is asked again after so long: each time may take seconds of a place that others wait for. */
const NOT_THERE_MS = 5_000

interface Stepped {
  job: string
  kind: string
  tenant: TenantNumber
}

const current = new AsyncLocalStorage<Stepped>()

/** The step that this is a part of, if it is one. */
export const steppedNow = (): Stepped | undefined => current.getStore()

/** Runs the step that an entry of the queue stands for, or records why it failed. */
export async function runStep(
  dependencies: StepDependencies,
  tenant: TenantNumber,
  turn: Turn,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = performance.now()
  const stepped = { job: turn.id, kind: turn.entry.kind, tenant }
  const outcome = await current.run(stepped, () => step(dependencies, tenant, turn, signal))
  // What is stored under a name that nobody knows is no label.
  const kind = outcome === 'unknown_kind' ? 'unknown' : turn.entry.kind
  dependencies.stepped?.(kind, outcome, (performance.now() - startedAt) / 1_000)
}

async function step(
  dependencies: StepDependencies,
  tenant: TenantNumber,
  turn: Turn,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { kinds, now, log } = dependencies
  const kind = kinds.get(turn.entry.kind)
  if (kind === undefined) {
    log.error('a job of an unknown kind waits', { kind: turn.entry.kind, job: turn.id })
    await postpone(dependencies, tenant, turn)
    return 'unknown_kind'
  }
  // The visit calls for it instead.
  if ('call' in kind) throw new Error('standing work has no steps')
  try {
    const outside = await workOutside(dependencies, tenant, turn, kind, signal)
    await dependencies.turn(
      { tenant, weight: turn.weight, operation: kind.kind, asker: { signal } },
      (meter) =>
        dependencies.loans.borrow(tenant, (loan) => {
          const work: StepWork = async (scope, job, logs) => {
            const nowMs = now()
            const step =
              'upkeep' in kind
                ? await kind.upkeep(scope, shownTo(job), nowMs)
                : await kind.step(
                    jobTransaction(scope, tenant, loan, serviceOf(kind, shownTo(job)), job, logs, nowMs),
                    shownTo(job),
                    outside,
                  )
            await apply(scope, job, step, nowMs, logs)
          }
          return inTurn(dependencies, tenant, turn, work, meter)
        }),
    )
    return 'done'
  } catch (error) {
    // Stopped from outside: the step has not happened, and nothing is wrong with it.
    if (signal.aborted) return 'stopped'
    if (error instanceof CannotBeDone) {
      await giveUp(dependencies, tenant, turn, error)
      return 'done'
    }
    await fail(dependencies, tenant, turn, kind, error)
    return 'failed'
  }
}

/** Nothing was done, and what stands behind it in the queue comes first. */
const postpone = (dependencies: StepDependencies, tenant: TenantNumber, turn: Turn) =>
  inTurn(dependencies, tenant, turn, async (scope, job) => {
    requeue(scope, job, { ...job, dueMs: dependencies.now() + UNKNOWN_KIND_MS })
  })

type StepWork = (scope: TenantScope, job: JobRecord, logs: LogStanding) => Promise<void>

/**
 * Runs `work` in a transaction of the tenant if it is active, or suspended and the job is upkeep, and the entry is still the job's
 * present one.
 */
function inTurn(
  { database, kinds }: StepDependencies,
  tenant: TenantNumber,
  { dueMs, id, entry }: Turn,
  work: StepWork,
  meter?: TransactionMeter,
): Promise<void> {
  const attempt = async (scope: TenantScope) => {
    const jobs = jobsOf(scope)
    const [status, present, job, end] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      jobs.space(dueSpace).get([dueMs, id]),
      jobs.space(jobSpace).get([id]),
      jobs.space(endSpace).get([id]),
    ])
    const isOn = status?.status === 'active' || (status?.status === 'suspended' && isUpkeep(kinds, entry))
    if (!isOn || present?.turn !== entry.turn) return { value: undefined, commit: false }
    if (job === undefined || end !== undefined) jobs.space(dueSpace).clear([dueMs, id])
    else await work(scope, job, status)
    return { value: undefined, commit: true }
  }
  return database.tenant(tenant, attempt, { batch: true, meter })
}

async function workOutside(
  { database, tails, turn, now }: StepDependencies,
  tenant: TenantNumber,
  { id, weight }: Turn,
  kind: JobKind,
  signal: AbortSignal,
): Promise<unknown> {
  if ('upkeep' in kind || kind.outside === undefined) return undefined
  const read = async (scope: TenantScope) => {
    const record = await jobsOf(scope).space(jobSpace).get([id])
    if (record === undefined) return { value: undefined, commit: false }
    const job = shownTo(record)
    const nowMs = now()
    const tx = {
      ...{ tenant, nowMs, ...scope.reading(serviceOf(kind, job)) },
      issuers: issuersIn(scope, nowMs),
    }
    return { value: { job, read: await kind.read?.(tx, job) }, commit: false }
  }
  const found = await database.tenant(tenant, read, { batch: true })
  if (found === undefined) return undefined
  const { job } = found
  const look = async (scope: TenantScope) => {
    const tx = { tenant, nowMs: now(), ...scope.reading(serviceOf(kind, job)) }
    const [status, isCancelled] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      kind.cancelled?.(tx, job),
    ])
    return { value: status?.status !== 'active' || isCancelled === true, commit: false }
  }
  const asking = { tenant, weight, operation: `${kind.kind} followed`, asker: { signal } }
  const followed =
    kind.cancelled &&
    follow(tails, tenant, () =>
      turn(asking, (meter) => database.tenant(tenant, look, { batch: true, meter })),
    )
  try {
    return await kind.outside(job, signal, found.read, followed?.over ?? NEVER)
  } finally {
    followed?.end()
  }
}

async function apply(
  scope: TenantScope,
  job: JobRecord,
  step: Step,
  nowMs: number,
  logs: LogStanding,
): Promise<void> {
  const progress = advanced(job.progress, step, nowMs)
  const after = { ...job, progress, failures: 0, error: null, startedMs: job.startedMs ?? nowMs }
  if ('finished' in step) {
    await finish(scope, job, after, 'done', nowMs)
  } else if ('cancelled' in step) {
    await finish(scope, job, after, 'cancelled', nowMs)
    tell('job.cancelled', scope, job, nowMs, logs)
  } else if ('failed' in step) {
    await finish(scope, job, { ...after, error: step.failed }, 'failed', nowMs)
    tell('job.failed', scope, job, nowMs, logs)
  } else {
    const dueMs = step.runAtMs ?? nowMs
    requeue(scope, job, { ...after, state: 'running', place: step.next, dueMs })
  }
}

const giveUp = (
  dependencies: StepDependencies,
  tenant: TenantNumber,
  turn: Turn,
  { message }: CannotBeDone,
) =>
  inTurn(dependencies, tenant, turn, (scope, job, logs) =>
    apply(scope, job, { failed: message }, dependencies.now(), logs),
  )

function fail(
  dependencies: StepDependencies,
  tenant: TenantNumber,
  turn: Turn,
  { retry }: JobKind,
  error: unknown,
): Promise<void> {
  const { now, random, log } = dependencies
  log.error('a step of a job failed', { job: turn.id, kind: turn.entry.kind, error })
  return inTurn(dependencies, tenant, turn, async (scope, job, logs) => {
    const nowMs = now()
    // That is not the step's fault: it does not count.
    const isNotThere = error instanceof Problem && error.code === 'region_unavailable'
    if (isNotThere || (error instanceof Problem && NO_TIME.has(error.code))) {
      requeue(scope, job, { ...job, dueMs: nowMs + (isNotThere ? NOT_THERE_MS : retry.firstMs) })
      return
    }
    const failed = { ...job, failures: job.failures + 1, error: reasonOf(error) }
    const dueMs = nextTryMs(retry, failed.failures, nowMs, random())
    if (dueMs === undefined) {
      await finish(scope, job, failed, 'failed', nowMs)
      tell('job.failed', scope, job, nowMs, logs)
    } else {
      requeue(scope, job, { ...failed, dueMs })
    }
  })
}

/** Of a job that its tenant can see. */
function tell(
  how: 'job.cancelled' | 'job.failed',
  scope: TenantScope,
  { id, kind, upkeep, hops }: JobRecord,
  nowMs: number,
  logs: LogStanding,
): void {
  if (upkeep) return
  const actor = { kind: 'system' as const, id }
  emitting(scope, { standing: logs, nowMs, actor, requestId: id, hops })(how, id, { kind })
}

/** In words that the tenant may read: what is wrong inside the platform is the log's. */
const reasonOf = (error: unknown): string =>
  error instanceof Problem ? error.detail : 'Something went wrong on our side.'

const shownTo = ({ id, payload, place, failures }: JobRecord): Job => ({ id, payload, place, failures })

const serviceOf = ({ service }: ServiceJobKind, job: Job): string =>
  typeof service === 'string' ? service : service(job)

const issuersIn = (scope: TenantScope, nowMs: number): JobTransaction['issuers'] => ({
  mayStillGive: (issuer, role) => mayStillGive(scope, issuer, role, nowMs),
})

function jobTransaction(
  scope: TenantScope,
  tenant: TenantNumber,
  loan: ShardLoan,
  service: string,
  job: JobRecord,
  logs: LogStanding,
  nowMs: number,
): JobTransaction {
  const actor = { kind: 'system' as const, id: job.id }
  const { hops } = job
  return {
    tenant,
    nowMs,
    ...scope.service(service),
    take: (quantity, amount, atMs = nowMs) => take(scope, loan, quantity, amount, atMs),
    project: (id, use) => requireProject(scope, id, use),
    organisation: () => organisationOf(scope),
    expire: (what, id, atMs) => expireFor(service, scope, atMs, what, id, nowMs),
    emit: emitting(scope, { standing: logs, nowMs, actor, requestId: job.id, hops }),
    events: feedOf(scope),
    webhooks: { call: () => callDeliveries(scope, nowMs) },
    issuers: issuersIn(scope, nowMs),
    enqueue: (kind, payload, options) => enqueue(scope, kind, payload, nowMs, { hops, ...options }),
    hasten: (id, runAtMs) => hasten(scope, id, runAtMs),
  }
}
