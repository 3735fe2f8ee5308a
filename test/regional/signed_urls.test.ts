// Signed URLs at their authority, the region: what may be signed, and what becomes of a URL when its maker goes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rememberedUntil } from '../../regional/tenancy/idempotency.ts'
import { newId } from '../../shared/ids.ts'
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
const sign = (method: string, path: string, more: Partial<Ask> = {}, expiresIn = 60) =>
  ask('/v1/signed-urls', { method: 'POST', body: { method, path, expiresIn }, ...more })
const newKey = async (scopes: string[], more: object = {}) =>
  (await ask('/v1/api-keys', { method: 'POST', body: { name: 'a key', scopes, ...more } })).body
const code = ({ status, body }: { status: number; body: { code: string } }) => `${status} ${body.code}`

/** Asks as whoever has the URL. */
const use = (url: string, more: Partial<Ask> = {}) => regions.ask('us', { as: url, path: '', ...more })

describe('what may be signed', () => {
  test('a URL for one operation, at the public origin, for as long as asked', async () => {
    const before = Date.now()
    const { status, body } = await sign('GET', '/v1/projects?limit=5&cursor=a', {}, 600)
    expect(status).toBe(201)
    expect(body.url).toMatch(/^https:\/\/api\.test\/v1\/projects\?cursor=a&limit=5&signature=cs_[\w-]+$/)
    const lifeMs = Date.parse(body.expiresAt) - before
    expect(lifeMs).toBeGreaterThan(598_000)
    expect(lifeMs).toBeLessThan(605_000)
  })

  test('not what its maker may not do itself', async () => {
    const { key: reader } = await newKey(['projects:read', 'signed-urls:write'])
    expect((await sign('GET', '/v1/projects', { as: reader })).status).toBe(201)
    expect(code(await sign('POST', '/v1/projects', { as: reader }))).toBe('403 insufficient_scope')
    const { key: mute } = await newKey(['projects:write'])
    expect(code(await sign('GET', '/v1/projects', { as: mute }))).toBe('403 insufficient_scope')
  })

  test.each([
    ['GET', '/v1/api-keys'],
    ['POST', '/v1/api-keys'],
    ['DELETE', `/v1/api-keys/${newId('key')}`],
    ['POST', '/v1/signed-urls'],
  ])('not what gives access: %s %s', async (method, path) => {
    expect(code(await sign(method, path))).toBe('403 insufficient_scope')
  })

  test.each<[string, string, string, number]>([
    ['longer than seven days', 'GET', '/v1/projects', 7 * 86_400 + 1],
    ['shorter than ten seconds', 'GET', '/v1/projects', 9],
    ['an operation that is not there', 'DELETE', '/v1/projects', 60],
    ['a path that is not there', 'GET', '/v1/nothing', 60],
    ['a path of the platform', 'GET', '/platform/v1/tenants', 60],
    ['a path that is not in normal form', 'GET', '/v1/x/../projects', 60],
    ['a parameter twice', 'GET', '/v1/projects?limit=1&limit=2', 60],
    ['a whole URL', 'GET', 'https://api.test/v1/projects', 60],
    ['a query that a change does not take', 'POST', '/v1/projects?source=mail', 60],
    ['a fragment', 'GET', '/v1/projects#x', 60],
    ['a method that is none', 'TRACE', '/v1/projects', 60],
  ])('not for %s', async (_, method, path, expiresIn) => {
    expect(code(await sign(method, path, {}, expiresIn))).toBe('422 validation_failed')
  })

  test('by an API key, never by a signed URL', async () => {
    const { body } = await sign('GET', '/v1/tenant')
    const forged = { as: body.url, path: '/v1/signed-urls', signedFor: { scope: 'signed-urls:write' } }
    const mint = { method: 'POST', body: { method: 'GET', path: '/v1/tenant', expiresIn: 60 } }
    expect(code(await regions.ask('us', { ...forged, ...mint }))).toBe('403 insufficient_scope')
  })
})

describe('a signed URL', () => {
  test('does what it was signed for, and the trail says whose it is', async () => {
    const { id: issuer, key: own } = await newKey(['*'])
    const { body } = await sign('POST', '/v1/projects', { as: own })
    const made = await use(body.url, { method: 'POST', body: { name: 'By URL' } })
    expect(made.status).toBe(201)
    const { body: trail } = await ask('/v1/audit?limit=100')
    const entry = trail.data.find(({ target }: { target: string }) => target === made.body.id)
    expect(entry).toMatchObject({
      actor: { kind: 'signed_url', id: issuer },
      action: 'projects.create',
      outcome: 'done',
    })
  })

  test('writes once: the same again is its first answer, another body is refused, whatever the client’s key', async () => {
    const { body } = await sign('POST', '/v1/projects')
    const write = (name: string, headers = {}) => use(body.url, { method: 'POST', body: { name }, headers })
    const first = await write('Once')
    const second = await write('Once', { 'idempotency-key': 'another' })
    expect([first.status, second.body]).toEqual([201, first.body])
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(code(await write('Twice', { 'idempotency-key': 'and another' }))).toBe('422 idempotency_key_reuse')
    const { body: list } = await ask('/v1/projects?limit=100')
    expect(list.data.filter(({ name }: { name: string }) => /^(Once|Twice)$/.test(name))).toHaveLength(1)
  })

  test('is remembered as written for as long as it can come again, and not just for a day', () => {
    const request = { requestId: '', principal: '', route: '', key: 'nonce', content: new Uint8Array() }
    const inAWeek = Date.now() + 7 * 86_400_000
    expect(rememberedUntil({ ...request, validUntil: inAWeek }, Date.now())).toBeGreaterThan(inAWeek)
  })

  test('reads as often as it is asked', async () => {
    const { body } = await sign('GET', '/v1/projects?limit=1')
    for (let i = 0; i < 3; i++) expect((await use(body.url)).status).toBe(200)
  })

  test('may not do more than its own scope, even where its maker may', async () => {
    const { body } = await sign('GET', '/v1/projects')
    expect(code(await use(body.url, { path: '/v1/usage' }))).toBe('403 insufficient_scope')
  })

  test('is refused by the region’s own clock when its time is over', async () => {
    const { body } = await sign('GET', '/v1/projects')
    expect(code(await use(body.url, { signedFor: { expiresAtMs: Date.now() - 1 } }))).toBe(
      '401 signed_url_expired',
    )
  })

  test('dies with its maker: revoked, expired, or the organisation suspended', async () => {
    const { id: issuer, key: own } = await newKey(['*'])
    const { body } = await sign('GET', '/v1/projects', { as: own })
    expect((await use(body.url)).status).toBe(200)
    await ask(`/v1/api-keys/${issuer}`, { method: 'DELETE' })
    expect(code(await use(body.url))).toBe('401 api_key_revoked')

    const brief = await newKey(['*'], { expiresAt: new Date(Date.now() + 1_500).toISOString() })
    const { body: ofBrief } = await sign('GET', '/v1/projects', { as: brief.key })
    await expect
      .poll(async () => code(await use(ofBrief.url)), { timeout: 5_000 })
      .toBe('401 api_key_expired')

    const { body: alive } = await sign('GET', '/v1/projects')
    const set = (status: string) =>
      regions.ask('us', {
        as: 'operator',
        method: 'PATCH',
        path: `/platform/v1/tenants/${id}`,
        body: { status },
      })
    await set('suspended')
    expect(code(await use(alive.url))).toBe('403 tenant_suspended')
    await set('active')
    expect((await use(alive.url)).status).toBe(200)
  })
})

test('a URL holds for an hour unless somebody says otherwise', async () => {
  const body = { method: 'GET', path: '/v1/projects' }
  const made = await ask('/v1/signed-urls', { method: 'POST', body })
  expect(made.status).toBe(201)
  const leftMs = Date.parse(made.body.expiresAt) - Date.now()
  expect(leftMs).toBeGreaterThan(3_500_000)
  expect(leftMs).toBeLessThanOrEqual(3_601_000)
})
