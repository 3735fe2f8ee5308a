// The database as a transaction sees it: what it knows of its snapshot under what it has written, walked in
// segments. Reading forward or back, a segment is a row, an empty range, or unknown and must be read first.
import { code, fdbError } from './errors.ts'
import type { Key } from './key.ts'
import type { KnownCursor, KnownRanges, Row } from './known_ranges.ts'
import { resolve } from './operation_stack.ts'
import type { WriteCursor } from './write_cursor.ts'
import type { WriteMap } from './write_map.ts'

export class SegmentCursor {
  readonly #known: KnownCursor
  readonly #writes: WriteCursor
  readonly #bypassUnreadable: boolean

  constructor(known: KnownCursor, writes: WriteCursor, bypassUnreadable: boolean) {
    this.#known = known
    this.#writes = writes
    this.#bypassUnreadable = bypassUnreadable
  }

  get begin(): Key {
    return this.#known.begin > this.#writes.begin ? this.#known.begin : this.#writes.begin
  }

  get end(): Key {
    return this.#known.end < this.#writes.end ? this.#known.end : this.#writes.end
  }

  seek(key: Key): void {
    this.#known.seek(key)
    this.#writes.seek(key)
  }

  next(): void {
    const known = this.#known.end
    const writes = this.#writes.end
    if (known <= writes) this.#known.next()
    if (writes <= known) this.#writes.next()
  }

  previous(): void {
    const known = this.#known.begin
    const writes = this.#writes.begin
    if (known >= writes) this.#known.previous()
    if (writes >= known) this.#writes.previous()
  }

  copy(into: SegmentCursor): void {
    into.#known.copyFrom(this.#known)
    into.#writes.copyFrom(this.#writes)
  }

  isAt(other: SegmentCursor): boolean {
    return this.#known.sameAs(other.#known) && this.#writes.sameAs(other.#writes)
  }

  get isUnreadable(): boolean {
    return this.#writes.unreadable && !this.#bypassUnreadable
  }

  get isRow(): boolean {
    return this.#kind() === 'row'
  }

  get isEmpty(): boolean {
    return this.#kind() === 'empty'
  }

  get isUnknown(): boolean {
    return this.#kind() === 'unknown'
  }

  /** Readable, and must be read from the snapshot. */
  get isReadableUnknown(): boolean {
    return !this.isUnreadable && this.isUnknown
  }

  /** Readable, and known without reading the snapshot. */
  get isKnown(): boolean {
    return !this.isUnreadable && !this.isUnknown
  }

  /** The row here, or undefined if its operations leave no value (compare and clear). */
  get row(): Row | undefined {
    if (this.isUnreadable) throw fdbError(code.accessedUnreadable)
    if (!this.#writes.isOperation) return this.#known.row
    const below = this.#known.kind === 'row' && this.#writes.isDependent ? this.#known.row.value : undefined
    const value = resolve(this.#writes.operations, below)
    return value === undefined ? undefined : { key: this.#writes.begin, value }
  }

  #kind(): 'row' | 'empty' | 'unknown' {
    if (this.isUnreadable) throw fdbError(code.accessedUnreadable)
    if (this.#writes.isUnmodified) return this.#known.kind
    if (this.#writes.cleared) return 'empty'
    return this.#writes.isDependent && this.#known.kind === 'unknown' ? 'unknown' : 'row'
  }
}

/** Makes cursors over one view: with the transaction's writes, or an empty map where it is to see none. */
export class View {
  readonly known: KnownRanges
  readonly writes: WriteMap
  /** The first key that a read does not reach. */
  readonly end: Key
  readonly #bypassUnreadable: boolean

  constructor(known: KnownRanges, writes: WriteMap, end: Key, bypassUnreadable: boolean) {
    this.known = known
    this.writes = writes
    this.end = end
    this.#bypassUnreadable = bypassUnreadable
  }

  cursor(): SegmentCursor {
    return new SegmentCursor(this.known.cursor(), this.writes.cursor(), this.#bypassUnreadable)
  }
}
