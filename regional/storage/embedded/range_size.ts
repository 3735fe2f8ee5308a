// Sizes of key ranges: the bytes in one, and where to cut it into chunks. Read in slices between which the
// event loop runs, from the newest state: like a cluster's, these answers are not of the transaction.
import { setImmediate } from 'node:timers/promises'
import { code, fdbError } from './errors.ts'
import type { Key } from './key.ts'
import type { Storage } from './storage.ts'
import type { Clock } from './version_clock.ts'

/** Of one slice: a millisecond or two of the process. */
const SLICE = { rows: 2_000, bytes: 1_000_000 }

type Rows = ReturnType<Storage['sizes']>['rows']

/** `check` runs between two slices and throws when nobody waits for more. */
async function* slices(storage: Storage, begin: Key, end: Key, check: () => void): AsyncGenerator<Rows> {
  let from = begin
  for (;;) {
    const { rows, next } = storage.sizes(from, end, SLICE)
    yield rows
    if (next === undefined) return
    from = next
    await setImmediate()
    check()
  }
}

/** Of a range that takes longer than `forMs` it tells what it has counted by then. */
export async function estimateBytes(
  storage: Storage,
  begin: Key,
  end: Key,
  { forMs, clock, check }: { forMs: number; clock: Clock; check: () => void },
): Promise<number> {
  const startedMs = clock()
  let total = 0
  for await (const rows of slices(storage, begin, end, check)) {
    for (const { bytes } of rows) total += bytes
    if (clock() - startedMs >= forMs) break
  }
  return total
}

/** `begin`, a key after every `chunkBytes`, `end`. */
export async function splitPoints(
  storage: Storage,
  begin: Key,
  end: Key,
  chunkBytes: number,
  check: () => void,
): Promise<Key[]> {
  if (!(chunkBytes > 0)) throw fdbError(code.clientInvalidOperation)
  const points = [begin]
  let chunk = 0
  for await (const rows of slices(storage, begin, end, check))
    for (const { key, bytes } of rows) {
      if (chunk >= chunkBytes) {
        points.push(key)
        chunk = 0
      }
      chunk += bytes
    }
  points.push(end)
  return points
}
