// A credential that its region has refused can't use up its tenant's limits; and what holds is never held back.
import { afterEach, expect, test, vi } from 'vitest'
import type { Bindings } from '../../edge/env.ts'
import { Refusals } from '../../edge/identify/refusals.ts'
import type { LeaseSource } from '../../edge/limit/limiter.ts'
import { newId } from '../../shared/ids.ts'
import type { TenantPrincipal } from '../../shared/principal.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { memoryStore, newTenant, tokenFor } from './jwt_support.ts'
import { memoryLeases } from './memory_leases.ts'
import {
  bearer,
  edgeTo,
  newHookPath,
  newKey,
  newMarker,
  newSignedTarget,
  seen,
  TENANT_NUMBER,
} from './support.ts'

afterEach(() => {
  vi.useRealTimers()
})

const later = (ms: number) => vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })

/** An edge, and how many units it has asked its tenants' objects for. */
async function countingEdge(overrides: Partial<Bindings> = {}) {
  const leases = memoryLeases()
  const asked = { units: 0 }
  const source: LeaseSource = (tenant, request) => {
    asked.units += request.units + request.ahead
    return leases(tenant, request)
  }
  const edge = await edgeTo(undefined, undefined, overrides, { leases: source, keyStore: memoryStore() })
  return {
    edge,
    asked,
    ask: (path: string, init: RequestInit = {}) => edge.request(`http://edge${path}`, init),
  }
}

/** `Accept-Language` tells the region of these tests what to answer, where the path does not. */
const refused = { 'accept-language': 'credential-refused' }

test.each<[string, () => Promise<[string, RequestInit]>]>([
  ['an API key', async () => ['/v1/tenant', { headers: bearer(await newKey()) }]],
  ['a signed URL', async () => [await newSignedTarget('/v1/projects'), {}]],
  ['a webhook source’s URL', async () => [await newHookPath(), { method: 'POST', body: '{}' }]],
])('%s that its region has refused takes no more of its tenant’s limits', async (_, credential) => {
  const { ask, asked } = await countingEdge()
  const [path, init] = await credential()
  const send = () => ask(path, { ...init, headers: { ...init.headers, ...refused } })
  later(0)
  expect((await send()).status).toBe(401)
  const { units } = asked
  for (let i = 0; i < 50; i++) {
    const answer = await send()
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="coditect"')
    expect(await answer.json()).toMatchObject({ code: 'api_key_revoked' })
  }
  expect(asked.units).toBe(units)
})

test('the region is asked again after a second, once a second, and what it takes again is held back no more', async () => {
  const { ask } = await countingEdge()
  const headers = bearer(await newKey())
  const marker = newMarker()
  const path = `/v1/tenant?${marker}`
  later(0)
  const statuses = async (more = {}) => {
    const all: number[] = []
    for (let i = 0; i < 5; i++) all.push((await ask(path, { headers: { ...headers, ...more } })).status)
    return all
  }
  for (let asked = 1; asked < 4; asked++) {
    expect(await statuses(refused)).toEqual(Array(5).fill(401))
    expect(await seen(marker)).toHaveLength(asked)
    later(1_000)
  }
  expect(await statuses()).toEqual(Array(5).fill(200))
})

test('other credentials of the tenant are let through, and so is one that was refused for what it asked', async () => {
  const { ask } = await countingEdge()
  const [one, other] = [bearer(await newKey()), bearer(await newKey())]
  later(0)
  expect((await ask('/v1/tenant', { headers: { ...one, ...refused } })).status).toBe(401)
  expect((await ask('/v1/tenant', { headers: one })).status).toBe(401)
  expect((await ask('/v1/tenant', { headers: other })).status).toBe(200)
  // Such as a webhook that is not signed by its source.
  expect((await ask('/v1/refusing', { headers: other })).status).toBe(401)
  expect((await ask('/v1/tenant', { headers: other })).status).toBe(200)
})

test('whoever goes on for long counts among those who fail', async () => {
  const FAILURE_LIMIT = JSON.stringify({ rate: 0.01, burst: 5 })
  const edge = await edgeTo(undefined, undefined, { FAILURE_LIMIT })
  const headers = { ...bearer(await newKey()), ...refused }
  const statusFrom = async (clientIp: string) =>
    (await edge.request(new Request('http://edge/v1/tenant', { headers, cf: { clientIp } }))).status
  later(0)
  for (let i = 0; i < 6; i++) expect(await statusFrom('192.0.2.1:5000')).toBe(401)
  expect(await statusFrom('192.0.2.1:5000')).toBe(429)
  expect(await statusFrom('192.0.2.2:5000')).toBe(401)
})

test('somebody who is no member takes no more of the tenant’s limits, but may accept an invitation, and is one then', async () => {
  const { ask, asked } = await countingEdge({ DEVELOPMENT_ISSUERS: 'on' })
  const tenant = await newTenant()
  const headers = { ...bearer(await tokenFor(tenant)), 'x-tenant': tenant.id }
  const stranger = { headers: { ...headers, 'accept-language': 'not-a-member' } }
  later(0)
  expect((await ask('/v1/projects', stranger)).status).toBe(403)
  const { units } = asked
  for (let i = 0; i < 50; i++) {
    const answer = await ask('/v1/projects', stranger)
    expect([answer.status, await answer.json()]).toMatchObject([403, { code: 'not_a_member' }])
  }
  // Another's token of the same issuer is another's.
  const other = { ...bearer(await tokenFor(tenant, { sub: 'other' })), 'x-tenant': tenant.id }
  expect((await ask('/v1/projects', { headers: other })).status).toBe(200)
  const accept = async (init: RequestInit) =>
    (await ask(`/v1/invitations/accept?${marker}`, { method: 'POST', ...init })).status
  const marker = newMarker()
  for (let i = 0; i < 5; i++) expect(await accept(stranger)).toBe(403)
  expect(await seen(marker)).toHaveLength(1)
  expect(asked.units - units).toBeLessThan(20)
  later(1_000)
  expect((await ask('/v1/projects', stranger)).status).toBe(403)
  expect(await accept({ headers })).toBe(200)
  expect((await ask('/v1/projects', { headers })).status).toBe(200)
})

test('a refusal that nobody repeats is forgotten, so that whoever has become a member is let in with all that they ask', () => {
  const refusals = new Refusals()
  const person: TenantPrincipal = {
    kind: 'jwt',
    tenant: TENANT_NUMBER,
    providerId: newId('idp'),
    ...{ issuer: 'https://issuer.example', audience: 'app', subject: 'ann', expiresAtMs: 1 },
  }
  const refusal = new Response(null, {
    status: 403,
    headers: { 'coditect-credential-refused': 'not_a_member' },
  })
  refusals.learn(person, '/v1/projects', refusal, 0)
  const asked = (principal: TenantPrincipal, nowMs: number) => refusals.of(principal, '/v1/projects', nowMs)
  // A later token that says the same is the same; one that says more may be a member's.
  expect(asked({ ...person, expiresAtMs: 2 }, 500)).toBe('not_a_member')
  expect(asked({ ...person, email: 'ann@example.com' }, 500)).toBeUndefined()
  expect([1_000, 1_001, 2_500, 2_501].map((nowMs) => asked(person, nowMs))).toEqual([
    undefined,
    'not_a_member',
    undefined,
    'not_a_member',
  ])
  expect([3_001, 3_002].map((nowMs) => asked(person, nowMs))).toEqual([undefined, undefined])
})

const PATH = '/hooks/x'
const sourceId = newId('whs')
const source = (tenant = TENANT_NUMBER, secretHash = 'hash'): TenantPrincipal => ({
  kind: 'webhook_source',
  tenant,
  sourceId,
  secretHash,
})
const answer = (status: number, code?: string) =>
  new Response(null, { status, headers: code === undefined ? {} : { 'coditect-credential-refused': code } })

test('what is known of a credential is of one tenant’s', () => {
  const refusals = new Refusals()
  refusals.learn(source(), PATH, answer(401, 'credential_invalid'), 0)
  expect(refusals.of(source(), PATH, 1)).toBe('credential_invalid')
  expect(refusals.of(source(asTenantNumber(4712n)), PATH, 1)).toBeUndefined()
})

test('a region that fails, or finds no such path, says nothing of a credential, and neither does a code that is none', () => {
  const refusals = new Refusals()
  refusals.learn(source(), PATH, answer(401, 'from_the_future'), 0)
  expect(refusals.of(source(), PATH, 1)).toBeUndefined()
  refusals.learn(source(), PATH, answer(401, 'credential_invalid'), 0)
  for (const status of [404, 405, 503]) refusals.learn(source(), PATH, answer(status), 0)
  expect(refusals.of(source(), PATH, 1)).toBe('credential_invalid')
})

test('whoever is let in again is held back no more, also where what they ask is refused', () => {
  const refusals = new Refusals()
  for (const status of [200, 304, 403, 409, 412, 422]) {
    refusals.learn(source(), PATH, answer(401, 'credential_invalid'), 0)
    refusals.learn(source(), PATH, answer(status), 0)
    expect(refusals.of(source(), PATH, 1)).toBeUndefined()
  }
})

test('any number of refused credentials is bounded in memory', () => {
  const refusals = new Refusals()
  for (let i = 0; i <= 10_000; i++) {
    refusals.learn(source(TENANT_NUMBER, `${i}`), PATH, answer(401, 'credential_invalid'), 0)
  }
  expect(refusals.of(source(TENANT_NUMBER, '0'), PATH, 1)).toBeUndefined()
  expect(refusals.of(source(TENANT_NUMBER, '1'), PATH, 1)).toBe('credential_invalid')
})

test('a refusal of before a clock went back is none any more', () => {
  const refusals = new Refusals()
  refusals.learn(source(TENANT_NUMBER, 'a'), PATH, answer(401, 'credential_invalid'), 3_600_000)
  expect(refusals.of(source(TENANT_NUMBER, 'a'), PATH, 0)).toBeUndefined()
})
