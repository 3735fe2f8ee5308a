import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { Isolations, isolationEnds } from '../../regional/tenancy/isolation.ts'
import { isolationSpace, profileSpace, statusSpace } from '../../regional/tenancy/records.ts'
import { type Service, tenantOperation } from '../../regional/tenancy/service.ts'
import { newerSnapshot } from '../../regional/tenancy/snapshot.ts'
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from '../jobs/support.ts'
import { type Regions, startRegions } from '../regional/support.ts'

let queue: Queue
let opened: Queue | undefined
afterEach(async () => {
  await opened?.close()
  opened = undefined
})

async function isolated(stage: 'slowed' | 'limited') {
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
  const log = { info: () => {}, error: (message: string) => expect.unreachable(message), debug: () => {} }
  const isolations = new Isolations({ database: queue.database, now: () => queue.clock.nowMs, log })
  await isolations.keep([{ tenant, stage, asked: 1_000, fair: 10 }], [])
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
const eventually = async (check: () => Promise<boolean>): Promise<void> => {
  while (!(await check())) await pause(10)
}

test('a tenant that is slowed keeps its rate limit; one that is limited has a quarter, which edges hear of', async () => {
  const { tenant, isolations } = await isolated('slowed')
  expect([await versionOf(tenant), await rateOf(tenant)]).toEqual([1, { rate: 500, burst: 1_000 }])
  await isolations.keep([{ tenant, stage: 'limited', asked: 1_000, fair: 10 }], [])
  expect([await versionOf(tenant), await rateOf(tenant)]).toEqual([2, { rate: 125, burst: 250 }])
  expect(await isolations.list()).toMatchObject([{ tenant, stage: 'limited', asked: 1_000, fair: 10 }])
  await isolations.keep([{ tenant, stage: undefined, asked: 10, fair: 10 }], [])
  expect([await versionOf(tenant), await rateOf(tenant)]).toEqual([3, { rate: 500, burst: 1_000 }])
  expect(await isolations.list()).toEqual([])
  expect(await recordOf(tenant)).toBeUndefined()
})

test('it goes on while it is renewed, and ends by itself when whoever renewed it is gone', async () => {
  const { tenant, isolations, present } = await isolated('limited')
  queue.worker({ kinds: [isolationEnds] })
  queue.clock.nowMs += 50_000
  await isolations.keep([], present)
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
        await pause(1_500)
        return { status: 200, body: {} }
      },
    }),
  ],
}

let regions: Regions
beforeAll(async () => {
  regions = await startRegions({ extraServices: [slow] })
})
afterAll(() => regions.close())

test('a tenant that floods a region is seen by the operator and by itself, and hears of it', async () => {
  const { id, key } = await regions.newTenant('flooding', 'us')
  const { key: quiet } = await regions.newTenant('quiet', 'us')
  let over = false
  const keepAsking = async (as: string, path: string) => {
    while (!over) {
      await regions.ask('us', { as, path })
      await pause(300)
    }
  }
  const flood = Array.from({ length: 1_000 }, () => keepAsking(key, '/v1/slow'))
  const asking = [...flood, keepAsking(quiet, '/v1/projects')]
  const noisy = () => regions.ask('us', { as: 'operator', path: '/platform/v1/noisy' })
  try {
    await eventually(async () => (await noisy()).body.data.length > 0)
  } finally {
    over = true
    await Promise.all(asking)
  }
  const { status, body } = await noisy()
  expect([status, body.nextCursor]).toEqual([200, null])
  expect(body.data).toMatchObject([{ tenant: id, slug: 'flooding', region: 'us', stage: 'slowed' }])
  expect(body.data[0].askedUnitsPerSecond).toBeGreaterThan(body.data[0].fairUnitsPerSecond)
  const usage = await regions.ask('us', { as: key, path: '/v1/usage' })
  expect(usage.body.isolation).toMatchObject({ stage: 'slowed' })
  expect((await regions.ask('us', { as: quiet, path: '/v1/usage' })).body.isolation).toBeNull()
  const feed = await regions.ask('us', { as: key, path: '/v1/events' })
  expect(feed.body.data.map(({ type }: { type: string }) => type)).toContain('tenant.isolated')
})
