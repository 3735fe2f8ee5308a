// How far a job is, how fast, and how long it will take. Pure.

export interface Progress {
  done: number
  /** Unknown until a step says it. */
  total: number | null
  /** Per second, smoothed; null until there is something to tell it from. */
  rate: number | null
  /** When `rate` was last brought up to date. */
  atMs: number
}

/** How long what was measured counts: later steps weigh more. */
const MEMORY_MS = 10_000

export const noProgress = (nowMs: number): Progress => ({ done: 0, total: null, rate: null, atMs: nowMs })

/** After a step that got to `done`. The rate is an exponentially weighted mean over time. */
export function advanced(
  before: Progress,
  {
    done = before.done,
    total = before.total,
  }: { done?: number | undefined; total?: number | null | undefined },
  nowMs: number,
): Progress {
  const elapsedMs = nowMs - before.atMs
  // Steps within one millisecond are told together with the next.
  if (elapsedMs <= 0) return { ...before, done, total, rate: before.rate }
  const latest = (Math.max(0, done - before.done) / elapsedMs) * 1000
  const weight = before.rate === null ? 1 : 1 - Math.exp(-elapsedMs / MEMORY_MS)
  const rate = (before.rate ?? 0) * (1 - weight) + latest * weight
  return { done, total, rate, atMs: nowMs }
}

/** Whole seconds until `total` is reached at the present rate; null when that can't be told. */
export function secondsLeft({ done, total, rate }: Progress): number | null {
  if (total === null) return null
  if (done >= total) return 0
  return rate === null || rate === 0 ? null : Math.ceil((total - done) / rate)
}
