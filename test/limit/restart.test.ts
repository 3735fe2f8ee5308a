// The object's memory is nothing to rely on: workerd evicts it when it is idle, and may be killed. What it admitted, it
// still knows afterwards.
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { expectExact, limited, total } from './exact.ts'
import { Isolates } from './isolates.ts'
import type { Measured } from './load.ts'

/** workerd evicts after ten seconds without a call. */
const EVICTED_AFTER_MS = 12_500

let isolates: Isolates
beforeEach(async () => {
  isolates = await Isolates.start(8)
})
afterEach(() => isolates.stop())

test('killed and restarted in the middle, with leases out: the whole run stays exact', async () => {
  const limit = limited(2_000, 2_000)
  const load = { tenant: '1', limit, perSecond: 750, durationMs: 2_000 }
  const measured: Measured[] = []
  for (let run = 0; run < 3; run++) {
    if (run > 0) await isolates.killAndRestart()
    measured.push(...(await isolates.run(load)))
  }
  expect(await isolates.boots('1')).toBe(3)
  expectExact(measured, limit.limit)
})

test('evicted while it is idle: the bucket is as full as if it had stayed', async () => {
  const limit = limited(20, 400)
  const load = { tenant: '1', limit, perSecond: 100, durationMs: 1_500 }
  const before = await isolates.run(load)
  const boots = await isolates.boots('1')
  await pause(EVICTED_AFTER_MS)
  const after = await isolates.run(load)
  expect(await isolates.boots('1')).toBeGreaterThan(boots)
  expectExact([...before, ...after], limit.limit)
})

test('tenants that share an object, killed in the middle: each stays within its own limit, and has all of it', async () => {
  await isolates.stop()
  isolates = await Isolates.start(8, 1)
  const [busy, quiet] = [limited(1_000, 1_000), limited(500, 500)]
  const loads = [
    { tenant: '1', limit: busy, perSecond: 375, durationMs: 2_000 },
    { tenant: '2', limit: quiet, perSecond: 25, durationMs: 2_000 },
  ]
  const measured: Measured[][] = [[], []]
  for (let run = 0; run < 2; run++) {
    if (run > 0) await isolates.killAndRestart()
    const runs = await Promise.all(loads.map((load) => isolates.run(load)))
    for (const [i, each] of runs.entries()) measured[i]?.push(...each)
  }
  expect(await isolates.boots('1')).toBe(await isolates.boots('2'))
  expectExact(measured[0] ?? [], busy.limit)
  expect(total(measured[1] ?? []).admitted).toBe(total(measured[1] ?? []).asked)
})
