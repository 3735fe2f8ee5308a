// Circuit breaker (M. Nygard, Release It!, 2007) as a pure state machine. It opens after so many failures in a row, and
// then lets one probe through at a time. There is no state that waits for a probe's outcome: a probe whose client went
// away, and with it the code that would have told, delays the next one and no more.

export interface Breaker {
  /** In a row, since the last success. */
  failures: number
  /** While open: when the next probe may go. */
  probeAtMs: number
}

/** `probe`: the breaker is open, and this one may find out whether it still must be. */
export type Admission = 'pass' | 'probe'

export const CLOSED: Breaker = { failures: 0, probeAtMs: 0 }
export const FAILURES_TO_OPEN = 5
/** Doubles with each probe that fails, up to the longest: a region that is back is soon found. */
export const FIRST_PAUSE_MS = 250
export const LONGEST_PAUSE_MS = 1_000

export const isOpen = ({ failures }: Breaker): boolean => failures >= FAILURES_TO_OPEN

/** @returns undefined for no; how a request goes that does, and the breaker from then on. */
export function admit(
  breaker: Breaker,
  nowMs: number,
): { admission: Admission; breaker: Breaker } | undefined {
  if (!isOpen(breaker)) return { admission: 'pass', breaker }
  if (nowMs < breaker.probeAtMs) return undefined
  return { admission: 'probe', breaker: { ...breaker, probeAtMs: nowMs + pauseMs(breaker) } }
}

/** An answer, whatever it says. */
export const succeeded = (): Breaker => CLOSED

/** Of an instance that says itself that it is leaving. */
export const left = (nowMs: number): Breaker => {
  const breaker = { failures: FAILURES_TO_OPEN, probeAtMs: 0 }
  return { ...breaker, probeAtMs: nowMs + pauseMs(breaker) }
}

/** Failures of requests that were let in before it opened say nothing new. */
export function failed(breaker: Breaker, admission: Admission, nowMs: number): Breaker {
  if (isOpen(breaker) && admission === 'pass') return breaker
  const failures = breaker.failures + 1
  const after = { failures, probeAtMs: 0 }
  return isOpen(after) ? { failures, probeAtMs: nowMs + pauseMs(after) } : after
}

const pauseMs = ({ failures }: Breaker): number =>
  Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - FAILURES_TO_OPEN))
