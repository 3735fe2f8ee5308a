// A tenant's queue, as a transaction of that tenant changes it. Its order is the due time; there is no order between
// tenants. Everything here takes effect with the commit of the transaction that it is called in.
import { type Id, newId } from '../../shared/ids.ts'
import type { Scope, TenantScope } from '../tenancy/region_database.ts'
import type { JobKind } from './kind.ts'
import { noProgress } from './progress.ts'
import { dueSpace, endSpace, type JobRecord, jobSpace } from './record.ts'

const MAX_PAYLOAD_BYTES = 32 * 1024

export interface EnqueueOptions {
  /** Milliseconds since 1970; at once without it. */
  runAtMs?: number
  /** Webhooks that have led to it, each by the one before: its events say it, and what it enqueues has it too. */
  hops?: number | undefined
}

/**
 * Puts a job into the queue, and tells the workers.
 * @throws {RangeError} for a kind that no worker knows, a time that is none, and a payload that is no JSON or too large: it should
 *   hold references
 */
export function enqueue<P, S, O>(
  scope: TenantScope,
  kind: JobKind<P, S, O>,
  payload: P,
  nowMs: number,
  { runAtMs = nowMs, hops }: EnqueueOptions = {},
  id: Id<'job'> = newId('job', nowMs),
): Id<'job'> {
  if (!scope.jobKinds.has(kind.kind)) {
    throw new RangeError(`no worker knows the kind of job ${kind.kind}: is it among its service's jobKinds?`)
  }
  // Undefined for what is no JSON, whatever its type says.
  const text: string | undefined = JSON.stringify(payload)
  if (text === undefined) throw new RangeError(`the payload of a job ${kind.kind} is no JSON`)
  if (text.length > MAX_PAYLOAD_BYTES) throw new RangeError('the payload is too large')
  requireTime(kind.kind, runAtMs)
  const record: JobRecord = {
    id,
    kind: kind.kind,
    upkeep: 'upkeep' in kind,
    ...(kind.promised && { promised: kind.promised }),
    state: 'queued',
    payload,
    ...(hops !== undefined && { hops }),
    failures: 0,
    error: null,
    turn: 0,
    dueMs: runAtMs,
    progress: noProgress(nowMs),
    createdMs: nowMs,
    startedMs: null,
    finishedMs: null,
  }
  const jobs = jobsOf(scope)
  jobs.space(jobSpace).set([id], record)
  jobs.space(dueSpace).set([runAtMs, id], { kind: kind.kind, turn: 0 })
  scope.wake()
  return id
}

/** A job that the tenant may see; undefined when there is none. */
export async function readJob(scope: TenantScope, id: string): Promise<JobRecord | undefined> {
  const jobs = jobsOf(scope)
  const [job, end] = await Promise.all([jobs.space(jobSpace).get([id]), jobs.space(endSpace).get([id])])
  return job === undefined || job.upkeep ? undefined : { ...job, ...end }
}

/** Gives an unfinished job its next place in the queue. Wakes nobody: a worker that does this has the tenant in hand. */
export function requeue(scope: TenantScope, before: JobRecord, after: JobRecord): void {
  requireTime(after.kind, after.dueMs)
  const jobs = jobsOf(scope)
  const turn = before.turn + 1
  scope.point()
  jobs.space(dueSpace).clear([before.dueMs, before.id])
  jobs.space(dueSpace).set([after.dueMs, after.id], { kind: after.kind, turn })
  jobs.space(jobSpace).set([after.id], { ...after, turn })
}

/**
 * Brings a job forward that waits for a later time. A step of it that is under way conflicts with this.
 * @returns false when there is no such job, or it has ended
 */
export async function hasten(scope: TenantScope, id: string, runAtMs: number): Promise<boolean> {
  const jobs = jobsOf(scope)
  const [job, end] = await Promise.all([jobs.space(jobSpace).get([id]), jobs.space(endSpace).get([id])])
  if (job === undefined || end !== undefined) return false
  if (job.dueMs > runAtMs) {
    requeue(scope, job, { ...job, dueMs: runAtMs })
    scope.wake()
  }
  return true
}

/** At any other it would never begin. */
function requireTime(kind: string, atMs: number): void {
  if (!Number.isFinite(atMs)) throw new RangeError(`a job ${kind} is to be done at no time: ${atMs}`)
}

export const jobsOf = (scope: TenantScope): Scope => ({
  space: (definition) => scope.system('jobs', definition),
})
