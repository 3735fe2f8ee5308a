// The native interface of a transaction: the same calls, answers and errors as the FoundationDB binding gives.
// A call that writes never throws; what was wrong with it comes out of the next one that answers.
import type {
  Callback,
  KVList,
  NativeTransaction,
  NativeValue,
  Watch as NativeWatch,
  Version,
} from '../foundationdb.ts'
import { slabs } from '../kept_bytes.ts'
import { Attempt } from './attempt.ts'
import { Backoff } from './backoff.ts'
import { deliver } from './callback.ts'
import type { EmbeddedDatabase } from './database.ts'
import { code, fdbError, isRetriedByOnError } from './errors.ts'
import { type Key, keyBytes, toBuffer, toKey } from './key.ts'
import { checkOption, isPersistent, Options, type OptionValue } from './options.ts'
import { rangeLimits } from './range_limits.ts'
import { estimateBytes, splitPoints } from './range_size.ts'
import { selector } from './selector.ts'
import type { Storage } from './storage.ts'
import { stampBytes, versionBytes } from './versionstamp.ts'
import { Watch } from './watches.ts'

/** A watch that ends so is no error to those who did not ask for all of them. */
const standardWatchErrors = new Set<number>([
  code.operationCancelled,
  code.transactionCancelled,
  code.notCommitted,
])

/** Values until they are in the file. Nobody outside the engine gets a buffer in this memory: a read gives a copy. */
const written = slabs()

const cancelled = (): Error => fdbError(code.transactionCancelled)

/** A transaction that was dropped with watches set takes them with it, as the binding's does. */
const abandoned = new FinalizationRegistry<Attempt>((attempt) => attempt.cancelWatches(cancelled))

type RangeRead = [
  start: NativeValue,
  beginOrEq: boolean,
  beginOffset: number,
  end: NativeValue,
  endOrEq: boolean,
  endOffset: number,
  limit: number,
  targetBytes: number,
  mode: number,
  iter: number,
  isSnapshot: boolean,
  reverse: boolean,
]

export class EmbeddedTransaction implements NativeTransaction {
  readonly #database: EmbeddedDatabase
  readonly #storage: Storage
  #attempt: Attempt
  #persistent: [number, OptionValue][]
  #createdMs: number
  #retries = 0
  #backoff: Backoff
  #versionstamp = Promise.withResolvers<Buffer>()

  constructor(database: EmbeddedDatabase) {
    this.#database = database
    this.#storage = database.storage
    this.#createdMs = database.clock()
    this.#backoff = new Backoff(database.random)
    this.#persistent = database.defaults()
    this.#attempt = this.#newAttempt()
  }

  setOption(optionCode: number, param: OptionValue): void {
    checkOption(optionCode, param)
    const value = Buffer.isBuffer(param) ? Buffer.from(param) : (param ?? null)
    this.#expire(this.#attempt)
    this.#attempt.defer(() => {
      this.#attempt.setOption(optionCode, value)
      if (isPersistent(optionCode)) this.#persistent.push([optionCode, value])
    })
  }

  get(key: NativeValue, isSnapshot: boolean): Promise<Buffer | undefined>
  get(key: NativeValue, isSnapshot: boolean, cb: Callback<Buffer | undefined>): void
  get(
    key: NativeValue,
    isSnapshot: boolean,
    cb?: Callback<Buffer | undefined>,
  ): Promise<Buffer | undefined> | undefined {
    const name = toKey(key)
    const bytes = Buffer.isBuffer(key) ? key : undefined
    return this.#answer(cb, (attempt) => attempt.reads.get(name, bytes, isSnapshot))
  }

  getKey(key: NativeValue, orEqual: boolean, offset: number, isSnapshot: boolean): Promise<Buffer>
  getKey(key: NativeValue, orEqual: boolean, offset: number, isSnapshot: boolean, cb: Callback<Buffer>): void
  getKey(
    key: NativeValue,
    orEqual: boolean,
    offset: number,
    isSnapshot: boolean,
    cb?: Callback<Buffer>,
  ): Promise<Buffer> | undefined {
    const name = toKey(key)
    return this.#answer(cb, (attempt) =>
      keyBytes(attempt.reads.getKey(selector(name, orEqual, offset), name, isSnapshot)),
    )
  }

  getRange(...read: RangeRead): Promise<KVList>
  getRange(...read: [...RangeRead, cb: Callback<KVList>]): void
  getRange(...read: [...RangeRead, cb?: Callback<KVList>]): Promise<KVList> | undefined {
    const [start, beginOrEq, beginOffset, end, endOrEq, endOffset, ...how] = read
    const [limit, targetBytes, mode, iter, isSnapshot, reverse, cb] = how
    const from = toKey(start)
    const to = toKey(end)
    const begin = selector(from, beginOrEq, beginOffset)
    const until = selector(to, endOrEq, endOffset)
    return this.#checkedAnswer(
      cb,
      () => rangeLimits(limit, targetBytes, mode, iter),
      (attempt, limits) => attempt.reads.getRange(begin, until, from, to, limits, isSnapshot, reverse),
    )
  }

  set(key: NativeValue, val: NativeValue): void {
    const name = toKey(key)
    // A copy: the caller may go on using its buffer.
    const value = typeof val === 'string' ? Buffer.from(val, 'utf8') : written(toBuffer(val))
    const attempt = this.#attempt
    try {
      attempt.writes.set(name, value)
    } catch (error) {
      attempt.deferred ??= error as Error
    }
  }

  clear(key: NativeValue): void {
    const name = toKey(key)
    this.#attempt.defer(() => this.#attempt.writes.clear(name))
  }

  clearRange(start: NativeValue, end: NativeValue): void {
    const from = toKey(start)
    const to = toKey(end)
    this.#attempt.defer(() => this.#attempt.writes.clearRange(from, to))
  }

  atomicOp(opType: number, key: NativeValue, operand: NativeValue): void {
    const name = toKey(key)
    const value = written(toBuffer(operand))
    this.#attempt.defer(() => this.#attempt.writes.atomicOp(opType, name, value))
  }

  addReadConflictRange(start: NativeValue, end: NativeValue): void {
    const range = conflictRange(start, end)
    this.#attempt.defer(() => this.#attempt.reads.addConflictRange(...range))
  }

  addWriteConflictRange(start: NativeValue, end: NativeValue): void {
    const range = conflictRange(start, end)
    this.#attempt.defer(() => this.#attempt.writes.addConflictRange(...range))
  }

  getReadVersion(): Promise<Version>
  getReadVersion(cb: Callback<Version>): void
  getReadVersion(cb?: Callback<Version>): Promise<Version> | undefined {
    return this.#answer(cb, (attempt) => {
      attempt.checkAlive()
      return versionBytes(attempt.readVersion)
    })
  }

  setReadVersion(version: Version): void {
    const bytes = toBuffer(version)
    if (bytes.length !== 8) throw new Error('Invalid version buffer - must be 8 bytes')
    this.#attempt.defer(() => this.#attempt.setReadVersion(Number(bytes.readBigInt64BE())))
  }

  getCommittedVersion(): Version {
    return versionBytes(this.#attempt.committedVersion)
  }

  getVersionstamp(): Promise<Buffer>
  getVersionstamp(cb: Callback<Buffer>): void
  getVersionstamp(cb?: Callback<Buffer>): Promise<Buffer> | undefined {
    const attempt = this.#attempt
    const stamp = new Promise<Buffer>((resolve, reject) => {
      this.#expire(attempt)
      attempt.checkNotCommitting()
      attempt.onFailure(reject)
      this.#versionstamp.promise.then(resolve, reject)
    })
    return deliver(stamp, cb)
  }

  getApproximateSize(): Promise<number> {
    return this.#answer(undefined, (attempt) => attempt.approximateSize) as Promise<number>
  }

  /** One process: every key is here. The binding answers with a promise, whatever its types say. */
  getAddressesForKey(_key: NativeValue): string[] {
    const answer = this.#answer(undefined, (attempt) => {
      attempt.checkNotCommitting()
      attempt.checkAlive()
      return ['127.0.0.1:0']
    })
    return answer as unknown as string[]
  }

  getEstimatedRangeSizeBytes(start: NativeValue, end: NativeValue): Promise<number> {
    const { estimateMs: forMs } = this.#storage
    const { clock } = this.#database
    return this.#measure(start, end, (from, to, check) =>
      estimateBytes(this.#storage, from, to, { forMs, clock, check }),
    )
  }

  getRangeSplitPoints(start: NativeValue, end: NativeValue, chunkSize: number): Promise<Buffer[]> {
    return this.#measure(start, end, async (from, to, check) => {
      if (from > this.#attempt.readEnd || to > this.#attempt.readEnd)
        throw fdbError(code.keyOutsideLegalRange)
      const keys = await splitPoints(this.#storage, from, to, chunkSize, check)
      return keys.map(keyBytes)
    })
  }

  watch(key: NativeValue, ignoreStandardErrs: boolean): NativeWatch {
    const name = toKey(key)
    const { promise, resolve, reject } = Promise.withResolvers<boolean>()
    const attempt = this.#attempt
    const watch = new Watch(name, undefined, (outcome) => {
      if ('changed' in outcome) resolve(true)
      else if (ignoreStandardErrs && isStandardWatchError(outcome.failure)) resolve(false)
      else reject(outcome.failure)
    })
    try {
      attempt.checkDeferred()
      this.#expire(attempt)
      attempt.checkNotCommitting()
      attempt.checkAlive()
      attempt.reads.checkWatchable(name)
      watch.value = attempt.reads.get(name, undefined, false)
      this.#storage.watches.admit(watch)
      if (attempt.writes.watches.length === 0) abandoned.register(this, attempt)
      attempt.writes.watches.push(watch)
    } catch (error) {
      watch.fail(error as Error)
    }
    return new WatchHandle(promise, watch)
  }

  commit(): Promise<void>
  commit(cb: Callback<void>): void
  commit(cb?: Callback<void>): Promise<void> | undefined {
    const attempt = this.#attempt
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    try {
      attempt.checkDeferred()
      this.#expire(attempt)
      attempt.checkNotCommitting()
      attempt.checkAlive()
      attempt.commitStarted = true
      attempt.onFailure(reject)
      this.#commit(attempt, resolve, reject)
    } catch (error) {
      reject(error)
    }
    return deliver(promise, cb)
  }

  onError(errorCode: number): Promise<void>
  onError(errorCode: number, cb: Callback<void>): void
  onError(errorCode: number, cb?: Callback<void>): Promise<void> | undefined {
    return deliver(this.#onError(errorCode), cb)
  }

  reset(): void {
    const old = this.#attempt
    this.#retries = 0
    this.#createdMs = this.#database.clock()
    this.#backoff = new Backoff(this.#database.random)
    this.#persistent = this.#database.defaults()
    this.#replace(old)
  }

  cancel(): void {
    this.#expire(this.#attempt)
    this.#attempt.fail(code.transactionCancelled)
    if (!this.#attempt.commitStarted) this.#attempt.cancelWatches(cancelled)
    this.#attempt.end()
  }

  #commit(attempt: Attempt, resolve: () => void, reject: (error: unknown) => void): void {
    const request = attempt.takeRequest()
    const stamp = this.#versionstamp
    const finished = (): void => {
      for (const watch of attempt.writes.watches.splice(0)) this.#storage.startWatch(watch)
      resolve()
    }
    const failed = (error: Error): void => {
      attempt.end()
      attempt.cancelWatches(() => error)
      stamp.promise.catch(() => {})
      stamp.reject(fdbError(code.transactionInvalidVersion))
      reject(error)
    }
    if (request.isReadOnly) {
      attempt.end()
      stamp.promise.catch(() => {})
      stamp.reject(fdbError(code.noCommitVersion))
      // An answer always comes a turn later, as from a cluster.
      queueMicrotask(finished)
      return
    }
    try {
      if (request.bytes > attempt.options.sizeLimit) throw fdbError(code.transactionTooLarge)
      const { readVersion } = attempt
      let disarm = (): void => {}
      this.#storage.commit(request, readVersion, (version, failure) => {
        disarm()
        if (failure) {
          failed(failure)
          return
        }
        attempt.committedVersion = version
        stamp.resolve(stampBytes(version))
        finished()
      })
      disarm = this.#armTimeout(attempt)
      attempt.end()
    } catch (error) {
      failed(error as Error)
    }
  }

  async #onError(errorCode: number): Promise<void> {
    const attempt = this.#attempt
    this.#expire(attempt)
    attempt.checkAlive()
    const spent = attempt.options.retryLimit !== -1 && this.#retries >= attempt.options.retryLimit
    this.#retries++
    if (spent || !isRetriedByOnError(errorCode)) {
      // After an error that is not retried only `reset` makes the transaction usable again.
      attempt.fail(code.transactionCancelled)
      attempt.end()
      throw fdbError(errorCode === 0 ? code.clientInvalidOperation : errorCode)
    }
    attempt.end()
    const disarm = this.#armTimeout(attempt)
    try {
      await this.#pause(attempt, this.#backoff.nextDelayMs(errorCode, attempt.options.maxRetryDelayMs))
    } finally {
      disarm()
    }
    if (this.#attempt === attempt) this.#replace(attempt)
  }

  #pause(attempt: Attempt, delayMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, delayMs)
      attempt.onFailure((failure) => {
        clearTimeout(timer)
        reject(failure)
      })
    })
  }

  /** Starts over with the options that persist. */
  #replace(old: Attempt): void {
    old.end()
    const stamp = this.#versionstamp
    stamp.promise.catch(() => {})
    this.#versionstamp = Promise.withResolvers<Buffer>()
    this.#attempt = this.#newAttempt()
    old.fail(code.transactionCancelled)
    old.cancelWatches(cancelled)
    stamp.reject(cancelled())
  }

  #newAttempt(): Attempt {
    const attempt = new Attempt(this.#storage, new Options(this.#database.snapshotSeesWrites))
    for (const [optionCode, value] of this.#persistent)
      attempt.defer(() => attempt.setOption(optionCode, value))
    return attempt
  }

  /** Fails the attempt if its time is over. Counted from creation or `reset`, not from `onError`. */
  #expire(attempt: Attempt): void {
    const { timeoutMs } = attempt.options
    if (timeoutMs > 0 && this.#database.clock() >= this.#createdMs + timeoutMs)
      attempt.fail(code.transactionTimedOut)
  }

  /** Only what waits needs a timer; other calls look at the clock. Call the answer when the wait is over. */
  #armTimeout(attempt: Attempt): () => void {
    const { timeoutMs } = attempt.options
    if (timeoutMs === 0) return () => {}
    const timer = setTimeout(
      () => attempt.fail(code.transactionTimedOut),
      this.#createdMs + timeoutMs - this.#database.clock(),
    )
    return () => clearTimeout(timer)
  }

  /** `check` throws once the transaction has ended. */
  #measure<T>(
    start: NativeValue,
    end: NativeValue,
    measure: (from: Key, to: Key, check: () => void) => Promise<T>,
  ): Promise<T> {
    const from = toKey(start)
    const to = toKey(end)
    const attempt = this.#attempt
    const checked = this.#answer(undefined, () => {
      attempt.checkNotCommitting()
      attempt.checkAlive()
      if (from > to) throw fdbError(code.invertedRange)
    }) as Promise<void>
    const check = (): void => {
      this.#expire(attempt)
      attempt.checkAlive()
    }
    return checked.then(() => measure(from, to, check))
  }

  /** Computes now, answers a turn later: in between, a cancel or reset still takes the answer away. */
  #answer<T>(cb: Callback<T> | undefined, compute: (attempt: Attempt) => T): Promise<T> | undefined {
    return this.#checkedAnswer(cb, () => undefined, compute)
  }

  /** What `check` throws comes before all else. */
  #checkedAnswer<T, P>(
    cb: Callback<T> | undefined,
    check: () => P,
    compute: (attempt: Attempt, parameters: P) => T,
  ): Promise<T> | undefined {
    const answer = this.#compute(check, compute)
    return cb ? void deliver(answer, cb) : answer
  }

  async #compute<T, P>(check: () => P, compute: (attempt: Attempt, parameters: P) => T): Promise<T> {
    const attempt = this.#attempt
    const parameters = check()
    attempt.checkDeferred()
    this.#expire(attempt)
    const value = compute(attempt, parameters)
    await null
    if (attempt.failure) throw attempt.failure
    return value
  }
}

/** As the binding's, whose `cancel` is a method of its own objects too: called without one, it throws. */
class WatchHandle implements NativeWatch {
  readonly promise: Promise<boolean>
  readonly #watch: Watch

  constructor(promise: Promise<boolean>, watch: Watch) {
    this.promise = promise
    this.#watch = watch
  }

  cancel(): void {
    this.#watch.fail(fdbError(code.operationCancelled))
  }
}

function conflictRange(start: NativeValue, end: NativeValue): [Key, Key] {
  const from = toKey(start)
  const to = toKey(end)
  if (from > to) throw fdbError(code.invertedRange)
  return [from, to]
}

const isStandardWatchError = (error: Error): boolean =>
  'code' in error && typeof error.code === 'number' && standardWatchErrors.has(error.code)
