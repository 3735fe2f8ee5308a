// Decides whether a commit conflicts: the version of the last commit that wrote a key, over the window in
// which transactions live (FoundationDB's conflict set). A reader conflicts with any write to what it read
// after its read version. Single keys, which most writes are, are kept apart from ranges.
import type { Range } from './conflict_ranges.ts'
import { DATABASE_END, FIRST_KEY, isKeyAfter, type Key, keyAfter } from './key.ts'
import { LazyIndex } from './lazy_index.ts'
import { OrderedMap } from './ordered_map.ts'

export class Resolver {
  /** When a key was last written. */
  readonly #keys = new LazyIndex<number>()
  /** From each key to the next: when that range was last written. */
  readonly #ranges = new OrderedMap<number>()
  /** Written keys and when, in that order, for forgetting them. */
  #writtenKeys: Key[] = []
  #writtenAt: number[] = []
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

  /** `oldest`: nobody will ask {@link conflicts} for a read version below it. It never goes down. */
  add(writes: readonly Range[], keys: readonly Key[], version: number, oldest: number): void {
    for (const [begin, end] of writes) if (begin < end) this.#addRange(begin, end, version)
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as Key
      this.#keys.set(key, version)
      this.#writtenKeys.push(key)
      this.#writtenAt.push(version)
    }
    this.#forget(oldest, keys.length)
  }

  #writtenAfter(begin: Key, end: Key, readVersion: number): boolean {
    const at = { chunk: 0, index: 0 }
    this.#ranges.seekFloor(at, begin)
    do {
      if (this.#ranges.valueAt(at) > readVersion) return true
    } while (this.#ranges.next(at) && this.#ranges.keyAt(at) < end)
    if (isKeyAfter(end, begin)) return (this.#keys.get(begin) ?? 0) > readVersion
    let found = false
    this.#keys.scan(begin, end, (_, version) => {
      found = version > readVersion
      return !found
    })
    return found
  }

  #addRange(begin: Key, end: Key, version: number): void {
    const at = { chunk: 0, index: 0 }
    this.#ranges.seekFloor(at, end)
    if (this.#ranges.keyAt(at) !== end) this.#ranges.set(end, this.#ranges.valueAt(at))
    this.#ranges.deleteRange(begin, end)
    this.#ranges.set(begin, version)
  }

  /** Each commit forgets more writes than it adds, so this keeps up and never takes long. */
  #forget(oldest: number, added: number): void {
    for (let left = Math.max(FORGET_KEYS, 2 * added); left > 0; left--) {
      const version = this.#writtenAt[this.#forgotten]
      if (version === undefined || version > oldest) break
      const key = this.#writtenKeys[this.#forgotten++] as Key
      if (this.#keys.get(key) === version) this.#keys.delete(key)
    }
    if (this.#forgotten > FORGET_KEYS && this.#forgotten * 2 > this.#writtenKeys.length) {
      this.#writtenKeys = this.#writtenKeys.slice(this.#forgotten)
      this.#writtenAt = this.#writtenAt.slice(this.#forgotten)
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
