// What a transaction reads: over its own writes or not, noting what it now knows and over what it conflicts.
import type { Attempt } from './attempt.ts'
import {
  backwardConflict,
  forwardConflict,
  joinedRanges,
  keyConflict,
  plainConflict,
  type Range,
  type RangeOutcome,
  readFromDatabase,
} from './conflict_ranges.ts'
import { code, fdbError } from './errors.ts'
import { DATABASE_END, type Key, keyAfter, keyBytes, METADATA_VERSION, SPECIAL_END } from './key.ts'
import { cut, isSpecial, isTooLong } from './key_limits.ts'
import { absent, KnownRanges, type Row } from './known_ranges.ts'
import { REPLY_BYTE_LIMIT } from './limits.ts'
import { resolve } from './operation_stack.ts'
import type { RangeLimits } from './range_limits.ts'
import { readKey, readRange } from './range_read.ts'
import { View } from './segments.ts'
import { firstGreaterOrEqual, isFirstGreaterOrEqual, isInverted, type Selector } from './selector.ts'
import { type Pair, readSnapshotRange, resolveSelector, type Snapshot, toRow } from './snapshot_range.ts'
import { WriteMap } from './write_map.ts'
import type { Writes } from './writes.ts'

export interface KeyValues {
  results: Pair[]
  more: boolean
}

const RANGE_BYTES = 24
const NO_WRITES = new WriteMap()

export class Reads {
  readonly #attempt: Attempt
  readonly #options: Attempt['options']
  readonly #writes: Writes
  readonly #known: KnownRanges
  /** The snapshot, taken only when something is read of it: own writes alone need no read version. */
  readonly #lazySnapshot: Snapshot
  #ranges: Range[] = []
  #hasRead = false
  /** A failed read fails the commit. */
  #error: unknown
  /** Rough bytes of the conflict ranges so far. */
  bytes = 0

  constructor(attempt: Attempt, writes: Writes) {
    this.#attempt = attempt
    this.#options = attempt.options
    this.#writes = writes
    this.#known = new KnownRanges((begin, end) => this.#rows(begin, end))
    this.#lazySnapshot = {
      get: (key) => attempt.snapshot.get(key),
      pairs: (...range) => attempt.snapshot.pairs(...range),
    }
  }

  /** Nothing was read, and nothing is known. */
  get isUntouched(): boolean {
    return !this.#hasRead && this.#known.empty
  }

  /** The ranges to check at commit, each key once. Throws the error of a read that failed. */
  take(): Range[] {
    if (this.#error !== undefined) throw this.#error
    const ranges = joinedRanges(this.#ranges)
    this.#ranges = []
    return ranges
  }

  get(key: Key, bytes: Buffer | undefined, isSnapshot: boolean): Buffer | undefined {
    if (isSpecial(key)) throw fdbError(code.specialKeysNoModule)
    this.#attempt.checkNotCommitting()
    this.#attempt.checkAlive()
    if (key >= this.#attempt.readEnd && key !== METADATA_VERSION) throw fdbError(code.keyOutsideLegalRange)
    if (isTooLong(key)) return undefined
    return this.#reading(() => this.#get(key, bytes, isSnapshot))
  }

  #get(key: Key, bytes: Buffer | undefined, isSnapshot: boolean): Buffer | undefined {
    if (this.#options.readYourWritesDisabled) {
      if (!isSnapshot) this.#ranges.push([key, keyAfter(key)])
      return copy(this.#attempt.snapshot.getBytes(key, bytes))
    }
    if (this.#writes.map.empty || this.#ignoresWrites(isSnapshot)) {
      const value = this.#known.value(key) ?? this.#readKnown(key, bytes)
      if (!isSnapshot) this.#ranges.push([key, keyAfter(key)])
      return value === absent ? undefined : copy(value)
    }
    const at = this.#writes.map.cursor()
    at.seek(key)
    if (at.unreadable && !this.#options.bypassUnreadable) throw fdbError(code.accessedUnreadable)
    let value: Buffer | undefined
    if (at.isUnmodified || at.isDependent) {
      const below = this.#known.value(key) ?? this.#readKnown(key, bytes)
      if (below !== absent) value = below
    }
    if (at.isOperation) value = resolve(at.operations, value)
    if (!isSnapshot && at.readsDatabase) this.#ranges.push([key, keyAfter(key)])
    return copy(value)
  }

  /** Reads a key of the snapshot, once: from now on it is known. */
  #readKnown(key: Key, bytes: Buffer | undefined): Buffer | typeof absent {
    const value = this.#attempt.snapshot.getBytes(key, bytes)
    this.#known.addKey(key, value)
    return value ?? absent
  }

  /** Throws if `key` can't be watched. */
  checkWatchable(key: Key): void {
    if (this.#options.readYourWritesDisabled) throw fdbError(code.watchesDisabled)
    if (key >= DATABASE_END || (key >= this.#attempt.readEnd && key !== METADATA_VERSION))
      throw fdbError(code.keyOutsideLegalRange)
    if (isTooLong(key)) throw fdbError(code.keyTooLarge)
  }

  getKey(selector: Selector, rawKey: Key, isSnapshot: boolean): Key {
    this.#attempt.checkNotCommitting()
    this.#attempt.checkAlive()
    if (rawKey > this.#attempt.readEnd) throw fdbError(code.keyOutsideLegalRange)
    return this.#reading(() => {
      if (this.#options.readYourWritesDisabled) return this.#getKeyThrough(selector, isSnapshot)
      const view = this.#view(isSnapshot)
      const key = readKey(view, this.#lazySnapshot, selector)
      if (!isSnapshot) this.#conflict(keyConflict(selector, key))
      return key
    })
  }

  #getKeyThrough(selector: Selector, isSnapshot: boolean): Key {
    const { key } = resolveSelector(this.#attempt.snapshot, selector)
    if (!isSnapshot) {
      const [begin, end] = keyConflict(selector, key)
      if (begin < end) this.#ranges.push([begin, end])
    }
    return key > this.#attempt.readEnd ? this.#attempt.readEnd : key
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
    this.#attempt.checkNotCommitting()
    this.#attempt.checkAlive()
    if (rawBegin > this.#attempt.readEnd || rawEnd > this.#attempt.readEnd)
      throw fdbError(code.keyOutsideLegalRange)
    if (!limits.isValid) throw fdbError(code.rangeLimitsInvalid)
    if (isInverted(begin, end)) return { results: [], more: false }
    return this.#reading(() => {
      if (this.#options.readYourWritesDisabled)
        return this.#getRangeThrough(begin, end, limits, isSnapshot, reverse)
      if (
        isFirstGreaterOrEqual(begin) &&
        isFirstGreaterOrEqual(end) &&
        (this.#writes.map.empty || this.#ignoresWrites(isSnapshot))
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
    const { pairs, more } = this.#attempt.snapshot.pairs(from, to, rows, bytes, reverse)
    // It has run into what is known already.
    if (!more && (from !== begin || to !== end)) return undefined
    const last = pairs.at(-1)?.[0].toString('latin1')
    if (more && last !== undefined) {
      if (reverse) from = last
      else to = keyAfter(last)
    }
    this.#known.add(from, to)
    if (!isSnapshot) this.#ranges.push([from, to])
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
    const answer = readSnapshotRange(this.#attempt.snapshot, begin, to, limits, reverse)
    if (!isSnapshot) {
      const [from, until] = plainConflict(begin, to, outcome(answer.rows, answer), reverse)
      if (from < until) this.#ranges.push([from, until])
    }
    const visible = answer.rows.filter(({ key }) => key < this.#attempt.readEnd)
    return {
      results: visible.map(({ key, value }) => [keyBytes(key), value]),
      more: visible.length === answer.rows.length && answer.more,
    }
  }

  #view(isSnapshot: boolean): View {
    const writes = this.#ignoresWrites(isSnapshot) ? NO_WRITES : this.#writes.map
    return new View(this.#known, writes, this.#attempt.readEnd, this.#options.bypassUnreadable)
  }

  #ignoresWrites(isSnapshot: boolean): boolean {
    return isSnapshot && this.#options.snapshotSeesWrites <= 0
  }

  #conflict([begin, end]: Range): void {
    readFromDatabase(this.#writes.map, begin, end, (range) => this.#add(range))
  }

  #reading<T>(read: () => T): T {
    this.#hasRead = true
    try {
      return read()
    } catch (error) {
      this.#error ??= error
      throw error
    }
  }

  #rows(begin: Key, end: Key): Row[] {
    const { pairs } = this.#attempt.snapshot.pairs(
      begin,
      end > DATABASE_END ? DATABASE_END : end,
      Number.MAX_SAFE_INTEGER,
      Number.MAX_SAFE_INTEGER,
      false,
    )
    return pairs.map(toRow)
  }

  addConflictRange(begin: Key, end: Key): void {
    this.#attempt.checkNotCommitting()
    if (
      (begin > this.#attempt.readEnd || end > this.#attempt.readEnd) &&
      (begin !== METADATA_VERSION || end !== keyAfter(METADATA_VERSION))
    )
      throw fdbError(code.keyOutsideLegalRange)
    const [from, to] = [cut(begin), cut(end)]
    if (from >= to) return
    if (this.#options.readYourWritesDisabled) this.#add([from, to])
    else this.#conflict([from, to])
  }

  #add(range: Range): void {
    this.bytes += RANGE_BYTES + range[0].length + range[1].length
    this.#ranges.push(range)
  }
}

/** What a caller does to its answer must not reach what is kept. */
const copy = (value: Buffer | undefined): Buffer | undefined => value && Buffer.from(value)

function outcome(
  rows: readonly Row[],
  { more, readToBegin, readThroughEnd }: Omit<RangeOutcome, 'first' | 'last'>,
): RangeOutcome {
  return { first: rows[0]?.key, last: rows.at(-1)?.key, more, readToBegin, readThroughEnd }
}
