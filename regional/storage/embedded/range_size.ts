// Sizes of key ranges: the bytes in one, and where to cut it into chunks. Read in slices between which the
// event loop runs, from the newest state: like a cluster's, these answers are not of the transaction.
import { setImmediate } from 'node:timers/promises'
import { code, fdbError } from './errors.ts'
import type { Key } from './key.ts'
import type { Storage } from './storage.ts'

const SLICE_ROWS = 2000

async function* sizes(storage: Storage, begin: Key, end: Key): AsyncGenerator<{ key: Key; bytes: number }> {
  let from = begin
  for (;;) {
    const slice = storage.sizes(from, end, SLICE_ROWS)
    yield* slice.rows
    if (slice.next === undefined) return
    from = slice.next
    await setImmediate()
  }
}

export async function estimateBytes(storage: Storage, begin: Key, end: Key): Promise<number> {
  let total = 0
  for await (const { bytes } of sizes(storage, begin, end)) total += bytes
  return total
}

/** `begin`, a key after every `chunkBytes`, `end`. */
export async function splitPoints(
  storage: Storage,
  begin: Key,
  end: Key,
  chunkBytes: number,
): Promise<Key[]> {
  if (!(chunkBytes > 0)) throw fdbError(code.clientInvalidOperation)
  const points = [begin]
  let chunk = 0
  for await (const { key, bytes } of sizes(storage, begin, end)) {
    if (chunk >= chunkBytes) {
      points.push(key)
      chunk = 0
    }
    chunk += bytes
  }
  points.push(end)
  return points
}
