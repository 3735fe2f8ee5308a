import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  ALIVE,
  type Breaker,
  CLOSED,
  FAILURES_TO_OPEN,
  FIRST_PAUSE_MS,
  failed,
  isOpen,
  LONGEST_PAUSE_MS,
  opened,
  probed,
} from '../../edge/forward/breaker.ts'

/** Each request: how long after the one before, and what becomes of it, or of the probe beside it; `lost` never tells. */
const requests = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 2 * LONGEST_PAUSE_MS })),
    fate: fc.constantFrom('succeeds', 'fails', 'fails', 'fails', 'lost'),
  }),
  { maxLength: 60 },
)

interface Step {
  atMs: number
  before: Breaker
  /** Until then, where it sent one. */
  probeUntilMs: number | undefined
  after: Breaker
}

function run(all: ReadonlyArray<{ afterMs: number; fate: string }>): Step[] {
  let breaker = CLOSED
  let atMs = 1_000
  return all.map(({ afterMs, fate }) => {
    atMs += afterMs
    const before = breaker
    const probing = probed(breaker, atMs)
    if (probing !== undefined) breaker = fate === 'succeeds' ? ALIVE : probing
    else if (!isOpen(breaker) && fate === 'succeeds') breaker = CLOSED
    else if (!isOpen(breaker) && fate === 'fails') breaker = failed(breaker, atMs)
    return { atMs, before, probeUntilMs: probing?.probeAtMs, after: breaker }
  })
}

test('it refuses nobody before so many failures in a row, and after a probe the next failure is enough', () => {
  fc.assert(
    fc.property(requests, (all) => {
      let inARow = 0
      for (const [i, { before, probeUntilMs }] of run(all).entries()) {
        expect(isOpen(before)).toBe(inARow >= FAILURES_TO_OPEN)
        const { fate } = all[i] ?? {}
        if (!isOpen(before) && fate === 'succeeds') inARow = 0
        if (!isOpen(before) && fate === 'fails') inARow++
        if (probeUntilMs !== undefined && fate === 'succeeds') inARow = FAILURES_TO_OPEN - 1
      }
    }),
  )
})

test('while it is open there is one probe at a time, whatever becomes of them', () => {
  fc.assert(
    fc.property(requests, (all) => {
      let lastUntilMs = Number.NEGATIVE_INFINITY
      for (const { atMs, before, probeUntilMs } of run(all)) {
        if (probeUntilMs === undefined) continue
        expect(isOpen(before)).toBe(true)
        expect(atMs).toBeGreaterThanOrEqual(lastUntilMs)
        expect(probeUntilMs - atMs).toBeGreaterThanOrEqual(FIRST_PAUSE_MS)
        expect(probeUntilMs - atMs).toBeLessThanOrEqual(LONGEST_PAUSE_MS)
        lastUntilMs = probeUntilMs
      }
    }),
  )
})

test('whatever happened, after the longest pause it is closed or probed', () => {
  fc.assert(
    fc.property(requests, (all) => {
      const { after, atMs } = run(all).at(-1) ?? { after: CLOSED, atMs: 0 }
      if (isOpen(after)) expect(probed(after, atMs + LONGEST_PAUSE_MS)).toBeDefined()
    }),
  )
})

test('a clock that went back far keeps nobody from probing', () => {
  const breaker = opened(3_600_000)
  expect(probed(breaker, 0)).toMatchObject({ probeAtMs: FIRST_PAUSE_MS })
  expect(probed(breaker, 3_600_000)).toBeUndefined()
})

test('those who were under way when it opened do not keep it open', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 50 }), (late) => {
      let breaker = CLOSED
      for (let i = 0; i < FAILURES_TO_OPEN; i++) breaker = failed(breaker, 1_000)
      expect(breaker).toEqual(opened(1_000))
      for (let i = 0; i < late; i++) breaker = failed(breaker, 1_000 + i)
      expect(breaker).toEqual(opened(1_000))
      expect(probed(breaker, 1_000 + FIRST_PAUSE_MS)).toBeDefined()
    }),
  )
})
