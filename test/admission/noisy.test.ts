import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fairLevel, NoisyDetector } from '../../regional/admission/noisy.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const tenant = (n: number) => asTenantNumber(BigInt(n))
const NOISY = tenant(1)

/** Seconds in which tenants ask for so many units; served in proportion to what there is. */
function seconds(
  detector: NoisyDetector,
  count: number,
  asks: ReadonlyArray<readonly [n: number, units: number, weight?: number]>,
  { capacity = 1_000, contended = true } = {},
) {
  const total = asks.reduce((sum, [, units]) => sum + units, 0)
  return Array.from({ length: count }, () => {
    for (const [n, units, weight = 1] of asks) {
      const served = units * Math.min(1, capacity / total)
      detector.used(tenant(n), weight, served, true)
      detector.used(tenant(n), weight, units - served, false)
    }
    return detector.tick(contended)
  }).flat()
}

const others = Array.from({ length: 20 }, (_, i) => [i + 2, 10] as const)
const flood = [[1, 5_000] as const, ...others]

describe('who asks a busy region for far more than its share', () => {
  test('is slowed within three seconds, and limited when that does not help', () => {
    const detector = new NoisyDetector()
    expect(seconds(detector, 3, flood)).toMatchObject([{ tenant: NOISY, stage: 'slowed' }])
    expect(detector.isIsolated(NOISY)).toBe(true)
    expect(seconds(detector, 10, flood)).toMatchObject([{ tenant: NOISY, stage: 'limited' }])
    expect(detector.list()).toHaveLength(1)
  })

  test('is found beside a single other one', () => {
    const detector = new NoisyDetector()
    expect(
      seconds(detector, 3, [
        [1, 5_000],
        [2, 50],
      ]),
    ).toMatchObject([{ tenant: NOISY }])
  })

  test('is let out again, a stage at a time, after ten calm seconds each; the next time it takes longer', () => {
    const detector = new NoisyDetector()
    seconds(detector, 14, flood)
    const calm = (count: number) =>
      seconds(detector, count, others, { contended: false }).map((each) => each.stage)
    expect(calm(9)).toEqual([])
    expect(calm(1)).toEqual(['slowed'])
    expect(calm(9)).toEqual([])
    expect(calm(1)).toEqual([undefined])
    expect(detector.isIsolated(NOISY)).toBe(false)
    expect(seconds(detector, 4, flood)).toMatchObject([{ stage: 'slowed' }])
    expect(calm(19)).toEqual([])
    expect(calm(1)).toEqual([undefined])
  })

  test('stays in while it asks for a little more than its share: no coming and going', () => {
    const detector = new NoisyDetector()
    seconds(detector, 4, flood)
    const less = [[1, 400] as const, ...others.map(([n]) => [n, 60] as const)]
    expect(seconds(detector, 60, less).filter(({ stage }) => stage === undefined)).toEqual([])
  })

  test('is nobody where there is enough for all, or where all ask alike, however much', () => {
    const idle = new NoisyDetector()
    expect(seconds(idle, 60, flood, { contended: false })).toEqual([])
    const alike = new NoisyDetector()
    const all = Array.from({ length: 21 }, (_, i) => [i + 1, 500] as const)
    expect(seconds(alike, 60, all)).toEqual([])
    const alone = new NoisyDetector()
    expect(seconds(alone, 60, [[1, 5_000]])).toEqual([])
  })

  test.each([3, 8, 15])('is found although %i of thirty or so do it at once', (count) => {
    const detector = new NoisyDetector()
    const noisy = Array.from({ length: count }, (_, i) => [i + 100, 1_000] as const)
    const found = seconds(detector, 4, [...noisy, ...others])
    expect(found.map(({ tenant }) => tenant)).toEqual(noisy.map(([n]) => tenant(n)))
  })

  test('who asks for little while it is limited, and for much as soon as it is not, is limited for ever longer', () => {
    const detector = new NoisyDetector()
    const stages: unknown[] = []
    const limitedAt: number[] = []
    let stage: string | undefined
    for (let second = 0; second < 1_800; second++) {
      const ask = stage === 'limited' ? 500 : 2_000
      for (const change of seconds(detector, 1, [[1, ask], ...others], { contended: ask === 2_000 })) {
        stage = change.stage
        stages.push(stage)
        if (stage === 'limited') limitedAt.push(second)
      }
    }
    // Never out, and after a while in for five minutes at a time.
    expect(stages).not.toContain(undefined)
    const apart = limitedAt.slice(1).map((at, i) => at - (limitedAt[i] ?? 0))
    expect(apart.slice(0, 5)).toEqual([20, 30, 50, 90, 170])
    expect(apart.slice(5)).toEqual(apart.slice(5).map(() => 310))
  })

  test('is measured by weight: a large plan may ask for more', () => {
    const detector = new NoisyDetector()
    expect(seconds(detector, 30, [[1, 800, 16], ...others.map(([n]) => [n, 50] as const)])).toEqual([])
  })
})

test('a detector that begins goes on where another one was, and lets go of it as that one would have', () => {
  const detector = new NoisyDetector()
  detector.adopt([{ tenant: NOISY, stage: 'limited' }])
  expect(detector.list()).toEqual([{ tenant: NOISY, stage: 'limited', asked: 0, fair: 0 }])
  const quiet = (count: number) => seconds(detector, count, others, { contended: false })
  expect(quiet(9)).toEqual([])
  expect(quiet(1)).toMatchObject([{ stage: 'slowed' }])
  // What it has found itself since is newer.
  detector.adopt([{ tenant: NOISY, stage: 'limited' }])
  expect(quiet(10)).toMatchObject([{ tenant: NOISY, stage: undefined }])
})

test('of one that is silent while its isolation lasts, what it asks for and its share are numbers', () => {
  const detector = new NoisyDetector()
  const few = others.map(([n]) => [n, 0.5] as const)
  seconds(detector, 14, [[1, 50], ...few], { capacity: 15 })
  const found: unknown[] = []
  while (detector.isIsolated(NOISY)) {
    const changes = seconds(detector, 1, few, { contended: false })
    found.push(...[...detector.list(), ...changes].flatMap(({ asked, fair }) => [asked, fair]))
  }
  expect(found).toContain(0)
  expect(found.filter((units) => !Number.isFinite(units))).toEqual([])
})

test('a newcomer is found although as many as are kept ask for a little all the time', () => {
  const detector = new NoisyDetector()
  const polling = (second: number) =>
    Array.from({ length: 5_000 }, (_, i) => [i + 100, (i + second) % 5 === 0 ? 1 : 0] as const).filter(
      ([, units]) => units > 0,
    )
  const found: unknown[] = []
  for (let second = 0; second < 60; second++) {
    const newcomer = second < 40 ? [] : [[1, 5_000] as const]
    found.push(...seconds(detector, 1, [...polling(second), ...newcomer], { capacity: 1_100 }))
    expect(detector.known).toBeLessThanOrEqual(4_096)
    if (second === 43) expect(found).toMatchObject([{ tenant: NOISY, stage: 'slowed' }])
  }
  expect(found).toMatchObject([{ stage: 'slowed' }, { tenant: NOISY, stage: 'limited' }])
})

test('what is kept is bounded, and goes away', () => {
  const detector = new NoisyDetector()
  seconds(
    detector,
    3,
    Array.from({ length: 10_000 }, (_, i) => [i + 1, 1] as const),
  )
  expect(detector.known).toBeLessThanOrEqual(4_096)
  seconds(detector, 60, [])
  expect(detector.known).toBe(0)
})

test('the fair level shares all there is, and gives nobody more than it asks for', () => {
  const want = fc.record({
    asked: fc.double({ min: 0, max: 1_000, noNaN: true }),
    weight: fc.constantFrom(0.25, 1, 4, 16),
  })
  fc.assert(
    fc.property(
      fc.array(want, { minLength: 1, maxLength: 30 }),
      fc.double({ min: 1, max: 5_000, noNaN: true }),
      (wants, capacity) => {
        const level = fairLevel(wants, capacity)
        const asked = wants.reduce((sum, each) => sum + each.asked, 0)
        const given = wants.reduce((sum, each) => sum + Math.min(each.asked, level * each.weight), 0)
        expect(given).toBeCloseTo(Math.min(asked, capacity), 3)
      },
    ),
  )
})
