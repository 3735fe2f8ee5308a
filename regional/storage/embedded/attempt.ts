// One attempt of a transaction, from its start or its last reset to the next: its options, its read version, and
// why it can't go on, if so. What it reads and writes is in files of their own; answering the caller is
// transaction.ts's.
import type { CommitRequest } from './commit_request.ts'
import { code, fdbError } from './errors.ts'
import { DATABASE_END, type Key, USER_END } from './key.ts'
import { type Options, type OptionValue, option } from './options.ts'
import type { Lease } from './read_versions.ts'
import { Reads } from './reads.ts'
import type { Storage } from './storage.ts'
import type { VersionedSnapshot } from './versioned_snapshot.ts'
import { Writes } from './writes.ts'

export class Attempt {
  readonly options: Options
  readonly reads: Reads
  readonly writes: Writes
  commitStarted = false
  committedVersion = -1
  /** Set by a call that can't throw, and thrown by the next that answers. */
  deferred: Error | undefined
  readonly #storage: Storage
  #lease: Lease | undefined
  #snapshot: VersionedSnapshot | undefined
  #failureCode: number | undefined
  #failure: Error | undefined
  #onFailure: ((failure: Error) => void)[] = []

  constructor(storage: Storage, options: Options) {
    this.#storage = storage
    this.options = options
    this.writes = new Writes(this)
    this.reads = new Reads(this, this.writes)
  }

  /** Rough bytes of the commit so far. */
  get approximateSize(): number {
    return this.reads.bytes + this.writes.bytes
  }

  /**
   * Why every further call fails: cancelled, reset, timed out, or used during its commit. Made when it is asked for:
   * what only reads ends by being cancelled, and an error's stack would cost it more than one of its reads.
   */
  get failure(): Error | undefined {
    if (this.#failureCode !== undefined) this.#failure ??= fdbError(this.#failureCode)
    return this.#failure
  }

  fail(errorCode: number): void {
    if (this.#failureCode !== undefined) return
    this.#failureCode = errorCode
    for (const callback of this.#onFailure.splice(0)) this.onFailure(callback)
  }

  onFailure(callback: (failure: Error) => void): void {
    if (this.failure) callback(this.failure)
    else this.#onFailure.push(callback)
  }

  cancelWatches(failure: () => Error): void {
    for (const watch of this.writes.watches.splice(0)) watch.fail(failure())
  }

  checkDeferred(): void {
    if (this.deferred) throw this.deferred
  }

  checkNotCommitting(): void {
    if (!this.commitStarted) return
    if (this.options.protectDuringCommit) this.fail(code.usedDuringCommit)
    throw fdbError(code.usedDuringCommit)
  }

  checkAlive(): void {
    if (this.failure) throw this.failure
  }

  /** Runs a call that can't throw: its error waits for the next call that answers. */
  defer(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.deferred ??= error as Error
    }
  }

  get readVersion(): number {
    this.#lease ??= this.#storage.acquire(this.#storage.readVersion())
    return this.#lease.version
  }

  /** The read version, if it has been taken. */
  get knownReadVersion(): number | undefined {
    return this.#lease?.version
  }

  setReadVersion(version: number): void {
    if (this.#lease) throw fdbError(code.readVersionAlreadySet)
    if (version <= 0) throw fdbError(code.versionInvalid)
    this.#lease = this.#storage.acquire(version)
  }

  /** The read version is not needed any more. */
  end(): void {
    if (this.#lease) this.#storage.release(this.#lease)
  }

  get snapshot(): VersionedSnapshot {
    this.#snapshot ??= this.#storage.snapshot(this.readVersion)
    return this.#snapshot
  }

  get readEnd(): Key {
    return this.options.readSystemKeys ? DATABASE_END : USER_END
  }

  setOption(optionCode: number, value: OptionValue): void {
    if (optionCode === option.readYourWritesDisable && !(this.reads.isUntouched && this.writes.map.empty))
      throw fdbError(code.clientInvalidOperation)
    this.options.set(optionCode, value)
  }

  /** What is to be committed; throws the error of a read that failed. The attempt can't be used after. */
  takeRequest(): CommitRequest {
    const ranges = this.reads.take()
    const request = this.writes.take()
    for (const range of ranges) request.readConflict(range)
    return request
  }
}
