// One attempt of a transaction, from its start or its last reset to the next: what it has read and written,
// and why it can't go on, if so. The rules of reading and writing over own writes are here; answering the
// caller is transaction.ts's.
import { isAtomicOp, modernOp, Op } from './atomic_ops.ts'
import { CommitRequest } from './commit_request.ts'
import {
  backwardConflict,
  forwardConflict,
  keyConflict,
  plainConflict,
  type Range,
  type RangeOutcome,
  readFromDatabase,
} from './conflict_ranges.ts'
import { code, fdbError } from './errors.ts'
import {
  DATABASE_END,
  FIRST_KEY,
  type Key,
  keyAfter,
  keyBytes,
  METADATA_VERSION,
  SPECIAL_END,
  USER_END,
} from './key.ts'
import { absent, KnownRanges, type Row } from './known_ranges.ts'
import { KEY_SIZE_LIMIT, REPLY_BYTE_LIMIT, SYSTEM_KEY_SIZE_LIMIT, VALUE_SIZE_LIMIT } from './limits.ts'
import { resolve } from './operation_stack.ts'
import { type Options, type OptionValue, option } from './options.ts'
import type { RangeLimits } from './range_limits.ts'
import { readKey, readRange } from './range_read.ts'
import type { Lease } from './read_versions.ts'
import { View } from './segments.ts'
import { firstGreaterOrEqual, isFirstGreaterOrEqual, isInverted, type Selector } from './selector.ts'
import { type Pair, readSnapshotRange, resolveSelector, type Snapshot, toRow } from './snapshot_range.ts'
import type { Storage } from './storage.ts'
import type { VersionedSnapshot } from './versioned_snapshot.ts'
import { stampBytes, stampedKeyRange, stampOffset } from './versionstamp.ts'
import { sameValue, type Watch } from './watches.ts'
import { WriteMap } from './write_map.ts'

export interface KeyValues {
  results: Pair[]
  more: boolean
}

/** The key of a metadata-version write is fixed, and so is its operand: a stamp at 0 and nothing else. */
const METADATA_OPERAND_BYTES = 14
const MUTATION_BYTES = 28
const RANGE_BYTES = 24

const NO_WRITES = new WriteMap()

export class Attempt {
  readonly options: Options
  readonly watches: Watch[] = []
  /** Why every further call fails: cancelled, reset, timed out, or used during its commit. */
  failure: Error | undefined
  commitStarted = false
  committedVersion = -1
  /** Set by a call that can't throw, and thrown by the next that answers. */
  deferred: Error | undefined
  /** Rough bytes of the commit so far. */
  approximateSize = 0
  readonly #storage: Storage
  readonly #writes = new WriteMap()
  readonly #known: KnownRanges
  readonly #request = new CommitRequest()
  #reads: Range[] = []
  #hasRead = false
  /** A failed read fails the commit. */
  #readError: unknown
  #lease: Lease | undefined
  #snapshot: VersionedSnapshot | undefined
  #onFailure: ((failure: Error) => void)[] = []

  constructor(storage: Storage, options: Options) {
    this.#storage = storage
    this.options = options
    this.#known = new KnownRanges((begin, end) => this.#rows(begin, end))
  }

  // --- life ---------------------------------------------------------------------------------------------

  fail(failure: Error): void {
    if (this.failure) return
    this.failure = failure
    for (const callback of this.#onFailure.splice(0)) callback(failure)
  }

  onFailure(callback: (failure: Error) => void): void {
    if (this.failure) callback(this.failure)
    else this.#onFailure.push(callback)
  }

  cancelWatches(failure: Error): void {
    for (const watch of this.watches.splice(0)) watch.fail(failure)
  }

  checkDeferred(): void {
    if (this.deferred) throw this.deferred
  }

  checkNotCommitting(): void {
    if (!this.commitStarted) return
    const misuse = fdbError(code.usedDuringCommit)
    if (this.options.protectDuringCommit) this.fail(misuse)
    throw misuse
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

  // --- versions -----------------------------------------------------------------------------------------

  get readVersion(): number {
    this.#lease ??= this.#storage.acquire(this.#storage.readVersion())
    return this.#lease.version
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

  /** The snapshot, taken only when something is read of it: own writes alone need no read version. */
  readonly #lazySnapshot: Snapshot = {
    get: (key) => this.snapshot.get(key),
    pairs: (...range) => this.snapshot.pairs(...range),
  }

  get readEnd(): Key {
    return this.options.readSystemKeys ? DATABASE_END : USER_END
  }

  get #writeEnd(): Key {
    return this.options.writeSystemKeys ? DATABASE_END : USER_END
  }

  // --- options ------------------------------------------------------------------------------------------

  setOption(optionCode: number, value: OptionValue): void {
    if (
      optionCode === option.readYourWritesDisable &&
      (this.#hasRead || !this.#known.empty || !this.#writes.empty)
    )
      throw fdbError(code.clientInvalidOperation)
    this.options.set(optionCode, value)
  }

  // --- reads --------------------------------------------------------------------------------------------

  get(key: Key, bytes: Buffer | undefined, isSnapshot: boolean): Buffer | undefined {
    if (isSpecial(key)) throw fdbError(code.specialKeysNoModule)
    this.checkNotCommitting()
    this.checkAlive()
    if (key >= this.readEnd && key !== METADATA_VERSION) throw fdbError(code.keyOutsideLegalRange)
    if (key.length > maxKeySize(key)) return undefined
    return this.#reading(() => this.#get(key, bytes, isSnapshot))
  }

  #get(key: Key, bytes: Buffer | undefined, isSnapshot: boolean): Buffer | undefined {
    if (this.options.readYourWritesDisabled) {
      if (!isSnapshot) this.#reads.push([key, keyAfter(key)])
      return copy(this.snapshot.getBytes(key, bytes))
    }
    if (this.#writes.empty || this.#ignoresWrites(isSnapshot)) {
      const value = this.#known.value(key) ?? this.#readKnown(key, bytes)
      if (!isSnapshot) this.#reads.push([key, keyAfter(key)])
      return value === absent ? undefined : copy(value)
    }
    const at = this.#writes.cursor()
    at.seek(key)
    if (at.unreadable && !this.options.bypassUnreadable) throw fdbError(code.accessedUnreadable)
    let value: Buffer | undefined
    if (at.isUnmodified || at.isDependent) {
      const below = this.#known.value(key) ?? this.#readKnown(key, bytes)
      if (below !== absent) value = below
    }
    if (at.isOperation) value = resolve(at.operations, value)
    if (!isSnapshot && at.readsDatabase) this.#reads.push([key, keyAfter(key)])
    return copy(value)
  }

  /** Reads a key of the snapshot, once: from now on it is known. */
  #readKnown(key: Key, bytes: Buffer | undefined): Buffer | typeof absent {
    const value = this.snapshot.getBytes(key, bytes)
    this.#known.addKey(key, value)
    return value ?? absent
  }

  /** Throws if `key` can't be watched. */
  checkWatchable(key: Key): void {
    if (this.options.readYourWritesDisabled) throw fdbError(code.watchesDisabled)
    if (key >= DATABASE_END || (key >= this.readEnd && key !== METADATA_VERSION))
      throw fdbError(code.keyOutsideLegalRange)
    if (key.length > maxKeySize(key)) throw fdbError(code.keyTooLarge)
  }

  getKey(selector: Selector, rawKey: Key, isSnapshot: boolean): Key {
    this.checkNotCommitting()
    this.checkAlive()
    if (rawKey > this.readEnd) throw fdbError(code.keyOutsideLegalRange)
    return this.#reading(() => {
      if (this.options.readYourWritesDisabled) return this.#getKeyThrough(selector, isSnapshot)
      const view = this.#view(isSnapshot)
      const key = readKey(view, this.#lazySnapshot, selector)
      if (!isSnapshot) this.#conflict(keyConflict(selector, key))
      return key
    })
  }

  #getKeyThrough(selector: Selector, isSnapshot: boolean): Key {
    const { key } = resolveSelector(this.snapshot, selector)
    if (!isSnapshot) {
      const [begin, end] = keyConflict(selector, key)
      if (begin < end) this.#reads.push([begin, end])
    }
    return key > this.readEnd ? this.readEnd : key
  }

  getRange(
    begin: Selector,
    end: Selector,
    rawBegin: Key,
    rawEnd: Key,
    limits: RangeLimits,
    isSnapshot: boolean,
    reverse: boolean,
  ): KeyValues {
    if (isSpecial(rawBegin) && rawEnd >= DATABASE_END && rawEnd <= SPECIAL_END)
      throw fdbError(code.specialKeysNoModule)
    this.checkNotCommitting()
    this.checkAlive()
    if (rawBegin > this.readEnd || rawEnd > this.readEnd) throw fdbError(code.keyOutsideLegalRange)
    if (!limits.isValid) throw fdbError(code.rangeLimitsInvalid)
    if (isInverted(begin, end)) return { results: [], more: false }
    return this.#reading(() => {
      if (this.options.readYourWritesDisabled)
        return this.#getRangeThrough(begin, end, limits, isSnapshot, reverse)
      if (
        isFirstGreaterOrEqual(begin) &&
        isFirstGreaterOrEqual(end) &&
        (this.#writes.empty || this.#ignoresWrites(isSnapshot))
      ) {
        const fresh = this.#getFreshRange(begin.key, end.key, limits, isSnapshot, reverse)
        if (fresh) return fresh
      }
      const view = this.#view(isSnapshot)
      const answer = readRange(view, this.#lazySnapshot, begin, end, limits, reverse)
      if (!isSnapshot) {
        const found = outcome(answer.rows, answer)
        const rule = reverse ? backwardConflict : forwardConflict
        this.#conflict(rule(begin, end, found, view.end))
      }
      return {
        results: answer.rows.map(({ key, value }) => [keyBytes(key), Buffer.from(value)]),
        more: answer.more,
      }
    })
  }

  /** The usual range read: two plain keys, nothing written, nothing known of what it returns. Same answer, no walk. */
  #getFreshRange(
    begin: Key,
    end: Key,
    limits: RangeLimits,
    isSnapshot: boolean,
    reverse: boolean,
  ): KeyValues | undefined {
    let from = reverse ? this.#known.unknownFrom(begin, end) : begin
    let to = reverse ? end : this.#known.unknownUntil(begin, end)
    if (from >= to) return undefined
    const rows = limits.hasRowLimit ? limits.rows : Number.MAX_SAFE_INTEGER
    const bytes = limits.hasByteLimit ? Math.min(limits.bytes, REPLY_BYTE_LIMIT) : Number.MAX_SAFE_INTEGER
    const { pairs, more } = this.snapshot.pairs(from, to, rows, bytes, reverse)
    // It has run into what is known already.
    if (!more && (from !== begin || to !== end)) return undefined
    const last = pairs.at(-1)?.[0].toString('latin1')
    if (more && last !== undefined) {
      if (reverse) from = last
      else to = keyAfter(last)
    }
    this.#known.add(from, to)
    if (!isSnapshot) this.#reads.push([from, to])
    return { results: pairs, more }
  }

  #getRangeThrough(
    begin: Selector,
    end: Selector,
    limits: RangeLimits,
    isSnapshot: boolean,
    reverse: boolean,
  ): KeyValues {
    let to = end
    if (reverse && end.offset > 1) {
      const key = this.#getKeyThrough(end, isSnapshot)
      to = firstGreaterOrEqual(key)
    }
    const answer = readSnapshotRange(this.snapshot, begin, to, limits, reverse)
    if (!isSnapshot) {
      const [from, until] = plainConflict(begin, to, outcome(answer.rows, answer), reverse)
      if (from < until) this.#reads.push([from, until])
    }
    const visible = answer.rows.filter(({ key }) => key < this.readEnd)
    return {
      results: visible.map(({ key, value }) => [keyBytes(key), value]),
      more: visible.length === answer.rows.length && answer.more,
    }
  }

  #view(isSnapshot: boolean): View {
    const writes = this.#ignoresWrites(isSnapshot) ? NO_WRITES : this.#writes
    return new View(this.#known, writes, this.readEnd, this.options.bypassUnreadable)
  }

  #ignoresWrites(isSnapshot: boolean): boolean {
    return isSnapshot && this.options.snapshotSeesWrites <= 0
  }

  #conflict([begin, end]: Range): void {
    readFromDatabase(this.#writes, begin, end, (range) => this.#addRead(range))
  }

  #addRead(range: Range): void {
    this.approximateSize += RANGE_BYTES + range[0].length + range[1].length
    this.#reads.push(range)
  }

  #reading<T>(read: () => T): T {
    this.#hasRead = true
    try {
      return read()
    } catch (error) {
      this.#readError ??= error
      throw error
    }
  }

  #rows(begin: Key, end: Key): Row[] {
    const { pairs } = this.snapshot.pairs(
      begin,
      end > DATABASE_END ? DATABASE_END : end,
      Number.MAX_SAFE_INTEGER,
      Number.MAX_SAFE_INTEGER,
      false,
    )
    return pairs.map(toRow)
  }

  // --- writes -------------------------------------------------------------------------------------------

  set(key: Key, value: Buffer): void {
    if (key === METADATA_VERSION) throw fdbError(code.clientInvalidOperation)
    if (isSpecial(key)) throw fdbError(code.specialKeysWriteDisabled)
    const conflict = this.options.takeWriteConflict()
    this.checkNotCommitting()
    if (key >= this.#writeEnd) throw fdbError(code.keyOutsideLegalRange)
    checkSizes(key, value)
    this.#grow(key.length + value.length, conflict ? 2 * key.length + 1 : undefined)
    if (this.options.readYourWritesDisabled) {
      this.#request.operation(key, { op: Op.Set, value })
      if (conflict) this.#request.writeConflict(key, keyAfter(key))
      return
    }
    this.#writes.mutate(key, Op.Set, value, conflict)
    if (this.watches.length > 0) this.#wrote(key, keyAfter(key), (watch) => sameValue(watch.value, value))
  }

  atomicOp(type: number, key: Key, operand: Buffer): void {
    let conflict = this.options.takeWriteConflict()
    this.checkNotCommitting()
    if (key === METADATA_VERSION) {
      if (
        type !== Op.VersionstampedValue ||
        operand.length !== METADATA_OPERAND_BYTES ||
        operand.some((byte) => byte !== 0)
      )
        throw fdbError(code.clientInvalidOperation)
    } else if (key >= this.#writeEnd) throw fdbError(code.keyOutsideLegalRange)
    if (!isAtomicOp(type)) throw fdbError(code.invalidMutationType)
    checkSizes(key, operand)
    const op = modernOp(type)
    let place = key
    if (op === Op.VersionstampedKey) {
      const bytes = keyBytes(key)
      const offset = stampOffset(bytes)
      if (offset === undefined) throw fdbError(code.clientInvalidOperation)
      conflict = false
      const firstVersion = this.#lease?.version ?? 0
      if (!this.options.readYourWritesDisabled) {
        const [begin, end] = stampedKeyRange(bytes, offset, firstVersion, this.readEnd)
        if (begin < end) {
          this.#writes.flush(begin, end, this.#request)
          this.#writes.makeUnreadable(begin, end)
        }
      }
      // Until the commit it stands where the first possible stamp would put it.
      stampBytes(firstVersion).copy(bytes, offset)
      place = bytes.toString('latin1')
    }
    if (op === Op.VersionstampedValue && stampOffset(operand) === undefined)
      throw fdbError(code.clientInvalidOperation)
    this.#grow(key.length + operand.length, conflict ? 2 * key.length + 1 : undefined)
    if (this.options.readYourWritesDisabled) {
      this.#request.operation(place, { op, value: operand })
      if (conflict) this.#request.writeConflict(place, keyAfter(place))
      return
    }
    this.#writes.mutate(place, op, operand, conflict)
    if (this.watches.length > 0) this.#wrote(place, keyAfter(place), () => false)
  }

  clear(key: Key): void {
    const conflict = this.options.takeWriteConflict()
    this.checkNotCommitting()
    if (isSpecial(key)) throw fdbError(code.specialKeysWriteDisabled)
    if (key >= this.#writeEnd) throw fdbError(code.keyOutsideLegalRange)
    if (key.length > maxKeySize(key)) return
    this.#clearRange(key, keyAfter(key), conflict)
  }

  clearRange(begin: Key, end: Key): void {
    if (begin > end) throw fdbError(code.invertedRange)
    const conflict = this.options.takeWriteConflict()
    this.checkNotCommitting()
    if (begin >= DATABASE_END && end <= SPECIAL_END) throw fdbError(code.specialKeysWriteDisabled)
    if (begin > this.#writeEnd || end > this.#writeEnd) throw fdbError(code.keyOutsideLegalRange)
    this.#clearRange(cut(begin), cut(end), conflict)
  }

  #clearRange(begin: Key, end: Key, conflict: boolean): void {
    const bytes = begin.length + end.length
    this.#grow(bytes, conflict ? bytes : undefined)
    if (begin >= end) return
    if (this.options.readYourWritesDisabled) {
      this.#request.clearRange(begin, end)
      if (conflict) this.#request.writeConflict(begin, end)
      return
    }
    this.#writes.clear(begin, end, conflict)
    if (this.watches.length > 0) this.#wrote(begin, end, (watch) => watch.value === undefined)
  }

  addReadConflictRange(begin: Key, end: Key): void {
    this.checkNotCommitting()
    if (
      (begin > this.readEnd || end > this.readEnd) &&
      (begin !== METADATA_VERSION || end !== keyAfter(METADATA_VERSION))
    )
      throw fdbError(code.keyOutsideLegalRange)
    const [from, to] = [cut(begin), cut(end)]
    if (from >= to) return
    if (this.options.readYourWritesDisabled) this.#addRead([from, to])
    else this.#conflict([from, to])
  }

  addWriteConflictRange(begin: Key, end: Key): void {
    this.checkNotCommitting()
    if (begin > this.#writeEnd || end > this.#writeEnd) throw fdbError(code.keyOutsideLegalRange)
    const [from, to] = [cut(begin), cut(end)]
    if (from >= to) return
    this.approximateSize += RANGE_BYTES + from.length + to.length
    if (this.options.readYourWritesDisabled) this.#request.writeConflict(from, to)
    else this.#writes.addConflictRange(from, to)
  }

  /** An own write over a watched key fires the watch, unless it is known to leave the value as it is. */
  #wrote(begin: Key, end: Key, unchanged: (watch: Watch) => boolean): void {
    for (const watch of this.watches)
      if (watch.isOpen && watch.key >= begin && watch.key < end && !unchanged(watch)) watch.fire()
  }

  #grow(mutationBytes: number, conflictBytes: number | undefined): void {
    this.approximateSize += MUTATION_BYTES + mutationBytes
    if (conflictBytes !== undefined) this.approximateSize += RANGE_BYTES + conflictBytes
  }

  // --- commit -------------------------------------------------------------------------------------------

  /** What is to be committed; throws the error of a read that failed. The attempt can't be used after. */
  takeRequest(): CommitRequest {
    if (this.#readError !== undefined) throw this.#readError
    if (!this.options.readYourWritesDisabled) this.#writes.flush(FIRST_KEY, DATABASE_END, this.#request)
    for (const range of joinedRanges(this.#reads)) this.#request.readConflict(range)
    this.#reads = []
    return this.#request
  }
}

const isSpecial = (key: Key): boolean => key >= DATABASE_END && key < SPECIAL_END

const maxKeySize = (key: Key): number => (key.startsWith(USER_END) ? SYSTEM_KEY_SIZE_LIMIT : KEY_SIZE_LIMIT)

/** No key is longer than the limit, so a longer end of a range means the same as its beginning. */
const cut = (key: Key): Key => (key.length > maxKeySize(key) ? key.slice(0, maxKeySize(key) + 1) : key)

function checkSizes(key: Key, value: Buffer): void {
  if (key.length > maxKeySize(key)) throw fdbError(code.keyTooLarge)
  if (value.length > VALUE_SIZE_LIMIT) throw fdbError(code.valueTooLarge)
}

/** What a caller does to its answer must not reach what is kept. */
const copy = (value: Buffer | undefined): Buffer | undefined => value && Buffer.from(value)

function outcome(
  rows: readonly Row[],
  { more, readToBegin, readThroughEnd }: Omit<RangeOutcome, 'first' | 'last'>,
): RangeOutcome {
  return { first: rows[0]?.key, last: rows.at(-1)?.key, more, readToBegin, readThroughEnd }
}

/** The same keys in as few ranges as possible. */
function joinedRanges(ranges: readonly Range[]): Range[] {
  const sorted = ranges.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  const joined: [Key, Key][] = []
  for (const [begin, end] of sorted) {
    const last = joined.at(-1)
    if (last && begin <= last[1]) {
      if (end > last[1]) last[1] = end
    } else joined.push([begin, end])
  }
  return joined
}
