// What edges ask regions for strangers: no address can take so much of it that there is nothing left for the others.
import { expect, test } from 'vitest'
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { memoryStore, newTenant, sayProviders, tokenFor } from './jwt_support.ts'
import { bearer, edgeTo, newHookPath, newKey, ROOTS, seen } from './support.ts'

const BASE_DOMAIN = 'orgs.test'
const STRANGER = '192.0.2.1'
const OTHER = '192.0.2.2'
/** More than all addresses together may have asked at once. */
const FLOOD = 300

/** An edge on a clock that stands still, and a way to ask it from an address. */
async function newEdge() {
  const nowMs = Date.now()
  const options = { keyStore: memoryStore(), now: () => nowMs }
  const edge = await edgeTo(undefined, undefined, { BASE_DOMAIN, DEVELOPMENT_ISSUERS: 'on' }, options)
  return (address: string, url: string, headers: Record<string, string> = {}, method = 'GET') =>
    edge.request(new Request(url, { method, headers, cf: { clientIp: `${address}:50000` } }))
}

async function keyOf(tenant: TenantNumber): Promise<string> {
  const claims = { keyId: newId('key'), tenant, region: 'us' }
  return (await mintApiKey('test', claims, await Roots.import([ROOTS[0]]))).text
}

type Flood = (ask: Awaited<ReturnType<typeof newEdge>>, i: number) => Promise<Response>
const at = (i: number) => `http://n${i}-${crypto.randomUUID()}.${BASE_DOMAIN}/v1/projects`
const there = (tenant: { slug: string }) => `http://${tenant.slug}.${BASE_DOMAIN}/v1/projects`

/** Tenants that are there, all with a token that is wrong for them. */
const victims = Promise.all(Array.from({ length: 60 }, () => newTenant()))

const FLOODS: Array<[string, Flood]> = [
  ['nothing, at invented hosts', async (ask, i) => ask(STRANGER, at(i))],
  ['an invented key, at invented hosts', async (ask, i) => ask(STRANGER, at(i), bearer('ck_test_x'))],
  ['a key, at invented hosts', async (ask, i) => ask(STRANGER, at(i), bearer(await newKey()))],
  [
    'tokens of their own, at invented hosts',
    async (ask, i) => ask(STRANGER, at(i), bearer(await tokenFor(await newTenant(), { aud: 'x' }))),
  ],
  [
    'tokens for invented tenants',
    async (ask) => {
      const nobody = await newTenant()
      await sayProviders(nobody, null as never)
      return ask(STRANGER, 'http://api.test/v1/projects', bearer(await tokenFor(nobody)))
    },
  ],
  [
    'tokens of nobody’s for tenants that are there, again and again',
    async (ask, i) => {
      const victim = (await victims)[i % 60]
      if (victim === undefined) throw new Error('no victim')
      return ask(STRANGER, there(victim), bearer(await tokenFor(victim, { iss: 'https://x.example' })))
    },
  ],
  [
    'a webhook, at invented hosts',
    async (ask, i) => ask(STRANGER, at(i).replace('/v1/projects', await newHookPath()), {}, 'POST'),
  ],
]

test.each(FLOODS)(
  'a flood from one address with %s leaves another’s cold tenants answered',
  async (_, flood) => {
    const ask = await newEdge()
    for (let i = 0; i < FLOOD; i += 20) {
      await Promise.all(Array.from({ length: 20 }, async (_, j) => (await flood(ask, i + j)).text()))
    }
    for (let i = 0; i < 6; i++) {
      const tenant = await newTenant(undefined, { audience: 'my-app' })
      expect((await ask(OTHER, there(tenant), bearer(await keyOf(tenant.number)))).status).toBe(200)
      expect((await ask(OTHER, there(tenant), bearer(await tokenFor(tenant)))).status).toBe(200)
    }
  },
)

test('a host that nobody has claimed is looked up once, however often one address asks there', async () => {
  const ask = await newEdge()
  const tenant = await newTenant()
  const own = [await keyOf(tenant.number), await tokenFor(tenant)]
  for (let i = 0; i < 60; i++) {
    for (const credential of own) {
      const answer = await ask(STRANGER, 'http://elsewhere.example/v1/projects', bearer(credential))
      expect(answer.status).toBe(200)
    }
  }
})

test('who shows no credential, or an invented one, has no region asked', async () => {
  const ask = await newEdge()
  const url = at(0)
  for (const headers of [{}, bearer('ck_test_invented'), { authorization: 'Basic YTpi' }]) {
    expect((await ask(STRANGER, url, headers)).status).toBe(401)
  }
  expect(await seen(new URL(url).hostname.split('.')[0] ?? '')).toEqual([])
})

test('names that lead nowhere count as failed attempts of the address that tries them', async () => {
  const edge = await edgeTo(undefined, undefined, {
    BASE_DOMAIN,
    FAILURE_LIMIT: JSON.stringify({ rate: 0.01, burst: 3 }),
  })
  const key = await newKey()
  const ask = (url: string) =>
    edge.request(new Request(url, { headers: bearer(key), cf: { clientIp: `${STRANGER}:1` } }))
  for (let i = 0; i < 3; i++) expect((await ask(at(i))).status).toBe(403)
  expect((await ask(at(3))).status).toBe(429)
  expect((await ask('http://api.test/v1/projects')).status).toBe(200)
})

test('a key at its own host needs no directory: where there is no time to ask, the region holds the name against it', async () => {
  const ask = await newEdge()
  const spent = Array.from({ length: FLOOD }, async (_, i) => ask(OTHER, at(i), bearer(await newKey())))
  await Promise.all(spent)
  const tenant = await newTenant()
  const marker = crypto.randomUUID()
  const answer = await ask(OTHER, `${there(tenant)}?${marker}`, bearer(await keyOf(tenant.number)))
  expect(answer.status).toBe(200)
  const [reached] = await seen(marker)
  const assertion = reached?.headers['coditect-assertion']?.split('.')[1] ?? ''
  expect(atob(assertion.replaceAll('-', '+').replaceAll('_', '/'))).toContain(tenant.slug)
  // A name beside it can’t be told for the same one.
  const elsewhere = { ...bearer(await keyOf(tenant.number)), 'x-tenant': 'elsewhere' }
  expect((await ask(OTHER, there(tenant), elsewhere)).status).toBe(503)
})
