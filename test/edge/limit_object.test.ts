import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, test, vi } from 'vitest'
import type { LeaseAnswer, LeaseRequest } from '../../edge/limit/ledger.ts'

const HOUR_MS = 60 * 60 * 1000
const ONE: LeaseRequest = { units: 1, ahead: 0, settle: [] }

afterEach(() => {
  vi.useRealTimers()
})

/** The object of a tenant, by its number, in the runtime's own storage. */
function objectOf(tenant: string) {
  const namespace = env.TENANT_LIMITER as DurableObjectNamespace
  return namespace.get(namespace.idFromName(tenant))
}

const rowsIn = (stub: DurableObjectStub): Promise<number> =>
  runInDurableObject(stub, (_, { storage }) => storage.sql.exec('SELECT * FROM bucket').toArray().length)

const lease = (stub: DurableObjectStub): Promise<LeaseAnswer> =>
  runInDurableObject(stub, (object) =>
    (object as unknown as { lease(r: LeaseRequest): LeaseAnswer }).lease(ONE),
  )

test('an object that nobody asks forgets its tenant within a day, and then decides as a new one', async () => {
  const stub = objectOf('901')
  expect((await lease(stub)).admitted).toBe(true)
  expect(await rowsIn(stub)).toBe(1)
  vi.setSystemTime(Date.now() + 25 * HOUR_MS)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rowsIn(stub)).toBe(0)
  expect((await lease(stub)).admitted).toBe(true)
})

test('an object that is asked meanwhile forgets nothing', async () => {
  const stub = objectOf('902')
  await lease(stub)
  vi.setSystemTime(Date.now() + 23 * HOUR_MS)
  await lease(stub)
  vi.setSystemTime(Date.now() + 2 * HOUR_MS)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rowsIn(stub)).toBe(1)
  expect(await runDurableObjectAlarm(stub)).toBe(true)
})
