// GCRA, the generic cell rate algorithm, as pure functions: in any time t no more than burst + rate · t units conform.
// It is the continuous-state leaky bucket of ITU-T I.371 annex A and the ATM Forum's Traffic Management 4.0 (section
// 4.4.2), which give it as the equal of virtual scheduling. The theoretical arrival time (TAT) is kept as its distance
// from a moment, in units: added up as milliseconds since 1970, a double's rounding would admit more than the limit.
import type { Limit } from '../../shared/limits.ts'

export interface Meter {
  /** Units that have conformed and have not yet drained; TAT − `atMs`, divided by the emission interval. */
  backlog: number
  atMs: number
}

export const emptyMeter = (nowMs: number): Meter => ({ backlog: 0, atMs: nowMs })

/**
 * The same meter, seen now. A clock that went back drains nothing. What was asked under a larger limit counts as one burst of
 * this one: what conforms to this one is never more than it allows by itself, and a lowered limit locks nobody out.
 */
export function drained({ backlog, atMs }: Meter, { rate, burst }: Limit, nowMs: number): Meter {
  const elapsed = Math.max(0, nowMs - atMs)
  return { backlog: Math.max(0, Math.min(backlog, burst) - (rate * elapsed) / 1_000), atMs: nowMs }
}

/** Units that would conform now. */
export const conforming = (meter: Meter, limit: Limit, nowMs: number): number =>
  limit.burst - drained(meter, limit, nowMs).backlog

/** Counts units as having come now, whether they conform or not; beyond the burst they are forgotten. */
export function charged(meter: Meter, limit: Limit, nowMs: number, units: number): Meter {
  const now = drained(meter, limit, nowMs)
  return { backlog: now.backlog + units, atMs: nowMs }
}

/** Milliseconds until `units` would conform, if nothing else came meanwhile. */
export const waitFor = (meter: Meter, limit: Limit, nowMs: number, units: number): number =>
  Math.max(0, Math.ceil(((units - conforming(meter, limit, nowMs)) / limit.rate) * 1_000))

/** What a request is charged: one that costs more than the burst would never conform, so it takes the whole of it. */
export const chargeOf = (units: number, { burst }: Limit): number => Math.min(units, burst)

export type Conformance = { conforms: true; meter: Meter } | { conforms: false; retryAfterMs: number }

/** All of the units or none. More than `burst` of them never conform. */
export function admit(meter: Meter, limit: Limit, nowMs: number, units: number): Conformance {
  return units <= conforming(meter, limit, nowMs)
    ? { conforms: true, meter: charged(meter, limit, nowMs, units) }
    : { conforms: false, retryAfterMs: waitFor(meter, limit, nowMs, units) }
}
