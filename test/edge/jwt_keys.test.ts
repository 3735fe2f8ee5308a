// The keys of issuers that are down, slow, rotated or lying: known keys go on, the rest is a clear refusal.
import { importJWK, SignJWT } from 'jose'
import { expect, inject, test, vi } from 'vitest'
import { cachedKeys } from '../../edge/identify/oidc/key_store.ts'
import { ALGORITHMS, type Behaviour, type Token } from '../support/oidc_tokens.ts'
import {
  askedOf,
  behave,
  edgeForTokens,
  memoryStore,
  newTenant,
  sayProviders,
  type TestTenant,
  tokenFor,
} from './jwt_support.ts'
import { bearer, newMarker, seen } from './support.ts'

type Edge = Awaited<ReturnType<typeof edgeForTokens>>

const come = (edge: Edge, token: string, marker = newMarker()) =>
  edge.request(`http://edge/v1/projects?${marker}`, { headers: bearer(token) })

async function code(answer: Response | Promise<Response>): Promise<[number, string | undefined]> {
  const response = await answer
  const { status } = response
  return [status, status < 400 ? undefined : (await response.json<{ code: string }>()).code]
}

/** An edge whose clock and background work are the test's. */
async function steered(store = memoryStore()) {
  const clock = { nowMs: Date.now() }
  const background: Promise<unknown>[] = []
  const edge = await edgeForTokens({
    // The limiter has background work of its own.
    leases: undefined,
    keyStore: store,
    now: () => clock.nowMs,
    waitUntil: (work) => void background.push(work),
  })
  return { edge, clock, settled: () => Promise.all(background.splice(0)) }
}

const LYING: Behaviour[] = [
  'down',
  'html',
  'huge',
  'redirect',
  'redirect_keys',
  'private_keys_address',
  'another_issuer',
  'no_keys',
]

test.each(LYING)(
  'an issuer that is never had but %s: 503, and not asked at every token',
  async (behaviour) => {
    const { edge, clock } = await steered()
    const tenant = await newTenant()
    await behave(tenant, behaviour)
    const token = await tokenFor(tenant)
    const first = await come(edge, token)
    expect(first.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await code(first)).toEqual([503, 'identity_provider_unavailable'])
    const asked = await askedOf(tenant)
    for (let i = 0; i < 5; i++) expect((await come(edge, token)).status).toBe(503)
    expect(await askedOf(tenant)).toBe(asked)
    expect(await askedOf({ name: `elsewhere-${tenant.name}` })).toBe(0)
    await behave(tenant, 'well')
    clock.nowMs += 2_001
    expect((await come(edge, token)).status).toBe(200)
  },
)

test.each([...LYING, 'silent' as const])(
  'keys that are known go on while the issuer is %s',
  async (behaviour) => {
    const { edge, clock, settled } = await steered()
    const tenant = await newTenant()
    expect((await come(edge, await tokenFor(tenant))).status).toBe(200)
    await behave(tenant, behaviour)
    for (const minutes of [6, 600]) {
      clock.nowMs += minutes * 60_000
      const exp = Math.floor(clock.nowMs / 1000) + 60
      expect((await come(edge, await tokenFor(tenant, { sub: `p${minutes}`, exp }))).status).toBe(200)
      await settled()
    }
    clock.nowMs += 24 * 60 * 60_000
    const exp = Math.floor(clock.nowMs / 1000) + 60
    expect((await come(edge, await tokenFor(tenant, { exp }))).status).toBe(503)
  },
)

test('an issuer that is silent is waited for no longer than a few seconds', async () => {
  const { edge } = await steered()
  const tenant = await newTenant()
  await behave(tenant, 'silent')
  const beganMs = Date.now()
  expect(await code(come(edge, await tokenFor(tenant)))).toEqual([503, 'identity_provider_unavailable'])
  expect(Date.now() - beganMs).toBeLessThan(5_000)
})

test('keys come as JSON whatever their content type says', async () => {
  const { edge } = await steered()
  const tenant = await newTenant()
  await behave(tenant, 'plain_text')
  expect((await come(edge, await tokenFor(tenant))).status).toBe(200)
})

test('a rotated key is found by asking again, once in 30 seconds at most, and the old one ends', async () => {
  const { edge, clock } = await steered()
  const tenant = await newTenant()
  const [old, rotated] = [await tokenFor(tenant), await tokenFor(tenant, { set: 2 })]
  expect((await come(edge, old)).status).toBe(200)
  await behave(tenant, 'rotated')
  const asked = await askedOf(tenant)
  for (let i = 0; i < 20; i++) {
    expect(await code(come(edge, await tokenFor(tenant, { header: { kid: `invented-${i}` } })))).toEqual([
      401,
      'credential_invalid',
    ])
  }
  expect((await come(edge, rotated)).status).toBe(401)
  expect(await askedOf(tenant)).toBe(asked)
  clock.nowMs += 30_001
  expect((await come(edge, rotated)).status).toBe(200)
  expect(await askedOf(tenant)).toBe(asked + 2)
  for (let i = 0; i < 20; i++) {
    expect((await come(edge, await tokenFor(tenant, { header: { kid: `more-${i}` } }))).status).toBe(401)
  }
  expect(await askedOf(tenant)).toBe(asked + 2)
  // Verified before, and remembered; but its key is none of the issuer's any more.
  expect((await come(edge, old)).status).toBe(401)
})

test('a key that a healthy issuer has taken away opens nothing after ten minutes, not even once', async () => {
  const { edge, clock } = await steered()
  const tenant = await newTenant()
  const old = await tokenFor(tenant, { exp: Math.floor(Date.now() / 1000) + 3_600 })
  expect((await come(edge, old)).status).toBe(200)
  await behave(tenant, 'rotated')
  clock.nowMs += 10 * 60_000
  expect(await code(come(edge, old))).toEqual([401, 'credential_invalid'])
})

test('keys live for a day from when their issuer said them, however many isolates have begun since', async () => {
  const store = memoryStore()
  const tenant = await newTenant()
  const beganMs = Date.now()
  const comeAfter = async (hours: number) => {
    const { edge, clock } = await steered(store)
    clock.nowMs = beganMs + hours * 3_600_000
    const token = () => tokenFor(tenant, { exp: Math.floor(clock.nowMs / 1000) + 60 })
    const first = (await come(edge, await token())).status
    clock.nowMs += 3_600_000
    return [first, (await come(edge, await token())).status]
  }
  expect(await comeAfter(0)).toEqual([200, 200])
  await behave(tenant, 'down')
  // The last it said, it said after one hour.
  expect(await comeAfter(22)).toEqual([200, 200])
  expect(await comeAfter(24.5)).toEqual([200, 503])
  expect(await comeAfter(25.5)).toEqual([503, 503])
})

test('a token that names no key is held against those that it may be of', async () => {
  const { edge, clock } = await steered()
  const tenant = await newTenant()
  const nameless = (set: 1 | 2, more: Token = {}) =>
    tokenFor(tenant, { set, header: { kid: undefined }, ...more })
  const status = async (token: Promise<string>) => (await come(edge, await token)).status
  expect(await status(nameless(1))).toBe(200)
  // Of a key that is not there yet.
  expect(await status(nameless(2))).toBe(401)
  await behave(tenant, 'both_sets')
  clock.nowMs += 10 * 60_000
  const exp = Math.floor(clock.nowMs / 1000) + 60
  for (const alg of ALGORITHMS) {
    for (const set of [1, 2] as const) expect(await status(nameless(set, { alg, exp }))).toBe(200)
  }
  const [head, body] = (await nameless(1, { exp, sub: 'bob' })).split('.')
  const signature = (await nameless(1, { exp })).split('.')[2]
  expect((await come(edge, `${head}.${body}.${signature}`)).status).toBe(401)
  expect(await status(nameless(1, { exp, aud: 'another', iss: tenant.issuer }))).toBe(401)
  expect(await status(nameless(2, { exp: exp - 120 }))).toBe(401)
  // Whoever is named has to be the one.
  expect(await status(tokenFor(tenant, { exp, header: { kid: 'ES256-2' } }))).toBe(401)
})

/** Signed by the key of one algorithm, as another. */
async function signedAs(tenant: TestTenant, alg: string, keyId: string, header: object = {}) {
  const jwk = inject('issuers').privateKeys.find(({ kid }) => kid === keyId)
  const token = { iss: tenant.issuer, aud: tenant.audience, sub: 'ann' }
  const exp = Math.floor(Date.now() / 1000) + 300
  return new SignJWT({ ...token, exp })
    .setProtectedHeader({ alg, kid: keyId, ...header })
    .sign(await importJWK({ ...jwk, alg }, alg))
}

test('a key is for the algorithm that its issuer says, whatever the token says', async () => {
  const { edge } = await steered()
  const tenant = await newTenant()
  for (const [alg, keyId] of [
    ['PS256', 'RS256-1'],
    ['RS256', 'PS256-1'],
  ] as const) {
    expect((await come(edge, await signedAs(tenant, keyId.slice(0, 5), keyId))).status).toBe(200)
    for (const header of [{}, { kid: undefined }]) {
      const token = await signedAs(tenant, alg, keyId, header)
      expect(await code(come(edge, token))).toEqual([401, 'credential_invalid'])
    }
  }
})

test('where an issuer does not say, a key is for the algorithms of its type, and found among those', async () => {
  const { edge } = await steered()
  const tenant = await newTenant()
  await behave(tenant, 'without_alg')
  for (const alg of ALGORITHMS) {
    for (const set of [1, 2] as const) {
      for (const header of [{}, { kid: undefined }])
        expect((await come(edge, await tokenFor(tenant, { alg, set, header }))).status).toBe(200)
    }
    const others = ['RS256-1', 'ES256-1', 'EdDSA-1'].filter((kid) => !kid.startsWith(alg.replace('PS', 'RS')))
    for (const kid of others) {
      const token = await tokenFor(tenant, { alg, header: { kid } })
      expect(await code(come(edge, token))).toEqual([401, 'credential_invalid'])
    }
  }
})

test('fifty first tokens at once ask an issuer once', async () => {
  const { edge } = await steered()
  const tenant = await newTenant()
  const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) => tokenFor(tenant, { sub: `p${i}` })))
  const answers = await Promise.all(tokens.map((token) => come(edge, token)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(await askedOf(tenant)).toBe(2)
})

test('isolates of one data centre share what one has fetched, also when the issuer has gone', async () => {
  const store = cachedKeys(3_600)
  const one = await steered(store)
  const tenant = await newTenant()
  expect((await come(one.edge, await tokenFor(tenant))).status).toBe(200)
  await one.settled()
  await behave(tenant, 'down')
  const asked = await askedOf(tenant)
  const another = await steered(store)
  expect((await come(another.edge, await tokenFor(tenant))).status).toBe(200)
  expect(await askedOf(tenant)).toBe(asked)
  const late = await steered(store)
  late.clock.nowMs += 10 * 60_000
  const exp = Math.floor(late.clock.nowMs / 1000) + 60
  expect((await come(late.edge, await tokenFor(tenant, { exp }))).status).toBe(200)
})

test('a cache that fails is as good as none', async () => {
  const failing = vi.spyOn(caches, 'open').mockRejectedValue(new Error('no cache here'))
  try {
    const { edge, settled } = await steered(cachedKeys(3_600))
    const tenant = await newTenant()
    expect((await come(edge, await tokenFor(tenant))).status).toBe(200)
    await settled()
    expect(failing).toHaveBeenCalled()
  } finally {
    failing.mockRestore()
  }
})

test('known tokens cost no call but the forward', async () => {
  const { edge } = await steered()
  const tenant = await newTenant()
  const token = await tokenFor(tenant)
  expect((await come(edge, token)).status).toBe(200)
  const fetching = vi.spyOn(globalThis, 'fetch')
  try {
    for (let i = 0; i < 10; i++) expect((await come(edge, token)).status).toBe(200)
    expect(await tokenFor(tenant, { sub: 'bob' }).then((bobs) => come(edge, bobs))).toMatchObject({
      status: 200,
    })
    expect(fetching).toHaveBeenCalledTimes(11)
  } finally {
    fetching.mockRestore()
  }
})

test('tokens of tenants that are not there are looked up once', async () => {
  const { edge } = await steered()
  // Where the tenant lives, and whose tokens it takes.
  const asked = async ({ number }: TestTenant) => [
    (await seen(`tenants/number/${number}`)).length,
    (await seen(`identity-providers/${number}`)).length,
  ]
  const gone = await newTenant()
  await sayProviders(gone, null as never)
  const statuses = new Set<number>()
  for (let i = 0; i < 5; i++) statuses.add((await come(edge, await tokenFor(gone))).status)
  expect([...statuses]).toEqual([401])
  expect(await asked(gone)).toEqual([1, 1])
})
