// How long `onError` waits before the next attempt: a random part of a delay that doubles, as on a cluster.
import { code } from './errors.ts'
import { BACKOFF_GROWTH, DEFAULT_BACKOFF_MS, FUTURE_VERSION_DELAY_MS } from './limits.ts'

export class Backoff {
  #delayMs = DEFAULT_BACKOFF_MS
  readonly #random: () => number

  /** `random`: from 0 to 1. */
  constructor(random: () => number) {
    this.#random = random
  }

  nextDelayMs(errorCode: number, maxDelayMs: number): number {
    // A version that is too old or too new needs a new one, not patience.
    if (errorCode === code.transactionTooOld || errorCode === code.futureVersion)
      return Math.min(FUTURE_VERSION_DELAY_MS, maxDelayMs)
    const delayMs = this.#delayMs * this.#random()
    this.#delayMs = Math.min(this.#delayMs * BACKOFF_GROWTH, maxDelayMs)
    return delayMs
  }
}
