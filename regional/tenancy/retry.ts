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
/** The engine's disk is full or fails, or what is on it is damaged: this was not written, or can't be read. */
const IO_ERROR = 1510
/** Others changed what it read. */
const CONFLICT = 1020
/** Nobody may change anything at present, while it is restored for instance. */
const LOCKED = 1038
/** The cluster throttles the transaction's tag, at its client or at its proxies. */
const HELD_BACK: ReadonlySet<number> = new Set([1213, 1223])
const HELD_BACK_S = 5
/** Whether it was committed is not known. */
const IN_DOUBT: ReadonlySet<number> = new Set([1021, TIMED_OUT, 1039])

/** What an attempt came to: a value, and whether the transaction is to be committed for it. */
export interface Attempt<T> {
  value: T
  commit: boolean
}

export interface Patience {
  /** How long someone waits for it. */
  withinMs?: number | undefined
  /** Counts what the database has answered. */
  meter?: { readonly reads?: number } | undefined
  /** It has a place that others wait for: where the cluster holds its tenant back, it gives that up instead of trying again. */
  inTurn?: boolean
}

/**
 * Runs `body` in a transaction until it commits. A body may run again after a commit whose outcome is unknown
 * (1021, 1031, 1039), so it must recognise its own earlier work: by a key that it both reads and writes, under a
 * name made outside the loop. Reading and writing that key also keeps an attempt that lands late from landing twice.
 * @throws {Problem} when the attempts or the time run out: `contention` where others kept changing the same data,
 * `overloaded` where the database had no time, the work took too much of it, or the tenant is held back, `region_unavailable` where it never answered, is
 * locked, or its disk takes nothing; `deadline_exceeded` when nobody waits any more, or something may have been done
 */
export const retrying = <T>(
  begin: () => NativeTransaction,
  body: (tn: NativeTransaction, attempt: number) => Promise<Attempt<T>>,
  patience: Patience = {},
): Promise<T> => timed('transaction', () => tryAgain(begin, body, patience))

async function tryAgain<T>(
  begin: () => NativeTransaction,
  body: (tn: NativeTransaction, attempt: number) => Promise<Attempt<T>>,
  { withinMs = Number.POSITIVE_INFINITY, meter, inTurn = false }: Patience,
): Promise<T> {
  const note = noted()
  const start = performance.now()
  const readsBefore = meter?.reads
  const deadline = start + Math.min(MAX_TOTAL_MS, withinMs)
  const leftMs = () => Math.max(0, start + withinMs - performance.now())
  if (withinMs <= 0) throw tooLate('Nothing was done.')
  let tn = begin()
  let inDoubt = false
  /** The last that the database said. */
  let answered: number | undefined
  for (let attempt = 0; attempt < MAX_ATTEMPTS && performance.now() < deadline; attempt++) {
    // Some options do not survive a retry, so all of them are set again each time.
    tn.setOption(TransactionOptionCode.Timeout, Math.ceil(Math.min(ATTEMPT_TIMEOUT_MS, leftMs() + 1)))
    if (note !== undefined && attempt > 0) note.retries++
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
        throw error instanceof FDBError ? notOnDisk(inDoubt) : error
      }
      inDoubt ||= isCommitting && IN_DOUBT.has(error.code)
      if (inTurn && HELD_BACK.has(error.code) && !inDoubt) {
        tn.cancel()
        throw heldBack()
      }
      if (error.code !== TIMED_OUT) answered = error.code
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
  if (inDoubt || leftMs() === 0) throw tooLate(whatWasDone(inDoubt))
  // A database that answers reads is there: what was asked of it took too long.
  if (answered === undefined && meter?.reads !== readsBefore) throw busy()
  if (answered === undefined)
    throw unavailable('The region’s database did not answer in time. Nothing was done.')
  if (answered === LOCKED) throw unavailable('The region’s database is locked at present. Nothing was done.')
  if (answered === CONFLICT) throw contention()
  throw HELD_BACK.has(answered) ? heldBack() : busy()
}

const whatWasDone = (inDoubt: boolean): string =>
  inDoubt ? 'Whether a change was made is unknown.' : 'Nothing was done.'

/** The request is not worth going on with; {@link retrying} and whoever looks before it say so alike. */
export const tooLate = (what: string): Problem =>
  new Problem('deadline_exceeded', `The time for this request is over. ${what}`, {
    headers: { 'retry-after': '1' },
  })

const notOnDisk = (inDoubt: boolean): Problem =>
  unavailable(`The region’s disk can’t do this at present. ${whatWasDone(inDoubt)}`)

const contention = (): Problem =>
  new Problem('contention', 'Other requests kept changing the same data. Try again in a moment.', {
    headers: { 'retry-after': '1' },
  })

const busy = (): Problem =>
  new Problem('overloaded', 'The region’s database had no time for this. Nothing was done.', {
    headers: { 'retry-after': '1' },
  })

const heldBack = (): Problem =>
  new Problem(
    'overloaded',
    'Your organisation asks one part of the region’s database for more than it can do, and is held back for a moment. Nothing was done.',
    { headers: { 'retry-after': String(HELD_BACK_S) } },
  )

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
