// Over which keys a read conflicts. Pure rules: only what the answer depended on, and of it only what came
// from the database rather than from the transaction's own writes.
import { DATABASE_END, FIRST_KEY, type Key, keyAfter } from './key.ts'
import type { Selector } from './selector.ts'
import type { WriteMap } from './write_map.ts'

export type Range = readonly [begin: Key, end: Key]

/** What the rules need to know of a range read's answer. */
export interface RangeOutcome {
  /** The first and last row's key in the order read, if there are rows. */
  first: Key | undefined
  last: Key | undefined
  more: boolean
  readToBegin: boolean
  readThroughEnd: boolean
}

export const keyConflict = ({ key, offset }: Selector, result: Key): Range =>
  offset <= 0 ? [result, key] : [key, keyAfter(result)]

export function forwardConflict(begin: Selector, end: Selector, found: RangeOutcome, limit: Key): Range {
  let from: Key
  let to: Key
  if (begin.key < end.key) {
    from = begin.key
    to = end.offset > 0 && found.more ? begin.key : end.key
  } else {
    from = end.key
    to = begin.key
  }
  if (found.readToBegin && begin.offset <= 0) from = FIRST_KEY
  if (found.readThroughEnd && end.offset > 0) to = limit
  if (found.first !== undefined && found.last !== undefined) {
    if (begin.offset <= 0 && found.first < from) from = found.first
    if (to <= found.last) to = keyAfter(found.last)
  }
  return [from, to]
}

export function backwardConflict(begin: Selector, end: Selector, found: RangeOutcome, limit: Key): Range {
  let from: Key
  let to: Key
  if (begin.key < end.key) {
    from = begin.offset <= 1 && found.more ? end.key : begin.key
    to = end.key
  } else {
    from = end.key
    to = begin.key
  }
  if (found.readToBegin && begin.offset <= 0) from = FIRST_KEY
  if (found.readThroughEnd && end.offset > 0) to = limit
  if (found.first !== undefined && found.last !== undefined) {
    if (found.last < from) from = found.last
    if (end.offset > 0 && to <= found.first) to = keyAfter(found.first)
  }
  return [from, to]
}

/** The rule of a transaction with read-your-writes off, which is the older client's. */
export function plainConflict(begin: Selector, end: Selector, found: RangeOutcome, reverse: boolean): Range {
  const { first, last, more } = found
  const none = first === undefined || last === undefined
  let from: Key
  let to: Key
  if (found.readToBegin) from = FIRST_KEY
  else if (none || ((!reverse || !more || begin.offset > 1) && begin.offset > 0)) from = begin.key
  else from = reverse ? last : first
  if (end.offset > begin.offset && end.key < from) from = end.key
  if (found.readThroughEnd) to = DATABASE_END
  else if (none || ((reverse || !more || end.offset <= 0) && end.offset <= 1)) to = end.key
  else to = keyAfter(reverse ? first : last)
  if (begin.offset < end.offset && begin.key > to) to = begin.key
  return [from, to]
}

/** The parts of a range for which the transaction depended on the database. */
export function readFromDatabase(writes: WriteMap, begin: Key, end: Key, add: (range: Range) => void): void {
  if (begin >= end) return
  if (writes.empty) {
    add([begin, end])
    return
  }
  const at = writes.cursor()
  for (at.seek(begin); at.begin < end; at.next()) {
    if (!at.readsDatabase) continue
    const from = at.begin > begin ? at.begin : begin
    const to = at.end < end ? at.end : end
    if (from < to) add([from, to])
  }
}

/** The same keys in as few ranges as possible. */
export function joinedRanges(ranges: readonly Range[]): Range[] {
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
