import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, test, vi } from 'vitest'
import type { LeaseAnswer, LeaseRequest } from '../../edge/limit/ledger.ts'
import { leaseHere, type TenantLimiter } from '../../edge/limit/tenant_limiter.ts'
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
  // A day after it was last asked, and no sooner.
  vi.setSystemTime(Date.now() + 21 * HOUR_MS)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rowsIn(stub)).toBe(1)
  vi.setSystemTime(Date.now() + 2 * HOUR_MS)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rowsIn(stub)).toBe(0)
})

test('of tenants that share an object each has its own bucket, and is forgotten by itself', async () => {
  const [gone, busy] = [asTenantNumber(903n), asTenantNumber(904n)]
  const stub = objectOf(asTenantNumber(999n))
  const all = { ...ONE, units: rateLimitsOf(PLANS.team).tenant.burst }
  expect((await lease(stub, gone, all)).admitted).toBe(true)
  expect((await lease(stub, gone, all)).admitted).toBe(false)
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

/** A limit of which 1/32 of the burst, or 4 units, may stand unwritten. */
const LIMIT = { epoch: 1, version: 1, limit: { rate: 1, burst: 64 } }
const known = (units: number): LeaseRequest => ({ units, ahead: 0, settle: [], limit: LIMIT })

test('who shares an isolate with its object needs no call to it, as long as nothing has to be written', async () => {
  const tenant = asTenantNumber(907n)
  const stub = objectOf(tenant)
  // Of whom nothing is known yet the object itself decides, and writes the limit down.
  expect(leaseHere(tenant, known(1), Date.now())).toBeUndefined()
  expect((await lease(stub, tenant, known(1))).admitted).toBe(true)
  let admitted = 1
  for (let i = 0; i < 64; i++) {
    const answer = leaseHere(tenant, known(1), Date.now())
    if (answer === undefined) break
    expect(answer).toMatchObject({ admitted: true, lease: undefined })
    admitted++
    expect(answer.free).toBeLessThanOrEqual(64 - admitted + 1)
  }
  expect(admitted).toBe(4)
  // The object knows of all of them, and the two together let no more through than the burst.
  while ((await lease(stub, tenant, known(1))).admitted) admitted++
  expect(admitted).toBeGreaterThanOrEqual(64)
  expect(admitted).toBeLessThanOrEqual(65)
  expect(leaseHere(tenant, known(1), Date.now())).toBeUndefined()
})

test('a newer limit, and units that are to be leased, are the object’s to decide', async () => {
  const tenant = asTenantNumber(908n)
  await lease(objectOf(tenant), tenant, known(1))
  const newer = { ...known(1), limit: { ...LIMIT, version: 2 } }
  expect(leaseHere(tenant, newer, Date.now())).toBeUndefined()
  expect(leaseHere(tenant, { ...known(1), ahead: 5 }, Date.now())).toBeUndefined()
  expect(leaseHere(tenant, known(1), Date.now())?.admitted).toBe(true)
})
