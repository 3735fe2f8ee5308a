// The whole path over real HTTP: edge in workerd, regions as processes, data on disk.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { newId } from '../../shared/ids.ts'
import { eventually } from '../support/eventually.ts'
import { type CallOptions, type Stack, startStack } from './stack.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, each checked where it is used
type Body = any

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack.stop())

const call = (path: string, options?: CallOptions) => stack.call<Body>(path, options)

async function newTenant(slug: string, region = 'us') {
  const { tenant, apiKey } = await stack.client(stack.operatorToken).call('POST /platform/v1/tenants', {
    body: { slug, name: slug, region, plan: 'team', owner: { email: `owner@${slug}.example` } },
  })
  return { id: tenant.id, key: apiKey.key }
}

/** A request as it is, without the helper's manners. */
const raw = (path: string, init: RequestInit) => fetch(stack.edge + path, init)

describe('two tenants with the same names', () => {
  test.each([
    ['us', 'us'],
    ['us', 'eu'],
  ])('in %s and %s see and change their own only', async (first, second) => {
    const [a, b] = [
      await newTenant(`a-${first}-${second}`, first),
      await newTenant(`b-${first}-${second}`, second),
    ]
    const make = (key: string) => call('/v1/projects', { as: key, method: 'POST', body: { name: 'Same' } })
    const [ofA, ofB] = [(await make(a.key)).body, (await make(b.key)).body]
    const path = `/v1/projects/${ofA.id}`
    for (const [tenant, own] of [
      [a, ofA],
      [b, ofB],
    ]) {
      expect((await call('/v1/projects', { as: tenant.key })).body.data).toEqual([own])
    }
    for (const request of [
      { method: 'GET' },
      { method: 'PATCH', body: { name: 'Taken' } },
      { method: 'DELETE' },
    ]) {
      const foreign = await call(path, { as: b.key, ...request })
      const unknown = await call(`/v1/projects/${newId('prj')}`, { as: b.key, ...request })
      expect({ ...foreign.body, requestId: '' }).toEqual({ ...unknown.body, requestId: '' })
      expect([foreign.status, unknown.status]).toEqual([404, 404])
    }
    expect((await call(path, { as: a.key })).body).toEqual(ofA)
  })
})

describe('from the commit on, through an edge that has served the key before', () => {
  test('a revoked key is refused', async () => {
    const client = stack.client((await newTenant('revoker')).key)
    const made = await client.call('POST /v1/api-keys', { body: { name: 'x', scopes: ['*'] } })
    const other = stack.client(made.key)
    expect((await other.call('GET /v1/tenant')).slug).toBe('revoker')
    await client.call('DELETE /v1/api-keys/{id}', { params: { id: made.id } })
    const refused = { status: 401, code: 'api_key_revoked' }
    await expect(other.call('GET /v1/tenant')).rejects.toMatchObject(refused)
  })

  test('a suspended tenant is refused, and let in again when it is resumed', async () => {
    const { id, key } = await newTenant('suspended', 'eu')
    const operator = stack.client(stack.operatorToken)
    const client = stack.client(key)
    const set = (status: 'active' | 'suspended') =>
      operator.call('PATCH /platform/v1/tenants/{id}', { params: { id }, body: { status } })
    expect((await client.call('GET /v1/tenant')).id).toBe(id)
    expect((await set('suspended')).status).toBe('suspended')
    const refused = { status: 403, code: 'tenant_suspended' }
    await expect(client.call('GET /v1/tenant')).rejects.toMatchObject(refused)
    await set('active')
    expect((await client.call('GET /v1/tenant')).id).toBe(id)
  })
})

describe('what a client gets wrong is a problem with a code and a request id', () => {
  const json = { 'content-type': 'application/json' }
  const bearer = () => ({ authorization: `Bearer ${stack.demo.apiKey}` })
  const cases: Array<[string, string, () => RequestInit, number, string]> = [
    [
      'malformed JSON',
      '/v1/projects',
      () => ({ method: 'POST', headers: { ...bearer(), ...json }, body: '{' }),
      400,
      'malformed_json',
    ],
    [
      'no body',
      '/v1/projects',
      () => ({ method: 'POST', headers: { ...bearer(), ...json } }),
      400,
      'malformed_json',
    ],
    [
      'a wrong type',
      '/v1/projects',
      () => ({ method: 'POST', headers: { ...bearer(), ...json }, body: '{"name":1}' }),
      422,
      'validation_failed',
    ],
    [
      'a body that is too large',
      '/v1/projects',
      () => ({ method: 'POST', headers: { ...bearer(), ...json }, body: ' '.repeat(2 ** 21 + 1) }),
      413,
      'body_too_large',
    ],
    [
      'a wrong content type',
      '/v1/projects',
      () => ({ method: 'POST', headers: { ...bearer(), 'content-type': 'text/plain' }, body: 'x' }),
      415,
      'unsupported_media_type',
    ],
    ['an unknown path', '/v1/nothing', () => ({ headers: bearer() }), 404, 'not_found'],
    ['an unknown path outside the API', '/nothing', () => ({}), 404, 'not_found'],
    [
      'a path between regions',
      '/internal/v1/describe',
      () => ({ method: 'POST', headers: { ...bearer(), ...json }, body: '{}' }),
      404,
      'not_found',
    ],
    [
      'a wrong method',
      '/v1/usage',
      () => ({ method: 'DELETE', headers: bearer() }),
      405,
      'method_not_allowed',
    ],
    ['no credential', '/v1/projects', () => ({}), 401, 'credential_missing'],
    [
      'a garbage key',
      '/v1/projects',
      () => ({ headers: { authorization: 'Bearer ck_dev_garbage' } }),
      401,
      'credential_invalid',
    ],
    [
      'an unheard-of scheme',
      '/v1/projects',
      () => ({ headers: { authorization: 'Basic YTpi' } }),
      401,
      'credential_invalid',
    ],
  ]
  test.each(cases)('%s', async (_, path, init, status, code) => {
    const answer = await raw(path, init())
    const problem = (await answer.json()) as Body
    expect([answer.status, problem.code]).toEqual([status, code])
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect(problem.requestId).toMatch(/^req_/)
    expect(answer.headers.get('x-request-id')).toBe(problem.requestId)
    if (code === 'credential_invalid') expect(problem.detail).toMatch(/^It is wrong/)
    if (status === 405) expect(answer.headers.get('allow')).toBe('GET, HEAD')
  })

  test('a chunked body that grows too large is cut off, not buffered', async () => {
    const chunk = new Uint8Array(64 * 1024).fill(0x20)
    let sent = 0
    const body = new ReadableStream({
      pull(controller) {
        if (sent++ < 40) controller.enqueue(chunk)
        else controller.close()
      },
    })
    const init = { method: 'POST', headers: { ...bearer(), ...json }, body, duplex: 'half' } as RequestInit
    const answer = await raw('/v1/projects', init)
    expect(answer.status).toBe(413)
  })
})

describe('a region that goes down', () => {
  test('answers 503 with Retry-After, takes no other region with it, and works again when it is back', async () => {
    const { key } = await newTenant('abroad', 'eu')
    await stack.kill('eu')
    const down = await call('/v1/tenant', { as: key })
    expect([down.status, down.body.code]).toEqual([503, 'region_unavailable'])
    expect(Number(down.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await call('/v1/tenant')).status).toBe(200)
    await stack.back('eu')
    await eventually(async () => expect((await call('/v1/tenant', { as: key })).status).toBe(200))
  })

  test('by SIGKILL in the middle of writes has kept every write that it answered', async () => {
    const { key } = await newTenant('durable', 'eu')
    const answered: string[] = []
    let writing = true
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; writing; i++) {
        const request = { as: key, method: 'POST', body: { name: `${writer}-${i}` } }
        const answer = await call('/v1/projects', request).catch(() => undefined)
        if (answer?.status === 201) answered.push(answer.body.id)
      }
    })
    await vi.waitUntil(() => answered.length > 100, { timeout: 20_000 })
    await stack.kill('eu')
    writing = false
    await Promise.all(writers)
    await stack.back('eu')
    const kept = new Set<string>()
    for await (const { id } of stack.client(key).all('GET /v1/projects', { query: { limit: 100 } })) {
      kept.add(id)
    }
    for (const id of answered) expect(kept).toContain(id)
  })

  test('while a tenant is made leaves it finished for the same Idempotency-Key, with one key that works', async () => {
    await stack.kill('eu')
    const request = {
      method: 'POST',
      headers: { 'idempotency-key': newId('req') },
      body: {
        slug: 'patient',
        name: 'Patient',
        region: 'eu',
        plan: 'free',
        owner: { email: 'p@patient.example' },
      },
    }
    const first = await call('/platform/v1/tenants', request)
    expect(first.status === 503 || first.status === 201).toBe(true)
    await stack.back('eu')
    const again = await eventually(async () => {
      const answer = await call('/platform/v1/tenants', request)
      expect(answer.status).toBe(201)
      return answer
    })
    expect((await call('/v1/tenant', { as: again.body.apiKey.key })).body.slug).toBe('patient')
  })
})
