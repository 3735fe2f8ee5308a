// The object's memory is nothing to rely on: workerd evicts it when it is idle, and may be killed. What it admitted, it
// still knows afterwards.
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { expectExact, limited, total } from './exact.ts'
import { Isolates } from './isolates.ts'
import type { Measured } from './load.ts'

/** workerd evicts after ten seconds without a call. */
const EVICTED_AFTER_MS = 12_500

const ISOLATES = 8
/** So many requests in all; as many as come in a quick run's time, unless it is said. */
const REQUESTS = process.env.LIMIT_REQUESTS === undefined ? undefined : Number(process.env.LIMIT_REQUESTS)

/** How long each of so many runs is. */
const sized = (runs: number, quickMs: number) =>
  REQUESTS === undefined
    ? { durationMs: quickMs }
    : { durationMs: 600_000, requests: Math.ceil(REQUESTS / runs / ISOLATES) }

let isolates: Isolates
beforeEach(async () => {
  isolates = await Isolates.start(ISOLATES)
})
afterEach(() => isolates.stop())

test('killed and restarted in the middle, with leases out: the whole run stays exact', async () => {
  const limit = limited(2_000, 2_000)
  const runs = 3
  const load = { tenant: '1', limit, perSecond: 750, ...sized(runs, 2_000) }
  const measured: Measured[] = []
  for (let run = 0; run < runs; run++) {
    if (run > 0) await isolates.killAndRestart()
    measured.push(...(await isolates.run(load)))
  }
  expect(await isolates.boots('1')).toBe(runs)
  expect(total(measured).asked).toBeGreaterThanOrEqual(REQUESTS ?? 0)
  expectExact(measured, limit.limit)
})

test('evicted while it is idle: the bucket is as full as if it had stayed', async () => {
  // Either has a burst that has not drained when the object begins anew.
  const [limit, perSecond] =
    REQUESTS === undefined ? [limited(20, 400), 100] : [limited(500, 10_000), (3 * 500) / ISOLATES]
  const load = { tenant: '1', limit, perSecond, ...sized(2, 1_500) }
  const before = await isolates.run(load)
  const boots = await isolates.boots('1')
  await pause(EVICTED_AFTER_MS)
  const after = await isolates.run(load)
  expect(await isolates.boots('1')).toBeGreaterThan(boots)
  expect(total([...before, ...after]).asked).toBeGreaterThanOrEqual(REQUESTS ?? 0)
  expectExact([...before, ...after], limit.limit)
})

test('tenants that share an object, killed in the middle: each stays within its own limit, and has all of it', async () => {
  await isolates.stop()
  isolates = await Isolates.start(ISOLATES, 1)
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
