// A worker's tenants: one whose lease was lost is its own again once it has the lease, and places for work outside go round.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type Holding, Holdings, NO_ROOM_MS } from '../../regional/jobs/holding.ts'
import { LEASE_MS, returnLease, takeLease } from '../../regional/jobs/lease.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from './support.ts'

let queue: Queue
beforeAll(async () => {
  queue = await openQueue()
})
afterAll(() => queue.close())
afterEach(() => {
  vi.useRealTimers()
})

function holdingsOf(
  worker: string,
  now: () => number,
  call: (tenant: TenantNumber) => void = () => {},
): Holdings {
  const log = { error: () => {}, warn: () => {}, info: () => {} }
  const dependencies = { database: queue.database, worker, now, log }
  return new Holdings(dependencies as never, new AbortController().signal, call)
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
  if (first !== undefined) ours.begin(first, 'job_1', 'test.waits', () => answer)
  nowMs += LEASE_MS + 1
  expect(await takeLease(queue.database, tenant, 'theirs', nowMs)).toBe(true)
  expect(await ours.take(tenant)).toBeUndefined()
  await returnLease(queue.database, tenant, 'theirs')
  expect(await ours.take(tenant)).toBeUndefined()
  resolve()
  await expect.poll(async () => (await ours.take(tenant))?.isLost).toBe(false)
  await ours.end()
})

test('one that is lost when nothing goes on there is renewed no more, and forgotten', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const tenant = await queue.tenant(3)
  let nowMs = Date.now()
  const ours = holdingsOf('ours', () => nowMs)
  const { promise: answer, reject } = Promise.withResolvers<void>()
  const first = await ours.take(tenant)
  if (first !== undefined) ours.begin(first, 'job_1', 'test.fails', () => answer)
  reject(new Error('told to'))
  await expect.poll(() => first?.isOutside).toBe(false)
  expect(first?.isLost).toBe(false)
  nowMs += LEASE_MS + 1
  expect(await takeLease(queue.database, tenant, 'theirs', nowMs)).toBe(true)
  vi.advanceTimersByTime(LEASE_MS / 3)
  await expect.poll(() => first?.isLost).toBe(true)
  const asking = vi.spyOn(queue.database, 'region')
  vi.advanceTimersByTime(LEASE_MS)
  await ours.end()
  expect(asking).not.toHaveBeenCalled()
  asking.mockRestore()
})

/** A worker all of whose places are taken, and two that wait for one. */
async function crowded() {
  vi.useFakeTimers({ toFake: ['performance'] })
  const called: TenantNumber[] = []
  const all = holdingsOf('ours', Date.now, (tenant) => called.push(tenant))
  const ends = new Map<Holding, () => void>()
  const begin = (holding: Holding) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    ends.set(holding, resolve)
    all.begin(holding, 'job_1', 'test.waits', () => promise)
  }
  const take = async (n: number): Promise<Holding> => {
    const holding = await all.take(await queue.tenant(n))
    if (holding === undefined) throw new Error('another has it')
    return holding
  }
  /** @returns who is called when all of its work has ended */
  const end = async (holding: Holding): Promise<TenantNumber[]> => {
    called.length = 0
    ends.get(holding)?.()
    await expect.poll(() => holding.isOutside).toBe(false)
    return called
  }
  const holders: Holding[] = []
  for (let n = 100; n < 164; n++) {
    const holding = await take(n)
    expect(all.hasRoomFor(holding)).toBe(true)
    begin(holding)
    holders.push(holding)
  }
  const [first, second] = [await take(164), await take(165)]
  for (const holding of [first, second]) {
    expect(all.hasRoomFor(holding)).toBe(false)
    all.lineUp(holding)
  }
  const [one, two] = holders
  if (one === undefined || two === undefined) throw new Error('there are none')
  const close = async () => {
    for (const resolve of ends.values()) resolve()
    await all.end()
  }
  return { all, begin, end, close, one, two, first, second }
}

test('a place that is given up goes to whoever has waited longest, and who gave it up gets in line', async () => {
  const { all, begin, end, close, one, two, first, second } = await crowded()
  expect(all.hasRoomFor(one)).toBe(false)
  expect(await end(one)).toContain(first.tenant)
  expect([one, two, second, first].map((each) => all.hasRoomFor(each))).toEqual([false, false, false, true])
  expect(all.inLine).toBeGreaterThan(0)
  all.lineUp(one)
  begin(first)
  expect(await end(two)).toContain(second.tenant)
  expect([one, two, second].map((each) => all.hasRoomFor(each))).toEqual([false, false, true])
  all.lineUp(two)
  begin(second)
  expect(await end(first)).toContain(one.tenant)
  expect([two, first, one].map((each) => all.hasRoomFor(each))).toEqual([false, false, true])
  await close()
})

test('it is kept for nobody who does not come again', async () => {
  const { all, end, close, one, first, second } = await crowded()
  await end(one)
  vi.advanceTimersByTime(NO_ROOM_MS)
  all.lineUp(second)
  vi.advanceTimersByTime(NO_ROOM_MS + 1)
  expect([one, first, second].map((each) => all.hasRoomFor(each))).toEqual([false, false, true])
  vi.advanceTimersByTime(NO_ROOM_MS)
  expect(all.hasRoomFor(one)).toBe(true)
  await close()
})
