// Decides whether a commit conflicts: for every key range, the version of the last commit that wrote it, over
// the window in which transactions live (FoundationDB's conflict set). A reader conflicts with any write to
// what it read after its read version.
import type { Range } from './conflict_ranges.ts'
import { FIRST_KEY, type Key } from './key.ts'
import { READ_LIFE_VERSIONS } from './limits.ts'
import { OrderedMap } from './ordered_map.ts'

/** Entries looked at for removal with each commit, beside two for every range it adds: cleaning keeps up, and never takes long. */
const SWEEP = 16

export class Resolver {
  /** From each key to the next: when it was last written. */
  readonly #written = new OrderedMap<number>()
  #sweepFrom: Key = FIRST_KEY

  /** `version`: nothing is known of writes before; transactions older than it can't be resolved. */
  constructor(version: number) {
    this.#written.set(FIRST_KEY, version)
  }

  get size(): number {
    return this.#written.size
  }

  conflicts(reads: readonly Range[], readVersion: number): boolean {
    const at = { chunk: 0, index: 0 }
    for (const [begin, end] of reads) {
      if (begin >= end) continue
      this.#written.seekFloor(at, begin)
      do {
        if (this.#written.valueAt(at) > readVersion) return true
      } while (this.#written.next(at) && this.#written.keyAt(at) < end)
    }
    return false
  }

  add(writes: readonly Range[], version: number): void {
    const at = { chunk: 0, index: 0 }
    for (const [begin, end] of writes) {
      if (begin >= end) continue
      this.#written.seekFloor(at, end)
      if (this.#written.keyAt(at) !== end) this.#written.set(end, this.#written.valueAt(at))
      this.#written.deleteRange(begin, end)
      this.#written.set(begin, version)
    }
    this.#sweep(SWEEP + 4 * writes.length, version - READ_LIFE_VERSIONS)
  }

  /** Joins neighbours that were both written too long ago to conflict with anything. */
  #sweep(steps: number, oldest: number): void {
    const at = { chunk: 0, index: 0 }
    if (!this.#written.seekFloor(at, this.#sweepFrom)) return
    let before = this.#written.valueAt(at)
    const stale: Key[] = []
    let left = steps
    let more = true
    while (left-- > 0) {
      more = this.#written.next(at)
      if (!more) break
      const version = this.#written.valueAt(at)
      if (before <= oldest && version <= oldest) stale.push(this.#written.keyAt(at))
      before = version
      this.#sweepFrom = this.#written.keyAt(at)
    }
    if (!more) this.#sweepFrom = FIRST_KEY
    for (const key of stale) this.#written.delete(key)
  }
}
