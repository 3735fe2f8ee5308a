// Key selectors that stay inside one range. FoundationDB resolves `lastLessThan(k)` or `k + 5` over the
// whole key space: it would read, and conflict with, a neighbour's keys on the way. So the fence never
// gives the engine a selector to resolve; it counts the keys itself, by range reads that end at the border,
// as FoundationDB's own tenants did.

import type { KVList } from 'foundationdb/dist/lib/native.js'
import { holdsBound, holdsKey, type KeyRange, keyAfter } from './grant.ts'

export interface Selector {
  readonly key: Buffer
  readonly orEqual: boolean
  readonly offset: number
}

/** Reads at most `limit` rows of `[begin, end)`, from its end when `reverse`. */
export type ReadPage = (begin: Buffer, end: Buffer, limit: number, reverse: boolean) => Promise<KVList>

/** Most rows in memory at once; an absurd offset costs time (which the transaction's own limit ends), not memory. */
const PAGE_ROWS = 1_000

/** The C interface takes an offset as an `int`. */
const MAX_OFFSET = 2 ** 31 - 1

/** Whether the key that the selector names lies inside; where its offset leads to is `resolve`'s to bound. */
export function holdsSelector(range: KeyRange, { key, orEqual, offset }: Selector): boolean {
  if (!Number.isInteger(offset) || Math.abs(offset) > MAX_OFFSET) return false
  // `orEqual` means just behind the key, and just behind the border is the neighbour's first key.
  return orEqual ? holdsKey(range, key) : holdsBound(range, key)
}

/**
 * The key that the selector names among those inside `range`, or undefined when it leads past the first or
 * the last of them. Counts as FoundationDB does: from the last key before (or equal to) the selector's,
 * `offset` keys on.
 */
export async function resolve(
  range: KeyRange,
  selector: Selector,
  readPage: ReadPage,
): Promise<Buffer | undefined> {
  const forward = selector.offset > 0
  const from = selector.orEqual ? keyAfter(selector.key) : selector.key
  let begin = forward ? from : range.begin
  let end = forward ? range.end : from
  let left = forward ? selector.offset : 1 - selector.offset
  for (;;) {
    const { results, more } = await readPage(begin, end, Math.min(left, PAGE_ROWS), !forward)
    const found = results[left - 1]
    if (found !== undefined) return found[0]
    const last = results.at(-1)
    if (!more || last === undefined) return undefined
    left -= results.length
    if (forward) begin = keyAfter(last[0])
    else end = last[0]
  }
}

/** The same, as one end of a range read: past the first key is the range's begin, past the last its end. */
export async function resolveBound(range: KeyRange, selector: Selector, readPage: ReadPage): Promise<Buffer> {
  // The first key at or after a key needs no reading: as a bound, the key itself does.
  if (selector.offset === 1) return selector.orEqual ? keyAfter(selector.key) : selector.key
  return (await resolve(range, selector, readPage)) ?? (selector.offset > 0 ? range.end : range.begin)
}
