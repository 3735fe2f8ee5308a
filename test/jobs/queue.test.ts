import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CostMeter } from '../../regional/admission/cost.ts'
import { sweep } from '../../regional/jobs/expiry.ts'
import { cancelJob } from '../../regional/jobs/finish.ts'
import { jobKind } from '../../regional/jobs/kind.ts'
import { returnLease, takeLease } from '../../regional/jobs/lease.ts'
import { enqueue, jobsOf } from '../../regional/jobs/queue.ts'
import { jobSpace } from '../../regional/jobs/record.ts'
import { during, noted, RequestNote } from '../../regional/observe/request.ts'
import { feedOf } from '../../regional/tenancy/events.ts'
import { profileSpace, statusSpace } from '../../regional/tenancy/records.ts'
import { newId } from '../../shared/ids.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { type NotedTransaction, openNoted } from '../admission/noted_engine.ts'
import { eventually } from '../support/eventually.ts'
import { count, counters, openQueue, type Queue, tenantNumber } from './support.ts'

const NEVER_MS = 1e8
const DAY_MS = 24 * 60 * 60 * 1000

let queue: Queue
beforeEach(async () => {
  queue = await openQueue()
})
afterEach(async () => {
  await queue.close()
  expect(queue.violations).toEqual([])
})

const stateOf = async (tenant: TenantNumber, id: string) => (await queue.job(tenant, id))?.state
const ended = (tenant: TenantNumber, id: string, state = 'done') =>
  eventually(async () => expect(await stateOf(tenant, id)).toBe(state))

describe('a step takes effect once', () => {
  test('however many workers there are', async () => {
    for (let i = 0; i < 3; i++) queue.worker({ kinds: [count], over: queue.anotherDatabase() })
    const ids: Array<[TenantNumber, string]> = []
    for (let n = 1; n <= 12; n++) {
      const tenant = await queue.tenant(n)
      for (let i = 0; i < 5; i++) {
        ids.push([tenant, await queue.enqueue(tenant, count, { name: `job ${i}`, steps: 4 })])
      }
    }
    for (const [tenant, id] of ids) await ended(tenant, id)
    for (let n = 1; n <= 12; n++) {
      for (let i = 0; i < 5; i++) expect(await queue.counter(tenantNumber(n), `job ${i}`)).toBe(4)
    }
    await eventually(async () => expect(await queue.pointers()).toMatchObject({ now: [], leases: [] }))
    expect(queue.logged).toEqual([])
  })

  test('even when two workers believe to have the tenant', async () => {
    const tenant = await queue.tenant(1)
    queue.clock.nowMs += 1
    // A clock so far ahead that every lease of the other worker looks expired.
    const id = await queue.enqueue(tenant, count, { name: 'both', steps: 50 })
    queue.worker()
    queue.worker({ over: queue.anotherDatabase() })
    const hurry = setInterval(() => {
      queue.clock.nowMs += 20_000
    }, 1)
    await ended(tenant, id).finally(() => clearInterval(hurry))
    expect(await queue.counter(tenant, 'both')).toBe(50)
  })
})

test('what webhooks have led to says how many, in the events of its job and of what that enqueues', async () => {
  const last = jobKind({
    ...{ kind: 'test.last', service: 'test', retry: { firstMs: 1_000, maxMs: 1_000, tries: 1 } },
    step: async () => ({ failed: 'No.' }),
  })
  const first = jobKind({
    ...{ kind: 'test.first', service: 'test', retry: { firstMs: 1_000, maxMs: 1_000, tries: 1 } },
    async step(tx) {
      tx.emit('run.started', 'run_1', { project: 'prj_1' })
      tx.enqueue(last, {})
      return { finished: true }
    },
  })
  const tenant = await queue.tenant(1)
  queue.worker({ kinds: [first, last] })
  await queue.enqueue(tenant, first, {}, { hops: 2 })
  await eventually(async () => {
    const { events } = await queue.inTenant(tenant, (scope) => feedOf(scope).page(10))
    expect(events.map(({ type, data }) => [type, data])).toEqual([
      ['run.started', { project: 'prj_1', hops: 2 }],
      ['job.failed', { kind: 'test.last', hops: 2 }],
    ])
  })
})

describe('a job is found', () => {
  test('at once by a worker of the same process, without any scan', async () => {
    const tenant = await queue.tenant(1)
    const worker = queue.worker({ scanEveryMs: NEVER_MS })
    await worker.look()
    const id = await queue.enqueue(tenant, count, { name: 'a', steps: 1 })
    await ended(tenant, id)
  })

  test('by another process through its pointer', async () => {
    const tenant = await queue.tenant(1)
    queue.worker({ over: queue.anotherDatabase() })
    const id = await queue.enqueue(tenant, count, { name: 'a', steps: 1 })
    await ended(tenant, id)
  })

  test('only when its transaction commits', async () => {
    const tenant = await queue.tenant(1)
    await queue.database.tenant(tenant, async (scope) => ({
      value: enqueue(scope, count, { name: 'a', steps: 1 }, queue.clock.nowMs),
      commit: false,
    }))
    expect(await queue.pointers()).toEqual({ now: [], later: [], leases: [] })
    expect(await queue.waiting(tenant)).toEqual([])
  })

  test('when it is due and not before, by one later pointer a tenant', async () => {
    const tenant = await queue.tenant(1)
    const worker = queue.worker()
    const at = (ms: number) => ({ runAtMs: queue.clock.nowMs + ms })
    const late = await queue.enqueue(tenant, count, { name: 'late', steps: 1 }, at(60_000))
    const { nowMs } = queue.clock
    await eventually(async () =>
      expect(await queue.pointers()).toEqual({
        now: [],
        later: [{ atMs: nowMs + 60_000, tenant }],
        leases: [],
      }),
    )
    const sooner = await queue.enqueue(tenant, count, { name: 'sooner', steps: 1 }, at(30_000))
    await eventually(async () =>
      expect(await queue.pointers()).toEqual({
        now: [],
        later: [{ atMs: nowMs + 30_000, tenant }],
        leases: [],
      }),
    )
    queue.clock.nowMs += 30_000
    await worker.look()
    await ended(tenant, sooner)
    expect(await stateOf(tenant, late)).toBe('queued')
    queue.clock.nowMs += 30_000
    await ended(tenant, late)
  })

  test('by its pointer until the queue is empty, whatever is enqueued meanwhile', async () => {
    const tenant = await queue.tenant(1)
    queue.worker({ scanEveryMs: NEVER_MS })
    const over = queue.anotherDatabase()
    const ids: string[] = []
    // Enqueued by another process right while the worker empties the queue: found by a pointer or not at all.
    for (let i = 0; i < 50; i++) {
      ids.push(
        await queue.enqueue(tenant, count, { name: `${i}`, steps: 1 }, {}, i % 2 ? over : queue.database),
      )
    }
    const scanner = queue.worker()
    for (const id of ids) await ended(tenant, id)
    await scanner.look()
    await eventually(async () => expect(await queue.pointers()).toMatchObject({ now: [], leases: [] }))
  })
})

describe('a step that fails', () => {
  const flaky = jobKind<{ failures: number }>({
    kind: 'test.flaky',
    service: 'test',
    retry: { firstMs: 10_000, maxMs: 60_000, tries: 3 },
    async step(tx, { payload, failures }) {
      tx.space(counters).set(['left behind'], failures)
      if (failures < payload.failures) throw new Error('secret of the platform')
      return { finished: true }
    },
  })

  test('is tried again when its schedule says so, and leaves nothing of its failed tries', async () => {
    const tenant = await queue.tenant(1)
    const worker = queue.worker({ kinds: [flaky] })
    const id = await queue.enqueue(tenant, flaky, { failures: 2 })
    await eventually(async () => expect((await queue.job(tenant, id))?.failures).toBe(1))
    const first = await queue.job(tenant, id)
    expect((first?.dueMs ?? 0) - queue.clock.nowMs).toBeGreaterThanOrEqual(5_000)
    expect((first?.dueMs ?? 0) - queue.clock.nowMs).toBeLessThanOrEqual(10_000)
    expect(await queue.counter(tenant, 'left behind')).toBe(0)
    queue.clock.nowMs += 10_000
    await worker.look()
    await eventually(async () => expect((await queue.job(tenant, id))?.failures).toBe(2))
    queue.clock.nowMs += 20_000
    await ended(tenant, id)
    expect(await queue.counter(tenant, 'left behind')).toBe(2)
  })

  test('too often ends its job, with a reason that tells nothing of the platform', async () => {
    const tenant = await queue.tenant(1)
    queue.worker({ kinds: [flaky] })
    const id = await queue.enqueue(tenant, flaky, { failures: 99 })
    await eventually(async () => {
      queue.clock.nowMs += 60_000
      expect(await stateOf(tenant, id)).toBe('failed')
    })
    const job = await queue.job(tenant, id)
    expect(job).toMatchObject({ failures: 3, error: 'Something went wrong on our side.' })
    expect(queue.logged.filter(([message]) => message.includes('failed'))).toHaveLength(3)
  })

  test('because the database, or a region that it asks, is too busy, or not there, is tried until it is', async () => {
    const tenant = await queue.tenant(1)
    let tries = 0
    const busy = jobKind<null>({
      kind: 'test.busy',
      service: 'test',
      retry: { firstMs: 10_000, maxMs: 60_000, tries: 1 },
      async step() {
        tries++
        const code = (['contention', 'overloaded', 'deadline_exceeded', 'region_unavailable'] as const)[
          tries % 4
        ]
        if (tries < 9 && code !== undefined) throw new Problem(code, 'No time for this now.')
        return { finished: true }
      },
    })
    const worker = queue.worker({ kinds: [busy] })
    const id = await queue.enqueue(tenant, busy, null)
    await eventually(async () => {
      queue.clock.nowMs += 10_000
      await worker.look()
      expect(await stateOf(tenant, id)).toBe('done')
    })
    expect(tries).toBe(9)
  })

  test('of a kind that this worker does not know waits for one that does', async () => {
    const tenant = await queue.tenant(1)
    const worker = queue.worker({ kinds: [] })
    const id = await queue.enqueue(tenant, count, { name: 'a', steps: 1 })
    await eventually(async () => expect((await queue.job(tenant, id))?.turn).toBe(1))
    await worker.stop()
    queue.worker({ kinds: [count] })
    queue.clock.nowMs += 60_000
    await ended(tenant, id)
  })
})

test('what a request called for is no part of that request: its note stays its own', async () => {
  const tenant = await queue.tenant(1)
  const notes: unknown[] = []
  queue.database.onWake(() => notes.push(noted()))
  queue.database.onCall(() => notes.push(noted()))
  await during(new RequestNote(0), () =>
    queue.inTenant(tenant, (scope) => {
      scope.wake()
      scope.call()
      expect(noted()).toBeDefined()
    }),
  )
  expect(notes).toEqual([undefined, undefined])
})

test('a cancelled job takes no further step, not even the one in flight', async () => {
  const tenant = await queue.tenant(1)
  const gate = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  const slow = jobKind<null>({
    service: 'test',
    retry: count.retry,
    kind: 'test.slow',
    async step(tx) {
      tx.space(counters).set(['slow'], 1)
      started.resolve()
      await gate.promise
      return { finished: true }
    },
  })
  queue.worker({ kinds: [slow] })
  const id = await queue.enqueue(tenant, slow, null)
  await started.promise
  const cancelled = await queue.inTenant(tenant, (scope) => cancelJob(scope, id, queue.clock.nowMs))
  expect(cancelled?.state).toBe('cancelled')
  gate.resolve()
  await eventually(async () => expect(await queue.pointers()).toMatchObject({ now: [], leases: [] }))
  expect(await queue.counter(tenant, 'slow')).toBe(0)
  expect(await stateOf(tenant, id)).toBe('cancelled')
})

test('work outside the database comes before its step, and ends when the worker stops', async () => {
  const tenant = await queue.tenant(1)
  let calls = 0
  const call = jobKind<null, undefined, number>({
    service: 'test',
    retry: count.retry,
    kind: 'test.call',
    async outside(_, signal) {
      calls++
      if (calls > 1) return calls
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    },
    async step(tx, _, answer) {
      tx.space(counters).set(['answer'], answer)
      return { finished: true }
    },
  })
  const first = queue.worker({ kinds: [call] })
  const id = await queue.enqueue(tenant, call, null)
  await eventually(async () => expect(calls).toBe(1))
  await first.stop()
  expect(await queue.pointers()).toEqual({ now: [tenant], later: [], leases: [] })
  expect((await queue.job(tenant, id))?.failures).toBe(0)
  queue.worker({ kinds: [call] })
  await ended(tenant, id)
  expect(await queue.counter(tenant, 'answer')).toBe(2)
})

test('work outside that is not answered holds up no other tenant, nor other work of a tenant that waits for its own', {
  timeout: 60_000,
}, async () => {
  // More than may work outside at the same time.
  const TENANTS = 70
  const answer = Promise.withResolvers<number>()
  const asked = new Set<TenantNumber>()
  const hanging = jobKind<string, undefined, number>({
    kind: 'test.hanging',
    service: 'test',
    retry: count.retry,
    outside({ payload }) {
      asked.add(BigInt(payload) as TenantNumber)
      return answer.promise
    },
    step: async () => ({ finished: true }),
  })
  const ids: Array<[TenantNumber, string]> = []
  const worker = queue.worker({ kinds: [count, hanging] })
  for (let n = 1; n <= TENANTS; n++) {
    const tenant = await queue.tenant(n)
    for (let i = 0; i < 5; i++) ids.push([tenant, await queue.enqueue(tenant, hanging, String(n))])
  }
  await eventually(async () => expect(asked.size).toBeGreaterThanOrEqual(64))
  const another = await queue.tenant(TENANTS + 1)
  await ended(another, await queue.enqueue(another, count, { name: 'another', steps: 3 }))
  // It has waiting ones of its own, more than are looked at together.
  for (let i = 0; i < 20; i++) ids.push([another, await queue.enqueue(another, hanging, String(another))])
  await ended(another, await queue.enqueue(another, count, { name: 'behind', steps: 3 }))
  expect([asked.size, asked.has(another)]).toEqual([64, false])
  answer.resolve(1)
  await eventually(async () => {
    queue.clock.nowMs += 1_000
    await worker.look()
    for (const [tenant, id] of ids) expect(await stateOf(tenant, id)).toBe('done')
  })
})

test('places for work outside go round, however much each tenant has waiting', {
  timeout: 60_000,
}, async () => {
  const [TENANTS, EACH] = [66, 12]
  const answers: Array<() => void> = []
  const asked = new Map<string, number>()
  const calling = jobKind<string, undefined, void>({
    kind: 'test.calling',
    service: 'test',
    retry: count.retry,
    outside({ payload }) {
      asked.set(payload, (asked.get(payload) ?? 0) + 1)
      return new Promise((resolve) => answers.push(resolve))
    },
    step: async () => ({ finished: true }),
  })
  // Who finds no place comes again in time, and else loses its place in line.
  const ticking = setInterval(() => (queue.clock.nowMs += 100), 100)
  queue.worker({ kinds: [calling] })
  for (let n = 1; n <= TENANTS; n++) {
    const tenant = await queue.tenant(n)
    await queue.inTenant(tenant, (scope) => {
      for (let i = 0; i < EACH; i++) enqueue(scope, calling, String(n), queue.clock.nowMs)
    })
    // All places are taken before the last two come, who find none.
    await eventually(() => expect(asked.size).toBe(Math.min(n, 64)))
  }
  await eventually(async () => expect((await queue.pointers()).later).toHaveLength(2))
  const releasing = setInterval(() => answers.shift()?.(), 5)
  await eventually(() => expect(asked.size).toBe(TENANTS))
  clearInterval(releasing)
  clearInterval(ticking)
  const most = Math.max(...asked.values())
  for (const answer of answers) answer()
  // A turn is four. Nobody had their third before all had their first; a second one only in a place that is kept for nobody, while the
  // last two are on their way to theirs.
  expect(most).toBeLessThanOrEqual(8)
})

/** Waits for an answer, or for its signal. */
function waiting(kind: string) {
  const answer = Promise.withResolvers<void>()
  const signals: AbortSignal[] = []
  const job = jobKind<null, undefined, void>({
    kind,
    service: 'test',
    retry: count.retry,
    outside: (_, signal) =>
      new Promise((resolve, reject) => {
        signals.push(signal)
        void answer.promise.then(resolve)
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
    step: async () => ({ finished: true }),
  })
  return { job, answer, signals }
}

test('work outside holds up no other job of its own tenant, however much of it waits', async () => {
  const tenant = await queue.tenant(1)
  const runs = waiting('test.run')
  const letters = waiting('test.letter')
  letters.answer.resolve()
  const kinds = [count, runs.job, letters.job]
  const ids: string[] = []
  for (let i = 0; i < 40; i++) ids.push(await queue.enqueue(tenant, runs.job, null))
  queue.worker({ kinds })
  queue.worker({ kinds, over: queue.anotherDatabase() })
  await eventually(async () => expect(runs.signals).toHaveLength(4))
  // More steps than a visit takes.
  await ended(tenant, await queue.enqueue(tenant, count, { name: 'behind', steps: 150 }))
  await ended(tenant, await queue.enqueue(tenant, letters.job, null))
  // The lease keeps the other worker from beginning them, too.
  expect(runs.signals).toHaveLength(4)
  expect((await queue.pointers()).leases).toEqual([tenant])
  runs.answer.resolve()
  for (const id of ids) await ended(tenant, id)
  expect(runs.signals).toHaveLength(40)
  await eventually(async () => expect(await queue.pointers()).toMatchObject({ now: [], leases: [] }))
})

test('a job is found behind thousands that wait for work outside to end', async () => {
  const tenant = await queue.tenant(1)
  const runs = waiting('test.run')
  for (let i = 0; i < 2; i++) {
    await queue.inTenant(tenant, (scope) => {
      for (let j = 0; j < 1_000; j++) enqueue(scope, runs.job, null, queue.clock.nowMs)
    })
  }
  const id = await queue.enqueue(
    tenant,
    count,
    { name: 'behind', steps: 150 },
    { runAtMs: ++queue.clock.nowMs },
  )
  queue.worker({ kinds: [count, runs.job] })
  await ended(tenant, id)
  expect(runs.signals).toHaveLength(4)
})

test('work outside ends when another worker has the tenant, and begins again once that gives it back', async () => {
  const tenant = await queue.tenant(1)
  const runs = waiting('test.run')
  queue.worker({ kinds: [runs.job] })
  const id = await queue.enqueue(tenant, runs.job, null)
  await eventually(async () => expect(runs.signals).toHaveLength(1))
  queue.clock.nowMs += 20_000
  expect(await takeLease(queue.database, tenant, 'another', queue.clock.nowMs)).toBe(true)
  await eventually(async () => expect(runs.signals[0]?.aborted).toBe(true))
  expect(runs.signals).toHaveLength(1)
  await returnLease(queue.database, tenant, 'another')
  await eventually(async () => expect(runs.signals).toHaveLength(2))
  runs.answer.resolve()
  await ended(tenant, id)
  expect((await queue.job(tenant, id))?.failures).toBe(0)
})

test('a visit takes no more work outside when its time is over, and sees the tenant anew first', async () => {
  const tenant = await queue.tenant(1)
  const answer = Promise.withResolvers<number>()
  let calls = 0
  const slow = jobKind<null, undefined, number>({
    kind: 'test.slow',
    service: 'test',
    retry: count.retry,
    outside() {
      calls++
      return answer.promise
    },
    step: async () => ({ finished: true }),
  })
  await queue.inTenant(tenant, (scope) => {
    for (let i = 0; i < 12; i++) enqueue(scope, slow, null, queue.clock.nowMs)
  })
  const beganAt = performance.now()
  queue.worker({ kinds: [slow] })
  await eventually(async () => expect(calls).toBe(4))
  await queue.inTenant(tenant, (scope) =>
    scope.system('status', statusSpace).set(['status'], { status: 'suspended', version: 1, epoch: 1 }),
  )
  await eventually(async () => expect(performance.now() - beganAt).toBeGreaterThan(1_000))
  answer.resolve(1)
  await eventually(async () => expect(await queue.pointers()).toMatchObject({ now: [], leases: [] }))
  expect(calls).toBe(4)
})

test('a step asks for its turn by the plan of its tenant', async () => {
  const weights = new Map<TenantNumber, number>()
  queue.worker({
    turn: (asking, work) => {
      weights.set(asking.tenant, asking.weight)
      return work(new CostMeter())
    },
  })
  const [one, other] = [await queue.tenant(1), await queue.tenant(2)]
  await queue.inTenant(one, (scope) => {
    const { nowMs } = queue.clock
    const at = new Date(nowMs).toISOString()
    scope.system('profile', profileSpace).set(['profile'], {
      ...{ id: newId('ten', nowMs), slug: 'acme', name: 'Acme', plan: 'enterprise', region: 'us' },
      ...{ createdAt: at, updatedAt: at, version: 1 },
    })
  })
  for (const tenant of [one, other]) {
    await ended(tenant, await queue.enqueue(tenant, count, { name: 'a', steps: 1 }))
  }
  expect([weights.get(one), weights.get(other)]).toEqual([16, 1])
})

test('what a step reads and writes is metered, and charged to its turn', async () => {
  const costs: number[] = []
  queue.worker({
    async turn(_, work) {
      const meter = new CostMeter()
      const value = await work(meter)
      costs.push(meter.total)
      return value
    },
  })
  const tenant = await queue.tenant(1)
  await ended(tenant, await queue.enqueue(tenant, count, { name: 'metered', steps: 3 }))
  expect(costs).toHaveLength(3)
  for (const units of costs) expect(units).toBeGreaterThan(new CostMeter().total + 2)
})

test('nothing that a worker does for a tenant comes before what somebody waits for', async () => {
  await queue.close()
  const transactions: NotedTransaction[] = []
  queue = await openQueue((where) => openNoted(where, transactions))
  const tenant = await queue.tenant(1)
  const done = Promise.withResolvers<void>()
  const call = jobKind<null, undefined, number, number>({
    service: 'test',
    retry: count.retry,
    kind: 'test.call',
    read: async () => 1,
    outside: async (_job, _signal, read) => read + 1,
    async step() {
      done.resolve()
      return { finished: true }
    },
  })
  await queue.enqueue(tenant, call, null)
  transactions.length = 0
  const worker = queue.worker({ kinds: [call] })
  await done.promise
  await eventually(async () => expect(await queue.pointers()).toMatchObject({ now: [], leases: [] }))
  await worker.stop()
  const own = transactions.filter(({ tag }) => tag !== undefined)
  // The look, what is read for the work outside, the step, and the end of the visit, planned and done.
  expect(own.length).toBeGreaterThanOrEqual(5)
  expect(own.every(({ batch }) => batch)).toBe(true)
})

test('a tenant with 20,000 jobs does not hold up the others', async () => {
  const heavy = await queue.tenant(1)
  const JOBS = 20_000
  const BATCH = 1_000
  for (let i = 0; i < JOBS / BATCH; i++) {
    await queue.inTenant(heavy, (scope) => {
      for (let j = 0; j < BATCH; j++) enqueue(scope, count, { name: 'heavy', steps: 1 }, queue.clock.nowMs)
    })
  }
  queue.worker()
  await eventually(async () => expect(await queue.counter(heavy, 'heavy')).toBeGreaterThan(0))
  const before = await queue.counter(heavy, 'heavy')
  const light: Array<[TenantNumber, string]> = []
  for (let n = 2; n <= 40; n++) {
    const tenant = await queue.tenant(n)
    light.push([tenant, await queue.enqueue(tenant, count, { name: 'light', steps: 3 })])
  }
  for (const [tenant, id] of light) await ended(tenant, id)
  const meanwhile = (await queue.counter(heavy, 'heavy')) - before
  expect(meanwhile).toBeLessThan(JOBS / 5)
})

describe('a lease', () => {
  test('keeps other workers away until it runs out', async () => {
    const tenant = await queue.tenant(1)
    expect(await takeLease(queue.database, tenant, 'a worker that was killed', queue.clock.nowMs)).toBe(true)
    const id = await queue.enqueue(tenant, count, { name: 'a', steps: 1 })
    const worker = queue.worker()
    await worker.look()
    expect(await takeLease(queue.database, tenant, 'another', queue.clock.nowMs)).toBe(false)
    expect(await stateOf(tenant, id)).toBe('queued')
    queue.clock.nowMs += 11_000
    await ended(tenant, id)
  })

  test('is handed back when a worker stops, and its pointer stays', async () => {
    const tenant = await queue.tenant(1)
    const worker = queue.worker()
    const id = await queue.enqueue(tenant, count, { name: 'a', steps: 100_000 })
    await eventually(async () => expect(await queue.counter(tenant, 'a')).toBeGreaterThan(3))
    await worker.stop()
    expect(await queue.pointers()).toEqual({ now: [tenant], later: [], leases: [] })
    expect(await stateOf(tenant, id)).toBe('running')
  })
})

test('a suspended tenant’s jobs wait, and no step slips in', async () => {
  const tenant = await queue.tenant(1)
  queue.worker()
  const id = await queue.enqueue(tenant, count, { name: 'a', steps: 100_000 })
  await eventually(async () => expect(await queue.counter(tenant, 'a')).toBeGreaterThan(3))
  const setStatus = (status: 'active' | 'suspended') =>
    queue.inTenant(tenant, (scope) => {
      scope.system('status', statusSpace).set(['status'], { status, version: 1, epoch: 1 })
      if (status === 'active') scope.wake()
    })
  await setStatus('suspended')
  const counted = await queue.counter(tenant, 'a')
  await eventually(async () => expect(await queue.pointers()).toMatchObject({ now: [], leases: [] }))
  expect(await queue.counter(tenant, 'a')).toBe(counted)
  await setStatus('active')
  await eventually(async () => expect(await queue.counter(tenant, 'a')).toBeGreaterThan(counted))
  expect(await stateOf(tenant, id)).toBe('running')
})

test.each(['active', 'erasing'] as const)(
  'a suspended tenant that becomes %s while a worker is about to leave it is visited at once',
  async (status) => {
    const tenant = await queue.tenant(1)
    const become = (next: 'suspended' | typeof status) =>
      queue.inTenant(tenant, (scope) => {
        scope.system('status', statusSpace).set(['status'], { status: next, version: 1, epoch: 1 })
        if (next !== 'suspended') scope.wake()
      })
    await become('suspended')
    await queue.enqueue(tenant, count, { name: 'a', steps: 3 })
    const over = queue.anotherDatabase()
    const { upkeep } = over
    let isFirst = true
    over.upkeep = async (...leaving) => {
      if (isFirst) await become(status)
      isFirst = false
      return upkeep.apply(over, leaving) as ReturnType<typeof upkeep<never>>
    }
    let wasErased = false
    const erase = async () => {
      wasErased = true
      return queue.clock.nowMs + DAY_MS
    }
    queue.worker({ over, erase })
    const isGoingOn = async () => wasErased || (await queue.counter(tenant, 'a')) === 3
    await eventually(async () => expect(await isGoingOn()).toBe(true))
    expect(wasErased).toBe(status === 'erasing')
  },
)

test('a finished job can be read for a week, then it is swept, and nothing of the queue is left', async () => {
  const tenant = await queue.tenant(1)
  const worker = queue.worker({ kinds: [count, sweep] })
  const id = await queue.enqueue(tenant, count, { name: 'a', steps: 1 })
  await ended(tenant, id)
  queue.clock.nowMs += 6 * DAY_MS
  await worker.look()
  expect(await stateOf(tenant, id)).toBe('done')
  queue.clock.nowMs += DAY_MS + 2 * 60 * 60 * 1000
  await eventually(async () => expect(await stateOf(tenant, id)).toBeUndefined())
  await eventually(async () => expect(await queue.pointers()).toEqual({ now: [], later: [], leases: [] }))
  const left = await queue.inTenant(tenant, (scope) => jobsOf(scope).space(jobSpace).page({ limit: 10 }))
  expect(left.entries).toEqual([])
})
