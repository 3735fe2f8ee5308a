// What tenants share when webhooks go out: whoever has much leaves room for whoever comes.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FairSlots } from '../../regional/outbound/fair_slots.ts'
import { RETRY_DELAYS_MS, retryDelayMs, standingOf } from '../../regional/webhooks/schedule.ts'
import type { TenantNumber } from '../../shared/tenant.ts'

const tenant = (n: number) => BigInt(n) as TenantNumber

describe('slots', () => {
  test('one that wants all gets half, two get a third each, and one more always finds some', () => {
    const slots = new FairSlots(60)
    const held = new Map<number, number>()
    const fill = (...tenants: number[]) => {
      for (let taken = true; taken; ) {
        taken = false
        for (const n of tenants) {
          if (!slots.take(tenant(n), () => {})) continue
          held.set(n, (held.get(n) ?? 0) + 1)
          taken = true
        }
      }
    }
    fill(1)
    expect(held.get(1)).toBe(30)
    fill(1, 2)
    expect(held.get(2)).toBe(15)
    // As the first gives back, the two come to have as much as each other.
    for (let i = 0; i < 100; i++) {
      slots.release(tenant(1))
      held.set(1, (held.get(1) ?? 0) - 1)
      fill(2, 1)
    }
    for (const n of [1, 2]) expect(Math.abs((held.get(n) ?? 0) - 20)).toBeLessThanOrEqual(1)
    for (let n = 3; n < 6; n++) {
      fill(n)
      expect(held.get(n)).toBeGreaterThan(0)
    }
  })

  test('whoever waits is called when it may go on, and no slot is lost or made', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(4), fc.boolean()), { maxLength: 300 }), (steps) => {
        const slots = new FairSlots(8)
        const held = [0, 0, 0, 0, 0]
        const waiting = new Set<number>()
        for (const [n, takes] of steps) {
          const free = 8 - held.reduce((sum, each) => sum + each, 0)
          const own = held[n] ?? 0
          if (takes) {
            const taken = slots.take(tenant(n), () => waiting.delete(n))
            expect(taken).toBe(own < free)
            if (taken) held[n] = own + 1
            else waiting.add(n)
          } else if (own > 0) {
            held[n] = own - 1
            const before = waiting.size
            slots.release(tenant(n))
            expect(waiting.size).toBe(Math.max(0, before - 1))
          }
        }
      }),
    )
  })
})

describe('the schedule', () => {
  test('is Svix’s, give or take a fifth, and at most twice as long where that is asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.option(fc.nat(200_000_000), { nil: undefined }),
        (failures, random, asked) => {
          const base = RETRY_DELAYS_MS[failures - 1]
          const delay = retryDelayMs(failures, random, asked)
          if (base === undefined || delay === undefined) {
            expect([failures > 7, delay]).toEqual([true, undefined])
            return
          }
          expect(delay).toBeGreaterThanOrEqual(base * 0.8)
          expect(delay).toBeLessThanOrEqual(asked === undefined ? base * 1.2 + 1 : base * 2 + 1)
          if (asked !== undefined && asked <= 2 * base) expect(delay).toBeGreaterThanOrEqual(asked)
        },
      ),
    )
    expect(RETRY_DELAYS_MS.reduce((sum, each) => sum + each, 0) / 3_600_000).toBeCloseTo(27.6, 1)
  })

  test('an endpoint that fails is warned of thrice, each once, and disabled after five days', () => {
    const HOUR_MS = 3_600_000
    let warnings = 0
    let warnedMs: number | undefined
    const told: string[] = []
    for (let hour = 0; hour <= 125; hour++) {
      const standing = standingOf({ sinceMs: 0, warnings, warnedMs }, hour * HOUR_MS)
      if (standing.outcome === 'warn') [warnings, warnedMs] = [standing.warnings, hour * HOUR_MS]
      if (standing.outcome !== 'fine') told.push(`${hour} ${standing.outcome}`)
      if (standing.outcome === 'disable') break
    }
    expect(told).toEqual(['24 warn', '72 warn', '96 warn', '120 disable'])
  })

  test('one that is seldom called is never disabled without a warning at least twelve hours before', () => {
    const HOUR_MS = 3_600_000
    fc.assert(
      fc.property(fc.array(fc.nat(200), { minLength: 1, maxLength: 20 }), (gaps) => {
        let [hour, warnings] = [0, 0]
        let warnedMs: number | undefined
        for (const gap of gaps) {
          hour += gap
          const standing = standingOf({ sinceMs: 0, warnings, warnedMs }, hour * HOUR_MS)
          if (standing.outcome === 'warn') {
            expect(standing.warnings).toBeGreaterThan(warnings)
            ;[warnings, warnedMs] = [standing.warnings, hour * HOUR_MS]
          } else if (standing.outcome === 'disable') {
            expect(hour).toBeGreaterThanOrEqual(120)
            expect(hour - (warnedMs ?? Number.NaN) / HOUR_MS).toBeGreaterThanOrEqual(12)
            return
          }
        }
      }),
    )
  })
})
