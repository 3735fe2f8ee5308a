import fc from 'fast-check'
import { expect, test } from 'vitest'
import { advanced, noProgress, secondsLeft } from '../../regional/jobs/progress.ts'
import { nextTryMs } from '../../regional/jobs/schedule.ts'

const schedule = fc.record({
  firstMs: fc.integer({ min: 1, max: 60_000 }),
  maxMs: fc.integer({ min: 60_000, max: 3_600_000 }),
  tries: fc.integer({ min: 1, max: 50 }),
})
const random = fc.double({ min: 0, max: 1, noNaN: true })

test('a retry is at least half its delay away, never beyond the longest, and ends with the last try', () => {
  fc.assert(
    fc.property(schedule, fc.integer({ min: 1, max: 60 }), random, (each, failures, chance) => {
      const at = nextTryMs(each, failures, 1_000, chance)
      expect(at === undefined).toBe(failures >= each.tries)
      if (at === undefined) return
      const delay = at - 1_000
      const whole = Math.min(each.maxMs, each.firstMs * 2 ** (failures - 1))
      expect(delay).toBeGreaterThanOrEqual(whole / 2)
      expect(delay).toBeLessThanOrEqual(Math.ceil(whole))
    }),
  )
})

test('a steady job’s rate is its speed, and its estimate what is left of it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 5_000 }), (amount, stepMs) => {
      let progress = noProgress(0)
      for (let i = 1; i <= 20; i++)
        progress = advanced(progress, { done: i * amount, total: 100 * amount }, i * stepMs)
      const rate = (amount / stepMs) * 1000
      expect(progress.rate).toBeCloseTo(rate, 6)
      expect(secondsLeft(progress)).toBeGreaterThanOrEqual(Math.floor((80 * amount) / rate))
      expect(secondsLeft(progress)).toBeLessThanOrEqual(Math.ceil((80 * amount) / rate) + 1)
    }),
  )
})

test('an estimate is null until it can be told, and nothing is left at the end', () => {
  expect(secondsLeft(noProgress(0))).toBeNull()
  expect(secondsLeft(advanced(noProgress(0), { done: 0, total: 5 }, 10))).toBeNull()
  expect(secondsLeft(advanced(noProgress(0), { done: 5, total: 5 }, 10))).toBe(0)
})
