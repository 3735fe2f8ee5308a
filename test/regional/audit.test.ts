import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
/** How far the regions' clock is from the right time. */
let offMs = 0
beforeAll(async () => {
  regions = await startRegions({ now: () => Date.now() + offMs })
})
afterAll(() => regions.close())

interface Entry {
  id: string
  at: string
  action: string
  target: string | null
  outcome: string
  code?: string
  count?: number
  changed?: string[]
  actor: { kind: string; id: string }
}

const tenantOf = async (slug: string) => {
  const { key, id } = await regions.newTenant(slug, 'us')
  const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })
  const trail = async (): Promise<Entry[]> => (await ask('/v1/audit?limit=100')).body.data
  return { key, id, ask, trail }
}

test('every change is in the trail, with who did it and what it was done to', async () => {
  const { ask, trail } = await tenantOf('trailed')
  const { body } = await ask('/v1/projects', { method: 'POST', body: { name: 'A' } })
  await ask(`/v1/projects/${body.id}`, { method: 'DELETE' })
  await ask('/v1/projects', { method: 'POST', body: { name: 7 } })
  const own = (await trail()).filter(({ action }) => action.startsWith('projects.'))
  expect(own.map(({ action, target }) => [action, target])).toEqual([
    ['projects.delete', body.id],
    ['projects.create', body.id],
  ])
  expect(own[0]?.actor.kind).toBe('api_key')
})

test('a change of what has no id of its own says what it was, also where it is refused', async () => {
  const { ask, trail } = await tenantOf('named')
  const { body: project } = await ask('/v1/projects', { method: 'POST', body: { name: 'A' } })
  const people = `/v1/projects/${project.id}/collections/people`
  const named = `${project.id}/people`
  await ask(people, { method: 'PUT', body: { indexes: [] } })
  await ask(`${people}/records:batch`, { method: 'POST', body: { operations: [{ data: {} }] } })
  const signed = { method: 'GET', path: `${people}/records?limit=5`, expiresIn: 60 }
  await ask('/v1/signed-urls', { method: 'POST', body: signed })
  await ask(people, { method: 'DELETE' })
  const own = (await trail()).filter(({ action }) => /^(records|signed-urls)\./.test(action))
  expect(own.map(({ action, target }) => [action, target])).toEqual([
    ['records.delete-collection', named],
    ['signed-urls.create', `GET ${people}/records`],
    ['records.batch', named],
    ['records.declare-collection', named],
  ])
  const { body: filtered } = await ask(`/v1/audit?target=${encodeURIComponent(named)}`)
  expect(filtered.data).toHaveLength(3)

  const reader = { name: 'R', scopes: ['collections:read'] }
  const { body: key } = await ask('/v1/api-keys', { method: 'POST', body: reader })
  expect((await ask(people, { as: key.key, method: 'DELETE' })).status).toBe(403)
  const refused = async () => (await ask(`/v1/audit?actor=${key.id}`)).body.data
  await expect
    .poll(refused, { timeout: 10_000 })
    .toMatchObject([{ action: 'records.delete-collection', target: named, outcome: 'refused' }])
})

test('what an operator changed is told by the fields that are others since', async () => {
  const { id, trail } = await tenantOf('told')
  const changes = [
    { name: 'Another', plan: 'team', status: 'active' },
    { plan: 'free', limits: { projects: 7 } },
    { status: 'suspended' },
    { limits: { projects: null, members: null }, status: 'active' },
  ]
  for (const body of changes) {
    const path = `/platform/v1/tenants/${id}`
    expect((await regions.ask('us', { as: 'operator', method: 'PATCH', path, body })).status).toBe(200)
  }
  const told = (await trail()).filter(({ action }) => action === 'tenants.update')
  expect(told.map(({ changed }) => changed)).toEqual([
    ['status', 'limits.projects'],
    ['status'],
    ['plan', 'limits.projects'],
    ['name'],
  ])
})

test('a replayed request is in the trail once', async () => {
  const { ask, trail } = await tenantOf('replayed')
  const once = { method: 'POST', body: { name: 'A' }, headers: { 'idempotency-key': 'k' } }
  await Promise.all([ask('/v1/projects', once), ask('/v1/projects', once)])
  expect((await trail()).filter(({ action }) => action === 'projects.create')).toHaveLength(1)
})

test('a cursor belongs to its filter', async () => {
  const { ask } = await tenantOf('filtered-pages')
  for (let i = 0; i < 3; i++) await ask('/v1/projects', { method: 'POST', body: { name: `P${i}` } })
  const { nextCursor } = (await ask('/v1/audit?limit=1&action=projects')).body
  const codeOf = async (filter: string) => (await ask(`/v1/audit?${filter}&cursor=${nextCursor}`)).body.code
  expect(await codeOf('limit=2&action=projects')).toBeUndefined()
  expect(await codeOf('limit=1')).toBe('invalid_cursor')
  expect(await codeOf('limit=1&action=projects&outcome=done')).toBe('invalid_cursor')
})

test('reading the trail is in the trail, and its pages meet every entry once', async () => {
  const { ask } = await tenantOf('pages')
  for (let i = 0; i < 5; i++) await ask('/v1/projects', { method: 'POST', body: { name: `P${i}` } })
  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await ask(`/v1/audit?limit=2${cursor && `&cursor=${cursor}`}`)
    seen.push(...body.data.map(({ id }: Entry) => id))
    cursor = body.nextCursor ?? ''
  } while (cursor !== '')
  // Its making, too.
  expect(seen).toHaveLength(6)
  expect(seen).toEqual(seen.toSorted().toReversed())
  const { body } = await ask('/v1/audit?limit=1')
  expect(body.data[0].action).toBe('audit.list')
})

test('refusals of a known key are told together; an unknown key leaves no trace', async () => {
  const { ask, trail } = await tenantOf('refused')
  const { body } = await ask('/v1/api-keys', {
    method: 'POST',
    body: { name: 'R', scopes: ['projects:read'] },
  })
  for (let i = 0; i < 3; i++)
    await ask('/v1/projects', { as: body.key, method: 'POST', body: { name: 'no' } })
  const stranger = await regions.newTenant('stranger', 'eu')
  expect((await ask('/v1/projects', { as: stranger.key })).status).toBe(401)
  await vi.waitFor(
    async () => {
      const refusals = (await trail()).filter(({ outcome }) => outcome === 'refused')
      expect(refusals).toMatchObject([{ action: 'projects.create', code: 'insufficient_scope', count: 3 }])
    },
    { timeout: 15_000, interval: 500 },
  )
})

test('a quota is exact under concurrency, and given back', async () => {
  const { id, ask } = await tenantOf('counted')
  const plan = { method: 'PATCH', as: 'operator', path: `/platform/v1/tenants/${id}` }
  await regions.ask('us', { ...plan, body: { plan: 'free' } })
  const make = (i: number) => ask('/v1/projects', { method: 'POST', body: { name: `P${i}` } })
  const answers = await Promise.all(Array.from({ length: 120 }, (_, i) => make(i)))
  const made = answers.filter(({ status }) => status === 201)
  expect(made).toHaveLength(100)
  expect(new Set(answers.filter(({ status }) => status !== 201).map(({ body }) => body.code))).toEqual(
    new Set(['quota_exceeded']),
  )
  expect((await ask(`/v1/projects/${made[0]?.body.id}`, { method: 'DELETE' })).status).toBe(202)
  expect((await make(200)).status).toBe(201)
  expect((await make(201)).status).toBe(403)
  await regions.ask('us', { ...plan, body: { plan: 'team' } })
  expect((await make(202)).status).toBe(201)
})

test('usage shows what is used and allowed, and every request once', async () => {
  const { ask } = await tenantOf('metered')
  for (let i = 0; i < 3; i++) await ask('/v1/projects', { method: 'POST', body: { name: `P${i}` } })
  for (let i = 0; i < 4; i++) await ask('/v1/projects')
  await vi.waitFor(
    async () => {
      const { body } = await ask('/v1/usage')
      expect(body.quotas).toMatchObject({
        projects: { used: 3, limit: 10_000 },
        apiKeys: { used: 1, limit: 200 },
      })
      const sum = (metric: string) =>
        body.history.reduce((total: number, hour: Record<string, number>) => total + (hour[metric] ?? 0), 0)
      expect(sum('writes')).toBe(3)
      expect(sum('reads')).toBeGreaterThanOrEqual(4)
    },
    { timeout: 10_000, interval: 200 },
  )
})

test('can be filtered by who, what, to what, how it went and when, and its pages still meet every entry once', async () => {
  const { ask, key } = await tenantOf('filtered')
  const { body: other } = await ask('/v1/api-keys', {
    method: 'POST',
    body: { name: 'o', scopes: ['projects:read', 'projects:write'] },
  })
  const { body: mine } = await ask('/v1/projects', { method: 'POST', body: { name: 'Mine' } })
  const theirs: string[] = []
  for (let i = 0; i < 3; i++) {
    const { body } = await ask('/v1/projects', { as: other.key, method: 'POST', body: { name: `T${i}` } })
    theirs.push(body.id)
  }
  await ask(`/v1/projects/${mine.id}`, { method: 'DELETE' })
  const list = async (query: string): Promise<Entry[]> => (await ask(`/v1/audit?${query}`)).body.data
  const targets = async (query: string) => (await list(query)).map(({ target }) => target)
  expect(await targets(`actor=${other.id}`)).toEqual(theirs.toReversed())
  expect(await targets('action=projects.delete')).toEqual([mine.id])
  expect(await targets(`target=${mine.id}&action=projects`)).toEqual([mine.id, mine.id])
  expect(await targets('action=project')).toEqual([])
  const all = await list('limit=100')
  const at = (wanted: string) => all.findLast(({ target }) => target === wanted) as Entry
  const until = new Date(Date.parse(at(mine.id).at) + 1).toISOString()
  expect(await targets(`action=projects&until=${until}`)).toContain(mine.id)
  expect(await list(`since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([])
  const met: Array<string | null> = []
  for (let cursor = ''; ; ) {
    const { body } = await ask(`/v1/audit?actor=${other.id}&limit=1${cursor && `&cursor=${cursor}`}`)
    met.push(...body.data.map(({ target }: Entry) => target))
    cursor = body.nextCursor ?? ''
    if (cursor === '') break
  }
  expect(met).toEqual(theirs.toReversed())
  expect((await ask('/v1/audit?outcome=maybe', { as: key })).status).toBe(400)
})

test('is filtered by time although refusals are told late; far enough back in what was done the walk ends', async () => {
  const { ask } = await tenantOf('late')
  const create = async (name: string, off = 0) => {
    offMs = off
    const { body } = await ask('/v1/projects', { method: 'POST', body: { name } })
    offMs = 0
    return body.id
  }
  const actionsSince = async (since: number, more = '') => {
    const { body } = await ask(`/v1/audit?since=${new Date(since).toISOString()}${more}`)
    return { targets: body.data.map(({ target }: Entry) => target), nextCursor: body.nextCursor }
  }
  const since = Date.now() - 1_000
  const made = await create('Made')
  const reader = (
    await ask('/v1/api-keys', { method: 'POST', body: { name: 'R', scopes: ['projects:read'] } })
  ).body
  // As it is told by an instance that writes it an hour after the first one of its like.
  offMs = -3_600_000
  await ask('/v1/projects', { as: reader.key, method: 'POST', body: { name: 'no' } })
  offMs = 0
  const refused = async () => (await ask('/v1/audit?outcome=refused')).body.data
  await expect.poll(refused, { timeout: 10_000 }).toHaveLength(1)
  expect(Date.parse((await refused())[0].at)).toBeLessThan(since)
  const found = { targets: [reader.id, made], nextCursor: null }
  expect(await actionsSince(since, '&action=api-keys')).toEqual({ ...found, targets: [reader.id] })
  expect(await actionsSince(since, '&action=projects')).toEqual({ ...found, targets: [made] })
  expect((await actionsSince(since - 7_200_000, '&action=projects')).targets).toEqual([null, made])

  // Another process's clock may be half a minute behind.
  const slow = await create('Slow', -30_000)
  expect(await actionsSince(since, '&action=projects')).toEqual({ ...found, targets: [made] })
  expect((await actionsSince(since - 60_000, '&action=projects')).targets).toEqual([slow, made])
  await create('Long ago', -120_000)
  expect(await actionsSince(since, '&action=projects')).toEqual({ ...found, targets: [] })
})
