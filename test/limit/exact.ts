// What several isolates admitted together, held to what GCRA allows.
import { expect } from 'vitest'
import type { Limit } from '../../shared/limits.ts'
import type { Measured } from './load.ts'

export const limited = (rate: number, burst: number) => ({ epoch: 1, version: 1, limit: { rate, burst } })

/** How late an answer may be: its units conformed when the object decided. */
const ANSWER_MS = 100

export interface Sum {
  asked: number
  admitted: number
  calls: number
  seconds: number
}

/** From before the first request to after the last answer: all that was admitted was admitted in between. */
export function total(measured: ReadonlyArray<Measured>): Sum {
  const from = Math.min(...measured.map(({ startedAtMs }) => startedAtMs))
  const until = Math.max(...measured.map(({ endedAtMs }) => endedAtMs))
  const sum = (of: 'asked' | 'admitted' | 'calls') => measured.reduce((total, each) => total + each[of], 0)
  return {
    asked: sum('asked'),
    admitted: sum('admitted'),
    calls: sum('calls'),
    seconds: (until - from) / 1_000,
  }
}

/** All isolates' bins as one, in order. */
function binsOf(measured: ReadonlyArray<Measured>): Measured['bins'] {
  const bins = new Map<number, { asked: number; admitted: number }>()
  for (const [at, asked, admitted] of measured.flatMap((each) => each.bins)) {
    const bin = bins.get(at) ?? { asked: 0, admitted: 0 }
    bins.set(at, { asked: bin.asked + asked, admitted: bin.admitted + admitted })
  }
  return [...bins]
    .toSorted(([a], [b]) => a - b)
    .map(([at, { asked, admitted }]): [number, number, number] => [at, asked, admitted])
}

/** The most in any stretch of time, beyond what GCRA allows in it. Above 0 is too much. */
function worstExcess(measured: ReadonlyArray<Measured>, { rate, burst }: Limit): number {
  // The largest sum over neighbouring bins of (admitted − refilled): Kadane's algorithm.
  let worst = 0
  let running = 0
  let before: number | undefined
  for (const [at, , count] of binsOf(measured)) {
    if (before !== undefined) running -= (rate * (at - before)) / 1_000
    running = Math.max(running, 0) + count
    worst = Math.max(worst, running)
    before = at
  }
  return worst - burst
}

/** What one GCRA in the middle would have admitted of the same requests: on a busy machine fewer come than planned. */
function idealOf(measured: ReadonlyArray<Measured>, { rate, burst }: Limit): number {
  let free = burst
  let admitted = 0
  let before: number | undefined
  for (const [at, asked] of binsOf(measured)) {
    if (before !== undefined) free = Math.min(burst, free + (rate * (at - before)) / 1_000)
    const passed = Math.min(asked, Math.floor(free))
    free -= passed
    admitted += passed
    before = at
  }
  return admitted
}

/** Never more than GCRA allows, over the whole and in any part of it. */
export function expectNoMore(measured: ReadonlyArray<Measured>, limit: Limit): void {
  const { admitted, seconds } = total(measured)
  expect(admitted).toBeLessThanOrEqual(limit.burst + limit.rate * seconds)
  expect(worstExcess(measured, limit)).toBeLessThanOrEqual((limit.rate * ANSWER_MS) / 1_000)
}

/** No more than GCRA allows, and at least 95 % of what it would admit. */
export function expectExact(measured: ReadonlyArray<Measured>, limit: Limit): void {
  expectNoMore(measured, limit)
  expect(total(measured).admitted / idealOf(measured, limit)).toBeGreaterThanOrEqual(0.95)
  expect(measured.every(({ unreachable }) => unreachable === 0)).toBe(true)
}
