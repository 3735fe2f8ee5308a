import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { type RootState, Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import { canonicalTarget, signUrl, verifySignedUrl } from '../../shared/signed_url.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const secret = toBase64url(randomBytes(32))
const rootsWith = (state: RootState, id = 7) => Roots.import([{ id, secret, state }])
const roots = await rootsWith('active')
const NOW = 1_800_000_000_000
const claims = {
  tenant: asTenantNumber(2n ** 40n + 5n),
  region: 'eu',
  issuer: newId('key'),
  scope: 'projects:read',
  expiresAtMs: NOW + 60_000,
}
const origin = 'https://api.example.com'
const request = { origin, method: 'GET', target: '/v1/projects?cursor=a%2Fb&limit=5' }
const url = await signUrl(claims, request, roots)
const full = url.slice(origin.length)

const verify = (text: string, more: { method?: string; origin?: string } = {}, nowMs = NOW) =>
  verifySignedUrl({ origin, method: 'GET', full: text, ...more }, roots, nowMs)

test('a signed URL says offline who signed it, for what, and where to go', async () => {
  expect(url).toMatch(/^https:\/\/api\.example\.com\/v1\/projects\?cursor=a%2Fb&limit=5&signature=cs_[\w-]+$/)
  const verdict = await verify(full)
  expect(verdict).toMatchObject({ outcome: 'verified', target: request.target })
  expect(verdict).toHaveProperty('claims', {
    ...claims,
    rootId: 7,
    nonce: expect.stringMatching(/^[\w-]{22}$/),
  })
})

test('without a query of its own it verifies as well', async () => {
  const bare = await signUrl(claims, { ...request, target: '/v1/projects' }, roots)
  expect(await verify(bare.slice(origin.length))).toMatchObject({
    outcome: 'verified',
    target: '/v1/projects',
  })
})

test('one that is longer than any that is signed is refused, whoever signed it, before its query is read', async () => {
  for (const [length, outcome] of [
    [2_048, 'verified'],
    [2_049, 'refused'],
  ] as const) {
    const target = '/v1/projects?cursor='.padEnd(length, 'a')
    const long = await signUrl(claims, { ...request, target }, roots)
    expect((await verify(long.slice(origin.length))).outcome).toBe(outcome)
  }
})

test('no two are the same', async () => {
  expect(await signUrl(claims, request, roots)).not.toBe(url)
})

const characters = fc.oneof(
  fc.constantFrom(...'/?&=%#+._-~:;@!$,\'()*ABCxyz0129 "<>\\^`{|}\t\n\0'),
  fc.integer({ min: 0, max: 0x7f }).map((code) => String.fromCharCode(code)),
)

test('with any character changed, added or left out it never verifies', async () => {
  const how = fc.constantFrom('change', 'insert', 'drop')
  await fc.assert(
    fc.asyncProperty(fc.nat(full.length), characters, how, async (at, character, change) => {
      const rest = full.slice(change === 'insert' ? at : at + 1)
      const altered = full.slice(0, at) + (change === 'drop' ? '' : character) + rest
      if (altered !== full) expect(await verify(altered), altered).toEqual({ outcome: 'refused' })
    }),
    { numRuns: 2_000 },
  )
})

test('every other character in every place of the signature is refused, non-canonical encodings included', async () => {
  const from = full.indexOf('cs_')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/'
  for (let at = from; at < full.length; at++) {
    for (const character of alphabet) {
      const altered = full.slice(0, at) + character + full.slice(at + 1)
      if (altered === full) continue
      const { outcome } = await verify(altered)
      if (outcome !== 'refused') expect.fail(altered)
    }
  }
})

const signature = full.slice(full.indexOf('signature='))
test.each([
  ['parameters in another order', `/v1/projects?limit=5&cursor=a%2Fb&${signature}`],
  ['a parameter more', `/v1/projects?cursor=a%2Fb&limit=5&x=1&${signature}`],
  ['a parameter less', `/v1/projects?limit=5&${signature}`],
  ['a doubled parameter', `/v1/projects?cursor=a%2Fb&limit=5&limit=5&${signature}`],
  ['a doubled signature', `${full}&${signature}`],
  ['a signature behind another in its other spelling', `${full}&%73ignature=x`],
  ['the signature first', `/v1/projects?${signature}&cursor=a%2Fb&limit=5`],
  ['another case of percent-encoding', full.replace('%2F', '%2f')],
  ['an unneeded percent-encoding', full.replace('limit', 'l%69mit')],
  ['an empty parameter', full.replace('&limit', '&&limit')],
  ['padding', `${full}=`],
])('with %s it is refused', async (_, altered) => {
  expect(await verify(altered)).toEqual({ outcome: 'refused' })
})

test('for another method, or at another public origin, it is refused', async () => {
  for (const method of ['HEAD', 'POST', 'DELETE', 'get']) {
    expect(await verify(full, { method })).toEqual({ outcome: 'refused' })
  }
  for (const other of ['https://api.example.org', 'http://api.example.com', 'https://api.example.com:8443']) {
    expect(await verify(full, { origin: other })).toEqual({ outcome: 'refused' })
  }
})

test('its time ends at the second that it says', async () => {
  expect((await verify(full, {}, claims.expiresAtMs - 1)).outcome).toBe('verified')
  expect((await verify(full, {}, claims.expiresAtMs)).outcome).toBe('expired')
})

test('of a retired root it verifies; of a compromised, unknown or other root nothing does', async () => {
  const by = async (others: Roots) =>
    (await verifySignedUrl({ origin, method: 'GET', full }, others, NOW)).outcome
  expect(await by(await rootsWith('retired'))).toBe('verified')
  expect(await by(await rootsWith('compromised'))).toBe('refused')
  expect(await by(await rootsWith('active', 8))).toBe('refused')
  const other = await Roots.import([{ id: 7, secret: toBase64url(randomBytes(32)), state: 'active' }])
  expect(await by(other)).toBe('refused')
})

test('each tenant has a key of its own: one tenant’s tag fits no other tenant’s head', async () => {
  const root = roots.signing()
  const [one, other] = await Promise.all(
    [1n, 11n].map(async (number) => {
      const key = await root.tenantKey('signed-url v1', asTenantNumber(number))
      return toBase64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, new Uint8Array())))
    }),
  )
  expect(one).not.toBe(other)
})

test('no text makes the parser throw', async () => {
  const text = fc.oneof(
    fc.string(),
    fc.base64String().map((body) => `/v1/x?signature=cs_${body}`),
  )
  await fc.assert(
    fc.asyncProperty(text, async (any) => {
      expect((await verify(any)).outcome).toBe('refused')
    }),
  )
})

test('a path and query have one spelling that can be signed', () => {
  expect(canonicalTarget('/v1/projects?limit=5&cursor=a')).toBe('/v1/projects?cursor=a&limit=5')
  expect(canonicalTarget('/v1/projects')).toBe('/v1/projects')
  for (const none of [
    'v1/projects',
    '//v1/projects',
    '/v1/../v1/projects',
    '/v1/%2e%2e/projects',
    '/v1\\projects',
    '/v1/projects?',
    '/v1/projects#a',
    '/v1/projects?a=1&a=2',
    '/v1/projects?a=1&%61=2',
    '/v1/projects?a=1&&b=2',
    '/v1/projects?=1',
    '/v1/projects?signature=1',
    '/v1/projects?si%67nature=1',
    '/v1/projects?a=ü',
    'https://api.example.com/v1/projects',
  ]) {
    expect(canonicalTarget(none), none).toBeUndefined()
  }
  fc.assert(
    fc.property(fc.webQueryParameters(), (query) => {
      const canonical = canonicalTarget(`/v1/x?${query}`)
      if (canonical !== undefined) expect(canonicalTarget(canonical)).toBe(canonical)
    }),
  )
})
