// The event feed: every change, once, in the order of the commits, to its own tenant alone.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Regions, startRegions } from './support.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of several routes
type Body = any

let regions: Regions
beforeAll(async () => {
  regions = await startRegions()
})
afterAll(() => regions.close())

const ask = async (as: string, method: string, path: string, body?: unknown) => {
  const answer = await regions.ask('us', { as, method, path, ...(body !== undefined && { body }) })
  return answer as { status: number; body: Body }
}
const feed = (as: string, query = '') => ask(as, 'GET', `/v1/events${query}`)
const types = (answer: { body: Body }) => answer.body.data.map(({ type }: { type: string }) => type)

test('concurrent changes are each told once, in one order that pages and filters keep', async () => {
  const { key } = await regions.newTenant('ordered', 'us')
  const made = await Promise.all(
    Array.from({ length: 30 }, (_, i) => ask(key, 'POST', '/v1/projects', { name: `p${i}` })),
  )
  await ask(key, 'POST', '/v1/api-keys', { name: 'k', scopes: ['events:read'] })
  const seen: Body[] = []
  for (let after: string | null = ''; after !== null; ) {
    const { status, body } = await feed(key, `?limit=7${after === '' ? '' : `&after=${after}`}`)
    expect(status).toBe(200)
    seen.push(...body.data)
    after = body.nextCursor
  }
  const created = seen.filter(({ type }) => type === 'project.created')
  expect(created.map(({ resource }) => resource).sort()).toEqual(made.map(({ body }) => body.id).sort())
  expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map(({ sequence }) => sequence).toSorted())
  expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length)
  expect(types(await feed(key, '?types=api_key.*'))).toEqual(['api_key.created'])
  const tenth = seen[9]
  const behind = await feed(key, `?after=${tenth.sequence}&limit=100`)
  expect(behind.body.data).toEqual(seen.slice(10))
})

test('an operator’s change of status is told to the tenant', async () => {
  const { id, key } = await regions.newTenant('paused', 'us')
  for (const status of ['suspended', 'active']) {
    const path = `/platform/v1/tenants/${id}`
    const answer = await regions.ask('us', { as: 'operator', method: 'PATCH', path, body: { status } })
    expect(answer.status).toBe(200)
  }
  expect(types(await feed(key))).toEqual(['tenant.suspended', 'tenant.resumed'])
})

test('a place that is none of the feed’s, a wrong type and a missing scope are refused', async () => {
  const { key } = await regions.newTenant('strict', 'us')
  for (const query of ['?after=nonsense', '?after=WyJhIiwiYiJd', '?types=UPPER', '?types=*', '?limit=0']) {
    expect((await feed(key, query)).status, query).toBe(400)
  }
  const narrow = await ask(key, 'POST', '/v1/api-keys', { name: 'narrow', scopes: ['projects:read'] })
  expect((await feed(narrow.body.key)).body.code).toBe('insufficient_scope')
})

test('another tenant’s place names nothing of theirs', async () => {
  const one = await regions.newTenant('one', 'us')
  const other = await regions.newTenant('other', 'us')
  await ask(one.key, 'POST', '/v1/projects', { name: 'theirs' })
  const [event] = (await feed(one.key)).body.data
  expect((await feed(other.key, `?after=${event.sequence}`)).body.data).toEqual([])
})
