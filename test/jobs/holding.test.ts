// A worker's tenants: one whose lease was lost is its own again once it has the lease.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Holdings } from '../../regional/jobs/holding.ts'
import { LEASE_MS, returnLease, takeLease } from '../../regional/jobs/lease.ts'
import { openQueue, type Queue } from './support.ts'

let queue: Queue
beforeAll(async () => {
  queue = await openQueue()
})
afterAll(() => queue.close())

function holdingsOf(worker: string, now: () => number): Holdings {
  const log = { error: () => {}, warn: () => {}, info: () => {} }
  const dependencies = { database: queue.database, worker, now, log }
  return new Holdings(dependencies as never, new AbortController().signal, () => {})
}

test('a tenant that another worker had meanwhile is taken again when that one has given it up', async () => {
  const tenant = await queue.tenant(1)
  let nowMs = Date.now()
  const ours = holdingsOf('ours', () => nowMs)
  const first = await ours.take(tenant)
  expect(first).toBeDefined()
  nowMs += LEASE_MS + 1
  expect(await takeLease(queue.database, tenant, 'theirs', nowMs)).toBe(true)
  expect(await ours.take(tenant)).toBeUndefined()
  expect(first?.isLost).toBe(true)
  await returnLease(queue.database, tenant, 'theirs')
  const second = await ours.take(tenant)
  expect(second?.isLost).toBe(false)
  await ours.end()
})

test('not before work outside that was begun under the lost lease has ended', async () => {
  const tenant = await queue.tenant(2)
  let nowMs = Date.now()
  const ours = holdingsOf('ours', () => nowMs)
  const { promise: answer, resolve } = Promise.withResolvers<void>()
  const first = await ours.take(tenant)
  first?.begin('job_1', 'test.waits', () => answer)
  nowMs += LEASE_MS + 1
  expect(await takeLease(queue.database, tenant, 'theirs', nowMs)).toBe(true)
  expect(await ours.take(tenant)).toBeUndefined()
  await returnLease(queue.database, tenant, 'theirs')
  expect(await ours.take(tenant)).toBeUndefined()
  resolve()
  await expect.poll(async () => (await ours.take(tenant))?.isLost).toBe(false)
  await ours.end()
})
