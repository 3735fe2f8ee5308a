import { afterEach, beforeEach, expect, test } from 'vitest'
import { expireAt, expiryHour, sweep } from '../../regional/jobs/expiry.ts'
import { forgetting } from '../../regional/jobs/forgetting.ts'
import { jobKind } from '../../regional/jobs/kind.ts'
import { enqueue } from '../../regional/jobs/queue.ts'
import { jsonLog } from '../../regional/log.ts'
import type { Calls } from '../../regional/platform/calls.ts'
import { Directory } from '../../regional/platform/directory.ts'
import { OperatorRequests } from '../../regional/platform/operator_requests.ts'
import { TenantProvisioner } from '../../regional/platform/provisioning.ts'
import { jsonSpace } from '../../regional/storage/space.ts'
import { TenantEraser } from '../../regional/tenancy/erasure.ts'
import { idempotencySpace } from '../../regional/tenancy/idempotency.ts'
import {
  type CredentialRecord,
  credentialSpace,
  type ProfileRecord,
  profileSpace,
  statusSpace,
} from '../../regional/tenancy/records.ts'
import { UsageMeter } from '../../regional/tenancy/usage.ts'
import { type TenantNumber, tenantId } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { count, counters, openQueue, type Queue } from './support.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS

let queue: Queue
beforeEach(async () => {
  queue = await openQueue()
})
afterEach(async () => {
  await queue.close()
  expect(queue.violations).toEqual([])
})

const remember = (tenant: TenantNumber, name: string, forMs: number) =>
  queue.inTenant(tenant, async (scope) => {
    const key = Buffer.from(name)
    const expiresAt = queue.clock.nowMs + forMs
    scope.system('idempotency', idempotencySpace).set([key], { requestId: name, attempt: 0, expiresAt })
    await expireAt(scope, expiresAt, 'request', key, queue.clock.nowMs)
  })
const remembered = (tenant: TenantNumber) =>
  queue.inTenant(tenant, async (scope) => {
    const { entries } = await scope.system('idempotency', idempotencySpace).page({ limit: 1000 })
    return entries.map(([[key]]) => key.toString())
  })

test('what has expired is swept after its hour, what was renewed or still lives stays', async () => {
  const tenant = await queue.tenant(1)
  for (let i = 0; i < 450; i++) await remember(tenant, `old ${i}`, 10 * 60_000)
  await remember(tenant, 'renewed', 10 * 60_000)
  await remember(tenant, 'renewed', 24 * HOUR_MS)
  await remember(tenant, 'living', 24 * HOUR_MS)
  const worker = queue.worker({ kinds: [sweep] })
  queue.clock.nowMs += 2 * HOUR_MS
  await worker.look()
  await eventually(async () => expect(await remembered(tenant)).toEqual(['living', 'renewed']))
  queue.clock.nowMs += 24 * HOUR_MS
  await eventually(async () => expect(await remembered(tenant)).toEqual([]))
  await eventually(async () => expect(await queue.pointers()).toEqual({ now: [], later: [], leases: [] }))
  expect(queue.logged).toEqual([])
})

test('what has expired of a suspended tenant is swept as well, past all that waits there', async () => {
  const tenant = await queue.tenant(1)
  await queue.inTenant(tenant, (scope) => {
    for (let i = 0; i < 600; i++) enqueue(scope, count, { name: 'a', steps: 1 }, queue.clock.nowMs)
  })
  for (let i = 0; i < 250; i++) await remember(tenant, `old ${i}`, 10 * 60_000)
  const setStatus = (status: 'active' | 'suspended') =>
    queue.inTenant(tenant, (scope) => {
      scope.system('status', statusSpace).set(['status'], { status, version: 1, epoch: 1 })
      if (status === 'active') scope.wake()
    })
  await setStatus('suspended')
  queue.worker({ kinds: [sweep, count] })
  queue.clock.nowMs += 2 * HOUR_MS
  await eventually(async () => expect(await remembered(tenant)).toEqual([]))
  expect(await queue.counter(tenant, 'a')).toBe(0)
  await setStatus('active')
  await eventually(async () => expect(await queue.counter(tenant, 'a')).toBe(600))
  expect(queue.logged).toEqual([])
})

test('how much room an hour’s stored answers took is forgotten with them', async () => {
  const tenant = await queue.tenant(1)
  const hours = [1, 24].map((hours) => expiryHour(queue.clock.nowMs + hours * HOUR_MS))
  await remember(tenant, 'old', HOUR_MS)
  await remember(tenant, 'living', 24 * HOUR_MS)
  await queue.inTenant(tenant, async (scope) => {
    for (const hourMs of hours)
      for (const of of ['key', 'request'] as const) scope.keptAnswers().add([hourMs, of], 1)
  })
  const counted = () =>
    queue.inTenant(tenant, async (scope) => {
      const { entries } = await scope.keptAnswers().page({ limit: 10 })
      return entries.map(([[hourMs]]) => hours.indexOf(hourMs))
    })
  queue.worker({ kinds: [sweep] })
  expect(await counted()).toEqual([0, 0, 1, 1])
  queue.clock.nowMs += 2.5 * HOUR_MS
  await eventually(async () => expect(await counted()).toEqual([1, 1]))
})

test('keys that live for long leave few sweeps, whatever hours they name, and expire in theirs', async () => {
  const tenant = await queue.tenant(1)
  const { nowMs } = queue.clock
  const addKey = (id: string, expiresMs: number) =>
    queue.inTenant(tenant, async (scope) => {
      const record = { id, expiresAt: new Date(expiresMs).toISOString() } as CredentialRecord
      scope.system('profile', profileSpace).set(['profile'], { plan: 'team' } as ProfileRecord)
      scope.system('credentials', credentialSpace).set([id], record)
      await expireAt(scope, expiresMs, 'api-key', id, nowMs)
    })
  const years = Date.parse('5000-01-01T00:00:00Z')
  for (let i = 0; i < 50; i++) await addKey(`late ${i}`, years + i * HOUR_MS)
  await addKey('early', nowMs + 100 * DAY_MS)
  expect((await queue.waiting(tenant)).length).toBe(1)
  queue.worker({ kinds: [sweep] })
  const living = async () =>
    queue.inTenant(tenant, async (scope) => {
      const { entries } = await scope.system('credentials', credentialSpace).page({ limit: 100 })
      return entries.length
    })
  for (const days of [31, 62, 93]) {
    queue.clock.nowMs = nowMs + days * DAY_MS
    await eventually(async () => {
      const waiting = await queue.waiting(tenant)
      expect(waiting.every(([[dueMs]]) => dueMs > queue.clock.nowMs)).toBe(true)
    })
    expect(await living()).toBe(51)
  }
  queue.clock.nowMs = nowMs + 101 * DAY_MS
  await eventually(async () => expect(await living()).toBe(50))
  expect((await queue.waiting(tenant)).length).toBeLessThan(3)
})

test('what a service keeps itself it has forgotten after its hour, and what was renewed or is far off stays', async () => {
  const tenant = await queue.tenant(1)
  const { clock } = queue
  const untilMs = jsonSpace<[name: string], number>('until')
  const kept = forgetting<[name: string]>('test', 10, async (tx, [name]) => {
    if (((await tx.space(untilMs).get([name])) ?? 0) <= tx.nowMs) tx.space(untilMs).clear([name])
  })
  const keep = jobKind<{ names: string[]; forMs: number }>({
    kind: 'test.keep',
    service: 'test',
    retry: { firstMs: 1, maxMs: 1, tries: 1 },
    async step(tx, { payload: { names, forMs } }) {
      for (const name of names) {
        tx.space(untilMs).set([name], tx.nowMs + forMs)
        await kept.note(tx, [name], tx.nowMs + forMs, tx.nowMs)
      }
      return { finished: true }
    },
  })
  const left = () =>
    queue.inTenant(tenant, async (scope) => {
      const { entries } = await scope.service('test').space(untilMs).page({ limit: 100 })
      return entries.map(([[name]]) => name)
    })
  queue.worker({ kinds: [kept.sweep, keep, sweep] })
  const names = Array.from({ length: 25 }, (_, i) => `old ${i}`)
  await queue.enqueue(tenant, keep, { names: [...names, 'renewed'], forMs: HOUR_MS })
  await queue.enqueue(tenant, keep, { names: ['far'], forMs: 200 * DAY_MS })
  await eventually(async () => expect(await left()).toHaveLength(27))
  await queue.enqueue(tenant, keep, { names: ['renewed'], forMs: DAY_MS })
  clock.nowMs += 3 * HOUR_MS
  await eventually(async () => expect(await left()).toEqual(['far', 'renewed']))
  clock.nowMs += 2 * DAY_MS
  await eventually(async () => expect(await left()).toEqual(['far']))
  // Looked at meanwhile, as often as its time is moved on.
  for (const days of [93, 93]) {
    clock.nowMs += days * DAY_MS
    await eventually(async () => {
      const waiting = await queue.waiting(tenant)
      expect(waiting.every(([[dueMs]]) => dueMs > clock.nowMs)).toBe(true)
    })
    expect(await left()).toEqual(['far'])
  }
  clock.nowMs += 15 * DAY_MS
  await eventually(async () => expect(await left()).toEqual([]))
  expect(queue.logged).toEqual([])
})

test('a job of one service forgets nothing of another’s', async () => {
  const tenant = await queue.tenant(1)
  const stealing = jobKind<null>({
    kind: 'test.steal',
    service: 'test',
    retry: { firstMs: 1, maxMs: 1, tries: 1 },
    async step(tx) {
      tx.space(counters).set(['done'], 1)
      await tx.expire('admin-link', 'lnk_1', tx.nowMs - HOUR_MS)
      return { finished: true }
    },
  })
  queue.worker({ kinds: [stealing] })
  const id = await queue.enqueue(tenant, stealing, null)
  await eventually(async () => expect((await queue.job(tenant, id))?.state).toBe('failed'))
  expect(await queue.counter(tenant, 'done')).toBe(0)
  expect(
    JSON.stringify(queue.logged, (_, value) => (value instanceof Error ? value.message : value)),
  ).toContain("the service test can't have ‘admin-link’ forgotten")
})

test('writers that remember something in the same hour never conflict over it', async () => {
  const tenant = await queue.tenant(1)
  await remember(tenant, 'first', HOUR_MS)
  let attempts = 0
  const WRITERS = 50
  await Promise.all(
    Array.from({ length: WRITERS }, (_, i) =>
      queue.database.tenant(tenant, async (scope) => {
        attempts++
        await expireAt(scope, queue.clock.nowMs + HOUR_MS, 'request', Buffer.from(`${i}`), queue.clock.nowMs)
        return { value: undefined, commit: true }
      }),
    ),
  )
  expect(attempts).toBe(WRITERS)
})

test('an operator’s request is forgotten after a day, and not before', async () => {
  const calls = {} as Calls
  const directory = new Directory(queue.database)
  const { clock, database } = queue
  const asked = new OperatorRequests(database, [Buffer.alloc(32)], () => clock.nowMs)
  const provisioner = new TenantProvisioner(database, directory, () => calls, asked)
  const intent = { slug: 'a', name: 'A', plan: 'free' as const, owner: { email: 'a@a.example' } }
  const requests = jsonSpace<[digest: Buffer], unknown>('request')
  const expiries = jsonSpace<[hourMs: number, digest: Buffer], unknown>('request-expiry')
  const kept = () =>
    database.platform(async (scope) => {
      const pages = await Promise.all([
        scope.space(requests).page({ limit: 1000 }),
        scope.space(expiries).page({ limit: 1000 }),
      ])
      return { value: pages.map(({ entries }) => entries.length), commit: false }
    })
  // Its home region does nothing here: only the record of the request is of interest.
  for (let i = 0; i < 300; i++) {
    await provisioner
      .make({
        operatorId: 'ops',
        requestId: `req ${i}`,
        publicOrigin: 'https://api.test',
        idempotencyKey: `key ${i}`,
        region: 'eu',
        intent,
      })
      .catch(() => undefined)
  }
  clock.nowMs += 22 * HOUR_MS
  await asked.sweep()
  expect(await kept()).toEqual([300, 300])
  clock.nowMs += 3 * HOUR_MS
  await asked.sweep()
  expect(await kept()).toEqual([0, 0])
})

test('a read that was counted before the erasure is not added after it', async () => {
  const tenant = await queue.tenant(1)
  const other = await queue.tenant(2)
  const id = tenantId(tenant, queue.clock.nowMs)
  await queue.inTenant(tenant, (scope) =>
    scope.system('profile', profileSpace).set(['profile'], { id, version: 1 } as ProfileRecord),
  )
  const usage = new UsageMeter(queue.database, () => queue.clock.nowMs)
  usage.count(tenant, 'reads', 1, queue.clock.nowMs)
  usage.count(other, 'reads', 1, queue.clock.nowMs)
  const eraser = new TenantEraser({
    database: queue.database,
    release: async () => {},
    overwriteCleared: () => {},
    log: jsonLog('us', () => {}),
    now: () => queue.clock.nowMs,
  })
  await eraser.begin(tenant, id, { operatorId: 'ops', requestId: 'req' }, undefined)
  expect(await eraser.goOn(tenant, () => true)).toBeUndefined()
  await usage.flush()
  const rows = (of: TenantNumber) =>
    queue.inTenant(of, (scope) => scope.lastRows('status', undefined, 100, 10_000))
  expect(await rows(tenant)).toEqual([])
  expect((await rows(other)).length).toBeGreaterThan(1)
  expect(await queue.pointers()).toEqual({ now: [], later: [], leases: [] })
})
