// A new signing root: edges learn it, then regions mint with it, then the old one retires, and is given up as compromised.
// All the while clients ask, with keys of both and a session of the old one, and nobody is refused.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { toBase64url } from '../../shared/bytes.ts'
import { mintApiKey, verifyApiKey } from '../../shared/credentials/api_key.ts'
import { type RootState, Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { startRawEdge } from '../support/raw_edge.ts'
import { signedIn } from '../support/signed_in.ts'

const CLIENTS = 4
const fresh = { id: 2, secret: toBase64url(new Uint8Array(32).fill(9)) }
let environment: Record<string, string> = {}
let regions: Regions

/** What a part of the platform knows. */
function rootsAs(old: RootState, added?: RootState): string {
  const [first] = JSON.parse(environment.SIGNING_ROOTS ?? '[]') as [{ id: number; secret: string }]
  return JSON.stringify([{ ...first, state: old }, ...(added ? [{ ...fresh, state: added }] : [])])
}

interface Caller {
  path: string
  headers: Record<string, string>
}

const byKey = (key: string): Caller => ({ path: '/v1/tenant', headers: { authorization: `Bearer ${key}` } })

beforeAll(async () => {
  regions = await startRegions({}, (variables) => {
    if (variables.REGION === 'us') environment = variables
    // This region was given the new root first.
    const own = variables.REGION === 'eu' ? { SIGNING_ROOTS: rootsAs('retired', 'active') } : {}
    return startRegion(readConfig({ ...variables, ...own }), { writeLog: () => {} })
  })
})
afterAll(() => regions.close())

test('signing roots rotate without a refused request', async () => {
  const old = await regions.newTenant('of-the-old-root', 'us')
  const added = await regions.newTenant('of-the-new-root', 'eu')
  const all = await Roots.import(JSON.parse(rootsAs('retired', 'active')))
  const rootOf = async (key: string) => {
    const verdict = await verifyApiKey(key, all)
    return verdict.outcome === 'refused' ? undefined : verdict.key.rootId
  }
  expect([await rootOf(old.key), await rootOf(added.key)]).toEqual([1, 2])

  const edges: Array<{ url: string; stop(): void }> = []
  let asking = true
  const callers = [byKey(old.key)]
  const seen = new Map<number, number>()
  const served = () => seen.get(200) ?? 0
  const ask = async ({ path, headers }: Caller): Promise<number> => {
    const { url } = edges.at(-1) ?? { url: '' }
    const answer = await fetch(url + path, { headers, redirect: 'manual' })
    await answer.arrayBuffer()
    return answer.status
  }
  // biome-ignore lint/suspicious/noExplicitAny: whatever the path answers
  const call = async (method: string, path: string, body: object = {}): Promise<any> => {
    const headers = { authorization: `Bearer ${old.key}`, 'content-type': 'application/json' }
    const { url } = edges.at(-1) ?? { url: '' }
    return (await fetch(url + path, { method, headers, body: JSON.stringify(body) })).json()
  }
  const client = async () => {
    for (let turn = 0; asking; turn++) {
      const status = await ask(callers[turn % callers.length] ?? byKey(old.key))
      seen.set(status, (seen.get(status) ?? 0) + 1)
    }
  }
  const roll = async (roots: string) => {
    edges.push(await startRawEdge({ ...environment, SIGNING_ROOTS: roots, LIMITS: 'off' }))
    const from = served()
    await expect.poll(served, { timeout: 20_000 }).toBeGreaterThan(from + 50)
  }

  edges.push(await startRawEdge({ ...environment, SIGNING_ROOTS: rootsAs('active'), LIMITS: 'off' }))
  // Why edges are first.
  expect(await ask(byKey(added.key))).toBe(401)
  const link = await call('POST', '/v1/admin-links', { role: 'admin', email: 'ada@old.example' })
  const cookie = await signedIn(edges[0]?.url ?? '', 'of-the-old-root', link.url)
  const session = { path: '/admin/of-the-old-root/', headers: { cookie } }
  callers.push(session)
  const source = await call('POST', '/v1/webhook-sources', {
    name: 'Theirs',
    provider: 'github',
    secret: 'of-the-third-party',
  })
  const clients = Array.from({ length: CLIENTS }, client)
  try {
    await roll(rootsAs('active', 'retired'))
    callers.push(byKey(added.key))
    await roll(rootsAs('active', 'retired'))
    await roll(rootsAs('retired', 'active'))
    // Whoever has the old secret could make sessions.
    callers.splice(callers.indexOf(session), 1)
    await roll(rootsAs('compromised', 'active'))
    expect(await ask(session)).not.toBe(200)
  } finally {
    asking = false
    await Promise.all(clients)
  }
  expect([...seen.keys()]).toEqual([200])
  // Third parties call on: the region is who finds that this one has not signed.
  const hook = new URL(source.url).pathname
  expect(await call('POST', hook)).toMatchObject({ code: 'signature_invalid' })

  // Whoever has the old secret can make tags, and no key that a region knows.
  const theirs = await Roots.import(JSON.parse(rootsAs('active')))
  const verdict = await verifyApiKey(old.key, theirs)
  if (verdict.outcome === 'refused') throw new Error('not a key')
  const { tenant, region } = verdict.key
  const forged = await mintApiKey('test', { region, tenant, keyId: newId('key') }, theirs)
  expect(await ask(byKey(forged.text))).toBe(401)
  for (const edge of edges) edge.stop()
})
