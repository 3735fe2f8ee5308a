// The database at one version: the reader's SQLite snapshot with the memtable's changes up to that version
// laid over it. Exact for every version from the snapshot's on.
import { type Key, keyAfter, keyBytes } from './key.ts'
import { cleared } from './memtable.ts'
import type { Pair, Snapshot } from './snapshot_range.ts'
import type { Storage } from './storage.ts'

/** A row counts this much beside its bytes against a storage server's byte limit. */
const ROW_OVERHEAD = 24
const CHUNK_ROWS = 128

export class VersionedSnapshot implements Snapshot {
  readonly #storage: Storage
  readonly version: number

  constructor(storage: Storage, version: number) {
    this.#storage = storage
    this.version = version
  }

  get(key: Key): Buffer | undefined {
    return this.getBytes(key, undefined)
  }

  /** `bytes`: the same key, if the caller has it at hand. The answer is shared: not to be given to callers. */
  getBytes(key: Key, bytes: Buffer | undefined): Buffer | undefined {
    const { memtable, base } = this.#storage
    this.#storage.checkReadable(this.version)
    if (memtable.entries > 0) {
      const found = memtable.get(key, this.version)
      if (found === cleared) return undefined
      if (found !== undefined) return found
    }
    return base.get(key, bytes)
  }

  pairs(
    begin: Key,
    end: Key,
    rows: number,
    bytes: number,
    reverse: boolean,
  ): { pairs: Pair[]; more: boolean } {
    const { memtable, base } = this.#storage
    this.#storage.checkReadable(this.version)
    if (begin >= end) return { pairs: [], more: false }
    if (!memtable.touches(begin, end))
      return base.pairs(keyBytes(begin), keyBytes(end), rows, bytes, reverse, ROW_OVERHEAD)
    return this.#merged(begin, end, rows, bytes, reverse)
  }

  #merged(
    begin: Key,
    end: Key,
    rows: number,
    bytes: number,
    reverse: boolean,
  ): { pairs: Pair[]; more: boolean } {
    const { base } = this.#storage
    const pairs: Pair[] = []
    let used = 0
    let low = begin
    let high = end
    for (;;) {
      const want = Math.min(Math.max(rows - pairs.length, 1), CHUNK_ROWS)
      const left = bytes - used
      const found = base.pairs(keyBytes(low), keyBytes(high), want, left, reverse, ROW_OVERHEAD)
      const last = found.more ? found.pairs.at(-1)?.[0].toString('latin1') : undefined
      const coveredLow = reverse && last !== undefined ? last : low
      const coveredHigh = !reverse && last !== undefined ? keyAfter(last) : high
      for (const pair of this.#overlay(found.pairs, coveredLow, coveredHigh, reverse)) {
        pairs.push(pair)
        used += pair[0].length + pair[1].length + ROW_OVERHEAD
        if (pairs.length >= rows || used >= bytes) return { pairs, more: true }
      }
      if (last === undefined) return { pairs, more: false }
      if (reverse) high = last
      else low = keyAfter(last)
    }
  }

  /** The rows of [low, high), of which `found` are those of the base, in the order read. */
  #overlay(found: readonly Pair[], low: Key, high: Key, reverse: boolean): Pair[] {
    const { memtable } = this.#storage
    const changes = memtable.visible(low, high, this.version)
    if (reverse) changes.reverse()
    const pairs: Pair[] = []
    let next = 0
    const take = (key: Key | undefined): boolean => {
      let replaced = false
      for (; next < changes.length; next++) {
        const change = changes[next] as (typeof changes)[number]
        if (key !== undefined && (reverse ? change.key < key : change.key > key)) break
        replaced ||= change.key === key
        if (change.value !== undefined) pairs.push([keyBytes(change.key), Buffer.from(change.value)])
      }
      return replaced
    }
    for (const pair of found) {
      const key = pair[0].toString('latin1')
      if (!take(key) && !memtable.isCleared(key, this.version)) pairs.push(pair)
    }
    take(undefined)
    return pairs
  }
}
