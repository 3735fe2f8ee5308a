// When a failed step is tried again. Pure.
import type { RetrySchedule } from './kind.ts'

/**
 * Exponential back-off with full jitter over its upper half, so that what failed together does not return together.
 * (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.)
 * @param failures how often the step has failed, 1 and up
 * @param random from 0 to 1
 * @returns when, in milliseconds since 1970; undefined when it has been tried often enough
 */
export function nextTryMs(
  { firstMs, maxMs, tries }: RetrySchedule,
  failures: number,
  nowMs: number,
  random: number,
): number | undefined {
  if (failures >= tries) return undefined
  const delay = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 40))
  return nowMs + Math.ceil(delay * (0.5 + random / 2))
}
