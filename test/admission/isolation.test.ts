import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { IsolationStage } from '../../regional/admission/noisy.ts'
import { FDBError } from '../../regional/storage/foundationdb.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { feedOf } from '../../regional/tenancy/events.ts'
import { Isolations, isolationEnds } from '../../regional/tenancy/isolation.ts'
import { isolationSpace, profileSpace, statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { type Service, tenantOperation } from '../../regional/tenancy/service.ts'
import { newerSnapshot } from '../../regional/tenancy/snapshot.ts'
import { newId } from '../../shared/ids.ts'
import { type TenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import { openQueue, type Queue } from '../jobs/support.ts'
import { type Regions, startRegions } from '../regional/support.ts'

let queue: Queue
let opened: Queue | undefined
afterEach(async () => {
  await opened?.close()
  opened = undefined
})

/** As one process of the region keeps them. */
const aProcess = (database = queue.database) =>
  new Isolations({
    database,
    now: () => queue.clock.nowMs,
    log: { info: () => {}, error: (message: string) => expect.unreachable(message) },
  })

async function openTenant(): Promise<TenantNumber> {
  queue = await openQueue()
  opened = queue
  const tenant = await queue.tenant(1)
  await queue.inTenant(tenant, (scope) =>
    scope.system('profile', profileSpace).set(['profile'], {
      id: newId('ten'),
      slug: 'noisy',
      name: 'Noisy',
      plan: 'team',
      region: 'us',
      createdAt: '',
      updatedAt: '',
      version: 1,
    }),
  )
  return tenant
}

async function isolated(stage: IsolationStage) {
  const tenant = await openTenant()
  const isolations = aProcess()
  await isolations.keep([{ tenant, stage, asked: 1_000, fair: 10 }])
  return { tenant, isolations, present: [{ tenant, stage, asked: 900, fair: 10 }] }
}

const versionOf = (tenant: TenantNumber) =>
  queue.inTenant(
    tenant,
    async (scope) => (await scope.system('status', statusSpace).get(['status']))?.version,
  )
const recordOf = (tenant: TenantNumber) =>
  queue.inTenant(tenant, (scope) => scope.system('profile', isolationSpace).get(['isolation']))
const rateOf = (tenant: TenantNumber) =>
  queue.inTenant(tenant, async (scope) => {
    const snapshot = await newerSnapshot(scope, { epoch: 1, version: 9 }, undefined)
    return snapshot?.limits.tenant
  })
const eventsOf = (tenant: TenantNumber) =>
  queue.inTenant(tenant, async (scope) => {
    const { events } = await feedOf(scope).page(100)
    return events.map(({ type, data }) => [type, (data as { stage?: string } | undefined)?.stage])
  })
const eventually = async (check: () => Promise<boolean>): Promise<void> => {
  while (!(await check())) await pause(10)
}

test('a tenant that is slowed keeps its rate limit; one that is limited has a quarter, which edges hear of', async () => {
  const { tenant, isolations } = await isolated('slowed')
  expect([await versionOf(tenant), await rateOf(tenant)]).toEqual([1, { rate: 500, burst: 1_000 }])
  await isolations.keep([{ tenant, stage: 'limited', asked: 1_000, fair: 10 }])
  expect([await versionOf(tenant), await rateOf(tenant)]).toEqual([2, { rate: 125, burst: 250 }])
  expect(await isolations.list()).toMatchObject([{ tenant, stage: 'limited', asked: 1_000, fair: 10 }])
  await isolations.keep([])
  expect([await versionOf(tenant), await rateOf(tenant)]).toEqual([3, { rate: 500, burst: 1_000 }])
  expect(await isolations.list()).toEqual([])
  expect(await recordOf(tenant)).toBeUndefined()
})

test('it goes on while it is renewed, and ends by itself when whoever renewed it is gone', async () => {
  const { tenant, isolations, present } = await isolated('limited')
  queue.worker({ kinds: [isolationEnds] })
  queue.clock.nowMs += 50_000
  await isolations.keep(present)
  queue.clock.nowMs += 50_000
  // The job has come, found it renewed, and will come again.
  await eventually(async () => (await queue.waiting(tenant)).every(([[dueMs]]) => dueMs > queue.clock.nowMs))
  expect(await recordOf(tenant)).toMatchObject({ stage: 'limited' })
  expect(await isolations.list()).toHaveLength(1)
  queue.clock.nowMs += 20_000
  expect(await isolations.list()).toEqual([])
  await eventually(async () => (await recordOf(tenant)) === undefined)
  expect(await rateOf(tenant)).toEqual({ rate: 500, burst: 1_000 })
  expect(await queue.waiting(tenant)).toEqual([])
})

test('processes that judge otherwise have a lease each: the strongest counts, and only its changes are told', async () => {
  const tenant = await openTenant()
  const [one, other] = [aProcess(queue.anotherDatabase()), aProcess(queue.anotherDatabase())]
  const limited = [{ tenant, stage: 'limited' as const, asked: 1_000, fair: 10 }]
  const slowed = [{ tenant, stage: 'slowed' as const, asked: 900, fair: 10 }]
  const told: unknown[] = [['tenant.isolated', 'limited']]
  for (let second = 0; second < 60; second++) {
    await one.keep(limited)
    await other.keep(slowed)
    queue.clock.nowMs += 1_000
  }
  expect([await versionOf(tenant), await eventsOf(tenant)]).toEqual([2, told])
  expect(await isolatedRows()).toMatchObject([{ tenant, stage: 'limited', asked: 1_000, fair: 10 }])

  await one.keep([])
  told.push(['tenant.isolated', 'slowed'])
  expect([await versionOf(tenant), await eventsOf(tenant)]).toEqual([3, told])
  expect(await isolatedRows()).toMatchObject([{ tenant, stage: 'slowed', asked: 900 }])

  await one.keep(limited)
  told.push(['tenant.isolated', 'limited'])
  // It is gone; the other one goes on renewing.
  for (let second = 0; second < 80; second++) {
    await other.keep(slowed)
    queue.clock.nowMs += 1_000
  }
  told.push(['tenant.isolated', 'slowed'])
  expect([await versionOf(tenant), await eventsOf(tenant)]).toEqual([5, told])
  expect(Object.keys((await recordOf(tenant))?.leases ?? {})).toHaveLength(1)

  await other.keep([])
  told.push(['tenant.released', undefined])
  expect(await eventsOf(tenant)).toEqual(told)
  expect(await recordOf(tenant)).toBeUndefined()
})

const isolatedRows = () => aProcess().list()

test('a record without leases, of before, holds until it is over', async () => {
  const tenant = await openTenant()
  const { nowMs } = queue.clock
  await queue.inTenant(tenant, (scope) =>
    scope
      .system('profile', isolationSpace)
      .set(['isolation'], { stage: 'limited', sinceMs: nowMs - 5_000, untilMs: nowMs + 30_000 }),
  )
  const isolations = aProcess()
  const slowed = [{ tenant, stage: 'slowed' as const, asked: 900, fair: 10 }]
  await isolations.keep(slowed)
  expect(await recordOf(tenant)).toMatchObject({ stage: 'limited', sinceMs: nowMs - 5_000 })
  queue.clock.nowMs += 31_000
  await isolations.keep(slowed)
  expect(await recordOf(tenant)).toMatchObject({ stage: 'slowed', sinceMs: nowMs - 5_000 })
})

test('what could not be written is written the next time, as it is by then; so is a release', async () => {
  const tenant = await openTenant()
  let broken = true
  const { database } = queue
  const errors: string[] = []
  const failing = {
    tenant: (...args: Parameters<typeof database.tenant>) =>
      broken ? Promise.reject(new Error('no database')) : database.tenant(...args),
    region: database.region.bind(database),
  } as unknown as typeof database
  const isolations = new Isolations({
    database: failing,
    now: () => queue.clock.nowMs,
    log: { info: () => {}, error: (message) => void errors.push(message) },
  })
  await isolations.keep([{ tenant, stage: 'slowed', asked: 900, fair: 10 }])
  expect(errors).toHaveLength(1)
  broken = false
  await isolations.keep([{ tenant, stage: 'limited', asked: 900, fair: 10 }])
  expect(await recordOf(tenant)).toMatchObject({ stage: 'limited' })
  broken = true
  await isolations.keep([])
  expect(await recordOf(tenant)).toMatchObject({ stage: 'limited' })
  broken = false
  await isolations.keep([])
  expect(await recordOf(tenant)).toBeUndefined()
  expect(await eventsOf(tenant)).toEqual([
    ['tenant.isolated', 'limited'],
    ['tenant.released', undefined],
  ])
})

/** Holds its place for a while. */
const slow: Service = {
  name: 'slow',
  operations: [
    tenantOperation({
      name: 'wait',
      method: 'get',
      path: '/v1/slow',
      tag: 'Test',
      summary: 'Wait a while',
      scope: 'projects:read',
      answers: { 200: z.object({}) },
      async handle() {
        await pause(3_000)
        return { status: 200, body: {} }
      },
    }),
  ],
}

/** While it is a promise, commits wait for it. */
let stalled: Promise<void> | undefined
/** Nothing can be read. */
let away = false
const lines: string[] = []

async function stalling(where: Parameters<typeof openEngine>[0]): Promise<Engine> {
  const engine = await openEngine(where)
  const create = engine.native.createTransaction.bind(engine.native)
  engine.native.createTransaction = () => {
    const tn = create()
    const commit = tn.commit.bind(tn) as () => Promise<void>
    tn.commit = async () => {
      await stalled
      return commit()
    }
    if (away) {
      const failing = () => Promise.reject(new FDBError('a disk error', 1510))
      Object.assign(tn, { get: failing, getRange: failing })
    }
    return tn
  }
  return engine
}

let regions: Regions
beforeAll(async () => {
  regions = await startRegions({
    ...{ extraServices: [slow], open: stalling },
    writeLog: (line) => void lines.push(line),
  })
})
afterAll(() => regions.close())

const SELDOM = { interval: 250, timeout: 30_000 }
async function gauge(name: string, region = 'us'): Promise<number> {
  const text = await (await fetch(`${regions.url(region)}/metrics`)).text()
  return Number(new RegExp(`^${name}\\{region="${region}"\\} (\\S+)$`, 'm').exec(text)?.[1])
}

/** Stops the region, and leaves what a process of it would have left a moment ago. */
async function stopIsolating(slug: string): Promise<void> {
  const { id } = await regions.newTenant(slug, 'eu')
  const tenant = tenantNumberOf(id)
  if (tenant === undefined) throw new Error(`${id} is no tenant`)
  await regions.stop('eu')
  const engine = await openEngine({ dataDir: regions.dataDir('eu') })
  const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  await new Isolations({
    database,
    now: Date.now,
    log: { info: () => {}, error: (message) => expect.unreachable(message) },
  }).keep([{ tenant, stage: 'limited', asked: 1_000, fair: 10 }])
  await engine.close()
}

test('a region that starts goes on isolating those that were isolated before', async () => {
  await stopIsolating('before')
  await regions.start('eu')
  await vi.waitUntil(async () => (await gauge('coditect_isolated_tenants', 'eu')) === 1, { timeout: 5_000 })
})

test('it does so once its database answers, where that is away at the start', async () => {
  await stopIsolating('late')
  away = true
  lines.length = 0
  try {
    await regions.start('eu')
    const failed = 'background work failed: hearing who is isolated'
    await vi.waitUntil(() => lines.some((line) => line.includes(failed)), { timeout: 10_000 })
    const { body } = await regions.ask('us', { as: 'operator', path: '/platform/v1/regions' })
    expect(body.data[1]).toMatchObject({ name: 'eu', status: 'up', load: { readiness: 'no_database' } })
    expect(await gauge('coditect_isolated_tenants', 'eu')).toBe(0)
  } finally {
    away = false
  }
  await vi.waitUntil(async () => (await gauge('coditect_isolated_tenants', 'eu')) >= 1, { timeout: 20_000 })
})

test('a tenant that floods a region is seen by the operator and by itself, and hears of it, late where the database is slow', async () => {
  const { id, key } = await regions.newTenant('flooding', 'us')
  const { key: quiet } = await regions.newTenant('quiet', 'us')
  let over = false
  const keepAsking = async (as: string, path: string) => {
    while (!over) {
      await regions.ask('us', { as, path })
      await pause(1_000)
    }
  }
  const flood = Array.from({ length: 1_000 }, () => keepAsking(key, '/v1/slow'))
  const asking = [...flood, keepAsking(quiet, '/v1/projects')]
  const noisy = () => regions.ask('us', { as: 'operator', path: '/platform/v1/noisy' })
  const { promise, resolve: goOn } = Promise.withResolvers<void>()
  stalled = promise
  try {
    // Seldom: all the gauges take a few milliseconds of the process that is to be flooded.
    await vi.waitUntil(async () => (await gauge('coditect_isolated_tenants')) > 0, SELDOM)
  } finally {
    over = true
    await Promise.all(asking)
  }
  // Nothing can be written down, but each second is measured: it was 0.7 at least when the tenant was found.
  await vi.waitUntil(async () => (await gauge('coditect_utilisation')) < 0.5, SELDOM).finally(goOn)
  const found = await vi.waitUntil(async () => {
    const { body } = await noisy()
    return body.data.find(({ tenant }: { tenant: string }) => tenant === id)
  }, SELDOM)
  expect(found).toMatchObject({ slug: 'flooding', region: 'us', stage: 'slowed' })
  expect(found.askedUnitsPerSecond).toBeGreaterThanOrEqual(found.fairUnitsPerSecond)
  const usage = await regions.ask('us', { as: key, path: '/v1/usage' })
  expect(usage.body.isolation).toMatchObject({ stage: 'slowed' })
  expect((await regions.ask('us', { as: quiet, path: '/v1/usage' })).body.isolation).toBeNull()
  const feed = await regions.ask('us', { as: key, path: '/v1/events' })
  expect(feed.body.data.map(({ type }: { type: string }) => type)).toContain('tenant.isolated')
})
