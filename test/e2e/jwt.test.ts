// Tokens of OpenID issuers through the whole stack: edge in workerd, regions as processes, a real issuer over HTTP.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type OidcIssuers, startOidcIssuers } from '../support/oidc_issuers.ts'
import { ALGORITHMS, signToken, type Token } from '../support/oidc_tokens.ts'
import { type CallOptions, type Stack, startStack } from './stack.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, each checked where it is used
type Body = any

let stack: Stack
let issuers: OidcIssuers
beforeAll(async () => {
  ;[stack, issuers] = await Promise.all([startStack(), startOidcIssuers()])
})
afterAll(async () => {
  await Promise.all([stack.stop(), issuers.close()])
})

const call = (path: string, options?: CallOptions) => stack.call<Body>(path, options)
const sign = (name: string, aud: string, more: Token = {}) =>
  signToken(issuers.privateKeys, { iss: `${issuers.origin}/${name}`, aud, sub: 'ann', ...more })

interface Tenant {
  id: string
  slug: string
  key: string
}

async function newTenant(slug: string, region = 'us'): Promise<Tenant> {
  const body = { slug, name: slug, region, plan: 'team', owner: { email: `o@${slug}.example` } }
  const made = await call('/platform/v1/tenants', { method: 'POST', body })
  expect(made.status).toBe(201)
  return { id: made.body.tenant.id, slug, key: made.body.apiKey.key }
}

async function provide({ key }: Tenant, name: string, more: object = {}): Promise<Body> {
  const body = {
    name,
    issuer: `${issuers.origin}/${name}`,
    createMembers: true,
    roleClaim: 'groups',
    roleMapping: { dev: 'member', ops: 'admin' },
    defaultRole: 'viewer',
    ...more,
  }
  const made = await call('/v1/identity-providers', { as: key, method: 'POST', body })
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  return made.body
}

const newProject = { method: 'POST', body: { name: 'Mine' } }
const code = ({ status, body }: { status: number; body: Body }) => [status, body?.code]

test.each(['us', 'eu'])('good tokens read and write in %s, as far as their roles go', async (region) => {
  const tenant = await newTenant(`good-${region}`, region)
  const { audience } = await provide(tenant, `good-${region}`)
  for (const alg of ALGORITHMS) {
    const as = await sign(`good-${region}`, audience, { alg, sub: alg, groups: ['dev'] })
    expect((await call('/v1/projects', { as })).status, alg).toBe(200)
    expect((await call('/v1/projects', { as, ...newProject })).status, alg).toBe(201)
    expect(code(await call('/v1/api-keys', { as }))).toEqual([403, 'insufficient_scope'])
  }
  const viewer = await sign(`good-${region}`, audience, { sub: 'vi' })
  expect((await call('/v1/projects', { as: viewer })).status).toBe(200)
  expect(code(await call('/v1/projects', { as: viewer, ...newProject }))).toEqual([403, 'insufficient_scope'])
  const admin = await sign(`good-${region}`, audience, { sub: 'ad', groups: ['ops'] })
  expect((await call('/v1/api-keys', { as: admin })).status).toBe(200)
  const members = await call('/v1/members?limit=100', { as: admin })
  expect(members.body.data).toHaveLength(1 + ALGORITHMS.length + 2)
})

test('when a provider’s role claim changes, no token under use meets anything but its new role', async () => {
  const tenant = await newTenant('changing')
  const provider = await provide(tenant, 'changing')
  const as = await sign('changing', provider.audience, { groups: ['dev'], roles: ['ops'] })
  const readBy = (roleClaim: string) =>
    call(`/v1/identity-providers/${provider.id}`, { as: tenant.key, method: 'PATCH', body: { roleClaim } })
  expect((await call('/v1/projects', { as, ...newProject })).status).toBe(201)
  await readBy('roles')
  // Sent twice by the edge, with its body, and done once.
  expect((await call('/v1/projects', { as, method: 'POST', body: { name: 'Second' } })).status).toBe(201)
  const { body } = await call('/v1/projects', { as })
  expect(body.data.map(({ name }: Body) => name).toSorted()).toEqual(['Mine', 'Second'])
  expect((await call('/v1/api-keys', { as })).status).toBe(200)
  await readBy('groups')
  const many = await Promise.all(Array.from({ length: 20 }, () => call('/v1/projects', { as })))
  expect(new Set(many.map(({ status }) => status))).toEqual(new Set([200]))
  expect(code(await call('/v1/api-keys', { as }))).toEqual([403, 'insufficient_scope'])
})

test('a provider that is removed and registered anew lets its tokens in at once', async () => {
  const tenant = await newTenant('anew')
  const before = await provide(tenant, 'anew')
  const as = await sign('anew', before.audience)
  expect((await call('/v1/projects', { as })).status).toBe(200)
  await call(`/v1/identity-providers/${before.id}`, { as: tenant.key, method: 'DELETE' })
  await provide(tenant, 'anew')
  expect((await call('/v1/projects', { as })).status).toBe(200)
})

test('from the commit on a removed member is refused, and a deleted provider’s tokens are', async () => {
  const tenant = await newTenant('leaving')
  const provider = await provide(tenant, 'leaving')
  const tokenOf = (sub: string) => sign('leaving', provider.audience, { sub, groups: ['dev'] })
  const [ann, bob] = [await tokenOf('ann'), await tokenOf('bob')]
  for (const as of [ann, bob]) expect((await call('/v1/projects', { as })).status).toBe(200)
  const { body: members } = await call('/v1/members', { as: tenant.key })
  const member = members.data.find(({ identity }: Body) => identity?.subject === 'ann')
  await call(`/v1/members/${member.id}`, { as: tenant.key, method: 'DELETE' })
  expect(code(await call('/v1/projects', { as: ann }))).toEqual([403, 'not_a_member'])
  expect((await call('/v1/projects', { as: bob })).status).toBe(200)
  await call(`/v1/identity-providers/${provider.id}`, { as: tenant.key, method: 'DELETE' })
  expect(code(await call('/v1/projects', { as: bob }))).toEqual([401, 'credential_invalid'])
  // Registered again, under another id: what the edge remembers of the first one is in nobody's way.
  await provide(tenant, 'leaving')
  await vi.waitFor(async () => expect((await call('/v1/projects', { as: bob })).status).toBe(200), 5_000)
})

test('one tenant registers another’s issuer: each token opens its own tenant, and nothing of the other', async () => {
  const victim = await newTenant('victim', 'us')
  const thief = await newTenant('thief', 'eu')
  const ofVictim = await provide(victim, 'shared', { roleMapping: { dev: 'admin' } })
  const ofThief = await provide(thief, 'shared', { roleMapping: { dev: 'owner' }, defaultRole: 'viewer' })
  await call('/v1/projects', { as: victim.key, ...newProject })
  const user = { sub: 'ann', groups: ['dev'] }
  const forVictim = await sign('shared', ofVictim.audience, user)
  const forThief = await sign('shared', ofThief.audience, user)
  expect((await call('/v1/projects', { as: forVictim })).body.data).toHaveLength(1)
  expect((await call('/v1/projects', { as: forThief })).body.data).toHaveLength(0)
  expect((await call('/v1/tenant', { as: forThief })).body.id).toBe(thief.id)
  for (const named of [victim.id, victim.slug]) {
    const crossed = await call('/v1/projects', { as: forThief, headers: { 'x-tenant': named } })
    expect(code(crossed)).toEqual([403, 'tenant_mismatch'])
  }
  for (const named of [thief.id, thief.slug]) {
    const crossed = await call('/v1/projects', { as: forVictim, headers: { 'x-tenant': named } })
    expect(code(crossed)).toEqual([403, 'tenant_mismatch'])
  }
  // Nor by an audience that says nothing of tenants, nor by one stolen from the other.
  const vague = await sign('shared', 'some-app', user)
  for (const named of [victim.id, victim.slug]) {
    const crossed = await call('/v1/projects', { as: vague, headers: { 'x-tenant': named } })
    expect(code(crossed)).toEqual([401, 'credential_invalid'])
  }
  const path = `/v1/identity-providers/${ofThief.id}`
  const stolen = { as: thief.key, method: 'PATCH', body: { audience: ofVictim.audience } }
  expect(code(await call(path, stolen))).toEqual([422, 'validation_failed'])
  const { body } = await call('/v1/members', { as: victim.key })
  expect(body.data.map(({ role }: Body) => role).sort()).toEqual(['admin', 'owner'])
})

test('with a chosen audience X-Tenant says which organisation, by id or slug', async () => {
  const tenant = await newTenant('chosen', 'eu')
  await provide(tenant, 'chosen', { audience: 'the-app' })
  const as = await sign('chosen', 'the-app')
  for (const named of [tenant.id, tenant.slug]) {
    const answer = await call('/v1/tenant', { as, headers: { 'x-tenant': named } })
    expect([answer.status, answer.body.id]).toEqual([200, tenant.id])
  }
  expect(code(await call('/v1/tenant', { as }))).toEqual([401, 'credential_invalid'])
})

test('a suspended organisation’s people are refused, and let in again', async () => {
  const tenant = await newTenant('sleeping')
  const { audience } = await provide(tenant, 'sleeping')
  const as = await sign('sleeping', audience)
  expect((await call('/v1/tenant', { as })).status).toBe(200)
  const set = (status: string) =>
    call(`/platform/v1/tenants/${tenant.id}`, { method: 'PATCH', body: { status } })
  await set('suspended')
  expect(code(await call('/v1/tenant', { as }))).toEqual([403, 'tenant_suspended'])
  await set('active')
  expect((await call('/v1/tenant', { as })).status).toBe(200)
})

test('a write sent twice with one Idempotency-Key, the first of which makes the member, is done once', async () => {
  const tenant = await newTenant('twice')
  const { audience } = await provide(tenant, 'twice')
  const as = await sign('twice', audience, { groups: ['dev'] })
  const request = { as, ...newProject, headers: { 'idempotency-key': 'one' } }
  const answers = await Promise.all([1, 2, 3].map(() => call('/v1/projects', request)))
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
  expect((await call('/v1/projects', { as: tenant.key })).body.data).toHaveLength(1)
  expect((await call('/v1/members', { as: tenant.key })).body.data).toHaveLength(2)
})
