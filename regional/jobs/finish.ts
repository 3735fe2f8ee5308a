// How a job ends: done, failed for good, or cancelled. It stays readable for a week.
import { Problem } from '../../shared/problems.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import { expireAt } from './expiry.ts'
import { jobsOf } from './queue.ts'
import { dueSpace, endSpace, type JobEnd, type JobRecord, jobSpace } from './record.ts'

const FINISHED_TTL_MS = 7 * 24 * 60 * 60 * 1000

/** Ends a job in the transaction of its last step, or of the try that failed. */
export async function finish(
  scope: TenantScope,
  before: JobRecord,
  after: JobRecord,
  state: JobEnd['state'],
  nowMs: number,
): Promise<void> {
  const jobs = jobsOf(scope)
  jobs.space(dueSpace).clear([before.dueMs, before.id])
  if (before.upkeep) {
    jobs.space(jobSpace).clear([before.id])
  } else {
    jobs.space(jobSpace).set([after.id], after)
    await end(scope, after.id, { state, error: after.error, finishedMs: nowMs }, nowMs)
  }
}

/**
 * Cancels a job: no step commits after this. A step in flight reads that the job has not ended, so it conflicts.
 * @param told called unless it was cancelled before
 * @returns the job, which may be one step further than it says; undefined when there is none to be seen
 * @throws {Problem} `conflict` when it has ended otherwise, or can't be cancelled
 */
export async function cancelJob(
  scope: TenantScope,
  id: string,
  nowMs: number,
  told: (id: string) => void = () => {},
): Promise<JobRecord | undefined> {
  const jobs = jobsOf(scope)
  const [job, ended] = await Promise.all([jobs.space(jobSpace).peek([id]), jobs.space(endSpace).get([id])])
  if (job === undefined || job.upkeep) return undefined
  if (ended?.state === 'cancelled') return { ...job, ...ended }
  if (ended !== undefined) throw new Problem('conflict', `The job has ended: it is ${ended.state}.`)
  if (job.promised) {
    throw new Problem('conflict', 'The job cannot be cancelled: what it clears away is deleted already.')
  }
  // Where a step has moved this entry meanwhile, the next visit finds the job ended and removes it.
  jobs.space(dueSpace).clear([job.dueMs, id])
  const cancelled = { state: 'cancelled' as const, error: null, finishedMs: nowMs }
  await end(scope, id, cancelled, nowMs)
  told(id)
  return { ...job, ...cancelled }
}

function end(scope: TenantScope, id: string, how: JobEnd, nowMs: number): Promise<void> {
  jobsOf(scope).space(endSpace).set([id], how)
  return expireAt(scope, nowMs + FINISHED_TTL_MS, 'job', id, nowMs)
}
