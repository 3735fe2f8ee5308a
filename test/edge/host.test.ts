// The host names a tenant too, and never another one than the credential; and whose pages may read an answer (CORS).
import { expect, onTestFinished, test, vi } from 'vitest'
import { tenantNamedBy } from '../../edge/locate/host.ts'
import { isDomain } from '../../shared/domain.ts'
import { newId } from '../../shared/ids.ts'
import { type TenantSnapshot, writeSnapshot } from '../../shared/snapshot.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { newTenant, tokenFor } from './jwt_support.ts'
import { bearer, edgeTo, newHookPath, newKey, newMarker, PUBLIC_ORIGIN, seen } from './support.ts'

const BASE_DOMAIN = 'orgs.test'
const edge = await edgeTo(undefined, undefined, { BASE_DOMAIN, DEVELOPMENT_ISSUERS: 'on' })
const at = (host: string, init: RequestInit = {}, query = newMarker()) =>
  edge.request(`http://${host}/v1/projects?${query}`, init)
const codeOf = async (answer: Response | Promise<Response>) => {
  const response = await answer
  return [response.status, ((await response.json()) as { code?: string }).code]
}
/** As the loopback region knows a tenant whose providers were said. */
const known = (number: TenantNumber) => ({
  slug: `slug-${number}.${BASE_DOMAIN}`,
  own: `own-${number}.example`,
})

test.each([
  ['api.test', undefined],
  ['acme.orgs.test', { slug: 'acme' }],
  ['acme.orgs.test.', { slug: 'acme' }],
  ['a.b.orgs.test', 'no_tenant'],
  ['-.orgs.test', 'no_tenant'],
  ['orgs.test.', undefined],
  ['api.test.', undefined],
  ['api.acme.example.', { domain: 'api.acme.example' }],
  ['orgs.test', undefined],
  ['api.acme.example', { domain: 'api.acme.example' }],
  ['localhost', undefined],
  ['127.0.0.1', undefined],
  ['[::1]', undefined],
])('the host %s names %o', (host, named) => {
  expect(tenantNamedBy(host, { publicOrigin: PUBLIC_ORIGIN, baseDomain: BASE_DOMAIN })).toEqual(named)
})

test('a name that is longer than any is refused, so that no host fills the memory', async () => {
  const name = (length: number) => `${'a.'.repeat(length / 2)}b`
  expect((await edge.request(`http://${name(252)}:12345/healthz`)).status).toBe(200)
  expect(await codeOf(edge.request(`http://${name(260)}/healthz`))).toEqual([400, 'malformed_request'])
})

test('an address is never a domain, however it is written', () => {
  const none = ['1.2.3.4', '0x7f.1', '1.2', 'a', '', 'a.b.', 'A.b', 'a_b.c', `${'x.'.repeat(130)}example`]
  expect(none.filter(isDomain)).toEqual([])
  expect(isDomain('xn--bcher-kva.example')).toBe(true)
})

test('a token without our audience is of the tenant that the host names, by slug or by a domain of its own', async () => {
  const tenant = await newTenant(undefined, { audience: 'my-app' })
  const token = await tokenFor(tenant)
  const hosts = known(tenant.number)
  for (const host of [hosts.slug, hosts.own]) {
    const marker = newMarker()
    expect((await at(host, { headers: bearer(token) }, marker)).status).toBe(200)
    expect((await seen(marker)).length).toBe(1)
  }
  expect(await codeOf(at('api.test', { headers: bearer(token) }))).toEqual([401, 'credential_invalid'])
})

test('a credential at another tenant’s host is a mismatch that reaches no region', async () => {
  const [own, other] = [await newTenant(), await newTenant()]
  const theirs = known(other.number)
  const marker = newMarker()
  for (const credential of [await tokenFor(own), await newKey()]) {
    for (const host of [theirs.slug, theirs.own, `${theirs.slug}.`, `${theirs.own}.`, `x.${theirs.slug}`]) {
      expect(await codeOf(at(host, { headers: bearer(credential) }, marker))).toEqual([
        403,
        'tenant_mismatch',
      ])
    }
    // Nobody's slug is not the key's either.
    expect(await codeOf(at(`nobody.${BASE_DOMAIN}`, { headers: bearer(credential) }, marker))).toEqual([
      403,
      'tenant_mismatch',
    ])
    // A domain that nobody has shown to be theirs may lead here all the same.
    expect((await at('elsewhere.example', { headers: bearer(credential) })).status).toBe(200)
  }
  expect(await seen(marker)).toEqual([])
})

test('a webhook at another tenant’s host is a mismatch too, and at no tenant’s host it arrives', async () => {
  const theirs = known((await newTenant()).number)
  const hook = await newHookPath()
  const post = (host: string) => edge.request(`http://${host}${hook}`, { method: 'POST' })
  for (const host of [theirs.slug, theirs.own, `x.${theirs.slug}`, `nobody.${BASE_DOMAIN}`]) {
    expect(await codeOf(post(host))).toEqual([403, 'tenant_mismatch'])
  }
  for (const host of ['api.test', BASE_DOMAIN, 'elsewhere.example'])
    expect((await post(host)).status).toBe(200)
})

const wide = { rate: 1_000, burst: 1_000 }
const snapshot: TenantSnapshot = {
  epoch: 1,
  version: 1,
  region: 'us',
  plan: 'team',
  limits: { tenant: wide, key: wide, ip: wide },
  streams: 10,
  corsOrigins: ['https://app.example'],
}

test('a page of an origin that the tenant has named may read answers, and no other page', async () => {
  const own = await edgeTo()
  const query = `snapshot=${encodeURIComponent(writeSnapshot(snapshot))}`
  const from = async (origin: string) => {
    const headers = { ...bearer(await newKey()), origin }
    const { headers: answer } = await own.request(`http://api.test/v1/projects?${query}`, { headers })
    expect(answer.get('vary')).toContain('Origin')
    return answer
  }
  const named = await from('https://app.example')
  expect(named.get('access-control-allow-origin')).toBe('https://app.example')
  expect(named.get('access-control-expose-headers')).toContain('RateLimit')
  expect(named.get('access-control-allow-credentials')).toBeNull()
  for (const origin of ['https://evil.example', 'null', 'https://app.example.evil.example']) {
    expect((await from(origin)).get('access-control-allow-origin')).toBeNull()
  }
})

test('what a region’s answer varies by is said beside the origin', async () => {
  const headers = { ...bearer(await newKey()), origin: 'https://app.example' }
  const { headers: answer } = await (await edgeTo()).request('http://api.test/v1/chatty', { headers })
  expect(answer.get('vary')).toBe('Accept, Origin')
})

test('such a page may read refusals, too, also after the minute that a snapshot counts', async () => {
  const own = await edgeTo()
  const headers = { ...bearer(await newKey()), origin: 'https://app.example' }
  const ask = (path: string) => own.request(`http://api.test${path}`, { headers })
  await ask(`/v1/projects?snapshot=${encodeURIComponent(writeSnapshot(snapshot))}`)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
  onTestFinished(() => void vi.useRealTimers())
  const refused = await ask('/v1/gateway')
  expect(refused.status).toBe(503)
  expect(refused.headers.get('access-control-allow-origin')).toBe('https://app.example')
})

test.each<[string, () => Promise<Record<string, string>>, number, string]>([
  ['no credential', async () => ({}), 401, 'credential_missing'],
  ['a token that is none', async () => bearer('a.b.c'), 401, 'credential_invalid'],
  [
    'two credentials',
    async () => ({ ...bearer(await newKey()), 'x-api-key': await newKey() }),
    400,
    'conflicting_credentials',
  ],
])(
  'that nobody was let in may be read by any page, since it is no tenant’s: %s',
  async (_, sent, status, code) => {
    const headers = { ...(await sent()), origin: 'https://any.example' }
    const answer = await (await edgeTo()).request('http://api.test/v1/projects', { headers })
    expect([answer.status, (await answer.json<{ code: string }>()).code]).toEqual([status, code])
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://any.example')
    expect(answer.headers.get('vary')).toContain('Origin')
  },
)

test('what is said to somebody who was let in may not, be it a refusal of the edge’s own', async () => {
  const headers = { ...bearer(await newKey()), origin: 'https://any.example', 'x-tenant': newId('ten') }
  const answer = await (await edgeTo()).request('http://api.test/v1/projects', { headers })
  expect(answer.status).toBe(403)
  expect(answer.headers.has('access-control-allow-origin')).toBe(false)
})

test('a preflight is answered without a credential, and says what may be sent', async () => {
  const marker = newMarker()
  const headers = {
    origin: 'https://app.example',
    'access-control-request-method': 'PATCH',
    'access-control-request-headers': 'authorization,if-match',
  }
  const answer = await edge.request(`http://api.test/v1/projects?${marker}`, { method: 'OPTIONS', headers })
  expect(answer.status).toBe(204)
  expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example')
  expect(answer.headers.get('access-control-allow-methods')).toContain('PATCH')
  const allowed = answer.headers.get('access-control-allow-headers')?.split(', ')
  // Whoever traces sends both (W3C Trace Context, section 3.3).
  expect(allowed).toEqual(expect.arrayContaining(['If-Match', 'traceparent', 'tracestate']))
  expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  expect(await seen(marker)).toEqual([])
  // An OPTIONS that is none is like any other method.
  expect((await edge.request('http://api.test/v1/projects', { method: 'OPTIONS' })).status).toBe(401)
})
