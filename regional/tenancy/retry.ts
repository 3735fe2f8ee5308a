// The retry loop around every transaction: bounded in number and time, and safe where a commit's outcome is unknown.
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '../../shared/problems.ts'
import { noted, timed } from '../observe/request.ts'
import { FDBError, type NativeTransaction, TransactionOptionCode } from '../storage/foundationdb.ts'

const MAX_ATTEMPTS = 20
const MAX_TOTAL_MS = 4_000
/** One attempt; FoundationDB itself ends a transaction after five seconds. */
const ATTEMPT_TIMEOUT_MS = 5_000
/** Between attempts, on top of the client's own first delay: a new transaction does not know of the ones before. */
const FIRST_DELAY_MS = 10
const MAX_DELAY_MS = 1_000
/** Timed out: the commit may have landed, or may land yet. Not retried by the client library, so done here. */
const TIMED_OUT = 1031
/** The engine's disk is full or fails: this commit was not written. */
const IO_ERROR = 1510
/** Whether it was committed is not known. */
const IN_DOUBT: ReadonlySet<number> = new Set([1021, TIMED_OUT, 1039])

/** What an attempt came to: a value, and whether the transaction is to be committed for it. */
export interface Attempt<T> {
  value: T
  commit: boolean
}

/**
 * Runs `body` in a transaction until it commits. A body may run again after a commit whose outcome is unknown
 * (1021, 1031, 1039), so it must recognise its own earlier work: by a key that it both reads and writes, under a
 * name made outside the loop. Reading and writing that key also keeps an attempt that lands late from landing twice.
 * @param withinMs how long someone waits for it
 * @throws {Problem} `contention` when the attempts or the time run out and nothing was done; `deadline_exceeded` when
 * nobody waits any more, or something may have been done; `region_unavailable` when the disk takes nothing, or the database
 * never answered
 */
export const retrying = <T>(
  begin: () => NativeTransaction,
  body: (tn: NativeTransaction, attempt: number) => Promise<Attempt<T>>,
  withinMs = Number.POSITIVE_INFINITY,
): Promise<T> => timed('transaction', () => tryAgain(begin, body, withinMs))

async function tryAgain<T>(
  begin: () => NativeTransaction,
  body: (tn: NativeTransaction, attempt: number) => Promise<Attempt<T>>,
  withinMs: number,
): Promise<T> {
  const note = noted()
  const start = performance.now()
  const deadline = start + Math.min(MAX_TOTAL_MS, withinMs)
  const leftMs = () => Math.max(0, start + withinMs - performance.now())
  if (withinMs <= 0) throw tooLate('Nothing was done.')
  let tn = begin()
  let inDoubt = false
  let isSilent = true
  for (let attempt = 0; attempt < MAX_ATTEMPTS && performance.now() < deadline; attempt++) {
    // Some options do not survive a retry, so all of them are set again each time.
    tn.setOption(TransactionOptionCode.Timeout, Math.ceil(Math.min(ATTEMPT_TIMEOUT_MS, leftMs() + 1)))
    if (note !== undefined) note.attempts++
    let isCommitting = false
    try {
      const { value, commit } = await body(tn, attempt)
      isCommitting = commit
      if (commit) await timed('commit', () => tn.commit())
      // Otherwise it would hold its read version, and what is kept for that, until it is too old.
      else tn.cancel()
      return value
    } catch (error) {
      if (!(error instanceof FDBError) || error.code === IO_ERROR) {
        tn.cancel()
        throw error instanceof FDBError ? notStored(inDoubt) : error
      }
      inDoubt ||= isCommitting && IN_DOUBT.has(error.code)
      isSilent &&= error.code === TIMED_OUT
      if (error.code !== TIMED_OUT && (await isRetried(tn, error.code))) {
        await sleep(Math.min(leftMs(), Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt) * Math.random()))
      }
      // Not the same transaction once more: what the failed attempt still has under way (the rest of a Promise.all)
      // would go on in it and write into the next attempt.
      tn.cancel()
      tn = begin()
    }
  }
  tn.cancel()
  if (inDoubt || leftMs() === 0) throw tooLate('Whether a change was made is unknown.')
  if (isSilent) throw unavailable('The region’s database did not answer in time. Nothing was done.')
  throw new Problem('contention', 'Other requests kept changing the same data. Try again in a moment.', {
    headers: { 'retry-after': '1' },
  })
}

/** The request is not worth going on with; {@link retrying} and whoever looks before it say so alike. */
export const tooLate = (what: string): Problem =>
  new Problem('deadline_exceeded', `The time for this request is over. ${what}`, {
    headers: { 'retry-after': '1' },
  })

const notStored = (inDoubt: boolean): Problem => {
  const what = inDoubt ? 'Whether a change was made is unknown.' : 'Nothing was done.'
  return unavailable(`The region can store nothing at present. ${what}`)
}

const unavailable = (detail: string): Problem =>
  new Problem('region_unavailable', detail, { headers: { 'retry-after': '5' } })

/**
 * The client's own word on whether an error may be retried, after its own delay.
 * @returns false when the transaction's time ran out meanwhile: a new one has time again
 * @throws {FDBError} what may not be retried
 */
async function isRetried(tn: NativeTransaction, code: number): Promise<boolean> {
  try {
    await tn.onError(code)
    return true
  } catch (error) {
    if (error instanceof FDBError && error.code === TIMED_OUT) return false
    throw error
  }
}
