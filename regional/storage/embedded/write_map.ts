// What a transaction has written so far, as a map of the whole key space: single keys with operations, and
// between them ranges that are untouched or cleared, each with a write conflict or not, readable or not.
// It follows FoundationDB's WriteMap: operations on a known value are folded at once, others are stacked.
import { Op } from './atomic_ops.ts'
import { DATABASE_END, FIRST_KEY, type Key, keyAfter } from './key.ts'
import { joined, type Operation, stack } from './operation_stack.ts'
import { OrderedMap } from './ordered_map.ts'
import { type Entry, untouched, WriteCursor } from './write_cursor.ts'

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
    else if (!floor.keyUnreadable && had) stack(floor.operations, { op, value })
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
