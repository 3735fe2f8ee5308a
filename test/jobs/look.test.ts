// A look at a queue most of which waits for work outside to end: it is not read through with every look.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { Holding } from '../../regional/jobs/holding.ts'
import { jobKind, jobKinds } from '../../regional/jobs/kind.ts'
import { look, SIDE_BY_SIDE } from '../../regional/jobs/look.ts'
import { enqueue } from '../../regional/jobs/queue.ts'
import { Space } from '../../regional/storage/space.ts'
import { count, openQueue, type Queue } from './support.ts'

let queue: Queue
beforeAll(async () => {
  queue = await openQueue()
})
afterAll(() => queue.close())
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const WAITING = 600
const waits = jobKind<null>({
  ...{ kind: 'test.waits', service: 'test', retry: count.retry },
  outside: async () => undefined,
  step: async () => ({ finished: true }),
})

const other = jobKind<null>({ ...waits, kind: 'test.other' })

test('what waits for work outside to end is read through once a second, whatever wakes meanwhile', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const tenant = await queue.tenant(1)
  await queue.inTenant(tenant, (scope) => {
    for (let i = 0; i < WAITING; i++) enqueue(scope, waits, null, queue.clock.nowMs)
  })
  const log = { error: () => {}, warn: () => {}, info: () => {} }
  const dependencies = { database: queue.database, worker: 'ours', now: () => queue.clock.nowMs, log }
  const holding = new Holding(dependencies as never, tenant, new AbortController().signal, () => {})
  const { promise: answer, resolve } = Promise.withResolvers<void>()
  for (let i = 0; i < SIDE_BY_SIDE; i++) holding.begin(`job_${i}`, waits.kind, () => answer)
  const pages = vi.spyOn(Space.prototype, 'page')
  /** Looks as a visit does. @returns what was found, and how many entries were read for it */
  const visit = async () => {
    pages.mockClear()
    const found: string[] = []
    do {
      const { inside } = await look(
        { ...dependencies, kinds: jobKinds([waits, count]) },
        tenant,
        holding,
        true,
      )
      found.push(...inside.map(({ id }) => id))
    } while (holding.readOn !== undefined)
    const read = await Promise.all(pages.mock.results.map(({ value }) => value))
    return { found, read: read.reduce((sum, { entries }) => sum + entries.length, 0) }
  }

  expect((await visit()).read).toBeGreaterThanOrEqual(WAITING)
  const behind = await queue.enqueue(
    tenant,
    count,
    { name: 'behind', steps: 1 },
    { runAtMs: ++queue.clock.nowMs },
  )
  for (let i = 0; i < 3; i++) {
    const { found, read } = await visit()
    expect(found).toEqual([])
    expect(read).toBeLessThan(20)
  }
  // Before all others: so stands what was begun by them.
  const first = await queue.enqueue(tenant, count, { name: 'first', steps: 1 }, { runAtMs: 1 })
  expect((await visit()).found).toEqual([first])
  vi.advanceTimersByTime(1_000)
  expect((await visit()).found).toContain(behind)
  resolve()
  holding.close()
})

test('work outside of another kind, behind the head, goes on as soon as one of it has ended', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const tenant = await queue.tenant(2)
  await queue.inTenant(tenant, (scope) => {
    for (let i = 0; i < 100; i++) enqueue(scope, waits, null, queue.clock.nowMs)
  })
  queue.clock.nowMs++
  for (let i = 0; i < 2 * SIDE_BY_SIDE; i++) await queue.enqueue(tenant, other, null)
  const log = { error: () => {}, warn: () => {}, info: () => {} }
  const dependencies = { database: queue.database, worker: 'ours', now: () => queue.clock.nowMs, log }
  const holding = new Holding(dependencies as never, tenant, new AbortController().signal, () => {})
  const never = new Promise<void>(() => {})
  for (let i = 0; i < SIDE_BY_SIDE; i++) holding.begin(`job_${i}`, waits.kind, () => never)
  const kinds = jobKinds([waits, other])
  const found = async () => (await look({ ...dependencies, kinds }, tenant, holding, true)).outside

  const { promise: answer, resolve } = Promise.withResolvers<void>()
  const first = await found()
  expect(first).toHaveLength(SIDE_BY_SIDE)
  for (const { id } of first) holding.begin(id, other.kind, () => answer)
  expect(await found()).toEqual([])
  resolve()
  await vi.waitFor(() => expect(holding.underWay().size).toBe(SIDE_BY_SIDE))
  expect(await found()).toHaveLength(SIDE_BY_SIDE)
  holding.close()
})
