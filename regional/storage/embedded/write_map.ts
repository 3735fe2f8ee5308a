// What a transaction has written so far, as a map of the whole key space: single keys with operations, and
// between them ranges that are untouched or cleared, each with a write conflict or not, readable or not.
// It follows FoundationDB's WriteMap: operations on a known value are folded at once, others are stacked.
import { applyAtomicOp, isAtomicOp, joinNeedsEqualLength, Op } from './atomic_ops.ts'
import { code, fdbError } from './errors.ts'
import { DATABASE_END, FIRST_KEY, type Key, keyAfter } from './key.ts'
import { OrderedMap } from './ordered_map.ts'

/** `value` undefined with Op.Set: the key is known to be absent. */
export interface Operation {
  op: Op
  value: Buffer | undefined
}

/** One key (if it has operations) and the range behind it up to the next entry. */
interface Entry {
  operations: Operation[]
  keyConflicts: boolean
  keyUnreadable: boolean
  cleared: boolean
  conflicts: boolean
  unreadable: boolean
}

const untouched = (): Entry => ({
  operations: [],
  keyConflicts: false,
  keyUnreadable: false,
  cleared: false,
  conflicts: false,
  unreadable: false,
})

/** Receives the writes in the order in which a commit applies them. */
export interface MutationSink {
  clearRange(begin: Key, end: Key): void
  operation(key: Key, operation: Operation): void
  writeConflict(begin: Key, end: Key): void
  /** A write conflict on one key. */
  writeConflictKey(key: Key): void
}

export class WriteMap {
  readonly #entries = new OrderedMap<Entry>()
  #empty = true
  /** Something was cleared. */
  #clears = false

  constructor() {
    for (const key of [FIRST_KEY, DATABASE_END, keyAfter(DATABASE_END)]) this.#entries.set(key, untouched())
  }

  /** True until the first write or write conflict range. */
  get empty(): boolean {
    return this.#empty
  }

  cursor(): WriteCursor {
    return new WriteCursor(this.#entries)
  }

  mutate(key: Key, op: Op, value: Buffer, conflict: boolean): void {
    this.#empty = false
    const at = { chunk: 0, index: 0 }
    this.#entries.seekFloor(at, key)
    const floor = this.#entries.valueAt(at)
    const stamps = op === Op.VersionstampedKey || op === Op.VersionstampedValue
    const independent = op === Op.Set || stamps
    const absent: Operation = { op: Op.Set, value: undefined }
    if (this.#entries.keyAt(at) !== key) {
      const operation = { op, value }
      this.#entries.set(key, {
        operations: [floor.cleared && !independent ? joined(absent, operation) : operation],
        keyConflicts: conflict || floor.conflicts,
        keyUnreadable: floor.unreadable || stamps,
        cleared: floor.cleared,
        conflicts: floor.conflicts,
        unreadable: floor.unreadable,
      })
      return
    }
    const had = floor.operations.length > 0
    const wasUnreadable = had ? floor.keyUnreadable : floor.unreadable
    floor.keyConflicts = conflict || (had ? floor.keyConflicts : floor.conflicts)
    floor.keyUnreadable = wasUnreadable || stamps
    if (!wasUnreadable && (op === Op.Set || op === Op.VersionstampedValue)) floor.operations = [{ op, value }]
    else if (!had && floor.cleared && !independent) floor.operations = [joined(absent, { op, value })]
    else if (!floor.keyUnreadable && had) push(floor.operations, { op, value })
    else floor.operations.push({ op, value })
  }

  clear(begin: Key, end: Key, conflict: boolean): void {
    this.#empty = false
    this.#clears = true
    if (conflict) {
      this.#replace(begin, end, { ...untouched(), cleared: true, conflicts: true })
      return
    }
    this.#splitAt(begin)
    this.#splitAt(end)
    for (const [key, entry] of this.#within(begin, end)) {
      // A key that conflicts by itself stays a conflict of that one key.
      const after = keyAfter(key)
      if (entry.operations.length > 0 && entry.keyConflicts !== entry.conflicts) {
        if (after < end && this.#entries.get(after) === undefined)
          this.#entries.set(after, { ...untouched(), cleared: true, conflicts: entry.conflicts })
        entry.conflicts = entry.keyConflicts
      }
      entry.operations = []
      entry.cleared = true
      entry.unreadable = false
    }
  }

  addConflictRange(begin: Key, end: Key): void {
    this.#empty = false
    this.#splitAt(begin)
    this.#splitAt(end)
    for (const [, entry] of this.#within(begin, end)) {
      entry.keyConflicts = true
      entry.conflicts = true
    }
  }

  /** The keys that a versionstamped key may become can't be read; what was written there before is forgotten here. */
  makeUnreadable(begin: Key, end: Key): void {
    this.#replace(begin, end, { ...untouched(), unreadable: true })
  }

  /** Hands over what lies in [begin, end): first all cleared ranges, then operations and conflicts in key order. */
  flush(begin: Key, end: Key, sink: MutationSink): void {
    if (this.#clears) {
      const runs = new Runs(begin, (from, to) => sink.clearRange(from, to))
      this.#visit(begin, end, (key, entry, next) => {
        if (entry.operations.length > 0) runs.stopAt(key)
        runs.segment(entry.cleared, behind(key, entry), next)
      })
      runs.stopAt(end)
    }
    const runs = new Runs(begin, (from, to) => sink.writeConflict(from, to))
    this.#visit(begin, end, (key, entry, next) => {
      if (key >= begin)
        for (let i = 0; i < entry.operations.length; i++)
          sink.operation(key, entry.operations[i] as Operation)
      if (entry.operations.length > 0 && key >= begin) {
        // The usual case, a key by itself, costs no range.
        if (entry.keyConflicts && !entry.conflicts && !runs.isOpen) {
          sink.writeConflictKey(key)
          return
        }
        runs.segment(entry.keyConflicts, key, undefined)
      }
      runs.segment(entry.conflicts, behind(key, entry), next)
    })
    runs.stopAt(end)
  }

  /** The entries of [begin, end), and the one that `begin` lies behind; `next` is the key of the one after. */
  #visit(begin: Key, end: Key, each: (key: Key, entry: Entry, next: Key | undefined) => void): void {
    const at = { chunk: 0, index: 0 }
    this.#entries.seekFloor(at, begin)
    let more = true
    while (more) {
      const key = this.#entries.keyAt(at)
      if (key >= end) return
      const entry = this.#entries.valueAt(at)
      more = this.#entries.next(at)
      each(key, entry, more ? this.#entries.keyAt(at) : undefined)
    }
  }

  #replace(begin: Key, end: Key, entry: Entry): void {
    this.#splitAt(end)
    this.#splitAt(begin)
    this.#entries.deleteRange(begin, end)
    this.#entries.set(begin, entry)
  }

  /** Makes `key` the beginning of a range without changing what holds for any key. */
  #splitAt(key: Key): void {
    const at = { chunk: 0, index: 0 }
    this.#entries.seekFloor(at, key)
    if (this.#entries.keyAt(at) === key) return
    const { cleared, conflicts, unreadable } = this.#entries.valueAt(at)
    this.#entries.set(key, { ...untouched(), cleared, conflicts, unreadable })
  }

  #within(begin: Key, end: Key): [Key, Entry][] {
    const found: [Key, Entry][] = []
    this.#entries.scan(begin, end, (key, entry) => {
      found.push([key, entry])
      return true
    })
    return found
  }
}

/** Where the range behind an entry's key begins. */
const behind = (key: Key, entry: Entry): Key => (entry.operations.length > 0 ? keyAfter(key) : key)

/** Joins neighbouring segments of which something holds into one range each. */
class Runs {
  readonly #begin: Key
  readonly #emit: (from: Key, to: Key) => void
  #from: Key | undefined

  constructor(begin: Key, emit: (from: Key, to: Key) => void) {
    this.#begin = begin
    this.#emit = emit
  }

  get isOpen(): boolean {
    return this.#from !== undefined
  }

  /** The segment from `from` on; an empty one (`from` is `next`) says nothing. */
  segment(holds: boolean, from: Key, next: Key | undefined): void {
    if (from === next) return
    if (!holds) this.stopAt(from)
    else this.#from ??= from > this.#begin ? from : this.#begin
  }

  stopAt(key: Key): void {
    if (this.#from === undefined) return
    this.#emit(this.#from, key)
    this.#from = undefined
  }
}

/** Walks the segments of a write map: one key with operations, or a range. Every key lies in exactly one segment. */
export class WriteCursor {
  readonly #entries: OrderedMap<Entry>
  readonly #at = { chunk: 0, index: 0 }
  readonly #ahead = { chunk: 0, index: 0 }
  #entry: Entry = untouched()
  /** On the range behind the entry's key rather than on the key. */
  #behind = true
  begin: Key = FIRST_KEY
  end: Key = FIRST_KEY

  constructor(entries: OrderedMap<Entry>) {
    this.#entries = entries
  }

  /** Moves to the segment that holds `key`. */
  seek(key: Key): void {
    this.#entries.seekFloor(this.#at, key)
    this.#entry = this.#entries.valueAt(this.#at)
    this.#behind = this.#entry.operations.length === 0 || this.#entries.keyAt(this.#at) !== key
    this.#measure()
  }

  next(): void {
    const key = this.#entries.keyAt(this.#at)
    if (!this.#behind && this.#nextKey() !== keyAfter(key)) this.#behind = true
    else {
      this.#entries.next(this.#at)
      this.#entry = this.#entries.valueAt(this.#at)
      this.#behind = this.#entry.operations.length === 0
    }
    this.#measure()
  }

  previous(): void {
    if (this.#behind && this.#entry.operations.length > 0) this.#behind = false
    else {
      this.#entries.previous(this.#at)
      this.#entry = this.#entries.valueAt(this.#at)
      this.#behind =
        this.#entry.operations.length === 0 || this.#nextKey() !== keyAfter(this.#entries.keyAt(this.#at))
    }
    this.#measure()
  }

  copyFrom(other: WriteCursor): void {
    this.#at.chunk = other.#at.chunk
    this.#at.index = other.#at.index
    this.#entry = other.#entry
    this.#behind = other.#behind
    this.begin = other.begin
    this.end = other.end
  }

  sameAs(other: WriteCursor): boolean {
    return this.#entry === other.#entry && this.#behind === other.#behind
  }

  get operations(): readonly Operation[] {
    return this.#behind ? [] : this.#entry.operations
  }

  get isOperation(): boolean {
    return !this.#behind
  }

  get isUnmodified(): boolean {
    return this.#behind && !this.#entry.cleared
  }

  get cleared(): boolean {
    return this.#behind && this.#entry.cleared
  }

  get conflicts(): boolean {
    return this.#behind ? this.#entry.conflicts : this.#entry.keyConflicts
  }

  get unreadable(): boolean {
    return this.#behind ? this.#entry.unreadable : this.#entry.keyUnreadable
  }

  /** The operations here need the value below them. */
  get isDependent(): boolean {
    return !this.#behind && isDependent(this.#entry.operations)
  }

  /** A serialisable read of this segment has read the database, and so can conflict. */
  get readsDatabase(): boolean {
    return this.isUnmodified || (this.isDependent && !this.#entry.cleared)
  }

  #nextKey(): Key | undefined {
    this.#ahead.chunk = this.#at.chunk
    this.#ahead.index = this.#at.index
    return this.#entries.next(this.#ahead) ? this.#entries.keyAt(this.#ahead) : undefined
  }

  #measure(): void {
    const key = this.#entries.keyAt(this.#at)
    this.begin = this.#behind && this.#entry.operations.length > 0 ? keyAfter(key) : key
    this.end = this.#behind ? (this.#nextKey() ?? keyAfter(keyAfter(DATABASE_END))) : keyAfter(key)
  }
}

function isDependent(operations: readonly Operation[]): boolean {
  const lowest = operations[0]?.op
  return (
    lowest !== undefined &&
    lowest !== Op.Set &&
    lowest !== Op.VersionstampedValue &&
    lowest !== Op.VersionstampedKey
  )
}

/** `operations` applied to the value below them; undefined: the key is absent. */
export function resolve(operations: readonly Operation[], below: Buffer | undefined): Buffer | undefined {
  const [only] = operations
  if (only && operations.length === 1 && !isDependent(operations)) return only.value
  let current: Operation = { op: Op.Set, value: below }
  for (const operation of operations) current = joined(current, operation)
  return current.value
}

/** Puts `next` over the stack, as one operation with the topmost if both together are one of the same kind. */
function push(operations: Operation[], next: Operation): void {
  const top = operations.at(-1)
  if (top === undefined) throw new Error('an empty stack has no top')
  const sameKind = top.op === next.op && next.op !== Op.CompareAndClear
  const stacks = sameKind
    ? joinNeedsEqualLength(top.op) && top.value !== undefined && top.value.length !== next.value?.length
    : isAtomicOp(next.op) && isAtomicOp(top.op)
  if (stacks) operations.push(next)
  else operations[operations.length - 1] = joined(top, next)
}

/** One operation that does what `first` and then `next` do. */
function joined(first: Operation, next: Operation): Operation {
  if (next.op === Op.Set || next.op === Op.VersionstampedValue) return next
  if (next.value === undefined) throw new Error('an atomic operation has an operand')
  if (first.op === Op.Set) return { op: Op.Set, value: applyAtomicOp(next.op, first.value, next.value) }
  if (first.op !== next.op) throw fdbError(code.clientInvalidOperation)
  return { op: first.op, value: applyAtomicOp(next.op, first.value, next.value) }
}
