import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../shared/ids.ts'
import type { FieldError } from '../../shared/problems.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
let key: string
let id: string
beforeAll(async () => {
  regions = await startRegions()
  ;({ key, id } = await regions.newTenant('acme', 'us'))
})
afterAll(() => regions.close())

const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })
const create = (name: string, headers: Record<string, string> = {}) =>
  ask('/v1/projects', { method: 'POST', body: { name }, headers })

describe('a tenant', () => {
  test('reads itself', async () => {
    const { status, body, headers } = await ask('/v1/tenant')
    expect(status).toBe(200)
    expect(body).toMatchObject({ id, slug: 'acme', region: 'us', plan: 'team', status: 'active' })
    expect(headers.get('etag')).toMatch(/^".+"$/)
  })

  test('creates, reads, changes and deletes a project', async () => {
    const created = await create('First')
    expect(created.status).toBe(201)
    expect(created.headers.get('location')).toBe(`/v1/projects/${created.body.id}`)
    const path = `/v1/projects/${created.body.id}`
    expect((await ask(path)).body).toEqual(created.body)
    const changed = await ask(path, { method: 'PATCH', body: { description: 'now with words' } })
    expect(changed.body).toMatchObject({ name: 'First', description: 'now with words' })
    expect((await ask(path, { method: 'DELETE' })).status).toBe(202)
    expect((await ask(path)).status).toBe(404)
  })

  test('is told what is wrong with a value, and nothing that is not', async () => {
    const told = async (path: string, body?: unknown) => {
      const { errors } = (await ask(path, body === undefined ? {} : { method: 'POST', body })).body
      return errors.map(({ pointer, detail }: FieldError) => `${pointer} ${detail}`)
    }
    expect(await told('/v1/projects?limit=1000')).toEqual(['/limit is more than 100'])
    expect(await told('/v1/projects?limit=0')).toEqual(['/limit is less than 1'])
    expect(await told('/v1/projects?limit=1e1')).toEqual(['/limit is no whole number in decimal digits'])
    const time = 'is not a time in UTC such as 2030-01-31T12:00:00Z'
    for (const expiresAt of ['tomorrow', '2099-01-01T00:00:00+01:00']) {
      const body = { name: 'K', scopes: ['*'], expiresAt }
      expect(await told('/v1/api-keys', body)).toEqual([`/expiresAt ${time}`])
    }
    const url = 'https://receiver.example/in'
    expect(await told('/v1/webhook-endpoints', { url, headers: { 'a b': 'c' } })).toEqual([
      '/headers/a b is not a header’s name',
    ])
    expect((await ask('/v1/events?after=yesterday')).body.detail).toMatch(
      /^Use the id or sequence of an event/,
    )
  })

  test('sends times of UTC in either spelling, and is answered with Z', async () => {
    const at = '2099-01-01T00:00:00.000Z'
    const expiresAt = '2099-01-01T00:00:00+00:00'
    const body = { name: 'K', scopes: ['projects:read'], expiresAt }
    expect((await ask('/v1/api-keys', { method: 'POST', body })).body.expiresAt).toBe(at)
    const project = (await create('Times')).body.id
    const records = `/v1/projects/${project}/collections/c/records`
    const record = { data: {}, expiresAt }
    expect((await ask(records, { method: 'POST', body: record })).body.expiresAt).toBe(at)
    const since = encodeURIComponent('2020-01-01T00:00:00+00:00')
    for (const list of ['/v1/audit', '/v1/deliveries']) {
      expect((await ask(`${list}?since=${since}`)).status).toBe(200)
    }
  })

  test('walks a list by its cursor and meets every project once, in order', async () => {
    const { key: own } = await regions.newTenant('lister', 'us')
    const made: string[] = []
    for (let i = 0; i < 7; i++) {
      const { body } = await ask('/v1/projects', { as: own, method: 'POST', body: { name: `P${i}` } })
      made.push(body.id)
    }
    const seen: string[] = []
    let cursor = ''
    do {
      const { body } = await ask(`/v1/projects?limit=3${cursor && `&cursor=${cursor}`}`, { as: own })
      seen.push(...body.data.map((project: { id: string }) => project.id))
      cursor = body.nextCursor ?? ''
    } while (cursor !== '')
    expect(seen).toEqual(made)
  })

  test('changes nothing when If-Match names an older version', async () => {
    const { body, headers } = await create('Versioned')
    const path = `/v1/projects/${body.id}`
    const etag = headers.get('etag') ?? ''
    const patch = (name: string) =>
      ask(path, { method: 'PATCH', body: { name }, headers: { 'if-match': etag } })
    expect((await patch('Second')).status).toBe(200)
    const late = await patch('Third')
    expect([late.status, late.body.code]).toEqual([412, 'precondition_failed'])
    expect((await ask(path)).body.name).toBe('Second')
    const gone = await ask(path, { method: 'DELETE', headers: { 'if-match': etag } })
    expect(gone.status).toBe(412)
  })
})

describe('a request that is sent twice', () => {
  test('with one Idempotency-Key has one effect and one answer', async () => {
    const headers = { 'idempotency-key': 'once' }
    const [first, second] = [await create('Once', headers), await create('Once', headers)]
    expect(second.body).toEqual(first.body)
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(second.headers.get('etag')).toBe(first.headers.get('etag'))
    expect(second.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
  })

  test('at the same time, too', async () => {
    const headers = { 'idempotency-key': 'together' }
    const answers = await Promise.all(Array.from({ length: 8 }, () => create('Together', headers)))
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    const { body } = await ask('/v1/projects?limit=100')
    expect(body.data.filter(({ name }: { name: string }) => name === 'Together')).toHaveLength(1)
  })

  test('with another body is refused', async () => {
    const headers = { 'idempotency-key': 'reused' }
    await create('One', headers)
    const { status, body } = await create('Two', headers)
    expect([status, body.code]).toEqual([422, 'idempotency_key_reuse'])
  })

  test('by another principal is another request', async () => {
    const headers = { 'idempotency-key': 'mine' }
    const first = await create('Mine', headers)
    const other = await ask('/v1/api-keys', { method: 'POST', body: { name: 'Other', scopes: ['*'] } })
    const second = await ask('/v1/projects', {
      as: other.body.key,
      method: 'POST',
      body: { name: 'Mine' },
      headers,
    })
    expect(second.body.id).not.toBe(first.body.id)
  })

  describe('under one request id, as an edge sends again whose answer was lost', () => {
    test('has one effect, and is answered as it was the first time', async () => {
      const requestId = newId('req')
      const again = () => ask('/v1/projects', { method: 'POST', body: { name: 'Again' }, requestId })
      const [first, second] = [await again(), await again()]
      expect([first.status, second.status]).toEqual([201, 201])
      expect(second.body).toEqual(first.body)
      expect(second.headers.get('idempotency-replayed')).toBe('true')
    })

    test('at the same time, too', async () => {
      const requestId = newId('req')
      const again = () => ask('/v1/projects', { method: 'POST', body: { name: 'At once' }, requestId })
      const answers = await Promise.all(Array.from({ length: 8 }, again))
      expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(201))
      const { body } = await ask('/v1/projects?limit=100')
      const made = body.data.filter(({ name }: { name: string }) => name === 'At once')
      expect(new Set(answers.map(({ body: { id } }) => id))).toEqual(new Set([made[0].id]))
      expect(made).toHaveLength(1)
    })

    test.each<[string, string | null, Record<string, string>]>([
      ['without a key, replayed with one', null, { 'idempotency-key': 'added' }],
      ['with a key, replayed without', 'taken away', {}],
      ['with a key, replayed with another', 'changed', { 'idempotency-key': 'another' }],
    ])('has one effect, whatever header stands beside its assertion: %s', async (_, keySaid, headers) => {
      const sent = { method: 'POST', body: { name: 'Captured' }, requestId: newId('req'), keySaid }
      const own: Record<string, string> = keySaid === null ? {} : { 'idempotency-key': keySaid }
      const first = await ask('/v1/projects', { ...sent, headers: own })
      const second = await ask('/v1/projects', { ...sent, headers })
      expect([second.status, second.body.id]).toEqual([first.status, first.body.id])
    })

    test('and not with a key that is empty: that is refused, not taken for none', async () => {
      const sent = { method: 'POST', body: { name: 'Keyless' }, keySaid: '' }
      const { status, body } = await ask('/v1/projects', sent)
      expect([status, body.code]).toEqual([400, 'malformed_request'])
    })

    test('of what is deleted by it, too', async () => {
      const { body: project } = await create('Gone')
      const requestId = newId('req')
      const again = () => ask(`/v1/projects/${project.id}`, { method: 'DELETE', requestId })
      expect([(await again()).status, (await again()).status]).toEqual([202, 202])
      expect((await ask(`/v1/projects/${project.id}`, { method: 'DELETE' })).status).toBe(404)
    })

    test('of an answer too large to be kept: a PUT shows what it has made', async () => {
      const { body: project } = await create('Large')
      const records = `/v1/projects/${project.id}/collections/things/records`
      const { body: record } = await ask(records, { method: 'POST', body: { data: {} } })
      const text = 'x'.repeat(20_000)
      const sent = { method: 'PUT', body: { data: { text } }, requestId: newId('req') }
      const [first, second] = [
        await ask(`${records}/${record.id}`, sent),
        await ask(`${records}/${record.id}`, sent),
      ]
      expect([first.status, second.status]).toEqual([200, 200])
      expect(second.body).toEqual(first.body)
      expect(second.headers.get('etag')).toBe(first.headers.get('etag'))
    })

    test.each([{}, { 'idempotency-key': 'read' }])(
      'of the audit trail: it is read again, and was read once: %o',
      async (headers) => {
        const { key: own } = await regions.newTenant(`audited-${Object.keys(headers).length}`, 'us')
        const requestId = newId('req')
        const read = { as: own, requestId, headers }
        const answers = [await ask('/v1/audit?limit=100', read), await ask('/v1/audit?limit=100', read)]
        expect(answers.map(({ status }) => status)).toEqual([200, 200])
        const later = await ask('/v1/audit?limit=100', { ...read, requestId: newId('req') })
        const told = later.body.data.filter((entry: { requestId: string }) => entry.requestId === requestId)
        expect(told).toHaveLength(1)
      },
    )
  })

  test('a new key shown once is shown again to a replay', async () => {
    const headers = { 'idempotency-key': 'secret' }
    const made = { method: 'POST', body: { name: 'Sealed', scopes: ['projects:read'] }, headers }
    const first = await ask('/v1/api-keys', made)
    expect((await ask('/v1/api-keys', made)).body.key).toBe(first.body.key)
  })
})

describe('what a client gets wrong', () => {
  const cases: Array<[string, Partial<Ask> & { path: string }, number, string]> = [
    ['malformed JSON', { path: '/v1/projects', method: 'POST', body: '{"name":' }, 400, 'malformed_json'],
    [
      'bytes that are not UTF-8',
      { path: '/v1/projects', method: 'POST', body: '"\ud800"' },
      422,
      'validation_failed',
    ],
    ['a wrong type', { path: '/v1/projects', method: 'POST', body: { name: 7 } }, 422, 'validation_failed'],
    [
      'an unknown field',
      { path: '/v1/projects', method: 'POST', body: { name: 'a', x: 1 } },
      422,
      'validation_failed',
    ],
    [
      'an empty change',
      { path: '/v1/projects/prj_01h00000000000000000000000', method: 'PATCH', body: {} },
      422,
      'validation_failed',
    ],
    ['an unknown path', { path: '/v1/nothing' }, 404, 'not_found'],
    ['a method that is not there', { path: '/v1/projects', method: 'DELETE' }, 405, 'method_not_allowed'],
    ['a limit that is no number', { path: '/v1/projects?limit=many' }, 400, 'malformed_request'],
    ['an invented cursor', { path: '/v1/projects?cursor=abc' }, 400, 'invalid_cursor'],
    ['an unknown id', { path: `/v1/projects/${newId('prj')}` }, 404, 'not_found'],
    ['something that is no id', { path: '/v1/projects/..%2f..' }, 404, 'not_found'],
  ]
  test.each(cases)('%s is a problem with its own code', async (_, sent, status, code) => {
    const answer = await ask(sent.path, sent)
    expect([answer.status, answer.body.code]).toEqual([status, code])
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'))
  })

  test('a wrong content type is 415', async () => {
    const answer = await ask('/v1/projects', {
      method: 'POST',
      body: 'a=b',
      headers: { 'content-type': 'text/plain' },
    })
    expect([answer.status, answer.body.code]).toEqual([415, 'unsupported_media_type'])
  })

  test('a missing method names those that exist', async () => {
    const project = `/v1/projects/${newId('prj')}`
    for (const [path, allowed] of [
      ['/v1/projects', ['GET', 'HEAD', 'POST']],
      [project, ['DELETE', 'GET', 'HEAD', 'PATCH']],
      [project.replace('prj', '%70rj'), ['DELETE', 'GET', 'HEAD', 'PATCH']],
      [`${project}/collections/a/records:batch`, ['POST']],
      // No invitation has such an id.
      ['/v1/invitations/accept', ['POST']],
    ] as const) {
      const { status, headers } = await ask(path, { method: 'PUT' })
      const told = headers.get('allow')?.split(', ').toSorted() ?? []
      expect([path, status, told]).toEqual([path, allowed.length > 0 ? 405 : 404, allowed])
    }
    const { status } = await regions.open('us', { as: key, path: '/v1/projects', method: 'HEAD' })
    expect(status).toBe(200)
  })

  test('where nothing can be, no method is missing', async () => {
    const { status, body, headers } = await ask('/v1/projects/no-id', { method: 'PUT' })
    expect([status, body.code, headers.get('allow')]).toEqual([404, 'not_found', null])
  })

  test('an error points at the field', async () => {
    const { body } = await ask('/v1/projects', { method: 'POST', body: { name: '', 'a/b': 1 } })
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer).toSorted()).toEqual([
      '/a~1b',
      '/name',
    ])
  })
})

describe('a credential', () => {
  test('that is revoked is refused by the very next request', async () => {
    const { body } = await ask('/v1/api-keys', { method: 'POST', body: { name: 'Short', scopes: ['*'] } })
    expect((await ask('/v1/tenant', { as: body.key })).status).toBe(200)
    expect((await ask(`/v1/api-keys/${body.id}`, { method: 'DELETE' })).status).toBe(204)
    const refused = await ask('/v1/tenant', { as: body.key })
    expect([refused.status, refused.body.code]).toEqual([401, 'api_key_revoked'])
    // Told to the edge, which goes easy on it, and not where it holds and is refused for what it asks.
    expect(refused.headers.get('coditect-credential-refused')).toBe('api_key_revoked')
    const ending = await ask('/console/v1/session', { method: 'DELETE' })
    expect([ending.status, ending.headers.get('coditect-credential-refused')]).toEqual([401, null])
    const { body: list } = await ask('/v1/api-keys?limit=100')
    expect(list.data.map((each: { id: string }) => each.id)).not.toContain(body.id)
  })

  test('does what its scopes allow and no more, and hands on no more than it has', async () => {
    const scopes = ['projects:read', 'api-keys:write']
    const { body } = await ask('/v1/api-keys', { method: 'POST', body: { name: 'Reader', scopes } })
    expect((await ask('/v1/projects', { as: body.key })).status).toBe(200)
    const write = await ask('/v1/projects', { as: body.key, method: 'POST', body: { name: 'no' } })
    expect([write.status, write.body.code]).toEqual([403, 'insufficient_scope'])
    const more = { method: 'POST', as: body.key, body: { name: 'More', scopes: ['projects:write'] } }
    expect((await ask('/v1/api-keys', more)).status).toBe(403)
  })

  test('never shows in a list, nor its hash', async () => {
    const { body } = await ask('/v1/api-keys')
    expect(JSON.stringify(body)).not.toMatch(/secretHash|ck_test_/)
  })

  test('without an assertion nothing is answered', async () => {
    const answer = await fetch(`${regions.url('us')}/v1/projects`)
    expect(answer.status).toBe(401)
    expect(await answer.json()).toMatchObject({ code: 'assertion_invalid' })
  })
})
