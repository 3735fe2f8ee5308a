// Circuit breaker (M. Nygard, Release It!, 2007) as a pure state machine. It opens after so many failures in a row, or at once
// for an instance that says nothing at all; then probes of the edge's own find out whether it still must be, and no request
// waits for an instance that is being probed. There is no state that waits for a probe's outcome: one that nobody hears of
// delays the next one and no more.

export interface Breaker {
  /** In a row, since the last success. */
  failures: number
  /** While open: when the next probe may go. */
  probeAtMs: number
}

export const FAILURES_TO_OPEN = 5
/** From an answer on, whatever it says. */
export const CLOSED: Breaker = { failures: 0, probeAtMs: 0 }
/** A probe was answered. What requests come to stays to be seen: the first that fails opens it again. */
export const ALIVE: Breaker = { failures: FAILURES_TO_OPEN - 1, probeAtMs: 0 }
/** Doubles with each probe, up to the longest: a region that is back is soon found. */
export const FIRST_PAUSE_MS = 250
export const LONGEST_PAUSE_MS = 2_000

export const isOpen = ({ failures }: Breaker): boolean => failures >= FAILURES_TO_OPEN

/** Of an instance that says itself that it is leaving, and of one that says nothing. */
export const opened = (nowMs: number): Breaker => ({
  failures: FAILURES_TO_OPEN,
  probeAtMs: nowMs + FIRST_PAUSE_MS,
})

/** Failures of requests that were let in before it opened say nothing new. */
export function failed(breaker: Breaker, nowMs: number): Breaker {
  if (isOpen(breaker)) return breaker
  const failures = breaker.failures + 1
  return failures < FAILURES_TO_OPEN ? { failures, probeAtMs: 0 } : opened(nowMs)
}

/**
 * Sends a probe, of which nothing is expected: who hears an answer says so.
 * @returns undefined for not now; otherwise the breaker from then on. The probe has until its `probeAtMs`, so there is one at
 *   a time.
 */
export function probed(breaker: Breaker, nowMs: number): Breaker | undefined {
  const waitMs = breaker.probeAtMs - nowMs
  // Longer than any pause it is only after the clock went back.
  if (!isOpen(breaker) || (waitMs > 0 && waitMs <= LONGEST_PAUSE_MS)) return undefined
  const pauseMs = FIRST_PAUSE_MS * 2 ** (breaker.failures - FAILURES_TO_OPEN)
  return { failures: breaker.failures + 1, probeAtMs: nowMs + Math.min(LONGEST_PAUSE_MS, pauseMs) }
}
