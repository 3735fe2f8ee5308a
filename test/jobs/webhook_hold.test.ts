// Who has a tenant in hand, by clocks that differ and by one that is set back.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { takeLease } from '../../regional/jobs/lease.ts'
import { Hold } from '../../regional/webhooks/hold.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from './support.ts'

let queue: Queue
let tenant: TenantNumber
beforeEach(async () => {
  queue = await openQueue()
  tenant = await queue.tenant(1)
})
afterEach(() => queue.close())

/** When the next one comes, by its own clock; and whether it may. */
const HELD = [
  ['later by less than a lease', 3_999, false],
  ['later by more', 4_001, true],
  ['earlier by what clocks differ', -30_000, false],
  ['earlier by an hour: the clock was set back', -60 * 60_000, true],
] as const

test.each(HELD)('deliveries of a tenant are taken in hand %s: %d ms, %s', async (_, offMs, isTaken) => {
  const take = (hold: Hold) => queue.inTenant(tenant, (scope) => hold.take(scope))
  const { nowMs } = queue.clock
  expect(await take(new Hold(() => nowMs))).toBe(true)
  expect(await take(new Hold(() => nowMs + offMs))).toBe(isTaken)
})

test.each(HELD)('jobs of a tenant are taken in hand %s: %d ms, %s', async (_, offMs, isTaken) => {
  const { nowMs } = queue.clock
  expect(await takeLease(queue.database, tenant, 'one', nowMs)).toBe(true)
  expect(await takeLease(queue.database, tenant, 'two', nowMs + offMs)).toBe(isTaken)
})

test('whoever has a tenant in hand keeps it when its clock is set back', async () => {
  let { nowMs } = queue.clock
  const hold = new Hold(() => nowMs)
  await queue.inTenant(tenant, (scope) => hold.take(scope))
  expect(hold.isRunningOut).toBe(false)
  nowMs -= 60 * 60_000
  expect(hold.isRunningOut).toBe(true)
  await queue.inTenant(tenant, (scope) => hold.keep(scope))
  expect(hold.isRunningOut).toBe(false)
})
