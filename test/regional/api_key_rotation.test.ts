// Rotating an API key: the new one may do what the old one may, and both hold for as long as was asked.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
let key: string
let aheadMs = 0
beforeAll(async () => {
  regions = await startRegions({ now: () => Date.now() + aheadMs })
  ;({ key } = await regions.newTenant('acme', 'us'))
})
afterAll(() => regions.close())

const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })
const code = ({ status, body }: { status: number; body: { code: string } }) => `${status} ${body.code}`
const newKey = async (scopes: string[]) =>
  (await ask('/v1/api-keys', { method: 'POST', body: { name: 'a key', scopes } })).body
const rotate = (id: string, body: object, more: Partial<Ask> = {}) =>
  ask(`/v1/api-keys/${id}/rotate`, { method: 'POST', body, ...more })

test('both hold for a while, then the new one alone', async () => {
  const old = await newKey(['projects:read'])
  const { status, body } = await rotate(old.id, { overlapSeconds: 2 })
  expect([status, body.name, body.scopes]).toEqual([201, 'a key', ['projects:read']])
  expect((await ask('/v1/projects', { as: body.key })).status).toBe(200)
  expect((await ask('/v1/projects', { as: old.key })).status).toBe(200)
  await expect
    .poll(async () => code(await ask('/v1/projects', { as: old.key })), { timeout: 10_000 })
    .toBe('401 api_key_expired')
  expect((await ask('/v1/projects', { as: body.key })).status).toBe(200)
})

test('without an overlap the old one is revoked at once', async () => {
  const old = await newKey(['projects:read'])
  expect((await rotate(old.id, { overlapSeconds: 0 })).status).toBe(201)
  expect(code(await ask('/v1/projects', { as: old.key }))).toBe('401 api_key_revoked')
})

test('each rotation is told, with the successor, whatever becomes of the old one', async () => {
  const expiresAt = new Date(Date.now() + aheadMs + 60_000).toISOString()
  for (const [overlapSeconds, ends, then] of [
    [0, null, ['api_key.revoked', 'api_key.created']],
    [3600, null, ['api_key.created']],
    [3600, expiresAt, ['api_key.created']],
  ] as const) {
    const made = { name: 'a key', scopes: ['projects:read'], expiresAt: ends }
    const { body: old } = await ask('/v1/api-keys', { method: 'POST', body: made })
    const { through } = (await ask('/v1/events?limit=100')).body
    const { body: successor } = await rotate(old.id, { overlapSeconds })
    const [rotated, ...others] = (await ask(`/v1/events?after=${through}`)).body.data
    const data = { successor: successor.id }
    expect(rotated).toMatchObject({ type: 'api_key.rotated', resource: old.id, data })
    expect(others.map(({ type }: { type: string }) => type)).toEqual(then)
  }
})

test('nobody gets a key by it that allows more than they may', async () => {
  const strong = await newKey(['*'])
  const weak = await newKey(['api-keys:write'])
  expect(code(await rotate(strong.id, {}, { as: weak.key }))).toBe('403 insufficient_scope')
})

test('a key that ends sooner is not kept longer', async () => {
  const expiresAt = new Date(Date.now() + 60_000).toISOString()
  const body = { name: 'brief', scopes: ['projects:read'], expiresAt }
  const { body: brief } = await ask('/v1/api-keys', { method: 'POST', body })
  const rotated = await rotate(brief.id, {})
  expect(rotated.body.expiresAt).toBe(expiresAt)
  expect((await ask(`/v1/api-keys/${brief.id}`)).body.expiresAt).toBe(expiresAt)
})

test.each([
  ['never ends', () => null],
  ['ends in a month', () => new Date(Date.now() + aheadMs + 30 * 24 * 60 * 60_000).toISOString()],
])('each successor of a key that %s lives as long, however often that one is rotated', async (_, end) => {
  const expiresAt = end()
  const made = { name: 'a key', scopes: ['projects:read'], expiresAt }
  const { body: old } = await ask('/v1/api-keys', { method: 'POST', body: made })
  for (const overlapSeconds of [60, 30, 3600, 0]) {
    const { status, body } = await rotate(old.id, { overlapSeconds })
    expect([status, body.expiresAt]).toEqual([201, expiresAt])
  }
})

test('a key that has expired is not rotated', async () => {
  const expiresAt = new Date(Date.now() + aheadMs + 60_000).toISOString()
  const body = { name: 'brief', scopes: ['projects:read'], expiresAt }
  const { body: brief } = await ask('/v1/api-keys', { method: 'POST', body })
  aheadMs += 61_000
  for (const overlapSeconds of [0, 60]) {
    expect(code(await rotate(brief.id, { overlapSeconds }))).toBe('409 conflict')
  }
  expect(code(await ask('/v1/projects', { as: brief.key }))).toBe('401 api_key_expired')
})

test('a key that has expired gives its place back, and is refused as expired for good', async () => {
  const { id, key: own } = await regions.newTenant('crowded', 'us')
  const path = `/platform/v1/tenants/${id}`
  await regions.ask('us', { as: 'operator', method: 'PATCH', path, body: { limits: { apiKeys: 3 } } })
  const used = async () => (await ask('/v1/usage', { as: own })).body.quotas.apiKeys.used
  const post = (at: string, body: object) => ask(`/v1/api-keys${at}`, { as: own, method: 'POST', body })
  const { body: first } = await post('', { name: 'a key', scopes: ['projects:read'] })
  const { body: second } = await post(`/${first.id}/rotate`, { overlapSeconds: 60 })
  expect(await used()).toBe(3)
  expect(code(await post(`/${second.id}/rotate`, { overlapSeconds: 60 }))).toBe('403 quota_exceeded')

  // Nothing has to be free for a key that leaves its place to its successor.
  const third = await post(`/${second.id}/rotate`, { overlapSeconds: 0 })
  expect([third.status, await used()]).toEqual([201, 3])

  // Nor where there are more than the plan allows by now: a key that leaks is replaced all the same.
  const lower = (apiKeys: number) =>
    regions.ask('us', { as: 'operator', method: 'PATCH', path, body: { limits: { apiKeys } } })
  await lower(1)
  const fourth = await post(`/${third.body.id}/rotate`, { overlapSeconds: 0 })
  expect([fourth.status, await used()]).toEqual([201, 3])
  expect(code(await ask('/v1/projects', { as: third.body.key }))).toBe('401 api_key_revoked')
  await lower(3)

  aheadMs += 2 * 60 * 60_000
  await expect.poll(used, { timeout: 20_000 }).toBe(2)
  expect(code(await ask('/v1/projects', { as: first.key }))).toBe('401 api_key_expired')
  expect(code(await ask('/v1/projects', { as: second.key }))).toBe('401 api_key_revoked')
  const { body: list } = await ask('/v1/api-keys', { as: own })
  expect(list.data.map((each: { id: string }) => each.id)).not.toContain(first.id)
  expect((await ask(`/v1/api-keys/${first.id}`, { as: own })).status).toBe(404)
  expect((await post(`/${fourth.body.id}/rotate`, { overlapSeconds: 60 })).status).toBe(201)
})

test('keys that expire in the same hour each give their place back, once', async () => {
  const { key: own } = await regions.newTenant('briefly', 'us')
  const used = async () => (await ask('/v1/usage', { as: own })).body.quotas.apiKeys.used
  const expiresAt = new Date(Date.now() + aheadMs + 60_000).toISOString()
  const body = { name: 'brief', scopes: ['projects:read'], expiresAt }
  for (let i = 0; i < 5; i++) {
    const made = await ask('/v1/api-keys', { as: own, method: 'POST', body })
    // This one is to be looked at twice: at the time that it had first, and at the sooner one.
    if (i === 0)
      await ask(`/v1/api-keys/${made.body.id}/rotate`, {
        as: own,
        method: 'POST',
        body: { overlapSeconds: 1 },
      })
  }
  expect(await used()).toBe(7)
  aheadMs += 3 * 60 * 60_000
  await expect.poll(used, { timeout: 20_000 }).toBe(1)
})

test('a key that has ended is told as such for ninety days, and refused as any other afterwards', async () => {
  const { key: own } = await regions.newTenant('forgetful', 'us')
  const post = (at: string, body: object) => ask(`/v1/api-keys${at}`, { as: own, method: 'POST', body })
  const scopes = ['projects:read']
  const { body: revoked } = await post('', { name: 'revoked', scopes })
  expect((await ask(`/v1/api-keys/${revoked.id}`, { as: own, method: 'DELETE' })).status).toBe(204)
  const expiresAt = new Date(Date.now() + aheadMs + 60_000).toISOString()
  const { body: expired } = await post('', { name: 'expired', scopes, expiresAt })
  const told = async () =>
    Promise.all([revoked, expired].map(async ({ key }) => code(await ask('/v1/projects', { as: key }))))

  const DAY_MS = 24 * 60 * 60_000
  const used = async () => (await ask('/v1/usage', { as: own })).body.quotas.apiKeys.used
  const later = new Date(Date.now() + aheadMs + 88 * DAY_MS).toISOString()
  await post('', { name: 'shows what is swept', scopes, expiresAt: later })
  aheadMs += DAY_MS
  await expect.poll(used, { timeout: 20_000 }).toBe(2)
  aheadMs += 88 * DAY_MS
  await expect.poll(used, { timeout: 20_000 }).toBe(1)
  expect(await told()).toEqual(['401 api_key_revoked', '401 api_key_expired'])
  aheadMs += 3 * DAY_MS
  await expect.poll(told, { timeout: 20_000 }).toEqual(Array(2).fill('401 credential_invalid'))
})
