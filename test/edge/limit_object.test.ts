import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, test, vi } from 'vitest'
import type { LeaseAnswer, LeaseRequest } from '../../edge/limit/ledger.ts'
import type { TenantLimiter } from '../../edge/limit/tenant_limiter.ts'
import { PLANS, rateLimitsOf } from '../../shared/plans.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'

const HOUR_MS = 60 * 60 * 1000
const ONE: LeaseRequest = { units: 1, ahead: 0, settle: [] }

afterEach(() => {
  vi.useRealTimers()
})

/** The object of a tenant, by its number, in the runtime's own storage. */
function objectOf(tenant: TenantNumber) {
  const namespace = env.TENANT_LIMITER as DurableObjectNamespace
  return namespace.get(namespace.idFromName(String(tenant)))
}

const rowsIn = (stub: DurableObjectStub): Promise<number> =>
  runInDurableObject(stub, (_, { storage }) => storage.sql.exec('SELECT * FROM buckets').toArray().length)

const lease = (stub: DurableObjectStub, tenant: TenantNumber, request = ONE): Promise<LeaseAnswer> =>
  runInDurableObject(stub, (object) => (object as unknown as TenantLimiter).lease(tenant, request))

test('an object that nobody asks forgets its tenant within a day, and then decides as a new one', async () => {
  const tenant = asTenantNumber(901n)
  const stub = objectOf(tenant)
  expect((await lease(stub, tenant)).admitted).toBe(true)
  expect(await rowsIn(stub)).toBe(1)
  vi.setSystemTime(Date.now() + 25 * HOUR_MS)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rowsIn(stub)).toBe(0)
  expect((await lease(stub, tenant)).admitted).toBe(true)
})

test('an object that is asked meanwhile forgets nothing', async () => {
  const tenant = asTenantNumber(902n)
  const stub = objectOf(tenant)
  await lease(stub, tenant)
  vi.setSystemTime(Date.now() + 23 * HOUR_MS)
  await lease(stub, tenant)
  vi.setSystemTime(Date.now() + 2 * HOUR_MS)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rowsIn(stub)).toBe(1)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
})

test('of tenants that share an object each has its own bucket, and is forgotten by itself', async () => {
  const [gone, busy] = [asTenantNumber(903n), asTenantNumber(904n)]
  const stub = objectOf(asTenantNumber(999n))
  const all = { ...ONE, units: rateLimitsOf(PLANS.team).tenant.burst }
  expect((await lease(stub, gone, all)).admitted).toBe(true)
  expect((await lease(stub, gone)).admitted).toBe(false)
  expect((await lease(stub, busy, all)).admitted).toBe(true)
  vi.setSystemTime(Date.now() + 23 * HOUR_MS)
  expect((await lease(stub, busy, all)).admitted).toBe(true)
  vi.setSystemTime(Date.now() + 2 * HOUR_MS)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rowsIn(stub)).toBe(1)
  expect((await lease(stub, gone, all)).admitted).toBe(true)
})

test('slots of tenants that share an object are counted apart', async () => {
  const stub = objectOf(asTenantNumber(998n))
  const hold = (tenant: bigint, id: string, limit: number) =>
    runInDurableObject(stub, (object) =>
      (object as unknown as TenantLimiter).hold(asTenantNumber(tenant), id, limit),
    )
  expect(await hold(905n, 'a', 1)).toBe(true)
  expect(await hold(905n, 'b', 1)).toBe(false)
  // Even under the same id.
  expect(await hold(906n, 'a', 1)).toBe(true)
  await runInDurableObject(stub, (object) =>
    (object as unknown as TenantLimiter).release(asTenantNumber(906n), 'a'),
  )
  expect(await hold(905n, 'b', 1)).toBe(false)
})
