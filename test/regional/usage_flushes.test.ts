// What flushes of usage leave behind, so that none is added twice: it goes when nobody tries them again.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { windowOf } from '../../regional/services/usage/schema.ts'
import { numberKey } from '../../regional/storage/keys.ts'
import type { TenantScope } from '../../regional/tenancy/region_database.ts'
import { type FlushKey, flushSpace, readUsage, UsageMeter } from '../../regional/tenancy/usage.ts'
import { openQueue, type Queue, tenantNumber } from '../jobs/support.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * 60 * 60 * 1000
let queue: Queue
beforeEach(async () => {
  queue = await openQueue()
})
afterEach(() => queue.close())

const newMeter = () => new UsageMeter(queue.database, () => queue.clock.nowMs)

async function flushed(meter: UsageMeter): Promise<void> {
  meter.count(tenantNumber(1), 'reads', 1, queue.clock.nowMs)
  await meter.flush()
}

/** By kind, and the day of those that have one. */
const rows = () =>
  queue.database.region(async (scope) => {
    const { entries } = await scope.space(flushSpace).page({ limit: 1_000 })
    const told = entries.map(([key]) => (key[0] === 'last' ? `last ${key[1]}` : `${key[0]}`))
    return { value: told, commit: false }
  })

const write = (key: FlushKey) =>
  queue.database.region(async (scope) => ({ value: scope.space(flushSpace).set(key, 1), commit: true }))

test('milliseconds are added up before they are rounded, whatever flushes come between', async () => {
  const meter = newMeter()
  for (let i = 0; i < 400; i++) {
    meter.count(tenantNumber(1), 'milliseconds', 0.2, queue.clock.nowMs)
    meter.count(tenantNumber(2), 'milliseconds', 1.4, queue.clock.nowMs)
    if (i % 10 === 0) await meter.flush()
  }
  await meter.flush()
  const counted = async (number: number) => {
    const window = { fromMs: queue.clock.nowMs - 1, toMs: queue.clock.nowMs + 1, by: 'hour' as const }
    const read = async (scope: TenantScope) => ({
      value: await readUsage(scope, queue.clock.nowMs, window),
      commit: false,
    })
    return (await queue.database.tenant(tenantNumber(number), read)).history[0]?.milliseconds
  }
  expect([await counted(1), await counted(2)]).toEqual([80, 560])
})

test('by the day the first one is whole, whatever the time of the day', async () => {
  const meter = newMeter()
  const { nowMs } = queue.clock
  for (let hours = 0; hours < 32 * 24; hours++) {
    meter.count(tenantNumber(1), 'reads', 1, nowMs - hours * HOUR_MS)
  }
  await meter.flush()
  const days = async (asked: { from?: string; to?: string }) => {
    const window = windowOf({ by: 'day', ...asked }, nowMs)
    if (typeof window === 'string') throw new Error(window)
    const read = async (scope: TenantScope) => ({
      value: await readUsage(scope, nowMs, window),
      commit: false,
    })
    const { history } = await queue.database.tenant(tenantNumber(1), read)
    return history.map(({ start, reads }) => `${start.slice(5, 10)} ${reads}`)
  }
  const usual = await days({})
  expect(usual).toHaveLength(30)
  expect([usual[0], usual.at(-2), usual.at(-1)]).toEqual(['10-25 24', '11-22 24', '11-23 11'])
  expect(await days({ from: '2026-11-21T18:00:00Z' })).toEqual(['11-21 24', '11-22 24', '11-23 11'])
  const before = await days({ to: '2026-11-23T00:00:00Z' })
  expect([before.length, before[0], before.at(-1)]).toEqual([30, '10-24 24', '11-22 24'])
})

test('a process is remembered for the day of its flush and the next one, and a tenant that is gone for good', async () => {
  await write(['gone', numberKey(tenantNumber(2))])
  for (let i = 0; i < 3; i++) await flushed(newMeter())
  const [present, day] = [newMeter(), 'last 2026-11-23']
  await flushed(present)
  queue.clock.nowMs += DAY_MS
  await flushed(present)
  await present.sweep()
  expect(await rows()).toEqual(['gone', day, day, day, day, 'last 2026-11-24'])
  queue.clock.nowMs += DAY_MS
  await present.sweep()
  expect(await rows()).toEqual(['gone', 'last 2026-11-24'])
})

test('what processes of older versions left goes when none of them can be there any more', async () => {
  const names = ['0a8b1d6c-2b5e-4f0e-9d53-1d3b8e7a9c10', 'f3c1a7e2-90d4-4a51-8b8f-5e2d6c7b1a09']
  for (const name of names) await write([name])
  const present = newMeter()
  await present.sweep()
  expect(await rows()).toEqual(names)
  queue.clock.nowMs += DAY_MS + 1
  await newMeter().sweep()
  expect(await rows()).toEqual(names)
  await present.sweep()
  expect(await rows()).toEqual([])
})
