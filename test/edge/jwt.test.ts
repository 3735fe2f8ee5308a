// JWTs at the edge, inside workerd, against real issuers over HTTP.
import fc from 'fast-check'
import { CompactSign, importJWK, SignJWT } from 'jose'
import { expect, inject, test } from 'vitest'
import { toBase64url, utf8 } from '../../shared/bytes.ts'
import { newId } from '../../shared/ids.ts'
import { ALGORITHMS, type Token } from '../support/oidc_tokens.ts'
import { asserted } from './asserted.ts'
import { askedOf, edgeForTokens, newTenant, sayProviders, tokenFor } from './jwt_support.ts'
import { bearer, edgeTo, newMarker, seen } from './support.ts'

const base64url = (text: string) => toBase64url(utf8(text))

const edge = await edgeForTokens()
const tenant = await newTenant()

const ask = (token: string, headers: Record<string, string> = {}, path = `/v1/projects?${newMarker()}`) =>
  edge.request(`http://edge${path}`, { headers: { ...bearer(token), ...headers } })

async function code(answer: Response | Promise<Response>): Promise<[number, string | undefined]> {
  const response = await answer
  const { status } = response
  return [status, status < 400 ? undefined : (await response.json<{ code: string }>()).code]
}

/** Whom the region was told of. */
async function principalOf(token: string, headers: Record<string, string> = {}) {
  const marker = newMarker()
  expect((await ask(token, headers, `/v1/projects?${marker}`)).status).toBe(200)
  const [request] = await seen(marker)
  const target = `/v1/projects?${marker}`
  const { principal } = await asserted(request?.headers['coditect-assertion'], {
    region: 'us',
    method: 'GET',
    target,
  })
  return principal
}

test.each(ALGORITHMS)(
  'a token signed with %s tells the region who it is, and of which tenant',
  async (alg) => {
    const token = await tokenFor(tenant, { alg, email: 'ann@example.com', email_verified: true })
    const { number, issuer, audience } = tenant
    expect(await principalOf(token)).toMatchObject({
      kind: 'jwt',
      tenant: number,
      issuer,
      audience,
      subject: 'ann',
      email: 'ann@example.com',
    })
  },
)

test('an address that its issuer has not verified is not told, nor is a claim that nobody asked for', async () => {
  const principal = await principalOf(await tokenFor(tenant, { email: 'ann@example.com', groups: ['x'] }))
  expect(principal).not.toHaveProperty('email')
  expect(principal).not.toHaveProperty('roles')
})

test('when a token was issued is told', async () => {
  const iat = Math.floor(Date.now() / 1000) - 5
  expect(await principalOf(await tokenFor(tenant, { iat }))).toMatchObject({ iat })
})

test.each([
  ['groups', { groups: ['a', 7, 'b'] }, ['a', 'b']],
  ['group', { group: 'a' }, ['a']],
  ['https://x.example/roles', { 'https://x.example/roles': ['a'] }, ['a']],
  ['realm_access.roles', { realm_access: { roles: ['a'] } }, ['a']],
  ['missing', {}, []],
  ['__proto__.constructor', {}, []],
])('role values of the claim %s are told', async (roleClaim, claims, values) => {
  const own = await newTenant(undefined, { roleClaim })
  expect(await principalOf(await tokenFor(own, claims))).toMatchObject({
    roles: { claim: roleClaim, values },
  })
})

test.each<[string, () => Promise<string>]>([
  ['another audience', () => tokenFor(tenant, { aud: 'another' })],
  ['no audience', () => tokenFor({ ...tenant, audience: '' }, {})],
  ['another issuer', () => tokenFor(tenant, { iss: `${tenant.issuer}/` })],
  ['an issuer that nobody has registered', () => tokenFor(tenant, { iss: 'https://login.example.com' })],
  ['no subject', () => tokenFor(tenant, { sub: '' })],
  ['a subject that is no text', () => tokenFor(tenant, { sub: 'ann\ud800' })],
  ['a long subject', () => tokenFor(tenant, { sub: 'x'.repeat(256) })],
  ['an end six seconds ago', () => tokenFor(tenant, { exp: Math.floor(Date.now() / 1000) - 6 })],
  ['a beginning in ten seconds', () => tokenFor(tenant, { nbf: Math.floor(Date.now() / 1000) + 10 })],
  ['another key’s signature', () => tokenFor(tenant, { set: 2, header: { kid: 'ES256-1' } })],
  ['an unknown key id', () => tokenFor(tenant, { header: { kid: 'x' } })],
  ['another type', () => tokenFor(tenant, { header: { typ: 'logout+jwt' } })],
  [
    'a critical header',
    () => tokenFor(tenant, { header: { crit: ['b64'], b64: false } }).catch(() => 'a.b.c'),
  ],
])('a token with %s is 401 credential_invalid', async (_, token) => {
  expect(await code(ask(await token(), { 'x-tenant': tenant.id }))).toEqual([401, 'credential_invalid'])
})

test('a token without an end is refused', async () => {
  const token = await tokenFor(tenant, { exp: undefined } as unknown as Token)
  expect(await code(ask(token))).toEqual([401, 'credential_invalid'])
})

test('clocks may be five seconds apart', async () => {
  const now = Math.floor(Date.now() / 1000)
  expect((await ask(await tokenFor(tenant, { exp: now - 3, nbf: now + 4 }))).status).toBe(200)
})

test('neither alg none nor a signature with the public key as secret opens anything', async () => {
  const b64 = (value: object) => base64url(JSON.stringify(value))
  const claims = { iss: tenant.issuer, aud: tenant.audience, sub: 'ann', exp: 9_999_999_999 }
  for (const signature of ['', 'AAAA']) {
    expect(await code(ask(`${b64({ alg: 'none' })}.${b64(claims)}.${signature}`))).toEqual([
      401,
      'credential_invalid',
    ])
  }
  const keys = await (await fetch(`${tenant.issuer}/keys`)).json<{
    keys: Array<{ kid: string; n: string }>
  }>()
  const rsa = keys.keys.find(({ kid }) => kid === 'RS256-1')
  for (const secret of [JSON.stringify(rsa), rsa?.n ?? '', JSON.stringify(keys)]) {
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'RS256-1' })
      .sign(new TextEncoder().encode(secret))
    expect(await code(ask(token))).toEqual([401, 'credential_invalid'])
  }
})

test('a key that the token brings along is not looked at', async () => {
  const foreign = inject('issuers').privateKeys.find(({ kid }) => kid === 'ES256-2')
  const jwk = Object.fromEntries(Object.entries(foreign ?? {}).filter(([name]) => name !== 'd'))
  const token = await tokenFor(tenant, { set: 2, header: { kid: 'ES256-1', jwk } })
  expect(await code(ask(token))).toEqual([401, 'credential_invalid'])
})

test.each(ALGORITHMS)('no mutation of a %s token is taken, and none makes the edge stumble', async (alg) => {
  const token = await tokenFor(tenant, { alg })
  expect((await ask(token)).status).toBe(200)
  const characters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/~ !"{}']
  const character = fc.constantFrom(...characters)
  const at = fc.oneof(fc.nat(token.length - 1), fc.constantFrom(token.length - 1, token.lastIndexOf('.') - 1))
  const changed = fc.tuple(at, character).map(([i, c]) => token.slice(0, i) + c + token.slice(i + 1))
  const inserted = fc.tuple(at, character).map(([i, c]) => token.slice(0, i) + c + token.slice(i))
  const cut = at.map((i) => token.slice(0, i))
  const shuffled = fc.shuffledSubarray(token.split('.'), { minLength: 1 }).map((parts) => parts.join('.'))
  const marker = newMarker()
  await fc.assert(
    fc.asyncProperty(fc.oneof(changed, inserted, cut, shuffled), async (text) => {
      fc.pre(text.trim() !== token)
      const response = await edge.request(`http://edge/v1/projects?${marker}`, { headers: bearer(text) })
      expect([400, 401, 403]).toContain(response.status)
    }),
    { numRuns: 300 },
  )
  expect(await seen(marker)).toEqual([])
})

test('every other spelling of the last character is refused', async () => {
  for (const alg of ALGORITHMS) {
    const token = await tokenFor(tenant, { alg })
    for (const end of [token.length, token.lastIndexOf('.'), token.indexOf('.')]) {
      for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
        const text = token.slice(0, end - 1) + c + token.slice(end)
        if (text !== token) expect((await ask(text)).status).toBe(401)
      }
    }
  }
})

test('whatever is made to look like a token is 401', async () => {
  const part = fc.oneof(
    fc.base64String().map((text) => text.replaceAll(/[+/=]/g, '_')),
    fc.json().map(base64url),
    fc.constantFrom('eyJhbGciOiJFUzI1NiJ9', 'bnVsbA', 'W10', 'e30', ''),
  )
  const own = fc.record({
    aud: fc.oneof(fc.constant(tenant.audience), fc.jsonValue()),
    iss: fc.oneof(fc.constant(tenant.issuer), fc.jsonValue()),
    exp: fc.oneof(fc.constant(9_999_999_999), fc.jsonValue()),
    sub: fc.jsonValue(),
  })
  const claims = own.map((value) => base64url(JSON.stringify(value)))
  const invented = fc.tuple(part, fc.oneof(part, claims), part).map((parts) => parts.join('.'))
  await fc.assert(
    fc.asyncProperty(invented, async (text) => {
      expect((await ask(text)).status).toBe(401)
    }),
    { numRuns: 300 },
  )
})

/** JSON of every kind, objects that can't be made a text or a number among it. */
const odd = fc.oneof(
  fc.jsonValue(),
  fc.dictionary(fc.constantFrom('toString', 'valueOf', 'toJSON', '__proto__', 'length'), fc.jsonValue()),
  fc.array(fc.constant({ toString: null }), { maxLength: 2 }),
)
const orOdd = (...usual: ReadonlyArray<unknown>) => fc.oneof(fc.constantFrom(...usual), odd)
const oddHeader = fc.record(
  { alg: orOdd('ES256'), kid: orOdd('ES256-1'), typ: orOdd('JWT'), crit: odd, b64: odd, jwk: odd },
  { requiredKeys: [] },
)
const oddClaims = (own: typeof tenant) =>
  fc.record(
    {
      iss: orOdd(own.issuer),
      aud: fc.oneof(fc.constant(own.audience), odd, fc.tuple(fc.constant(own.audience), odd)),
      exp: orOdd(9_999_999_999),
      nbf: orOdd(0),
      sub: orOdd('ann'),
      email: orOdd('ann@example.com'),
      email_verified: orOdd(true),
      realm_access: fc.oneof(odd, fc.record({ roles: odd }), fc.array(odd)),
    },
    { requiredKeys: ['iss', 'aud', 'exp', 'sub'] },
  )

test('whatever a header or a claim is, it is refused, and the edge does not stumble', async () => {
  await fc.assert(
    fc.asyncProperty(oddHeader, oddClaims(tenant), async (header, claims) => {
      const text = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}.AAAA`
      expect([401, 403]).toContain((await ask(text, { 'x-tenant': tenant.id })).status)
    }),
    { numRuns: 500 },
  )
})

test('nor does it stumble over what an issuer has signed', async () => {
  const own = await newTenant(undefined, { roleClaim: 'realm_access.roles' })
  const jwk = inject('issuers').privateKeys.find(({ kid }) => kid === 'ES256-1')
  const key = await importJWK(jwk ?? {}, 'ES256')
  const header = fc.record({ kid: orOdd('ES256-1'), typ: orOdd('JWT') }, { requiredKeys: [] })
  const statuses = new Set<number>()
  await fc.assert(
    fc.asyncProperty(header, oddClaims(own), async (more, claims) => {
      const signing = new CompactSign(utf8(JSON.stringify(claims)))
      const text = await signing.setProtectedHeader({ ...(more as object), alg: 'ES256' }).sign(key)
      const { status } = await ask(text, { 'x-tenant': own.id })
      statuses.add(status)
      expect([200, 401, 403]).toContain(status)
    }),
    { numRuns: 500 },
  )
  expect(statuses).toContain(200)
})

test('a token that is too large is refused', async () => {
  expect(await code(ask(await tokenFor(tenant, { padding: 'x'.repeat(9_000) })))).toEqual([
    401,
    'credential_invalid',
  ])
})

test('the tenant comes from X-Tenant where the audience is one of the tenant’s own choice', async () => {
  const own = await newTenant(undefined, { audience: 'my-app' })
  const token = await tokenFor(own)
  for (const named of [own.id, own.slug]) {
    expect(await principalOf(token, { 'x-tenant': named })).toMatchObject({
      tenant: own.number,
      claimedTenant: named,
    })
  }
  expect(await code(ask(token))).toEqual([401, 'credential_invalid'])
  expect(await code(ask(token, { 'x-tenant': 'slug-99' }))).toEqual([401, 'credential_invalid'])
})

test('where several name a tenant they have to agree', async () => {
  const other = await newTenant()
  const token = await tokenFor(tenant)
  expect((await ask(token, { 'x-tenant': tenant.id })).status).toBe(200)
  for (const named of [other.id, newId('prj'), `${tenant.id}, ${other.id}`, '']) {
    expect(await code(ask(token, { 'x-tenant': named }))).toEqual([403, 'tenant_mismatch'])
  }
  const both = await tokenFor(tenant, { aud: [tenant.audience, other.audience] })
  expect(await code(ask(both))).toEqual([403, 'tenant_mismatch'])
  const nonsense = await tokenFor(tenant, { aud: [tenant.audience, 'coditect:ten_nonsense'] })
  expect(await code(ask(nonsense))).toEqual([401, 'credential_invalid'])
})

test('a tenant that registers another’s issuer gets no token of theirs, and opens nothing of theirs', async () => {
  const victim = await newTenant('shared-login')
  const thief = await newTenant('shared-login')
  const theirs = await tokenFor(victim)
  expect(await principalOf(theirs)).toMatchObject({ tenant: victim.number })
  expect(await code(ask(theirs, { 'x-tenant': thief.id }))).toEqual([403, 'tenant_mismatch'])
  const own = await tokenFor(thief)
  expect(await principalOf(own)).toMatchObject({ tenant: thief.number })
  expect(await code(ask(own, { 'x-tenant': victim.id }))).toEqual([403, 'tenant_mismatch'])
  // Audiences of their own choice, as at any shared login: each is its own tenant's alone.
  const victimApp = await newTenant('shared-login', { audience: 'victim-app' })
  const thiefApp = await newTenant('shared-login', { audience: 'thief-app' })
  const crossed = await tokenFor(thiefApp)
  expect(await code(ask(crossed, { 'x-tenant': victimApp.id }))).toEqual([401, 'credential_invalid'])
  expect(await code(ask(crossed, { 'x-tenant': victimApp.slug }))).toEqual([401, 'credential_invalid'])
})

test('a provider added, or given another audience, counts for the next token after a second', async () => {
  let nowMs = Date.now()
  const later = await edgeForTokens({ now: () => nowMs })
  const own = await newTenant()
  await sayProviders(own, { outcome: 'known', providers: [] })
  const token = await tokenFor(own)
  const come = () => later.request('http://edge/v1/projects', { headers: bearer(token) })
  expect((await come()).status).toBe(401)
  const { issuer, audience } = own
  await sayProviders(own, {
    outcome: 'known',
    providers: [{ id: newId('idp'), issuer, audience, roleClaim: null }],
  })
  nowMs += 1_001
  expect((await come()).status).toBe(200)
})

test('on the platform’s part of the API a token is no credential', async () => {
  expect(await code(ask(await tokenFor(tenant), {}, '/platform/v1/tenants'))).toEqual([
    401,
    'credential_invalid',
  ])
})

test.each([
  ['where the tenant lives', 'us'],
  ['whose tokens it takes', 'eu'],
])('a token is no worse for a region that does not answer: nobody can tell %s', async (_, control) => {
  const regions = { us: ['http://127.0.0.1:1'], eu: [inject('regions').steady] }
  const to = await edgeTo(regions, undefined, { CONTROL_REGION: control })
  const response = await to.request('http://edge/v1/projects', { headers: bearer(await tokenFor(tenant)) })
  expect(response.headers.get('retry-after')).toMatch(/^[1-9]/)
  expect(await code(response)).toEqual([503, 'region_unavailable'])
})

test('an issuer of this machine is asked only where that is allowed', async () => {
  const strict = await edgeTo()
  const own = await newTenant()
  const response = await strict.request('http://edge/v1/projects', { headers: bearer(await tokenFor(own)) })
  expect(await code(response)).toEqual([503, 'identity_provider_unavailable'])
  expect(await askedOf(own)).toBe(0)
})
