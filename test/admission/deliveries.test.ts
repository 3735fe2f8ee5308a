// Webhook deliveries as work in the background: on the real engine, beside what requests hold, without HTTP.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Admission, type TakeTurn } from '../../regional/admission/admission.ts'
import type { Called } from '../../regional/outbound/client.ts'
import { sendTest } from '../../regional/services/webhook-endpoints/store.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import type { Engine } from '../../regional/storage/open.ts'
import type { TenantContext } from '../../regional/tenancy/admission.ts'
import { emitting, FEED_BEGINNING, feedOf, type TenantEvent } from '../../regional/tenancy/events.ts'
import { Sealer } from '../../regional/tenancy/idempotency.ts'
import { ONLY_WRITER } from '../../regional/tenancy/quotas.ts'
import { type ProfileRecord, profileSpace, statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase, type TenantScope } from '../../regional/tenancy/region_database.ts'
import { Tails } from '../../regional/tenancy/tails.ts'
import { writingTransaction } from '../../regional/tenancy/tenant_transaction.ts'
import { WebhookDeliveries } from '../../regional/webhooks/deliveries.ts'
import { Hold } from '../../regional/webhooks/hold.ts'
import { record } from '../../regional/webhooks/recording.ts'
import {
  changedSpace,
  deliverySpace,
  endpointSpace,
  holderSpace,
  laneSpace,
  newDelivery,
  onItsWay,
  SERVICE,
  writeDelivery,
} from '../../regional/webhooks/records.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { type NotedTransaction, openNoted } from './noted_engine.ts'

const tenant = asTenantNumber(7n)
const standing = { status: 'active', epoch: 1, version: 1, webhooks: true } as const
const at = '2026-11-23T10:15:00.000Z'
const profile = {
  ...{ id: 'ten_01k4z5h3w8e1q9r7t2y6m0n4b5', slug: 'acme', name: 'Acme', plan: 'enterprise', region: 'us' },
  ...{ createdAt: at, updatedAt: at, version: 1 },
} as const satisfies ProfileRecord
const ENDPOINT = 'whe_01k4z5h3w8e1q9r7t2y6m0n4b5'
const log = { info() {}, error: (message: string) => void failures.push(message) }

let folder: string
let engine: Engine
let database: RegionDatabase
let admission: Admission
let transactions: NotedTransaction[]
let turns: Array<{ operation: string; weight: number; commits: number }>
let failures: string[]
/** Ids of events, as they came. */
let sent: string[]
let answer: () => Promise<void>
let instances: Array<{ deliveries: WebhookDeliveries; tails: Tails }>
let gate: PromiseWithResolvers<void>
/** Of the deliveries' clock. */
let aheadMs: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coditect-deliveries-'))
  transactions = []
  engine = await openNoted({ dataDir: folder }, transactions)
  database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  admission = new Admission({ now: Date.now })
  ;[turns, failures, sent, instances] = [[], [], [], []]
  answer = async () => {}
  aheadMs = 0
  gate = Promise.withResolvers()
  await inTenant((scope) => {
    const tx = scope.service(SERVICE)
    scope.system('status', statusSpace).set(['status'], standing)
    scope.system('profile', profileSpace).set(['profile'], profile)
    tx.space(laneSpace).set([ENDPOINT], {
      cursor: FEED_BEGINNING,
      highest: FEED_BEGINNING,
      failingSinceMs: null,
      warnings: 0,
    })
    tx.space(endpointSpace).set([ENDPOINT], {
      ...{ id: ENDPOINT, url: 'https://hooks.example.com/', description: null, types: [], enabled: true },
      ...{ disabled: null, mode: 'parallel', rate: null, headerNames: [], sealedHeaders: null, signers: [] },
      ...{ createdAt: at, updatedAt: at, version: 1 },
    })
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  gate.resolve()
  await Promise.all(instances.map(stop))
  await engine.close()
  await rm(folder, { recursive: true, force: true })
  expect(failures).toEqual([])
})

const inTenant = <T>(work: (scope: TenantScope) => Promise<T> | T): Promise<T> =>
  database.tenant(tenant, async (scope) => ({ value: await work(scope), commit: true }))

const noting: TakeTurn = (asking, work) =>
  admission.background(asking, async (meter) => {
    const commits = vi.spyOn(meter, 'commit')
    const value = await work(meter)
    turns.push({ operation: asking.operation, weight: asking.weight, commits: commits.mock.calls.length })
    return value
  })

function start(turn: TakeTurn = noting) {
  const tails = new Tails(database, log)
  const post = async ({ headers }: { headers: Readonly<Record<string, string>> }): Promise<Called> => {
    sent.push(headers['webhook-id'] ?? '')
    await answer()
    return { outcome: 'answered', status: 204, answer: '', retryAfterMs: undefined, durationMs: 1 }
  }
  const deliveries = new WebhookDeliveries({
    ...{ database, tails, log, turn, now: () => Date.now() + aheadMs, random: Math.random },
    outbound: { post, close: async () => {} },
    sealer: new Sealer(Buffer.alloc(32)),
  })
  const instance = { deliveries, tails }
  instances.push(instance)
  return instance
}

async function stop({ deliveries, tails }: (typeof instances)[number]): Promise<void> {
  tails.stop()
  await deliveries.stop()
}

const eventOf = (resource: string): TenantEvent => ({
  ...{ id: newId('evt'), type: 'project.created', at, resource, sequence: FEED_BEGINNING },
  actor: { kind: 'system', id: 'test' },
})

const emit = (name: string, type: TenantEvent['type'] = 'project.created') =>
  inTenant((scope) => {
    const emitter = { standing, nowMs: Date.now(), actor: { kind: 'system', id: 'test' }, requestId: 'test' }
    emitting(scope, emitter as Parameters<typeof emitting>[1])(type, name)
  })

const kept = () =>
  inTenant(async (scope) => {
    const tx = scope.service(SERVICE)
    const { entries } = await tx.space(deliverySpace).page({ limit: 100 })
    return {
      holder: await tx.space(holderSpace).get(['holder']),
      statuses: entries.map(([, { status }]) => status),
    }
  })

/** Requests of others take every place, until the gate is opened. */
function fill(): void {
  for (let n = 10_000n; admission.load().waiting === 0; n++) {
    const asking = { tenant: asTenantNumber(n), weight: 1, operation: 'held', begun: true } as const
    void admission.run(asking, () => gate.promise)
  }
}

test('deliveries take turns of background work, are metered, and have batch priority', async () => {
  start()
  for (let i = 0; i < 10; i++) await emit(`prj_${i}`)
  await eventually(() => expect(turns.at(-1)?.operation).toBe('webhooks.leave'))
  expect(sent).toHaveLength(10)
  const of = (name: string) => turns.filter(({ operation }) => operation === `webhooks.${name}`)
  for (const name of ['take', 'record', 'leave']) {
    expect(of(name).every(({ commits }) => commits > 0)).toBe(true)
    expect(of(name).length).toBeGreaterThan(0)
  }
  expect(of('read').length).toBeGreaterThan(0)
  // By its plan, from the first look on.
  expect(of('record').every(({ weight }) => weight === 16)).toBe(true)
  transactions.length = 0
  await emit('prj_again')
  await eventually(() =>
    expect(turns.filter(({ operation }) => operation === 'webhooks.leave')).toHaveLength(2),
  )
  // The commit itself, and those with which the tail is watched: by streams too.
  const [own, ...others] = transactions.filter(({ watch }) => !watch)
  expect(own?.batch).toBe(false)
  expect(others.length).toBeGreaterThanOrEqual(4)
  expect(others.every(({ batch }) => batch)).toBe(true)
})

test('a region that is busy with requests of others delivers later, and nobody else meanwhile', async () => {
  start()
  fill()
  await emit('prj_1')
  expect(admission.load().waiting).toBe(2)
  expect((await kept()).holder).toBeUndefined()
  expect(sent).toEqual([])
  gate.resolve()
  await eventually(() => expect(sent).toHaveLength(1))

  // Now busy with a delivery on its way: for longer than a lease lasts without a word.
  gate = Promise.withResolvers()
  const answered = Promise.withResolvers<void>()
  answer = () => answered.promise
  await emit('prj_2')
  await eventually(() => expect(sent).toHaveLength(2))
  fill()
  answered.resolve()
  const calm = new Admission({ now: Date.now })
  const { deliveries: other } = start((asking, work) => calm.background(asking, work))
  const until = (await kept()).holder?.untilMs ?? 0
  await eventually(async () => {
    other.call(tenant)
    expect((await kept()).holder?.untilMs).toBeGreaterThan(until + 4_000)
  })
  expect((await kept()).statuses).toEqual(['delivered'])
  gate.resolve()
  await eventually(async () => expect((await kept()).statuses).toEqual(['delivered', 'delivered']))
  expect(sent).toHaveLength(2)
})

test('whoever stops waits for no turn: what arrived is recorded, and the tenant handed back', async () => {
  const instance = start()
  const answered = Promise.withResolvers<void>()
  answer = () => answered.promise
  await emit('prj_1')
  await eventually(() => expect(sent).toHaveLength(1))
  fill()
  const { waiting } = admission.load()
  answered.resolve()
  await eventually(() => expect(admission.load().waiting).toBeGreaterThan(waiting))
  const startedAt = performance.now()
  await stop(instance)
  expect(performance.now() - startedAt).toBeLessThan(8_000)
  expect(await kept()).toEqual({ holder: undefined, statuses: ['delivered'] })

  // The same before its first turn.
  const next = start()
  await emit('prj_2')
  await stop(next)
  expect((await kept()).holder).toBeUndefined()
  gate.resolve()
  start().deliveries.call(tenant)
  await eventually(() => expect(sent).toHaveLength(2))
})

test('whoever cannot know that a commit has landed learns all the same that it has disabled an endpoint', async () => {
  const event = { ...eventOf('prj_1'), sequence: '1'.repeat(40) }
  const gone: Called = {
    outcome: 'answered',
    status: 410,
    answer: '',
    retryAfterMs: undefined,
    durationMs: 1,
  }
  const result = {
    ...{
      record: newDelivery(ENDPOINT, event),
      event,
      endpointId: ENDPOINT,
      called: gone,
      sentMs: Date.now(),
    },
    url: 'https://hooks.example.com/',
  }
  const attempt = () =>
    inTenant((scope) => {
      const held = Promise.resolve({ ...standing })
      return record(scope, { held, nowMs: Date.now(), random: Math.random }, [result], () => event.sequence)
    })
  for (const _ of ['landed', 'tried again']) {
    expect((await attempt()).disabled).toMatchObject([{ id: ENDPOINT, enabled: false, version: 2 }])
  }
})

/** Deliveries that have been tried before, and whose time has come. */
const waiting = (count: number) =>
  inTenant((scope) => {
    for (let i = 0; i < count; i++) {
      const event = eventOf(`prj_${i}`)
      const tried = { ...newDelivery(ENDPOINT, event), attempts: 1 }
      writeDelivery(scope.service(SERVICE), undefined, onItsWay(tried, 'parallel', event, Date.now()))
    }
  })

test('a test that another process commits is sent at once, while its receiver keeps the tenant in hand', async () => {
  start()
  const answered = Promise.withResolvers<void>()
  answer = () => answered.promise
  await emit('prj_1')
  await eventually(() => expect(sent).toHaveLength(1))
  // Nothing of this process hears of its commits but by the database.
  const another = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  const context = { tenant, nowMs: Date.now(), actor: { kind: 'system', id: 'test' } } as TenantContext
  const { eventId } = await another.tenant(tenant, async (scope) => {
    const tx = writingTransaction(scope, { service: SERVICE, context }, ONLY_WRITER, standing)
    const endpoint = await tx.space(endpointSpace).get([ENDPOINT])
    if (endpoint === undefined) throw new Error('there is an endpoint')
    return { value: await sendTest(tx, endpoint), commit: true }
  })
  await eventually(() => expect(sent.slice(1)).toEqual([eventId]))
  answered.resolve()
  await eventually(async () => expect((await kept()).statuses).toEqual(['delivered', 'delivered']))
})

test.each([
  ['what others come to is recorded', 10_000, []],
  ['the tenant is kept in hand', 10_000, []],
  ['it comes to want something else, at whatever time', -60_000, ['project.*']],
] as const)(
  'how far an endpoint is that got nothing is written down while %s',
  async (why, laterMs, types) => {
    const isRecorded = why === 'what others come to is recorded'
    const other = { id: 'whe_01k4z5h3w8e1q9r7t2y6m0n4b6', types: ['api_key.*'], version: 1 } as const
    await inTenant(async (scope) => {
      const tx = scope.service(SERVICE)
      const [endpoint, lane] = await Promise.all([
        tx.space(endpointSpace).get([ENDPOINT]),
        tx.space(laneSpace).get([ENDPOINT]),
      ])
      if (endpoint === undefined || lane === undefined) throw new Error('there is an endpoint')
      tx.space(endpointSpace).set([other.id], { ...endpoint, ...other })
      tx.space(laneSpace).set([other.id], lane)
    })
    // One of the first endpoint's stays on its way, so the tenant is not handed back.
    answer = () => (isRecorded && sent.length > 1 ? Promise.resolve() : gate.promise)
    vi.spyOn(Hold.prototype, 'isRunningOut', 'get').mockReturnValue(!isRecorded)
    start()
    await emit('prj_1')
    await eventually(() => expect(sent).toHaveLength(1))
    aheadMs = laterMs
    if (types.length > 0) {
      await inTenant(async (scope) => {
        const tx = scope.service(SERVICE)
        const endpoint = await tx.space(endpointSpace).get([other.id])
        if (endpoint === undefined) throw new Error('there is an endpoint')
        tx.space(endpointSpace).set([other.id], { ...endpoint, types, version: 2 })
        tx.space(changedSpace).set(['changed'], 'types')
      })
      instances[0]?.deliveries.call(tenant)
    } else if (isRecorded) await emit('prj_2')
    const read = () =>
      inTenant(async (scope) => {
        const { events } = await feedOf(scope).page(10, FEED_BEGINNING)
        const lanes = scope.service(SERVICE).space(laneSpace)
        const [busy, idle] = await Promise.all([lanes.get([ENDPOINT]), lanes.get([other.id])])
        return { busy: busy?.cursor, idle: idle?.cursor, first: events[0]?.sequence }
      })
    await eventually(async () => {
      const { busy, idle = '', first = 'none' } = await read()
      expect(busy).toBe(FEED_BEGINNING)
      expect(idle >= first).toBe(true)
    })
    expect(sent).toHaveLength(isRecorded ? 2 : 1)
    expect(turns.filter(({ operation }) => operation === 'webhooks.leave')).toEqual([])
  },
)

test('what was read is sent before the rest of a long feed is, and whoever stops reads no more of it', async () => {
  await inTenant(async (scope) => {
    const endpoints = scope.service(SERVICE).space(endpointSpace)
    const endpoint = await endpoints.get([ENDPOINT])
    if (endpoint !== undefined) endpoints.set([ENDPOINT], { ...endpoint, types: ['project.deleted'] })
  })
  await emit('prj_1', 'project.deleted')
  for (let i = 0; i < 600; i++) await emit(`prj_${i}`)
  let reads = 0
  const instance = start(async (asking, work) => {
    if (asking.operation === 'webhooks.read' && ++reads === 4) {
      await eventually(() => expect(sent).toHaveLength(1))
      void stop(instance)
    }
    return noting(asking, work)
  })
  instance.deliveries.call(tenant)
  await eventually(() => expect(turns.at(-1)?.operation).toBe('webhooks.leave'))
  // One of the endpoints, three of the feed.
  expect(reads).toBe(4)
  expect(await kept()).toEqual({ holder: undefined, statuses: ['delivered'] })
})

test('an event that comes while there is no room for it is read once there is, without another call', async () => {
  // As many as may be on their way, and as many as may wait in memory.
  for (let i = 0; i < 216; i++) await emit(`prj_${i}`)
  const answered = Promise.withResolvers<void>()
  answer = () => answered.promise
  // Nobody calls but the commits of this process.
  vi.spyOn(Tails.prototype, 'subscribe').mockReturnValue(() => {})
  // The endpoint, and three pages of the feed.
  const FULL_AFTER = 4
  let [reads, toHold] = [0, false]
  const read = Promise.withResolvers<void>()
  const tenantOf = database.tenant.bind(database)
  vi.spyOn(database, 'tenant').mockImplementation(async (...asked) => {
    const isHeld = toHold
    toHold = false
    const value = await tenantOf(...asked)
    if (isHeld) read.resolve()
    if (isHeld) await gate.promise
    return value
  })
  const { deliveries } = start((asking, work) => {
    if (asking.operation !== 'webhooks.read') return noting(asking, work)
    return noting(asking, (meter) => {
      toHold = ++reads > FULL_AFTER
      return work(meter)
    })
  })
  deliveries.call(tenant)
  await eventually(() => {
    expect(sent).toHaveLength(16)
    expect(reads).toBe(FULL_AFTER)
  })
  await emit('prj_last')
  await read.promise
  answered.resolve()
  await eventually(() => expect(sent).toHaveLength(216))
  gate.resolve()
  await eventually(() => expect(sent).toHaveLength(217))
  expect(turns.filter(({ operation }) => operation === 'webhooks.leave')).toEqual([])
})

test('more that are due than one page of them are all sent, even if none of the first is recorded yet', async () => {
  await waiting(150)
  const readAt: number[] = []
  const { deliveries } = start(async (asking, work) => {
    if (asking.operation === 'webhooks.record') await gate.promise
    const already = sent.length
    const value = await noting(asking, work)
    if (asking.operation === 'webhooks.read') readAt.push(already)
    return value
  })
  deliveries.call(tenant)
  // All of the first page are on their way, and it was read again.
  await eventually(() => {
    expect(sent).toHaveLength(64)
    expect(readAt.at(-1)).toBeGreaterThan(0)
  })
  gate.resolve()
  await eventually(() => expect(sent).toHaveLength(150))
  // Not found only when everything seemed to be done.
  expect(turns.filter(({ operation }) => operation === 'webhooks.leave')).toEqual([])
})
