// What a transaction writes: checked, kept in its write map, or handed straight to the commit where it does not
// want to read its own writes.

import { isAtomicOp, modernOp, Op } from './atomic_ops.ts'
import type { Attempt } from './attempt.ts'
import { CommitRequest } from './commit_request.ts'
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
import { checkSizes, cut, isSpecial, isTooLong } from './key_limits.ts'
import { stampBytes, stampedKeyRange, stampOffset } from './versionstamp.ts'
import { sameValue, type Watch } from './watches.ts'
import { WriteMap } from './write_map.ts'

/** The key of a metadata-version write is fixed, and so is its operand: a stamp at 0 and nothing else. */
const METADATA_OPERAND_BYTES = 14
const MUTATION_BYTES = 28
const RANGE_BYTES = 24

export class Writes {
  readonly map = new WriteMap()
  readonly request = new CommitRequest()
  /** Set by this transaction, which has not committed yet. */
  readonly watches: Watch[] = []
  readonly #attempt: Attempt
  readonly #options: Attempt['options']
  /** Rough bytes of the commit so far. */
  bytes = 0

  constructor(attempt: Attempt) {
    this.#attempt = attempt
    this.#options = attempt.options
  }

  get #end(): Key {
    return this.#options.writeSystemKeys ? DATABASE_END : USER_END
  }

  set(key: Key, value: Buffer): void {
    if (key === METADATA_VERSION) throw fdbError(code.clientInvalidOperation)
    if (isSpecial(key)) throw fdbError(code.specialKeysWriteDisabled)
    const conflict = this.#options.takeWriteConflict()
    this.#attempt.checkNotCommitting()
    if (key >= this.#end) throw fdbError(code.keyOutsideLegalRange)
    checkSizes(key, value)
    this.#grow(key.length + value.length, conflict ? 2 * key.length + 1 : undefined)
    if (this.#options.readYourWritesDisabled) {
      this.request.operation(key, { op: Op.Set, value })
      if (conflict) this.request.writeConflict(key, keyAfter(key))
      return
    }
    this.map.mutate(key, Op.Set, value, conflict)
    if (this.watches.length > 0) this.#wrote(key, keyAfter(key), (watch) => sameValue(watch.value, value))
  }

  atomicOp(type: number, key: Key, operand: Buffer): void {
    let conflict = this.#options.takeWriteConflict()
    this.#attempt.checkNotCommitting()
    if (key === METADATA_VERSION) {
      if (
        type !== Op.VersionstampedValue ||
        operand.length !== METADATA_OPERAND_BYTES ||
        operand.some((byte) => byte !== 0)
      )
        throw fdbError(code.clientInvalidOperation)
    } else if (key >= this.#end) throw fdbError(code.keyOutsideLegalRange)
    if (!isAtomicOp(type)) throw fdbError(code.invalidMutationType)
    checkSizes(key, operand)
    const op = modernOp(type)
    let place = key
    if (op === Op.VersionstampedKey) {
      const bytes = keyBytes(key)
      const offset = stampOffset(bytes)
      if (offset === undefined) throw fdbError(code.clientInvalidOperation)
      conflict = false
      const firstVersion = this.#attempt.knownReadVersion ?? 0
      if (!this.#options.readYourWritesDisabled) {
        const [begin, end] = stampedKeyRange(bytes, offset, firstVersion, this.#attempt.readEnd)
        if (begin < end) {
          this.map.flush(begin, end, this.request)
          this.map.makeUnreadable(begin, end)
        }
      }
      // Until the commit it stands where the first possible stamp would put it.
      stampBytes(firstVersion).copy(bytes, offset)
      place = bytes.toString('latin1')
    }
    if (op === Op.VersionstampedValue && stampOffset(operand) === undefined)
      throw fdbError(code.clientInvalidOperation)
    this.#grow(key.length + operand.length, conflict ? 2 * key.length + 1 : undefined)
    if (this.#options.readYourWritesDisabled) {
      this.request.operation(place, { op, value: operand })
      if (conflict) this.request.writeConflict(place, keyAfter(place))
      return
    }
    this.map.mutate(place, op, operand, conflict)
    if (this.watches.length > 0) this.#wrote(place, keyAfter(place), () => false)
  }

  clear(key: Key): void {
    const conflict = this.#options.takeWriteConflict()
    this.#attempt.checkNotCommitting()
    if (isSpecial(key)) throw fdbError(code.specialKeysWriteDisabled)
    if (key >= this.#end) throw fdbError(code.keyOutsideLegalRange)
    if (isTooLong(key)) return
    this.#clearRange(key, keyAfter(key), conflict)
  }

  clearRange(begin: Key, end: Key): void {
    if (begin > end) throw fdbError(code.invertedRange)
    const conflict = this.#options.takeWriteConflict()
    this.#attempt.checkNotCommitting()
    if (begin >= DATABASE_END && end <= SPECIAL_END) throw fdbError(code.specialKeysWriteDisabled)
    if (begin > this.#end || end > this.#end) throw fdbError(code.keyOutsideLegalRange)
    this.#clearRange(cut(begin), cut(end), conflict)
  }

  #clearRange(begin: Key, end: Key, conflict: boolean): void {
    const bytes = begin.length + end.length
    this.#grow(bytes, conflict ? bytes : undefined)
    if (begin >= end) return
    if (this.#options.readYourWritesDisabled) {
      this.request.clearRange(begin, end)
      if (conflict) this.request.writeConflict(begin, end)
      return
    }
    this.map.clear(begin, end, conflict)
    if (this.watches.length > 0) this.#wrote(begin, end, (watch) => watch.value === undefined)
  }

  addConflictRange(begin: Key, end: Key): void {
    this.#attempt.checkNotCommitting()
    if (begin > this.#end || end > this.#end) throw fdbError(code.keyOutsideLegalRange)
    const [from, to] = [cut(begin), cut(end)]
    if (from >= to) return
    this.bytes += RANGE_BYTES + from.length + to.length
    if (this.#options.readYourWritesDisabled) this.request.writeConflict(from, to)
    else this.map.addConflictRange(from, to)
  }

  /** An own write over a watched key fires the watch, unless it is known to leave the value as it is. */
  #wrote(begin: Key, end: Key, unchanged: (watch: Watch) => boolean): void {
    for (const watch of this.watches)
      if (watch.isOpen && watch.key >= begin && watch.key < end && !unchanged(watch)) watch.fire()
  }

  #grow(mutationBytes: number, conflictBytes: number | undefined): void {
    this.bytes += MUTATION_BYTES + mutationBytes
    if (conflictBytes !== undefined) this.bytes += RANGE_BYTES + conflictBytes
  }

  /** Everything, in the order in which it is to be applied. */
  take(): CommitRequest {
    if (!this.#options.readYourWritesDisabled) this.map.flush(FIRST_KEY, DATABASE_END, this.request)
    return this.request
  }
}
