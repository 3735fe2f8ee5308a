import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  admit,
  charged,
  chargeOf,
  conforming,
  drained,
  emptyMeter,
  type Meter,
} from '../../edge/limit/gcra.ts'

const limits = fc.record({
  rate: fc.integer({ min: 1, max: 5_000 }),
  burst: fc.integer({ min: 1, max: 500 }),
})
const arrivals = fc.array(
  fc.record({ afterMs: fc.nat({ max: 200 }), units: fc.integer({ min: 1, max: 20 }) }),
  { minLength: 1, maxLength: 120 },
)
/** Today, so that rounding is what it will be. */
const START_MS = 1_795_000_000_000

interface Admitted {
  atMs: number
  units: number
}

/** What the words say: over every stretch of time, counted afresh, in whole thousandths of a unit. */
function conformsNaively(
  before: ReadonlyArray<Admitted>,
  arrival: Admitted,
  limit: { rate: number; burst: number },
) {
  let sum = arrival.units
  if (sum > limit.burst) return false
  for (const { atMs, units } of before.toReversed()) {
    sum += units
    if (sum * 1_000 > limit.burst * 1_000 + limit.rate * (arrival.atMs - atMs)) return false
  }
  return true
}

test('a request is admitted exactly when no stretch of time would hold more than burst + rate · t', () => {
  fc.assert(
    fc.property(limits, arrivals, (limit, each) => {
      const admitted: Admitted[] = []
      let meter: Meter = emptyMeter(START_MS)
      let atMs = START_MS
      for (const { afterMs, units } of each) {
        atMs += afterMs
        const verdict = admit(meter, limit, atMs, units)
        const naive = conformsNaively(admitted, { atMs, units }, limit)
        // A double and a whole number may differ by less than a millionth of a unit, and only on the very edge.
        const onTheEdge = Math.abs(conforming(meter, limit, atMs) - units) < 1e-6
        if (!onTheEdge) expect(verdict.conforms).toBe(naive)
        if (verdict.conforms) {
          meter = verdict.meter
          admitted.push({ atMs, units })
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('whoever waits as long as he is told is admitted, and a millisecond earlier would not have been', () => {
  fc.assert(
    fc.property(limits, fc.nat({ max: 500 }), fc.integer({ min: 1, max: 20 }), (limit, backlog, cost) => {
      const units = chargeOf(cost, limit)
      const meter = { backlog, atMs: START_MS }
      const verdict = admit(meter, limit, START_MS, units)
      if (verdict.conforms) return
      const at = START_MS + verdict.retryAfterMs
      expect(conforming(meter, limit, at)).toBeGreaterThan(units - 1e-6)
      expect(conforming(meter, limit, at - 1)).toBeLessThan(units + 1e-6)
    }),
  )
})

test('a refusal costs nothing, and more than the burst is never admitted', () => {
  const limit = { rate: 10, burst: 5 }
  const full = charged(emptyMeter(START_MS), limit, START_MS, 5)
  expect(admit(full, limit, START_MS, 1)).toEqual({ conforms: false, retryAfterMs: 100 })
  expect(admit(emptyMeter(START_MS), limit, START_MS + 1e9, 6).conforms).toBe(false)
})

test('of what a larger limit has admitted one burst remains', () => {
  const full = charged(emptyMeter(START_MS), { rate: 1_000, burst: 4_000 }, START_MS, 4_000)
  const lower = { rate: 1, burst: 5 }
  expect(admit(full, lower, START_MS, 1)).toEqual({ conforms: false, retryAfterMs: 1_000 })
  expect(admit(full, lower, START_MS + 1_000, 1).conforms).toBe(true)
  expect(admit(full, lower, START_MS + 1_000, 2).conforms).toBe(false)
})

test('a million charges add up as one does: nothing is lost to rounding', () => {
  const limit = { rate: 5_000, burst: 1e9 }
  let meter: Meter = emptyMeter(START_MS)
  for (let i = 0; i < 1_000_000; i++) meter = charged(meter, limit, START_MS + Math.floor(i / 10), 1)
  const expected = 1_000_000 - 5 * 99_999
  expect(meter.backlog).toBeCloseTo(expected, 6)
})

test('a clock that goes back drains nothing', () => {
  const limit = { rate: 10, burst: 5 }
  expect(drained({ backlog: 4, atMs: START_MS }, limit, START_MS - 60_000).backlog).toBe(4)
})
