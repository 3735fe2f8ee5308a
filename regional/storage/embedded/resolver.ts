// Decides whether a commit conflicts: the version of the last commit that wrote a key, over the window in
// which transactions live (FoundationDB's conflict set). A reader conflicts with any write to what it read
// after its read version. Single keys, which most writes are, are kept apart from ranges.
import type { Range } from './conflict_ranges.ts'
import { DATABASE_END, FIRST_KEY, isKeyAfter, type Key, keyAfter } from './key.ts'
import { LazyIndex } from './lazy_index.ts'
import { READ_LIFE_VERSIONS } from './limits.ts'
import { OrderedMap } from './ordered_map.ts'

interface Write {
  version: number
}

export class Resolver {
  readonly #keys = new LazyIndex<Write>()
  /** From each key to the next: when that range was last written. */
  readonly #ranges = new OrderedMap<number>()
  /** Keys in the order in which they were written, for forgetting them; a later write of a key stands later again. */
  #history: { key: Key; version: number }[] = []
  #forgotten = 0
  #sweptRanges = 0

  constructor() {
    this.#ranges.set(FIRST_KEY, 0)
  }

  get size(): number {
    return this.#keys.size + this.#ranges.size
  }

  conflicts(reads: readonly Range[], readVersion: number): boolean {
    return reads.some(([begin, end]) => begin < end && this.#writtenAfter(begin, end, readVersion))
  }

  add(writes: readonly Range[], version: number): void {
    for (const [begin, end] of writes) {
      if (begin >= end) continue
      if (isKeyAfter(end, begin)) this.#addKey(begin, version)
      else this.#addRange(begin, end, version)
    }
    this.#forget(version - READ_LIFE_VERSIONS)
  }

  #writtenAfter(begin: Key, end: Key, readVersion: number): boolean {
    const at = { chunk: 0, index: 0 }
    this.#ranges.seekFloor(at, begin)
    do {
      if (this.#ranges.valueAt(at) > readVersion) return true
    } while (this.#ranges.next(at) && this.#ranges.keyAt(at) < end)
    if (isKeyAfter(end, begin)) return (this.#keys.get(begin)?.version ?? 0) > readVersion
    let found = false
    this.#keys.ordered.scan(begin, end, (_, { version }) => {
      found = version > readVersion
      return !found
    })
    return found
  }

  #addKey(key: Key, version: number): void {
    const write = this.#keys.get(key)
    if (write) write.version = version
    else this.#keys.add(key, { version })
    this.#history.push({ key, version })
  }

  #addRange(begin: Key, end: Key, version: number): void {
    const at = { chunk: 0, index: 0 }
    this.#ranges.seekFloor(at, end)
    if (this.#ranges.keyAt(at) !== end) this.#ranges.set(end, this.#ranges.valueAt(at))
    this.#ranges.deleteRange(begin, end)
    this.#ranges.set(begin, version)
  }

  /** Each commit forgets a few writes more than it adds, so this keeps up and never takes long. */
  #forget(oldest: number): void {
    for (let left = FORGET_KEYS; left > 0; left--) {
      const first = this.#history[this.#forgotten]
      if (!first || first.version > oldest) break
      this.#forgotten++
      if (this.#keys.get(first.key)?.version === first.version) this.#keys.delete(first.key)
    }
    if (this.#forgotten > FORGET_KEYS && this.#forgotten * 2 > this.#history.length) {
      this.#history = this.#history.slice(this.#forgotten)
      this.#forgotten = 0
    }
    if (this.#ranges.size > 2 * this.#sweptRanges + SWEEP_RANGES) this.#sweepRanges(oldest)
  }

  /** Joins neighbouring ranges that were both written too long ago to conflict with anything. */
  #sweepRanges(oldest: number): void {
    const stale: Key[] = []
    let before = Number.POSITIVE_INFINITY
    this.#ranges.scan(FIRST_KEY, keyAfter(DATABASE_END), (key, version) => {
      if (before <= oldest && version <= oldest) stale.push(key)
      before = version
      return true
    })
    for (const key of stale) this.#ranges.delete(key)
    this.#sweptRanges = this.#ranges.size
  }
}

const FORGET_KEYS = 1024
const SWEEP_RANGES = 1024
