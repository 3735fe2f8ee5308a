// What a transaction hands over to be committed, and how its mutations become plain effects: operations are
// applied to the newest values, stamps are filled in. The result is what gets stored, byte for byte.
import { applyAtomicOp, Op } from './atomic_ops.ts'
import type { Range } from './conflict_ranges.ts'
import { type Key, keyAfter, keyBytes } from './key.ts'
import { Change, type Effect } from './mutation_codec.ts'
import type { Operation } from './operation_stack.ts'
import { stampBytes, stamped } from './versionstamp.ts'
import type { MutationSink } from './write_map.ts'

export type Mutation = { clear: Range } | { key: Key; operation: Operation }

/** Bytes that a mutation and a range count beside their keys and values. */
const MUTATION_BYTES = 28
const RANGE_BYTES = 24

export class CommitRequest implements MutationSink {
  readonly mutations: Mutation[] = []
  readonly reads: Range[] = []
  readonly writes: Range[] = []
  readonly writtenKeys: Key[] = []
  /** Some mutation needs the value below it. */
  hasAtomicOps = false
  #bytes = 0

  get isReadOnly(): boolean {
    return this.mutations.length === 0 && this.writes.length === 0 && this.writtenKeys.length === 0
  }

  /** What counts against the size limit. */
  get bytes(): number {
    return this.#bytes
  }

  clearRange(begin: Key, end: Key): void {
    this.#bytes += MUTATION_BYTES + begin.length + end.length
    this.mutations.push({ clear: [begin, end] })
  }

  operation(key: Key, operation: Operation): void {
    this.#bytes += MUTATION_BYTES + key.length + (operation.value?.length ?? 0)
    if (operation.op !== Op.Set) this.hasAtomicOps = true
    this.mutations.push({ key, operation })
  }

  writeConflict(begin: Key, end: Key): void {
    this.#bytes += RANGE_BYTES + begin.length + end.length
    this.writes.push([begin, end])
  }

  writeConflictKey(key: Key): void {
    this.#bytes += RANGE_BYTES + 2 * key.length + 1
    this.writtenKeys.push(key)
  }

  readConflict([begin, end]: Range): void {
    this.#bytes += RANGE_BYTES + begin.length + end.length
    this.reads.push([begin, end])
  }
}

const NO_STAMP = Buffer.alloc(0)

/** Turns mutations into effects in their order. `latest` reads the newest value below them. */
export class Effects {
  readonly list: Effect[] = []
  /** Keys with the stamp in them, which are known only now. */
  readonly stampedKeys: Key[] = []
  /** This commit's own newest values, for operations on keys it has written; kept if there are any. */
  readonly #keepsOwn: boolean
  readonly #own = new Map<Key, Buffer | undefined>()
  readonly #cleared: Range[] = []
  readonly #latest: (key: Key) => Buffer | undefined

  constructor(request: CommitRequest, version: number, latest: (key: Key) => Buffer | undefined) {
    this.#latest = latest
    this.#keepsOwn = request.hasAtomicOps
    const stamp = request.hasAtomicOps ? stampBytes(version) : NO_STAMP
    for (const mutation of request.mutations) {
      if ('clear' in mutation) this.#clear(mutation.clear)
      else this.#operate(mutation.key, mutation.operation, stamp)
    }
  }

  #clear([begin, end]: Range): void {
    if (end === keyAfter(begin)) {
      this.#put(begin, undefined)
      return
    }
    for (const key of this.#own.keys()) if (key >= begin && key < end) this.#own.delete(key)
    if (this.#keepsOwn) this.#cleared.push([begin, end])
    this.list.push({ kind: Change.ClearRange, begin, end })
  }

  #operate(key: Key, { op, value }: Operation, stamp: Buffer): void {
    if (value === undefined || op === Op.Set) this.#put(key, value)
    else if (op === Op.VersionstampedKey) {
      const final = stamped(keyBytes(key), stamp).toString('latin1')
      this.stampedKeys.push(final)
      this.#put(final, value)
    } else if (op === Op.VersionstampedValue) this.#put(key, stamped(value, stamp))
    else this.#put(key, applyAtomicOp(op, this.#current(key), value))
  }

  #put(key: Key, value: Buffer | undefined): void {
    if (this.#keepsOwn) this.#own.set(key, value)
    this.list.push(value === undefined ? { kind: Change.Clear, key } : { kind: Change.Set, key, value })
  }

  #current(key: Key): Buffer | undefined {
    if (this.#own.has(key)) return this.#own.get(key)
    if (this.#cleared.some(([begin, end]) => key >= begin && key < end)) return undefined
    return this.#latest(key)
  }
}
