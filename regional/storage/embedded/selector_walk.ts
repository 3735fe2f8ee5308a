// Resolves a key selector as far as it can be without reading the snapshot: over what the transaction knows
// and what it has written. What remains unresolved stands at the edge of an unknown (or unreadable) segment.
import { FIRST_KEY, isKeyAfter, type Key } from './key.ts'
import type { SegmentCursor } from './segments.ts'
import type { Selector } from './selector.ts'

/** What a range read has found out about the ends of the database. */
export interface Ends {
  readToBegin: boolean
  readThroughEnd: boolean
}

/** A selector on its way: `actualOffset` is what was left of its offset when the walk last stopped. */
export interface Walk {
  key: Key
  offset: number
  actualOffset: number
}

export const startWalk = ({ key, offset }: Selector): Walk => ({ key, offset, actualOffset: offset })

/** Walks `at` and the selector with it; `limit` is the first key that reads don't reach. */
export function walk(selector: Walk, at: SegmentCursor, limit: Key, ends: Ends): void {
  const exhausted = selector.offset === 1
  at.seek(selector.key)
  if (selector.offset <= 0 && at.begin === selector.key && selector.key !== FIRST_KEY) at.previous()
  let { key } = selector
  while (selector.offset > 1 && at.isKnown && at.end < limit) {
    if (at.isRow) selector.offset--
    at.next()
    key = at.begin
  }
  while (selector.offset < 1 && at.isKnown && at.begin !== FIRST_KEY) {
    if (at.isRow && ++selector.offset === 1) {
      key = at.begin
      break
    }
    at.previous()
    key = at.end
  }
  if (!exhausted) selector.actualOffset = selector.offset
  if (selector.offset < 1 && at.isKnown) {
    ends.readToBegin = true
    selector.key = FIRST_KEY
    selector.offset = 1
    return
  }
  if (selector.offset > 1 && at.isKnown) {
    ends.readThroughEnd = true
    selector.key = limit
    selector.offset = 1
    return
  }
  while (!at.isUnreadable && at.isEmpty && at.end < limit) {
    at.next()
    key = at.begin
  }
  selector.key = key
}

/** The end of an empty range at `at` that is more than one single key, seen from a range beginning at `from`. */
const isBarrier = (at: SegmentCursor, from: Key, to: Key): boolean => at.isUnreadable || !isKeyAfter(to, from)

/**
 * Moves `at` from an unknown segment to the last unknown one that a single read should still cover: it stops
 * before an empty range of more than a key, before what can't be read, and at `end`. Returns the number of
 * single cleared keys on the way: the read must ask for as many rows more.
 */
export function skipKnown(at: SegmentCursor, end: SegmentCursor, forward: boolean, most: number): number {
  let cleared = 0
  let from = at.begin
  let to = at.end
  const step = (ahead: boolean): void => (ahead === forward ? at.next() : at.previous())
  for (let left = most; !at.isAt(end) && left > 0; left--) {
    if (at.isUnreadable || at.isEmpty) {
      if (isBarrier(at, from, to)) break
      cleared++
    } else if (forward) from = to
    else to = from
    step(true)
    if (forward) to = at.end
    else from = at.begin
  }
  while (!at.isReadableUnknown) step(false)
  return cleared
}

/** The number of single cleared keys from an unknown segment on, up to `most` and to the next larger known range. */
export function countCleared(at: SegmentCursor, forward: boolean, limit: Key, most: number): number {
  if (most <= 0) return 0
  let cleared = 0
  let from = at.begin
  let to = at.end
  while (forward ? to < limit : from > FIRST_KEY) {
    if (at.isUnreadable || at.isEmpty) {
      if (isBarrier(at, from, to)) return cleared
      if (++cleared >= most) return most
    } else if (forward) from = to
    else to = from
    if (forward) {
      at.next()
      to = at.end
    } else {
      at.previous()
      from = at.begin
    }
  }
  return cleared
}
