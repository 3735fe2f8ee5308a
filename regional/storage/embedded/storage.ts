// The database behind all transactions of this process: read versions, snapshots, and commits in order. Reads
// see the reader's SQLite snapshot under the memtable; a commit is resolved here, at once, and acknowledged
// when the writer has it on disk. Invariant: a read version is never above a commit that is not durable.
import { closeSync, openSync } from 'node:fs'
import type { WriteFailure } from '../storage_error.ts'
import type { BaseReader } from './base_reader.ts'
import { type CommitRequest, Effects } from './commit_request.ts'
import { causeOf, dataPath } from './data_file.ts'
import { code, fdbError } from './errors.ts'
import { GroupCommit, type GroupListener, type Upkeep } from './group_commit.ts'
import { type Key, keyAfter, keyBytes } from './key.ts'
import { READ_LIFE_VERSIONS, type Thresholds } from './limits.ts'
import { type CopierListener, type CopierReply, LogCopier } from './log_copier.ts'
import { cleared, Memtable } from './memtable.ts'
import { Change, type Effect } from './mutation_codec.ts'
import { PAGE_BYTES } from './page_gaps.ts'
import { type Lease, ReadVersions } from './read_versions.ts'
import { Resolver } from './resolver.ts'
import { type Clock, VersionClock } from './version_clock.ts'
import { VersionedSnapshot } from './versioned_snapshot.ts'
import { type Watch, Watches } from './watches.ts'
import type { PassPlace, WriterReply } from './writer_thread.ts'

const closedError = (): Error => fdbError(code.operationCancelled, 'the database is closed')

export class Storage implements GroupListener, CopierListener {
  readonly watches = new Watches()
  readonly memtable = new Memtable()
  readonly base: BaseReader
  /** How long the bytes of a range are counted. */
  readonly estimateMs: number
  readonly #clock: VersionClock
  readonly #thresholds: Thresholds
  readonly #onWriteFailure: (failure: WriteFailure) => void
  readonly #resolver: Resolver
  readonly #readVersions = new ReadVersions()
  /** Commits up to this version are on disk. */
  #durable: number
  /** Why commits are refused: a write failed in a way that leaves the log in doubt. */
  #broken: WriteFailure | undefined
  #writer: GroupCommit | undefined
  #copier: LogCopier | undefined
  /** The data file, for what SQLite does not do. To close it takes away every lock that this process holds on it (POSIX). */
  #file: number | undefined
  /** Pages in the write-ahead log since it last began anew. */
  #logPages = 0
  /** So many of them a checkpoint has left, since somebody reads in the log. */
  #leftPages = 0
  /** Where the pass goes on that overwrites what moved rows left behind in the file; undefined when none is due. */
  #passAt: PassPlace | undefined
  /** The snapshot was taken from the file alone, since when nobody has written: the log can be emptied. */
  #readsNoLog = false
  /** Another one is due after it: it may be past what was cleared meanwhile. */
  #passAgain = false
  #passPause: NodeJS.Timeout | undefined
  #closed = false

  constructor(
    base: BaseReader,
    clock: Clock,
    thresholds: Thresholds,
    onWriteFailure: (failure: WriteFailure) => void,
  ) {
    this.#thresholds = thresholds
    this.estimateMs = thresholds.estimateMs
    this.#onWriteFailure = onWriteFailure
    this.base = base
    this.#durable = base.version
    this.#clock = new VersionClock(base.version, clock)
    this.#resolver = new Resolver()
  }

  async startWriter(options: { directory: string; maxPages?: number }): Promise<void> {
    // Twice what it may be by itself, so that it is cut for nobody but a reader from outside.
    const logBytes = 2 * this.#thresholds.forcedLogPages * PAGE_BYTES
    const file = openSync(dataPath(options.directory), 'r+')
    this.#file = file
    const { writer, passDue } = await GroupCommit.start({ ...options, file, logBytes }, this)
    this.#writer = writer
    this.#copier = new LogCopier({ directory: options.directory, file }, this)
    if (passDue) this.overwriteCleared()
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** A version at which every acknowledged commit is visible. */
  readVersion(): number {
    const pending = this.#activeWriter().firstPending
    const version = pending === undefined ? this.#clock.now() : pending - 1
    this.#clock.pin(version)
    if (
      this.memtable.entries > 0 &&
      this.memtable.oldest < this.#oldestReadVersion() &&
      this.#activeWriter().isIdle
    )
      this.#activeWriter().nudge()
    return version
  }

  /**
   * A read version below it is too old. Measured from what can be read now, not from the clock alone: while the disk
   * lags by more than the life of a read version, the newest is still one. What is pending has a version that is not
   * below any time before it, so this never goes down, and what is forgotten by it is never asked for again.
   */
  #oldestReadVersion(): number {
    return (this.#writer?.firstPending ?? this.#clock.now()) - READ_LIFE_VERSIONS
  }

  acquire(version: number): Lease {
    return this.#readVersions.acquire(version)
  }

  release(lease: Lease): void {
    this.#readVersions.release(lease)
  }

  /** Throws 1007 or 1009 if the database can't be read at `version` now. */
  checkReadable(version: number): void {
    if (this.#closed) throw closedError()
    if (version < this.base.version || version < this.#oldestReadVersion())
      throw fdbError(code.transactionTooOld)
    if (version > this.#durable) {
      const pending = this.#writer?.firstPending
      if (version > this.#clock.now() || (pending !== undefined && version >= pending))
        throw fdbError(code.futureVersion)
      this.#clock.pin(version)
    }
  }

  snapshot(version: number): VersionedSnapshot {
    return new VersionedSnapshot(this, version)
  }

  /**
   * Resolves the commit now and calls `done` when it is durable.
   * Throws 1007, 1020, 1042, or 1510 if it is refused; `done` gets 1510 or 1021 if writing it failed, 1020 if it was resolved on
   * top of another one that could not be written.
   */
  commit(
    request: CommitRequest,
    readVersion: number,
    done: (version: number, failure: Error | undefined) => void,
  ): void {
    const writer = this.#activeWriter()
    if (this.#broken) throw fdbError(code.ioError, this.#broken.message)
    if (writer.queuedBytes > this.#thresholds.queuedBytes) throw fdbError(code.proxyMemoryLimitExceeded)
    const oldest = this.#oldestReadVersion()
    if (readVersion < oldest) throw fdbError(code.transactionTooOld)
    if (this.#resolver.conflicts(request.reads, readVersion)) throw fdbError(code.notCommitted)

    const version = this.#clock.next()
    const effects = new Effects(request, version, (key) => this.#valueAt(key, version))
    this.#remember(effects.list, version)
    this.#resolver.add(request.writes, request.writtenKeys, version, oldest)
    if (effects.stampedKeys.length > 0) this.#resolver.add([], effects.stampedKeys, version, oldest)
    writer.add({
      version,
      effects: effects.list,
      settle: (failure) => {
        if (failure === 'behind') {
          done(version, fdbError(code.notCommitted))
          return
        }
        if (failure) {
          done(
            version,
            fdbError(failure.rolledBack ? code.ioError : code.commitUnknownResult, failure.message),
          )
          return
        }
        this.watches.changed(effects.list, (key) => this.#durableValue(key))
        done(version, undefined)
      },
    })
  }

  /** The transaction that set it has committed. */
  startWatch(watch: Watch): void {
    if (this.#closed) watch.fail(fdbError(code.operationCancelled))
    else this.watches.add(watch, (key) => this.#durableValue(key))
  }

  /** Has the whole file gone through soon, beside the commits, until nothing in it, or in the log, is of rows that were cleared before. */
  overwriteCleared(): void {
    if (this.#closed) return
    if (this.#passAt === undefined) this.#goOnWith(1)
    else this.#passAgain = true
  }

  #goOnWith(place: PassPlace | undefined): void {
    this.#passAt = place ?? (this.#passAgain ? 1 : undefined)
    if (place === undefined) this.#passAgain = false
    if (this.#passAt === undefined) return
    this.#passPause = setTimeout(() => {
      this.#passPause = undefined
      if (!this.#closed) this.#writer?.nudge()
    }, this.#thresholds.passPauseMs).unref()
  }

  #durableValue(key: Key): Buffer | undefined {
    return this.#valueAt(key, this.#durable)
  }

  /** Row sizes of [begin, end) as they are now, up to `limit` rows or bytes of the file; `next`: where to go on. */
  sizes(
    begin: Key,
    end: Key,
    limit: { rows: number; bytes: number },
  ): { rows: { key: Key; bytes: number }[]; next: Key | undefined } {
    const { sizes: found, more } = this.base.sizes(keyBytes(begin), keyBytes(end), limit)
    const last = more ? found.at(-1)?.key.toString('latin1') : undefined
    const next = last === undefined ? undefined : keyAfter(last)
    const sizes = new Map<Key, number>()
    for (const { key, bytes } of found) sizes.set(key.toString('latin1'), bytes)
    for (const key of sizes.keys()) if (this.memtable.get(key, this.#durable) === cleared) sizes.delete(key)
    for (const { key, value } of this.memtable.visible(begin, next ?? end, this.#durable))
      if (value !== undefined) sizes.set(key, key.length + value.length)
    const rows = [...sizes].map(([key, bytes]) => ({ key, bytes }))
    rows.sort((a, b) => (a.key < b.key ? -1 : 1))
    return { rows, next }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#passPause)
    this.watches.failAll(fdbError(code.operationCancelled))
    // What is in doubt is for the next process, which reads the log anew: to close the last connection would copy it into the file.
    if (this.#broken) return
    // The reader's snapshot would keep the last checkpoint from emptying the log.
    this.base.close()
    await this.#copier?.close()
    await this.#writer?.close(this.#passAgain ? 1 : this.#passAt)
    if (this.#file !== undefined) closeSync(this.#file)
  }

  groupDurable(version: number, logPages: number): void {
    this.#readsNoLog = false
    this.#logPages = logPages
    if (logPages < this.#leftPages) this.#leftPages = 0
    if (version > this.#durable) this.#durable = version
  }

  groupFailed(failure: WriteFailure): void {
    this.memtable.dropAfter(this.#durable)
    if (!failure.rolledBack) this.#break(failure)
    else if (!this.#closed && !this.#broken) this.#onWriteFailure(failure)
  }

  between(): Upkeep | undefined {
    if (this.#closed || this.#broken) return undefined
    const { entries } = this.memtable
    const isDue = this.#passAt !== undefined && this.#passPause === undefined
    if (entries > 0 && !this.#foldIfDue(isDue)) return undefined
    // Copied beside the commits first; then they wait for what came meanwhile, and the log begins anew.
    if (entries > 0 && this.#logIsLong() && (this.#copier?.copied() ?? true)) return { kind: 'checkpoint' }
    if (this.#passAt === undefined || !isDue || this.#copier?.isBusy) return undefined
    if (this.#passAt === 'log') return { kind: this.#readsNoLog ? 'empty' : 'checkpoint' }
    return { kind: 'overwrite', from: this.#passAt, pages: this.#thresholds.passPages }
  }

  #logIsLong(): boolean {
    return this.#logPages > this.#thresholds.checkpointPages && !this.#copier?.isBusy
  }

  /** Transactions side by side may keep the snapshot, and with it the log, for as long as they come. */
  #logIsTooLong(): boolean {
    return this.#logIsLong() && this.#logPages - this.#leftPages > this.#thresholds.forcedLogPages
  }

  /** @returns whether the snapshot has moved */
  #foldIfDue(isDue: boolean): boolean {
    const { entries, bytes, oldest } = this.memtable
    const oldestReadVersion = this.#oldestReadVersion()
    const large = entries > this.#thresholds.foldEntries || bytes > this.#thresholds.foldBytes
    const stale = oldest < oldestReadVersion
    if (!large && !stale && !this.#logIsLong() && !isDue) return false
    const needed = this.#readVersions.oldest(oldestReadVersion)
    const isForced = bytes >= this.#thresholds.forcedFoldBytes || this.#logIsTooLong()
    if (needed !== undefined && needed < this.#durable && !isForced) return false
    return this.#fold()
  }

  roundOver(unsynced: CopierReply): void {
    if (unsynced === undefined) this.#writer?.nudge()
    else this.#break({ message: unsynced, rolledBack: false })
  }

  kept(reply: WriterReply): void {
    if (this.#closed) return
    if (reply.kind === 'failed' && reply.cause === undefined) {
      this.#break({ message: reply.message, rolledBack: false })
      return
    }
    if (reply.kind === 'overwritten') this.#goOnWith(reply.next)
    else if (reply.kind === 'emptied') this.#goOnWith(reply.done ? undefined : 'log')
    else if (reply.kind === 'failed' && this.#passPause === undefined) this.#goOnWith(this.#passAt)
    this.#leftPages = this.#logPages
    this.#logPages = 0
    this.#readsNoLog = reply.kind === 'checkpointed'
    // Everything of the log is in the file now: a snapshot taken anew doesn't need the log, so it can restart.
    this.#advance()
  }

  /** @returns false when nothing can be read any more: only a new start can help */
  #advance(): boolean {
    try {
      this.base.advance(this.#durable, this.memtable.changed(this.#durable))
      return true
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#break({ message, rolledBack: false, damaged: causeOf(error) === 'damage' })
      return false
    }
  }

  /** Only a new start can help: it has the log to begin with. */
  #break(failure: WriteFailure): void {
    if (!this.#closed && !this.#broken) this.#onWriteFailure(failure)
    this.#broken = failure
  }

  /** The writer is idle, so what is committed is what is known to be durable. */
  #fold(): boolean {
    if (!this.#advance()) return false
    this.memtable.foldUpTo(this.#durable)
    return true
  }

  #remember(effects: readonly Effect[], version: number): void {
    for (const effect of effects) {
      if (effect.kind === Change.Set) this.memtable.set(version, effect.key, effect.value)
      else if (effect.kind === Change.Clear) this.memtable.clear(version, effect.key)
      else this.memtable.clearRange(version, effect.begin, effect.end)
    }
  }

  #valueAt(key: Key, version: number): Buffer | undefined {
    const found = this.memtable.get(key, version)
    if (found === cleared) return undefined
    return found ?? this.base.get(key)
  }

  #activeWriter(): GroupCommit {
    if (!this.#writer || this.#closed) throw closedError()
    return this.#writer
  }
}
