// What an operator sees of capacity: plans, regions and their load, and which tenants cost what.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { newId } from '../../shared/ids.ts'
import { PLANS } from '../../shared/plans.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { type Regions, startRegions } from './support.ts'

let regions: Regions
beforeAll(async () => {
  regions = await startRegions({ resolveTxt: async () => [] })
})
afterAll(() => regions.close())

const operator = (path: string) => regions.ask('us', { as: 'operator', path: `/platform/v1${path}` })

test('tenants of all regions are listed by what they cost, page by page', async () => {
  const tenants = {
    quiet: await regions.newTenant('quiet', 'us'),
    busy: await regions.newTenant('busy', 'eu'),
    middling: await regions.newTenant('middling', 'us'),
  }
  const read = async ({ key }: { key: string }, region: string, times: number) => {
    for (let i = 0; i < times; i++) await regions.ask(region, { as: key, path: '/v1/projects' })
  }
  await read(tenants.busy, 'eu', 9)
  await read(tenants.middling, 'us', 5)
  await read(tenants.quiet, 'us', 1)
  // Usage is flushed every second, and a ranking may be five seconds old.
  await vi.waitFor(
    async () => {
      const seen: Array<[string, number]> = []
      for (let cursor: string | null = null, first = true; first || cursor !== null; first = false) {
        const { status, body } = await operator(
          `/tenants?order=cost&limit=2${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
        )
        expect(status).toBe(200)
        for (const { slug, cost } of body.data) seen.push([slug, cost])
        cursor = body.nextCursor
      }
      expect(seen).toEqual([
        ['busy', 9],
        ['middling', 5],
        ['quiet', 1],
      ])
    },
    { timeout: 20_000, interval: 500 },
  )
  expect((await operator('/tenants?order=cost&cursor=nonsense')).body.code).toBe('invalid_cursor')
  const both = await operator('/tenants?order=cost&slug=ac')
  expect([both.status, both.body.code]).toEqual([400, 'malformed_request'])
})

test('a tenant’s usage is the operator’s to see, by hour and day', async () => {
  const { id, key } = await regions.newTenant('looked-at', 'eu')
  await regions.ask('eu', { as: key, method: 'POST', path: '/v1/projects', body: { name: 'One' } })
  const today = `${new Date().toISOString().slice(0, 10)}T00:00:00Z`
  await vi.waitFor(
    async () => {
      const { status, body } = await operator(`/tenants/${id}/usage?by=day`)
      expect(status).toBe(200)
      expect(body.quotas.projects).toEqual({ used: 1, limit: PLANS.team.projects })
      expect(body.history).toMatchObject([{ start: today, writes: 1, units: 5, errors: 0 }])
      expect(body.history[0].milliseconds).toBeGreaterThan(0)
    },
    { timeout: 10_000, interval: 200 },
  )
  const long = await operator(`/tenants/${id}/usage?by=hour&from=2026-01-01T00:00:00Z`)
  expect([long.status, long.body.code]).toEqual([400, 'malformed_request'])
})

test('refused requests are counted as errors, and a stranger’s are nobody’s', async () => {
  const { id, key } = await regions.newTenant('mistaken', 'us')
  for (let i = 0; i < 3; i++) {
    await regions.ask('us', { as: key, method: 'POST', path: '/v1/projects', body: {} })
  }
  await vi.waitFor(
    async () => {
      const { body } = await operator(`/tenants/${id}/usage`)
      expect(body.history[0]?.errors).toBe(3)
    },
    { timeout: 10_000, interval: 200 },
  )
})

test('work that outlives its request counts and costs as any other', async () => {
  const { id, key } = await regions.newTenant('outlasting', 'us')
  const post = (path: string, body?: object) =>
    regions.ask('us', { as: key, method: 'POST', path, ...(body && { body }) })
  const counted = async () => (await operator(`/tenants/${id}/usage`)).body.history[0]
  const domain = (await post('/v1/domains', { domain: 'outlasting.example' })).body
  await vi.waitFor(async () => expect((await counted()).milliseconds).toBeGreaterThan(0), { timeout: 10_000 })
  const { milliseconds } = await counted()
  for (let i = 0; i < 5; i++) expect((await post(`/v1/domains/${domain.id}/verify`)).status).toBe(200)
  const nowhere = `/v1/projects/${newId('prj')}/agents/${newId('agt')}/runs`
  for (let i = 0; i < 3; i++) expect((await post(nowhere, { input: 'Hello' })).status).toBe(404)
  await vi.waitFor(
    async () => {
      const now = await counted()
      expect(now).toMatchObject({ reads: 0, writes: 6, errors: 3, units: 30 })
      expect(now.milliseconds).toBeGreaterThan(milliseconds)
      const { data } = (await operator('/tenants?order=cost&limit=100')).body
      expect(data.find(({ slug }: { slug: string }) => slug === 'outlasting').cost).toBe(30)
    },
    { timeout: 20_000, interval: 500 },
  )
})

test('plans and regions are listed; a region that is down is told as such', async () => {
  const plans = await operator('/plans')
  expect(plans.body.data).toEqual(Object.entries(PLANS).map(([name, limits]) => ({ name, limits })))
  const up = await operator('/regions')
  expect(up.body.data).toMatchObject([
    { name: 'us', status: 'up', load: { instances: 1, readiness: 'ready' } },
    { name: 'eu', status: 'up', load: { instances: 1, readiness: 'ready' } },
  ])
  for (const list of ['/plans', '/regions']) {
    const { data } = (await operator(list)).body
    const names: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await operator(`${list}?limit=1${cursor && `&cursor=${cursor}`}`)
      names.push(...body.data.map(({ name }: { name: string }) => name))
      cursor = body.nextCursor
    }
    expect(names).toEqual(data.map(({ name }: { name: string }) => name))
  }
  await regions.stop('eu')
  const down = await operator('/regions')
  expect(down.body.data[1]).toEqual({ name: 'eu', status: 'unreachable', load: null })
  await regions.start('eu')
})

test('how busy a region is told to be is what it measured in its last second, whoever asked before', async () => {
  const measured = async () => {
    const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
    return Number(/^coditect_utilisation\S* (\S+)$/m.exec(text)?.[1])
  }
  await expect.poll(measured, { timeout: 10_000 }).toBeGreaterThan(0)
  let [before, told, after] = [0, 0, 1]
  // Until no second ended in between.
  while (before !== after) {
    before = await measured()
    told = (await operator('/regions')).body.data[0].load.utilisation
    after = await measured()
  }
  expect(told).toBeCloseTo(before, 3)
})

test('a tenant is found by the number that log and metrics name it by', async () => {
  const { id } = await regions.newTenant('numbered', 'eu')
  const number = tenantNumberOf(id)
  const found = await operator(`/tenants?number=${number}`)
  expect(found.body).toMatchObject({ data: [{ id, slug: 'numbered' }], nextCursor: null, unreachable: [] })
  expect((await operator('/tenants?number=999999999')).body.data).toEqual([])
  for (const wrong of ['number=0', 'number=x', `number=${number}&slug=numbered`]) {
    const { status, body } = await operator(`/tenants?${wrong}`)
    expect([wrong, status, body.code]).toEqual([wrong, 400, 'malformed_request'])
  }
})

test('a region that does not answer is named, and hides no other region’s tenants', async () => {
  await regions.newTenant('near', 'us')
  await regions.newTenant('near-not', 'eu')
  const { key } = await regions.newTenant('near-as-well', 'us')
  await regions.ask('us', { as: key, method: 'POST', path: '/v1/projects', body: { name: 'One' } })
  await regions.stop('eu')
  try {
    const lists = ['/tenants?limit=100', '/tenants?slug=near', '/tenants?order=cost']
    await vi.waitFor(
      async () => {
        for (const path of lists) {
          const { status, body } = await operator(path)
          expect([status, body.unreachable]).toEqual([200, ['eu']])
          const slugs = body.data.map(({ slug }: { slug: string }) => slug)
          expect(slugs).toContain('near-as-well')
          expect(slugs).not.toContain('near-not')
        }
      },
      { timeout: 20_000, interval: 500 },
    )
    // Pages go on behind those who are not shown.
    const found: string[] = []
    for (let cursor = '', more = true; more; ) {
      const { body } = await operator(`/tenants?slug=near&limit=1${cursor}`)
      found.push(...body.data.map(({ slug }: { slug: string }) => slug))
      more = body.nextCursor !== null
      cursor = `&cursor=${body.nextCursor}`
    }
    expect(found).toEqual(['near', 'near-as-well'])
  } finally {
    await regions.start('eu')
  }
  expect((await operator('/tenants?slug=near')).body).toMatchObject({
    data: [{ slug: 'near' }, { slug: 'near-as-well' }, { slug: 'near-not' }],
    unreachable: [],
  })
})
