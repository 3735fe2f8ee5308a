// What keeps no version of its own: an ETag that changes with it, and an If-Match that is heeded.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
let key: string
beforeAll(async () => {
  regions = await startRegions({ resolveTxt: async () => [] })
  ;({ key } = await regions.newTenant('tagged', 'us'))
})
afterAll(() => regions.close())

const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })
const tagOf = async (path: string, as: Ask['as'] = key) => (await ask(path, { as })).headers.get('etag') ?? ''
const ifMatch = (tag: string) => ({ headers: { 'if-match': tag } })

interface Kind {
  list: string
  body: object
  /** What changes one. */
  change: (path: string) => Promise<unknown>
}
const revoke = (path: string) => ask(path, { method: 'DELETE' })
const kinds: Kind[] = [
  {
    list: '/v1/api-keys',
    body: { name: 'K', scopes: ['projects:read'] },
    change: (path) => ask(`${path}/rotate`, { method: 'POST', body: { overlapSeconds: 60 } }),
  },
  {
    list: '/v1/domains',
    body: { domain: 'api.tagged.example' },
    change: (path) => ask(`${path}/verify`, { method: 'POST' }),
  },
  { list: '/v1/invitations', body: { email: 'a@tagged.example', role: 'viewer' }, change: revoke },
  { list: '/v1/admin-links', body: { role: 'viewer' }, change: revoke },
]

test.each(kinds)('$list: one that has changed since is not taken away', async ({ list, body, change }) => {
  const made = await ask(list, { method: 'POST', body })
  const path = `${list}/${made.body.id}`
  const before = await tagOf(path)
  expect(await tagOf(path)).toBe(before)
  expect([made.headers.get('location'), made.headers.get('etag')]).toEqual([path, before])
  await change(path)
  const after = await tagOf(path)
  expect(after).not.toBe(before)
  const late = await ask(path, { method: 'DELETE', ...ifMatch(before) })
  expect([late.status, late.body.code]).toEqual([412, 'precondition_failed'])
  expect(await tagOf(path)).toBe(after)
  expect((await ask(path, { method: 'DELETE', ...ifMatch(after) })).status).toBe(204)
})

test('a tag that was weakened on its way, as by a proxy that compresses, is that of its version', async () => {
  const { body, headers } = await ask('/v1/projects', { method: 'POST', body: { name: 'W' } })
  const path = `/v1/projects/${body.id}`
  const rename = (name: string, tag: string) =>
    ask(path, { method: 'PATCH', body: { name }, ...ifMatch(tag) })
  const weak = `W/${headers.get('etag')}`
  expect((await rename('W!', `"7", ${weak}`)).status).toBe(200)
  expect((await rename('W?', weak)).status).toBe(412)
  const bare = await rename('W?', '2')
  expect([bare.status, bare.body.detail]).toEqual([412, expect.stringContaining('quotation marks')])
  const records = `${path}/collections/c/records`
  const { id } = (await ask(records, { method: 'POST', body: { data: {} } })).body
  const operations = [{ op: 'update', id, data: { n: 1 }, ifMatch: 'W/"1"' }]
  const batch = () => ask(`${records}:batch`, { method: 'POST', body: { operations } })
  expect([(await batch()).status, (await batch()).status]).toEqual([200, 412])
})

test('a key that has been rotated since is not rotated again', async () => {
  const { id } = (await ask('/v1/api-keys', { method: 'POST', body: { name: 'R', scopes: ['*'] } })).body
  const rotate = (tag: string) =>
    ask(`/v1/api-keys/${id}/rotate`, { method: 'POST', body: { overlapSeconds: 60 }, ...ifMatch(tag) })
  const tag = await tagOf(`/v1/api-keys/${id}`)
  expect((await rotate(tag)).status).toBe(201)
  expect((await rotate(tag)).status).toBe(412)
})

test('what is done to one resource heeds If-Match, whatever it is', async () => {
  const endpoint = { url: 'https://receiver.example/in', types: [] }
  const hook = await ask('/v1/webhook-endpoints', { method: 'POST', body: endpoint })
  const path = hook.headers.get('location') ?? ''
  const post = (verb: string, body: unknown, tag: string) =>
    ask(`${path}/${verb}`, { method: 'POST', body, ...ifMatch(tag) })
  const since = '2020-01-01T00:00:00Z'
  const verbs = Object.entries({ rotate: {}, test: undefined, recover: { since } })
  for (const [verb, body] of verbs) {
    const late = await post(verb, body, '"7"')
    expect([verb, late.status, late.body.code]).toEqual([verb, 412, 'precondition_failed'])
  }
  expect(await tagOf(path)).toBe('"1"')
  expect((await post('rotate', {}, '"1"')).headers.get('etag')).toBe('"2"')
  expect((await post('test', undefined, await tagOf(path))).status).toBe(202)

  // Work outside a transaction as well.
  const domain = await ask('/v1/domains', { method: 'POST', body: { domain: 'other.tagged.example' } })
  const verify = (tag: string) =>
    ask(`/v1/domains/${domain.body.id}/verify`, { method: 'POST', ...ifMatch(tag) })
  expect((await verify('"7"')).status).toBe(412)
  expect((await verify(domain.headers.get('etag') ?? '')).status).toBe(200)

  // What is made in a list below it is another thing.
  const project = (await ask('/v1/projects', { method: 'POST', body: { name: 'P' } })).body.id
  const collection = `/v1/projects/${project}/collections/c`
  await ask(collection, { method: 'PUT', body: {} })
  const record = await ask(`${collection}/records`, { method: 'POST', body: { data: {} }, ...ifMatch('"7"') })
  expect(record.status).toBe(201)

  const { paths } = (await ask('/openapi.json')).body
  for (const verb of ['rotate', 'test', 'recover']) {
    const { parameters, responses } = paths[`/v1/webhook-endpoints/{id}/${verb}`].post
    expect(parameters.map(({ name }: { name: string }) => name)).toContain('If-Match')
    expect(responses['412']).toBeDefined()
  }
})

test('what a reader has already is not sent again, and what is there is not made anew', async () => {
  const project = (await ask('/v1/projects', { method: 'POST', body: { name: 'P' } })).body.id
  const path = `/v1/projects/${project}/collections/c`
  const put = (body: unknown, tag: string) =>
    ask(path, { method: 'PUT', body, headers: { 'if-none-match': tag } })
  const indexes = [{ field: 'n', type: 'number' }]
  const made = await put({ indexes }, '*')
  expect(made.status).toBe(201)
  const etag = await tagOf(path)
  for (const tag of ['*', etag, `"7", W/${etag}`]) {
    const late = await put({}, tag)
    expect([late.status, late.body.code]).toEqual([412, 'precondition_failed'])
  }
  expect((await ask(path)).body.indexes).toHaveLength(1)

  const read = (tag: string, method = 'GET') => ask(path, { method, headers: { 'if-none-match': tag } })
  for (const tag of [etag, '*', `"7", W/${etag}`]) {
    const known = await read(tag)
    expect([known.status, known.body, known.headers.get('etag')]).toEqual([304, undefined, etag])
  }
  expect((await read(etag, 'HEAD')).status).toBe(304)
  expect((await read('"7"')).body.name).toBe('c')
  expect((await put({}, '"7"')).status).toBe(200)

  const { paths } = (await ask('/openapi.json')).body
  const { get, put: declare } = paths['/v1/projects/{projectId}/collections/{name}']
  expect(get.responses['304']).toBeDefined()
  for (const { parameters } of [get, declare])
    expect(parameters.map(({ name }: { name: string }) => name)).toContain('If-None-Match')
})

test('a model that another operator has changed since is neither changed nor taken away', async () => {
  const one = '/platform/v1/models/tagged'
  const operator = (method: string, path: string, body: unknown, headers = {}) =>
    ask(path, { as: 'operator', method, body, headers })
  const model = { name: 'tagged', baseUrl: 'https://models.example/v1', apiKey: 'first' }
  const made = (await operator('POST', '/platform/v1/models', model)).headers.get('etag') ?? ''
  expect(await tagOf(one, 'operator')).toBe(made)

  const headers = { 'if-match': made, 'idempotency-key': 'second-key' }
  const changed = await operator('PATCH', one, { apiKey: 'second' }, headers)
  const tag = changed.headers.get('etag') ?? ''
  expect([changed.status, tag]).toEqual([200, await tagOf(one, 'operator')])
  expect(tag).not.toBe(made)
  // The same request again finds what it has done.
  const again = await operator('PATCH', one, { apiKey: 'second' }, headers)
  expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true'])
  expect(changed.headers.has('idempotency-replayed')).toBe(false)

  for (const [method, body] of [
    ['PATCH', { enabled: false }],
    ['DELETE', undefined],
  ] as const) {
    const late = await operator(method, one, body, { 'if-match': made })
    expect([late.status, late.body.code], method).toEqual([412, 'precondition_failed'])
  }
  expect(await tagOf(one, 'operator')).toBe(tag)
  expect((await operator('DELETE', one, undefined, { 'if-match': tag })).status).toBe(204)
  const late = await operator('PATCH', one, { apiKey: 'second' }, headers)
  expect([late.status, late.body.code]).toEqual([409, 'conflict'])
})
