import fc from 'fast-check'
import { expect, test } from 'vitest'
import { conforming } from '../../edge/limit/gcra.ts'
import {
  afterRestart,
  call,
  FIRST_LIMIT,
  LEASE_MS,
  type LeaseRequest,
  type Ledger,
  newLedger,
  outstanding,
  restored,
  SETTLE_MS,
  SETTLED_MS,
  standing,
  unwrittenUnits,
} from '../../edge/limit/ledger.ts'

const START_MS = 1_795_000_000_000

const ask = (request: Partial<LeaseRequest>): LeaseRequest => ({ units: 0, ahead: 0, settle: [], ...request })
const limited = (rate: number, burst: number) => ({ epoch: 1, version: 1, limit: { rate, burst } })

interface Held {
  id: string
  granted: number
  left: number
  endsAtMs: number
}

/** What isolates may do, in any order and at any time: ask, spend, go idle, die, be late. */
const steps = fc.array(
  fc.record({
    afterMs: fc.nat({ max: 400 }),
    isolate: fc.nat({ max: 3 }),
    does: fc.constantFrom('ask', 'ask', 'spend', 'spend', 'spend', 'report', 'die', 'evict'),
    units: fc.nat({ max: 30 }),
    ahead: fc.nat({ max: 60 }),
  }),
  { minLength: 1, maxLength: 150 },
)

test('whatever isolates do, no stretch of time holds more than burst + rate · t, and backlog + leases fit the burst', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 100 }),
      steps,
      (rate, burst, all) => {
        const limit = limited(rate, burst)
        let ledger: Ledger = newLedger(START_MS)
        let atMs = START_MS
        let ids = 0
        const held: Held[][] = [[], [], [], []]
        const admitted: Array<{ atMs: number; units: number }> = []
        for (const { afterMs, isolate, does, units, ahead } of all) {
          atMs += afterMs
          const own = held[isolate] ?? []
          if (does === 'evict') ledger = restored(structuredClone(ledger), atMs)
          if (does === 'die') held[isolate] = []
          if (does === 'spend') {
            const lease = own.find(({ left, endsAtMs }) => left > 0 && atMs < endsAtMs)
            if (lease) {
              const spent = Math.min(lease.left, units)
              lease.left -= spent
              admitted.push({ atMs, units: spent })
            }
          }
          if (does !== 'ask' && does !== 'report') continue
          const over = own.filter(({ left, endsAtMs }) => left === 0 || atMs >= endsAtMs)
          const settle = over.map(({ id, granted, left }) => ({ lease: id, spent: granted - left }))
          const request = ask({ ...(does === 'ask' && { units, ahead }), settle, limit })
          const result = call(ledger, request, atMs, `lease ${++ids}`)
          ledger = result.ledger
          const { lease } = result.answer
          held[isolate] = own.filter((each) => !over.includes(each))
          if (lease) {
            held[isolate].push({
              id: lease.id,
              granted: lease.units,
              left: lease.units,
              endsAtMs: atMs + LEASE_MS,
            })
          }
          if (does === 'ask' && result.answer.admitted) admitted.push({ atMs, units: Math.min(units, burst) })
          const free = conforming(ledger.meter, limit.limit, atMs) - outstanding(ledger.leases)
          expect(free).toBeGreaterThan(-1e-6)
        }
        for (let from = 0; from < admitted.length; from++) {
          let sum = 0
          for (const { atMs: until, units } of admitted.slice(from)) {
            sum += units
            const bound = burst + (rate * (until - (admitted[from]?.atMs ?? 0))) / 1_000
            expect(sum).toBeLessThanOrEqual(bound + 1e-6)
          }
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('what an isolate gives back can be had at once; what nobody reports counts as spent', () => {
  const limit = limited(10, 20)
  const first = call(newLedger(START_MS), ask({ ahead: 5, limit }), START_MS, 'a')
  expect(first.answer.lease).toEqual({ id: 'a', units: 5 })
  const reported = call(first.ledger, ask({ settle: [{ lease: 'a', spent: 2 }] }), START_MS, 'b').ledger
  expect(conforming(reported.meter, limit.limit, START_MS) - outstanding(reported.leases)).toBe(18)
  const silent = call(first.ledger, ask({}), START_MS + SETTLE_MS, 'b').ledger
  expect(conforming(silent.meter, limit.limit, START_MS + SETTLE_MS)).toBe(15)
  expect(outstanding(silent.leases)).toBe(0)
})

test('a report that comes twice, or for a lease that nobody has, does nothing', () => {
  const limit = limited(1, 20)
  const { ledger } = call(newLedger(START_MS), ask({ ahead: 5, limit }), START_MS, 'a')
  const settle = [{ lease: 'a', spent: 2 }]
  const once = call(ledger, ask({ settle }), START_MS, 'b').ledger
  expect(call(once, ask({ settle: [...settle, { lease: 'x', spent: 9 }] }), START_MS, 'c').ledger).toEqual(
    once,
  )
})

test('leases never take the whole burst, so that it drains at the full rate while all of it is wanted', () => {
  let { ledger } = call(newLedger(START_MS), ask({ limit: limited(100, 100) }), START_MS, 'first')
  for (let i = 0; i < 20; i++) ledger = call(ledger, ask({ ahead: 100 }), START_MS, `lease ${i}`).ledger
  expect(outstanding(ledger.leases)).toBe(50)
  expect(call(ledger, ask({ units: 50 }), START_MS, 'x').answer.admitted).toBe(true)
  expect(call(ledger, ask({ units: 51 }), START_MS, 'x').answer.admitted).toBe(false)
})

test('an older limit never replaces a newer one; a lower one begins with its own burst used, and no more', () => {
  const wide = { epoch: 1, version: 2, limit: { rate: 100, burst: 100 } }
  const used = call(newLedger(START_MS), ask({ units: 80, limit: wide }), START_MS, 'a').ledger
  const older = { epoch: 1, version: 1, limit: { rate: 1, burst: 1 } }
  expect(call(used, ask({ limit: older }), START_MS, 'b').answer.limit).toEqual(wide)
  const lower = { epoch: 1, version: 3, limit: { rate: 10, burst: 20 } }
  const { answer } = call(used, ask({ units: 1, limit: lower }), START_MS, 'b')
  expect(answer).toMatchObject({ admitted: false, retryAfterMs: 100, limit: lower })
})

test('a lowered limit locks nobody out, not even with all leases out, and a raised one is there at once', () => {
  const wide = { epoch: 1, version: 1, limit: { rate: 1_000, burst: 4_000 } }
  const used = call(newLedger(START_MS), ask({ units: 2_000, ahead: 4_000, limit: wide }), START_MS, 'a')
  expect(used.answer.lease?.units).toBe(1_000)
  const low = { epoch: 1, version: 2, limit: { rate: 1, burst: 5 } }
  const lowered = call(used.ledger, ask({ units: 1, limit: low }), START_MS, 'b')
  expect(lowered.answer).toMatchObject({ admitted: false, retryAfterMs: SETTLE_MS + 1_000 })
  const onTime = START_MS + lowered.answer.retryAfterMs
  expect(call(lowered.ledger, ask({ units: 1 }), onTime - 1, 'c').answer.admitted).toBe(false)
  expect(call(lowered.ledger, ask({ units: 1 }), onTime, 'c').answer.admitted).toBe(true)
  const raised = { ...wide, version: 3 }
  expect(call(lowered.ledger, ask({ units: 1, limit: raised }), START_MS + 1, 'c').answer.admitted).toBe(true)
})

test('however limits change, what each has admitted conforms to it by itself', () => {
  const changes = fc.record({
    version: fc.nat({ max: 2 }),
    rate: fc.integer({ min: 1, max: 200 }),
    burst: fc.integer({ min: 1, max: 100 }),
  })
  const asks = fc.record({
    afterMs: fc.nat({ max: 400 }),
    units: fc.nat({ max: 30 }),
    ahead: fc.nat({ max: 60 }),
    spends: fc.double({ min: 0, max: 1, noNaN: true }),
    reports: fc.boolean(),
    change: fc.option(changes, { freq: 10 }),
  })
  fc.assert(
    fc.property(fc.array(asks, { minLength: 1, maxLength: 100 }), (all) => {
      let [ledger, limit, atMs] = [newLedger(START_MS), limited(50, 50), START_MS]
      let held: Array<Held & { version: number }> = []
      const admitted: Array<{ atMs: number; units: number; version: number }> = []
      const limits = new Map([[limit.version, limit.limit]])
      for (const [i, { afterMs, units, ahead, spends, reports, change }] of all.entries()) {
        atMs += afterMs
        if (change && change.version > 0) {
          const version = limit.version + change.version
          limit = { epoch: 1, version, limit: { rate: change.rate, burst: change.burst } }
          limits.set(version, limit.limit)
        }
        for (const lease of held.filter(({ endsAtMs }) => atMs < endsAtMs)) {
          const spent = Math.floor(lease.left * spends)
          lease.left -= spent
          admitted.push({ atMs, units: spent, version: lease.version })
        }
        const over = reports ? held.filter(({ endsAtMs, left }) => atMs >= endsAtMs || left === 0) : []
        const settle = over.map(({ id, granted, left }) => ({ lease: id, spent: granted - left }))
        held = held.filter((each) => !over.includes(each))
        const { answer, ...after } = call(ledger, ask({ units, ahead, settle, limit }), atMs, `lease ${i}`)
        ledger = after.ledger
        const { version } = limit
        if (answer.admitted) admitted.push({ atMs, units: Math.min(units, limit.limit.burst), version })
        const { lease } = answer
        if (lease) {
          const granted = lease.units
          held.push({ id: lease.id, granted, left: granted, endsAtMs: atMs + LEASE_MS, version })
        }
      }
      for (const [version, { rate, burst }] of limits) {
        const own = admitted.filter((each) => each.version === version)
        for (let from = 0; from < own.length; from++) {
          let sum = 0
          for (const each of own.slice(from)) {
            sum += each.units
            const bound = burst + (rate * (each.atMs - (own[from]?.atMs ?? 0))) / 1_000
            expect(sum).toBeLessThanOrEqual(bound + 1e-6)
          }
        }
      }
      const { rate } = limit.limit
      const later = atMs + SETTLE_MS + Math.ceil(1_000 / rate)
      expect(call(ledger, ask({ units: 1 }), later, 'last').answer.admitted).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('a request that costs more than the burst takes the whole of it', () => {
  const limit = limited(3, 5)
  const first = call(newLedger(START_MS), ask({ units: 10, limit }), START_MS, 'a')
  expect(first.answer).toMatchObject({ admitted: true, free: 0 })
  const again = call(first.ledger, ask({ units: 10 }), START_MS, 'b')
  expect(again.answer).toMatchObject({ admitted: false, retryAfterMs: 1_667 })
  expect(call(first.ledger, ask({ units: 10 }), START_MS + 1_666, 'c').answer.admitted).toBe(false)
  expect(call(first.ledger, ask({ units: 10 }), START_MS + 1_667, 'c').answer.admitted).toBe(true)
})

test('a clock that went back over a restart locks nobody out', () => {
  const { ledger } = call(newLedger(START_MS), ask({ units: 40, ahead: 5 }), START_MS, 'a')
  const hourEarlier = START_MS - 3_600_000
  const { ledger: after } = call(restored(ledger, hourEarlier), ask({}), hourEarlier + SETTLE_MS, 'b')
  expect(outstanding(after.leases)).toBe(0)
  expect(after.limit).toEqual(FIRST_LIMIT)
  expect(conforming(after.meter, after.limit.limit, hourEarlier + SETTLE_MS)).toBeGreaterThan(900)
})

test('as long as an isolate may spend a lease, nothing of it drains', () => {
  const limit = limited(10, 40)
  const { ledger, answer } = call(newLedger(START_MS), ask({ ahead: 40, limit }), START_MS, 'a')
  expect(answer.lease?.units).toBe(10)
  const late = START_MS + LEASE_MS - 1
  expect(call(ledger, ask({ units: 31 }), late, 'b').answer.admitted).toBe(false)
  expect(call(ledger, ask({ units: 30 }), late, 'b').answer.admitted).toBe(true)
})

test('what was not written is never admitted twice: lost, it counts as spent; left alone, it has drained', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 5_000 }),
      fc.array(
        fc.record({ afterMs: fc.nat({ max: 300 }), units: fc.nat({ max: 3 }), ahead: fc.nat({ max: 3 }) }),
      ),
      (rate, burst, asked) => {
        const versioned = limited(rate, burst)
        const free = (ledger: Ledger, nowMs: number) =>
          conforming(ledger.meter, versioned.limit, nowMs) - outstanding(ledger.leases)
        const written = call(newLedger(START_MS), ask({ limit: versioned }), START_MS, 'first').ledger
        let ledger = written
        let nowMs = START_MS
        for (const [i, { afterMs, units, ahead }] of asked.entries()) {
          nowMs += afterMs
          const next = call(ledger, ask({ units, ahead }), nowMs, `l${i}`).ledger
          if (standing(next, nowMs) > unwrittenUnits(versioned)) break
          ledger = next
        }
        const begun = afterRestart(restored(written, nowMs), nowMs)
        expect(free(begun, nowMs)).toBeLessThanOrEqual(free(ledger, nowMs) + 1e-9)
        const laterMs = nowMs + SETTLED_MS
        const left = call(ledger, ask({}), laterMs - SETTLED_MS + SETTLE_MS, 'x').ledger
        expect(standing(left, laterMs)).toBeLessThanOrEqual(1e-9)
      },
    ),
  )
})
