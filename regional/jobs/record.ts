// Jobs as they are kept, in their tenant's subspace `jobs`: a record each, and an entry in the queue for each that is
// not finished. And a job as it is shown.
import { z } from 'zod'
import type { Id } from '../../shared/ids.ts'
import { idSchema, timeSchema } from '../schemas.ts'
import { jsonSpace } from '../storage/space.ts'
import { type Progress, secondsLeft } from './progress.ts'

const JOB_STATES = ['queued', 'running', 'done', 'failed', 'cancelled'] as const
export type JobState = (typeof JOB_STATES)[number]

export interface JobRecord {
  id: Id<'job'>
  kind: string
  /** The platform's own: not shown. */
  upkeep: boolean
  /** Can't be cancelled. */
  promised?: true
  state: JobState
  payload: unknown
  /** Webhooks that have led to it, each by the one before. */
  hops?: number
  place?: unknown
  failures: number
  /** Why the last try failed, in words that the tenant may read. */
  error: string | null
  /** Grows with every entry in the queue, so that an entry is known to be the present one. */
  turn: number
  /** When it is due: where its entry in the queue stands. */
  dueMs: number
  progress: Progress
  createdMs: number
  startedMs: number | null
  finishedMs: number | null
}

/**
 * How a job ended. A key of its own, which its steps only read: so cancelling a job does not have to compete with the
 * steps that it is taking, and one of two ends comes first.
 */
export type JobEnd = Pick<JobRecord, 'state' | 'error' | 'finishedMs'> & {
  state: 'done' | 'failed' | 'cancelled'
}

export const endSpace = jsonSpace<[id: string], JobEnd>('end')

export const jobSpace = jsonSpace<[id: string], JobRecord>('job')

/** The queue: by due time. */
export const dueSpace = jsonSpace<[dueMs: number, id: string], DueEntry>('due')
export interface DueEntry {
  kind: string
  turn: number
}

/** The time of the tenant's later pointer, where it has one. Beside its status: an erasure has one until its end. */
export const laterSpace = jsonSpace<['later'], number>('later')

const count = z.number().min(0)
export const Job = z
  .object({
    id: idSchema('job'),
    kind: z.string(),
    state: z.enum(JOB_STATES),
    done: count,
    total: count.nullable().meta({ description: 'Null while it is not known.' }),
    rate: count.nullable().meta({ description: 'Of `done`, per second.' }),
    secondsLeft: count
      .nullable()
      .meta({ description: 'At the present rate; null when that cannot be told.' }),
    failures: z.int().meta({ description: 'Failed tries since the last step that went well.' }),
    error: z.string().nullable().meta({ description: 'Why the last try failed.' }),
    createdAt: timeSchema,
    startedAt: timeSchema.nullable(),
    finishedAt: timeSchema.nullable(),
  })
  .meta({ id: 'Job' })
export type ShownJob = z.infer<typeof Job>

const time = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())

export function shownJob(record: Omit<JobRecord, 'payload' | 'upkeep' | 'turn' | 'dueMs'>): ShownJob {
  const { id, kind, state, failures, error, progress } = record
  const working = state === 'queued' || state === 'running'
  return {
    id,
    kind,
    state,
    done: progress.done,
    total: progress.total,
    rate: working ? progress.rate : null,
    secondsLeft: working ? secondsLeft(progress) : null,
    failures,
    error,
    createdAt: new Date(record.createdMs).toISOString(),
    startedAt: time(record.startedMs),
    finishedAt: time(record.finishedMs),
  }
}
