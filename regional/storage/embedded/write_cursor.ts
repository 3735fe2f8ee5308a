// A write map's entries, and walking its segments: one key with operations, or the range behind it.
import { DATABASE_END, FIRST_KEY, type Key, keyAfter } from './key.ts'
import { isDependent, type Operation } from './operation_stack.ts'
import type { OrderedMap } from './ordered_map.ts'

/** One key (if it has operations) and the range behind it up to the next entry. */
export interface Entry {
  operations: Operation[]
  keyConflicts: boolean
  keyUnreadable: boolean
  cleared: boolean
  conflicts: boolean
  unreadable: boolean
}

export const untouched = (): Entry => ({
  operations: [],
  keyConflicts: false,
  keyUnreadable: false,
  cleared: false,
  conflicts: false,
  unreadable: false,
})

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
