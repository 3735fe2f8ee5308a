// When a delivery that failed is tried again. Pure. Svix's schedule, with jitter, so that what failed together does not
// come back together.

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

/** After the first failure, the second, …; 28 hours in all. */
export const RETRY_DELAYS_MS: ReadonlyArray<number> = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  10 * HOUR_MS,
]
const JITTER = 0.2

/**
 * @param failures so far, 1 and up
 * @param random from 0 to 1
 * @param askedMs by the receiver's `Retry-After`: honoured between the delay and twice the delay
 * @returns in milliseconds; undefined when it has been tried often enough
 */
export function retryDelayMs(
  failures: number,
  random: number,
  askedMs: number | undefined,
): number | undefined {
  const delay = RETRY_DELAYS_MS[failures - 1]
  if (delay === undefined) return undefined
  const base = delay * (1 - JITTER + 2 * JITTER * random)
  return Math.ceil(Math.min(Math.max(base, askedMs ?? 0), Math.max(base, 2 * delay)))
}

/** Where order matters, nothing is given up: the last delay goes on, until the endpoint is disabled. */
export const orderedDelayMs = (failures: number, random: number, askedMs: number | undefined): number =>
  retryDelayMs(Math.min(failures, RETRY_DELAYS_MS.length), random, askedMs) ?? 0

const DAY_MS = 24 * HOUR_MS
/** An endpoint is disabled after so long without one success. */
export const DISABLE_AFTER_MS = 5 * DAY_MS
/** After so long it is told of. */
const WARN_AFTER_MS: ReadonlyArray<number> = [DAY_MS, 3 * DAY_MS, 4 * DAY_MS]
/** Whoever was told has so long, at least: an endpoint that is seldom called may be found failing only after days. */
export const NOTICE_MS = 12 * HOUR_MS

export type Standing = { outcome: 'fine' } | { outcome: 'warn'; warnings: number } | { outcome: 'disable' }

/** How an endpoint has failed so far. */
export interface Failing {
  sinceMs: number
  /** Told of it since then. */
  warnings: number
  /** The last of them. */
  warnedMs: number | undefined
}

/** What a failure comes to for its endpoint. It is never disabled without a warning before. */
export function standingOf({ sinceMs, warnings, warnedMs = 0 }: Failing, nowMs: number): Standing {
  const failingMs = nowMs - sinceMs
  const wasTold = warnings > 0 && nowMs - warnedMs >= NOTICE_MS
  if (failingMs >= DISABLE_AFTER_MS && wasTold) return { outcome: 'disable' }
  const due = WARN_AFTER_MS.filter((afterMs) => failingMs >= afterMs).length
  return due > warnings ? { outcome: 'warn', warnings: due } : { outcome: 'fine' }
}
