import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Admission,
  admit,
  type Breaker,
  CLOSED,
  FAILURES_TO_OPEN,
  FIRST_PAUSE_MS,
  failed,
  isOpen,
  LONGEST_PAUSE_MS,
  succeeded,
} from '../../edge/forward/breaker.ts'

/** Each request: how long after the one before, and what becomes of it; `lost` is one that never tells. */
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
  admission: Admission | undefined
  after: Breaker
}

function run(all: ReadonlyArray<{ afterMs: number; fate: string }>): Step[] {
  let breaker = CLOSED
  let atMs = 1_000
  return all.map(({ afterMs, fate }) => {
    atMs += afterMs
    const before = breaker
    const admitted = admit(breaker, atMs)
    if (admitted !== undefined) {
      breaker = admitted.breaker
      if (fate === 'succeeds') breaker = succeeded()
      if (fate === 'fails') breaker = failed(breaker, admitted.admission, atMs)
    }
    return { atMs, before, admission: admitted?.admission, after: breaker }
  })
}

test('it refuses nobody before so many failures in a row', () => {
  fc.assert(
    fc.property(requests, (all) => {
      let inARow = 0
      for (const [i, { admission }] of run(all).entries()) {
        if (inARow < FAILURES_TO_OPEN) expect(admission).toBe('pass')
        else expect(admission).not.toBe('pass')
        if (admission === undefined) continue
        if (all[i]?.fate === 'succeeds') inARow = 0
        if (all[i]?.fate === 'fails') inARow++
      }
    }),
  )
})

test('while it is open, probes are a pause apart, whatever becomes of them', () => {
  fc.assert(
    fc.property(requests, (all) => {
      let lastProbeAtMs = Number.NEGATIVE_INFINITY
      for (const { atMs, admission } of run(all)) {
        if (admission !== 'probe') continue
        expect(atMs - lastProbeAtMs).toBeGreaterThanOrEqual(FIRST_PAUSE_MS)
        lastProbeAtMs = atMs
      }
    }),
  )
})

test('whatever happened, after the longest pause someone is let in, and a success closes it', () => {
  fc.assert(
    fc.property(requests, (all) => {
      const last = run(all).at(-1)
      const admitted = admit(last?.after ?? CLOSED, (last?.atMs ?? 0) + LONGEST_PAUSE_MS)
      expect(admitted).toBeDefined()
      expect(admit(succeeded(), 0)).toEqual({ admission: 'pass', breaker: CLOSED })
    }),
  )
})

test('those who were under way when it opened do not keep it open', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 50 }), (late) => {
      let breaker = CLOSED
      for (let i = 0; i < FAILURES_TO_OPEN; i++) breaker = failed(breaker, 'pass', 1_000)
      const opened = breaker
      for (let i = 0; i < late; i++) breaker = failed(breaker, 'pass', 1_000 + i)
      expect(breaker).toEqual(opened)
      expect(isOpen(breaker)).toBe(true)
      expect(admit(breaker, 1_000 + FIRST_PAUSE_MS)).toMatchObject({ admission: 'probe' })
    }),
  )
})
