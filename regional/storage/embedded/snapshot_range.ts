// A range read of the snapshot alone, with selectors resolved in it: what a storage server answers below a
// transaction's own writes. Off either end of the database the answer says so, since that makes it known.
import { DATABASE_END, FIRST_KEY, type Key } from './key.ts'
import type { Row } from './known_ranges.ts'
import { REPLY_BYTE_LIMIT } from './limits.ts'
import { type RangeLimits, UNLIMITED } from './range_limits.ts'
import { isFirstGreaterOrEqual, type Selector } from './selector.ts'

/** Rows as the caller gets them: a key's and a value's bytes. */
export type Pair = [Buffer, Buffer]

/** The database at one version. */
export interface Snapshot {
  get(key: Key): Buffer | undefined
  /** At most `rows` rows, and no more after `bytes` are full (a row counts 24 more than its bytes). */
  pairs(begin: Key, end: Key, rows: number, bytes: number, reverse: boolean): { pairs: Pair[]; more: boolean }
}

export interface SnapshotRange {
  /** In the order asked for. */
  rows: Row[]
  more: boolean
  readToBegin: boolean
  readThroughEnd: boolean
}

export const toRow = ([key, value]: Pair): Row => ({ key: key.toString('latin1'), value })

/** The key that a selector names, and whether it ran off the database's end. */
export function resolveSelector(snapshot: Snapshot, { key, offset }: Selector): { key: Key; off: boolean } {
  if (offset === 1) return { key, off: false }
  const forward = offset > 0
  const count = forward ? offset : 1 - offset
  const { pairs } = snapshot.pairs(
    forward ? key : FIRST_KEY,
    forward ? DATABASE_END : key,
    count,
    Number.MAX_SAFE_INTEGER,
    !forward,
  )
  const found = pairs[count - 1]
  if (found) return { key: found[0].toString('latin1'), off: false }
  return { key: forward ? DATABASE_END : FIRST_KEY, off: true }
}

/** The resolved key at which a range begins or ends: a selector's key itself if that is "first at or after". */
export function readSnapshotRange(
  snapshot: Snapshot,
  begin: Selector,
  end: Selector,
  limits: RangeLimits,
  reverse: boolean,
): SnapshotRange {
  const nothing: SnapshotRange = { rows: [], more: false, readToBegin: false, readThroughEnd: false }
  const fromStart = begin.key === FIRST_KEY && begin.offset < 1
  if (end.key === FIRST_KEY && (end.offset < 1 || isFirstGreaterOrEqual(end)))
    return { ...nothing, readToBegin: fromStart }
  const from = resolveSelector(snapshot, fromStart ? { key: FIRST_KEY, offset: 1 } : begin)
  const to = resolveSelector(snapshot, end)
  if (from.key >= to.key) return { ...nothing, readToBegin: fromStart }

  const rows: Row[] = []
  let { key: low } = from
  let { key: high } = to
  let more = true
  while (more) {
    const answer = snapshot.pairs(
      low,
      high,
      limits.hasRowLimit ? limits.rows : REPLY_BYTE_LIMIT,
      limits.bytes === UNLIMITED ? REPLY_BYTE_LIMIT : Math.min(REPLY_BYTE_LIMIT, limits.bytes),
      reverse,
    )
    more = answer.more
    for (const pair of answer.pairs) {
      rows.push(toRow(pair))
      limits.count(pair[0].length + pair[1].length)
    }
    if (limits.isReached || limits.hasSatisfiedMinRows) break
    const last = rows.at(-1)
    if (last === undefined) break
    if (reverse) high = last.key
    else low = `${last.key}\0`
  }
  more ||= limits.isReached
  return {
    rows,
    more,
    readToBegin: fromStart || (from.off && from.key === FIRST_KEY && !(reverse && more)),
    readThroughEnd: to.off && to.key === DATABASE_END && (reverse || !more),
  }
}
