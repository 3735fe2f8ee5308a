// Which parts of its snapshot a transaction has read already (FoundationDB's SnapshotCache). It decides how
// far a selector can be resolved without another read, and so what a range read returns in one answer and
// over what it conflicts. Rows of plain range reads are not kept: the snapshot can give them again.
import { DATABASE_END, FIRST_KEY, type Key, keyAfter } from './key.ts'
import { OrderedMap } from './ordered_map.ts'

export interface Row {
  key: Key
  value: Buffer
}

/** [the key it is stored under, end): every row in it is known. */
interface KnownRange {
  end: Key
  rows: readonly Row[] | undefined
}

/** A key known to have no value. */
export const absent = Symbol('absent')

export type RowSource = (begin: Key, end: Key) => readonly Row[]

export class KnownRanges {
  readonly #ranges = new OrderedMap<KnownRange>()
  readonly #read: RowSource

  /** `read` gives the snapshot's rows of a range that is known. */
  constructor(read: RowSource) {
    this.#read = read
    // Degenerate ranges at both ends leave no special case in the middle.
    this.#ranges.set(FIRST_KEY, { end: FIRST_KEY, rows: [] })
    this.#ranges.set(DATABASE_END, { end: keyAfter(DATABASE_END), rows: [] })
  }

  get empty(): boolean {
    let nothing = true
    this.#ranges.scan(FIRST_KEY, DATABASE_END, (begin, range) => {
      nothing = begin === range.end
      return nothing
    })
    return nothing
  }

  cursor(): KnownCursor {
    return new KnownCursor(this.#ranges, this.#read)
  }

  /** How far from `begin` on nothing is known, up to `end`; `begin` itself if it is known. */
  unknownUntil(begin: Key, end: Key): Key {
    const at = { chunk: 0, index: 0 }
    this.#ranges.seekFloor(at, begin)
    if (this.#ranges.valueAt(at).end > begin) return begin
    const next = this.#ranges.next(at) ? this.#ranges.keyAt(at) : end
    return next < end ? next : end
  }

  /** From where on up to `end` nothing is known, down to `begin`; `end` itself if what lies before it is known. */
  unknownFrom(begin: Key, end: Key): Key {
    const at = { chunk: 0, index: 0 }
    this.#ranges.seekFloor(at, end)
    if (this.#ranges.keyAt(at) === end) this.#ranges.previous(at)
    const before = this.#ranges.valueAt(at).end
    return before > end ? end : before > begin ? before : begin
  }

  /** The value of a key that was read by itself: a value, `absent`, or undefined if it was not. */
  value(key: Key): Buffer | typeof absent | undefined {
    const range = this.#ranges.get(key)
    if (range?.rows === undefined || range.end !== keyAfter(key)) return undefined
    return range.rows[0]?.value ?? absent
  }

  addKey(key: Key, value: Buffer | undefined): void {
    const at = { chunk: 0, index: 0 }
    this.#ranges.seekFloor(at, key)
    if (this.#ranges.valueAt(at).end > key) return
    this.#ranges.set(key, { end: keyAfter(key), rows: value === undefined ? [] : [{ key, value }] })
  }

  /** Everything of [begin, end) is known now. `rows` are the range's rows if they are at hand. */
  add(begin: Key, end: Key, rows?: readonly Row[]): void {
    if (begin >= end) return
    const at = { chunk: 0, index: 0 }
    let from = begin
    this.#ranges.seekFloor(at, begin)
    if (this.#ranges.keyAt(at) !== begin && this.#ranges.valueAt(at).end > begin)
      from = this.#ranges.valueAt(at).end
    let to = end
    this.#ranges.seekFloor(at, end)
    if (this.#ranges.valueAt(at).end > end) to = this.#ranges.keyAt(at)
    if (from >= to) return
    const cut = rows === undefined || (from === begin && to === end) ? rows : rowsWithin(rows, from, to)
    this.#ranges.deleteRange(from, to)
    this.#ranges.set(from, { end: to, rows: cut })
  }
}

function rowsWithin(rows: readonly Row[], begin: Key, end: Key): readonly Row[] {
  return rows.filter(({ key }) => key >= begin && key < end)
}

/** The index of the first row whose key is at least `key`. */
function lowerBound(rows: readonly Row[], key: Key): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((rows[middle] as Row).key < key) low = middle + 1
    else high = middle
  }
  return low
}

export type KnownKind = 'unknown' | 'empty' | 'row'

/** Walks the key space in segments: unknown ranges, and known ones as rows and the gaps between them. */
export class KnownCursor {
  readonly #ranges: OrderedMap<KnownRange>
  readonly #read: RowSource
  readonly #at = { chunk: 0, index: 0 }
  /** 0: the unknown range before #at; odd: a gap; even: a row. */
  #segment = 0
  begin: Key = FIRST_KEY
  end: Key = FIRST_KEY

  constructor(ranges: OrderedMap<KnownRange>, read: RowSource) {
    this.#ranges = ranges
    this.#read = read
  }

  get kind(): KnownKind {
    return this.#segment === 0 ? 'unknown' : this.#segment % 2 === 1 ? 'empty' : 'row'
  }

  get row(): Row {
    return this.#rows()[(this.#segment - 2) >> 1] as Row
  }

  seek(key: Key): void {
    this.#ranges.seekFloor(this.#at, key)
    if (key >= this.#ranges.valueAt(this.#at).end) {
      this.#segment = 0
      this.#ranges.next(this.#at)
    } else {
      const rows = this.#rows()
      const index = lowerBound(rows, key)
      this.#segment = index * 2 + (rows[index]?.key === key ? 2 : 1)
    }
    this.#measure()
  }

  next(): void {
    const before = this.end
    do {
      this.#segment++
      if (this.#segment === this.#segments()) {
        this.#segment = 0
        this.#ranges.next(this.#at)
      }
      this.#measure()
    } while (this.end === before)
  }

  previous(): void {
    const before = this.begin
    do {
      this.#segment--
      if (this.#segment < 0) {
        this.#ranges.previous(this.#at)
        this.#segment = this.#segments() - 1
      }
      this.#measure()
    } while (this.begin === before)
  }

  copyFrom(other: KnownCursor): void {
    this.#at.chunk = other.#at.chunk
    this.#at.index = other.#at.index
    this.#segment = other.#segment
    this.begin = other.begin
    this.end = other.end
  }

  sameAs(other: KnownCursor): boolean {
    return (
      this.#at.chunk === other.#at.chunk &&
      this.#at.index === other.#at.index &&
      this.#segment === other.#segment
    )
  }

  #segments(): number {
    return 2 * (this.#rows().length + 1)
  }

  #rows(): readonly Row[] {
    const range = this.#ranges.valueAt(this.#at)
    range.rows ??= this.#read(this.#ranges.keyAt(this.#at), range.end)
    return range.rows
  }

  #measure(): void {
    const key = this.#ranges.keyAt(this.#at)
    if (this.#segment === 0) {
      const before = { ...this.#at }
      this.begin = this.#ranges.previous(before) ? this.#ranges.valueAt(before).end : FIRST_KEY
      this.end = key
      return
    }
    const rows = this.#rows()
    const rowKey = (index: number): Key => (rows[index] as Row).key
    const { end } = this.#ranges.valueAt(this.#at)
    if (this.#segment === 1) this.begin = key
    else if (this.#segment % 2 === 0) this.begin = rowKey((this.#segment - 2) >> 1)
    else this.begin = keyAfter(rowKey((this.#segment - 2) >> 1))
    if (this.#segment === this.#segments() - 1) this.end = end
    else {
      const next = rowKey((this.#segment - 1) >> 1)
      this.end = this.#segment % 2 === 1 ? next : keyAfter(next)
    }
  }
}
