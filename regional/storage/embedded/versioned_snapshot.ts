// The database at one version: the reader's SQLite snapshot with the memtable's changes up to that version
// laid over it. Exact for every version from the snapshot's on.
import { type Key, keyAfter, keyBytes } from './key.ts'
import { type Changed, cleared } from './memtable.ts'
import type { Pair, Snapshot } from './snapshot_range.ts'
import type { Storage } from './storage.ts'

/** A row counts this much beside its bytes against a storage server's byte limit. */
const ROW_OVERHEAD = 24
/** Of one look into the file and into memory. */
const CHUNK_ROWS = 1024

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
    const { base, memtable } = this.#storage
    const pairs: Pair[] = []
    let used = 0
    let low = begin
    let high = end
    // More each time, since what is found may all be cleared, as at the head of a queue.
    for (let want = Math.min(Math.max(rows, 1), CHUNK_ROWS); ; want = Math.min(2 * want, CHUNK_ROWS)) {
      const left = bytes - used
      const found = base.pairs(keyBytes(low), keyBytes(high), want, left, reverse, ROW_OVERHEAD)
      let last = found.more ? found.pairs.at(-1)?.[0].toString('latin1') : undefined
      const coveredLow = reverse && last !== undefined ? last : low
      const coveredHigh = !reverse && last !== undefined ? keyAfter(last) : high
      const changes = memtable.visible(coveredLow, coveredHigh, this.version, { most: want, reverse })
      // There may be more of them, before what else was found.
      if (changes.length === want) last = changes.at(-1)?.key
      for (const pair of this.#overlay(found.pairs, changes, last, reverse)) {
        pairs.push(pair)
        used += pair[0].length + pair[1].length + ROW_OVERHEAD
        if (pairs.length >= rows || used >= bytes) return { pairs, more: true }
      }
      if (last === undefined) return { pairs, more: false }
      if (reverse) high = last
      else low = keyAfter(last)
    }
  }

  /** The rows up to `last`, of which `found` are those of the base, in the order read. One at a time: a value may have 100 kB. */
  *#overlay(
    found: readonly Pair[],
    changes: readonly Changed[],
    last: Key | undefined,
    reverse: boolean,
  ): Generator<Pair, void, undefined> {
    const { memtable } = this.#storage
    let next = 0
    for (const pair of found) {
      const key = pair[0].toString('latin1')
      if (last !== undefined && (reverse ? key < last : key > last)) break
      let isReplaced = false
      for (let change = changes[next]; change !== undefined; change = changes[++next]) {
        if (reverse ? change.key < key : change.key > key) break
        isReplaced ||= change.key === key
        if (change.value !== undefined) yield [keyBytes(change.key), Buffer.from(change.value)]
      }
      if (!isReplaced && !memtable.isCleared(key, this.version)) yield pair
    }
    for (const { key, value } of changes.slice(next)) {
      if (value !== undefined) yield [keyBytes(key), Buffer.from(value)]
    }
  }
}
