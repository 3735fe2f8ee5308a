// A range read or a selector read over own writes, as FoundationDB's client does one: which parts it reads,
// where it stops with `more`, and what it learns of the ends decide over what it conflicts, so the order of
// the steps here is the contract (the recorded traces hold it). Everything is synchronous: the snapshot is
// in this process.
import { FIRST_KEY, type Key } from './key.ts'
import type { Row } from './known_ranges.ts'
import { RangeLimits, UNLIMITED } from './range_limits.ts'
import type { SegmentCursor, View } from './segments.ts'
import { firstGreaterOrEqual, isFirstGreaterOrEqual, type Selector } from './selector.ts'
import { countCleared, type Ends, skipKnown, startWalk, type Walk, walk } from './selector_walk.ts'
import { readSnapshotRange, type Snapshot } from './snapshot_range.ts'

export interface RangeAnswer extends Ends {
  rows: Row[]
  more: boolean
}

/** A read may pass this many known segments more than it has made requests. */
const SKIP_SEGMENTS = 100

const nothing = (ends?: Ends): RangeAnswer => ({
  rows: [],
  more: false,
  readToBegin: ends?.readToBegin ?? false,
  readThroughEnd: ends?.readThroughEnd ?? false,
})

/** The key that a selector names, clamped to the ends of what may be read. */
export function readKey(view: View, snapshot: Snapshot, { key, offset }: Selector): Key {
  const one = new RangeLimits(1, UNLIMITED)
  const forward = offset > 0
  const answer = forward
    ? readForward(view, snapshot, { key, offset }, firstGreaterOrEqual(view.end), one)
    : readBackward(view, snapshot, firstGreaterOrEqual(FIRST_KEY), { key, offset: offset + 1 }, one)
  if (forward && answer.readToBegin) return FIRST_KEY
  if (answer.readThroughEnd) return view.end
  if (answer.readToBegin) return FIRST_KEY
  return answer.rows[0]?.key ?? (forward ? view.end : FIRST_KEY)
}

export function readRange(
  view: View,
  snapshot: Snapshot,
  begin: Selector,
  end: Selector,
  limits: RangeLimits,
  reverse: boolean,
): RangeAnswer {
  return (reverse ? readBackward : readForward)(view, snapshot, begin, end, limits)
}

function noteEnd(view: View, ends: Ends, resolved: Key): void {
  if (resolved === FIRST_KEY) ends.readToBegin = true
  if (resolved === view.end) ends.readThroughEnd = true
}

const isEmptySpan = (begin: Walk, end: Walk): boolean =>
  begin.actualOffset >= end.actualOffset && begin.key >= end.key

const isOutside = (view: View, begin: Walk, end: Walk): boolean =>
  (isFirstGreaterOrEqual(begin) && begin.key === view.end) ||
  (isFirstGreaterOrEqual(end) && end.key === FIRST_KEY)

const clearLimit = (requests: number): number => (requests === 0 ? 0 : 2 ** Math.min(requests, 20))

function copyOf(view: View, at: SegmentCursor): SegmentCursor {
  const copy = view.cursor()
  at.copy(copy)
  return copy
}

function readForward(
  view: View,
  snapshot: Snapshot,
  beginSelector: Selector,
  endSelector: Selector,
  limits: RangeLimits,
): RangeAnswer {
  const ends: Ends = { readToBegin: false, readThroughEnd: false }
  const begin = startWalk(beginSelector)
  let end = startWalk(endSelector)
  const at = view.cursor()
  const atEnd = view.cursor()
  const rewalk = (): void => {
    walk(begin, at, view.end, ends)
    walk(end, atEnd, view.end, ends)
  }
  rewalk()
  if (isEmptySpan(begin, end)) return nothing()
  if (isOutside(view, begin, end)) return nothing(ends)
  if (!isFirstGreaterOrEqual(end) && begin.key > end.key) {
    const resolved = readKey(view, snapshot, end)
    noteEnd(view, ends, resolved)
    if (begin.key >= resolved && begin.offset >= 1) return nothing()
    if (resolved === FIRST_KEY) return nothing(ends)
    rewalk()
  }

  const rows: Row[] = []
  let more = false
  let pastEnd = 0
  let requests = 0
  for (;;) {
    if (rows.length === 0 && isEmptySpan(begin, end)) return nothing()
    if (end.offset <= 1 && end.key === FIRST_KEY) return nothing(ends)
    if (
      (begin.offset >= end.offset && begin.key >= end.key) ||
      (begin.offset >= 1 && begin.key >= view.end)
    ) {
      if (isFirstGreaterOrEqual(end) || rows.length === 0) break
      const resolved = readKey(view, snapshot, end)
      noteEnd(view, ends, resolved)
      end = startWalk(firstGreaterOrEqual(resolved))
      break
    }
    if (at.isKnown && at.begin > atEnd.begin) {
      if (isFirstGreaterOrEqual(end)) break
      return nothing(ends)
    }
    if (limits.isReached && pastEnd >= 1 - end.offset) break
    if (
      at.isAt(atEnd) &&
      (at.isKnown || (begin.offset > 0 && isFirstGreaterOrEqual(end) && end.key === at.begin))
    )
      break
    if (at.isUnknown) {
      if (limits.hasByteLimit && limits.hasSatisfiedMinRows && rows.length > 0 && pastEnd >= 1 - end.offset) {
        more = true
        break
      }
      readUnknownForward(view, snapshot, begin, end, at, atEnd, limits, requests++)
      rewalk()
      continue
    }
    const row = at.isRow ? at.row : undefined
    if (row) {
      if (limits.isReached) pastEnd++
      else {
        limits.count(row.key.length + row.value.length)
        rows.push(row)
      }
    }
    at.next()
  }
  more ||= limits.isReached
  if (isFirstGreaterOrEqual(end)) more = keepWhile(rows, (row) => row.key < end.key) && more
  return {
    rows,
    more,
    readToBegin: ends.readToBegin,
    readThroughEnd: !more && ends.readThroughEnd,
  }
}

/** Reads the unknown segment at `at`, and as much behind it as one read should cover. */
function readUnknownForward(
  view: View,
  snapshot: Snapshot,
  begin: Walk,
  end: Walk,
  at: SegmentCursor,
  atEnd: SegmentCursor,
  limits: RangeLimits,
  requests: number,
): void {
  const allowed = clearLimit(requests)
  const last = copyOf(view, at)
  let additional = 0
  let cleared =
    at.begin < atEnd.begin ? Math.min(skipKnown(last, atEnd, true, allowed + SKIP_SEGMENTS), allowed) : 0
  let readEnd: Selector
  if (!last.isAt(atEnd) || end.offset < 1) {
    readEnd = firstGreaterOrEqual(last.isAt(atEnd) ? end.key : last.end)
    if (end.offset < 1) additional += 1 - end.offset
  } else {
    readEnd = { key: end.key, offset: end.offset }
    if (end.offset > 1) {
      cleared += countCleared(last, true, view.end, allowed - cleared)
      readEnd.offset += cleared
    }
  }
  additional += cleared

  let readBegin: Selector
  if (isFirstGreaterOrEqual(begin)) {
    if (at.begin > begin.key) begin.key = at.begin
    readBegin = firstGreaterOrEqual(begin.key)
  } else if (begin.offset > 1) {
    readBegin = firstGreaterOrEqual(begin.key)
    additional += begin.offset - 1
  } else {
    const before = countCleared(copyOf(view, at), false, view.end, allowed)
    readBegin = { key: begin.key, offset: begin.offset - before }
    additional += before
  }
  if (readEnd.key < readBegin.key) readEnd.key = readBegin.key

  const request = limits.forRequest(additional, 2 - readBegin.offset, requests)
  const answer = readSnapshotRange(snapshot, readBegin, readEnd, request, false)
  const first = answer.rows[0]
  const lastRow = answer.rows.at(-1)
  let from: Key = readBegin.offset <= 1 ? readBegin.key : '\xff\xff'
  let to: Key = !answer.more && readEnd.offset >= 1 ? readEnd.key : FIRST_KEY
  if (answer.readToBegin) from = FIRST_KEY
  if (answer.readThroughEnd) to = '\xff\xff'
  if (first && lastRow) {
    if (first.key < from) from = first.key
    if (answer.more || lastRow.key >= to) to = `${lastRow.key}\0`
  }
  view.known.add(from, to, answer.rows)
}

function readBackward(
  view: View,
  snapshot: Snapshot,
  beginSelector: Selector,
  endSelector: Selector,
  limits: RangeLimits,
): RangeAnswer {
  const ends: Ends = { readToBegin: false, readThroughEnd: false }
  let begin = startWalk(beginSelector)
  const end = startWalk(endSelector)
  const at = view.cursor()
  const atBegin = view.cursor()
  const rewalk = (): void => {
    walk(end, at, view.end, ends)
    walk(begin, atBegin, view.end, ends)
  }
  rewalk()
  if (isEmptySpan(begin, end)) return nothing()
  if (isOutside(view, begin, end)) return nothing(ends)
  if (!isFirstGreaterOrEqual(begin) && begin.key > end.key) {
    const resolved = readKey(view, snapshot, begin)
    noteEnd(view, ends, resolved)
    if (resolved >= end.key && end.offset <= 1) return nothing()
    if (resolved === view.end) return nothing(ends)
    rewalk()
  }

  const rows: Row[] = []
  let more = false
  let pastBegin = 0
  let requests = 0
  for (;;) {
    if (rows.length === 0 && isEmptySpan(begin, end)) return nothing()
    if (begin.offset >= 1 && begin.key >= view.end) return nothing(ends)
    if ((begin.offset >= end.offset && begin.key >= end.key) || (end.offset <= 1 && end.key === FIRST_KEY)) {
      if (isFirstGreaterOrEqual(begin) || rows.length === 0) break
      const resolved = readKey(view, snapshot, begin)
      noteEnd(view, ends, resolved)
      begin = startWalk(firstGreaterOrEqual(resolved))
      break
    }
    if (pastBegin >= begin.offset - 1 && at.isKnown && at.begin < atBegin.begin) {
      if (isFirstGreaterOrEqual(begin)) break
      return nothing(ends)
    }
    if (limits.isReached && pastBegin >= begin.offset - 1) break
    if (isFirstGreaterOrEqual(end) && end.key === at.begin) {
      if (pastBegin >= begin.offset - 1 && at.isAt(atBegin)) break
      at.previous()
    }
    if (at.isUnknown) {
      if (limits.hasByteLimit && rows.length > 0 && pastBegin >= begin.offset - 1) {
        more = true
        break
      }
      readUnknownBackward(view, snapshot, begin, end, at, atBegin, limits, requests++)
      rewalk()
      continue
    }
    const row = at.isRow ? at.row : undefined
    if (row) {
      if (limits.isReached) pastBegin++
      else {
        limits.count(row.key.length + row.value.length)
        rows.push(row)
      }
    }
    if (at.isAt(atBegin)) break
    at.previous()
  }
  more ||= limits.isReached
  if (isFirstGreaterOrEqual(begin)) more = keepWhile(rows, (row) => row.key >= begin.key) && more
  return {
    rows,
    more,
    readToBegin: !more && ends.readToBegin,
    readThroughEnd: ends.readThroughEnd,
  }
}

function readUnknownBackward(
  view: View,
  snapshot: Snapshot,
  begin: Walk,
  end: Walk,
  at: SegmentCursor,
  atBegin: SegmentCursor,
  limits: RangeLimits,
  requests: number,
): void {
  const allowed = clearLimit(requests)
  const last = copyOf(view, at)
  let additional = 0
  let cleared =
    at.begin > atBegin.begin ? Math.min(skipKnown(last, atBegin, false, allowed + SKIP_SEGMENTS), allowed) : 0
  let readBegin: Selector
  if (!last.isAt(atBegin) || begin.offset > 1) {
    readBegin = firstGreaterOrEqual(last.isAt(atBegin) ? begin.key : last.begin)
    if (begin.offset > 1) additional += begin.offset - 1
  } else {
    readBegin = { key: begin.key, offset: begin.offset }
    if (begin.offset < 1) {
      cleared += countCleared(last, false, view.end, allowed - cleared)
      readBegin.offset -= cleared
    }
  }
  additional += cleared

  let readEnd: Selector
  if (isFirstGreaterOrEqual(end)) {
    if (at.end < end.key) end.key = at.end
    readEnd = firstGreaterOrEqual(end.key)
  } else if (end.offset < 1) {
    readEnd = firstGreaterOrEqual(end.key)
    additional += 1 - end.offset
  } else {
    const behind = countCleared(copyOf(view, at), true, view.end, allowed)
    readEnd = { key: end.key, offset: end.offset + behind }
    additional += behind
  }
  if (readBegin.key > readEnd.key) readBegin.key = readEnd.key

  const request = limits.forRequest(additional, readEnd.offset, requests)
  const answer = readSnapshotRange(snapshot, readBegin, readEnd, request, true)
  const highest = answer.rows[0]
  const lowest = answer.rows.at(-1)
  let from: Key = !answer.more && readBegin.offset <= 1 ? readBegin.key : '\xff\xff'
  let to: Key = readEnd.offset >= 1 ? readEnd.key : FIRST_KEY
  if (answer.readToBegin) from = FIRST_KEY
  if (answer.readThroughEnd) to = '\xff\xff'
  if (highest && lowest) {
    if (answer.more || lowest.key <= from) from = lowest.key
    if (highest.key >= to) to = `${highest.key}\0`
  }
  view.known.add(from, to, answer.rows.toReversed())
}

/** Cuts `rows` after those that `keep` accepts; true if nothing was cut. */
function keepWhile(rows: Row[], keep: (row: Row) => boolean): boolean {
  let kept = rows.length
  while (kept > 0 && !keep(rows[kept - 1] as Row)) kept--
  const whole = kept === rows.length
  rows.length = kept
  return whole
}
