// Rotating an API key: the new one may do what the old one may, and both hold for as long as was asked.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
let key: string
beforeAll(async () => {
  regions = await startRegions()
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
