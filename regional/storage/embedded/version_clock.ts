// Versions: a million a second, as on a cluster, and strictly increasing over restarts: a new process starts
// above the last commit it finds. They follow the monotonic clock, so setting the machine's clock moves nothing.
import { VERSIONS_PER_SECOND } from './limits.ts'

/** Monotonic time in milliseconds. */
export type Clock = () => number

/** A restart skips this much, as a cluster's recovery does: read versions of the last process lie below. */
const RESTART_VERSIONS = 100 * VERSIONS_PER_SECOND

export class VersionClock {
  readonly #clock: Clock
  readonly #origin: number
  #last: number

  /** `lastCommitted`: the newest version in the database; 0 if it is new. */
  constructor(lastCommitted: number, clock: Clock) {
    this.#clock = clock
    this.#last = lastCommitted + RESTART_VERSIONS
    this.#origin = this.#last - clock() * 1000
  }

  /** The version that now corresponds to; never below one that was given out. */
  now(): number {
    const now = Math.floor(this.#origin + this.#clock() * 1000)
    return now > this.#last ? now : this.#last
  }

  /** A version above all given out so far. */
  next(): number {
    const now = this.now()
    this.#last = now > this.#last ? now : this.#last + 1
    return this.#last
  }

  /** Reads happen at `version`: no commit may get it, or one below. */
  pin(version: number): void {
    if (version > this.#last) this.#last = version
  }
}
