// Which read versions are in use: the reader's snapshot may move on only when no live transaction needs the
// older one. A transaction that was dropped without an end counts as live only until its read version is too old.
import { LIVE_SNAPSHOTS } from './limits.ts'

export interface Lease {
  readonly version: number
  live: boolean
}

export class ReadVersions {
  /** In rising order from #head on. */
  #queue: Lease[] = []
  #head = 0
  /** Versions that were set by hand, below the newest. */
  readonly #old = new Set<Lease>()

  acquire(version: number): Lease {
    const lease: Lease = { version, live: true }
    const newest = this.#queue.at(-1)
    if (newest && newest.version > version) this.#old.add(lease)
    else this.#queue.push(lease)
    if (this.#queue.length - this.#head > LIVE_SNAPSHOTS) this.#dropHead()
    return lease
  }

  release(lease: Lease): void {
    lease.live = false
    this.#old.delete(lease)
  }

  /** The oldest version in use that is not below `bound`, the oldest that may be; or undefined. */
  oldest(bound: number): number | undefined {
    for (;;) {
      const first = this.#queue[this.#head]
      if (!first || (first.live && first.version >= bound)) break
      this.#dropHead()
    }
    let oldest = this.#queue[this.#head]?.version
    for (const lease of this.#old) {
      if (lease.version < bound) this.#old.delete(lease)
      else if (oldest === undefined || lease.version < oldest) oldest = lease.version
    }
    return oldest
  }

  #dropHead(): void {
    this.#head++
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }
}
