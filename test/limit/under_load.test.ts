// While a tenant is asked by many at once: from the commit of a change on, no request is served that the change refuses,
// and nobody sees a 5xx. Two real regions in this process, the real edge in workerd.
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { profileSpace, statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { snapshotPath } from '../../shared/edge_calls.ts'
import { PLANS } from '../../shared/plans.ts'
import { namesOf, rowsOfTenant } from '../bench/tenants/rows.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { startRawEdge } from '../support/raw_edge.ts'
import { signedIn } from '../support/signed_in.ts'

const CLIENTS = 8

const engines = new Map<string, Engine>()
let environment: Record<string, string> = {}
let regions: Regions
let edge: { url: string; stop(): void }

beforeAll(async () => {
  regions = await startRegions({}, (variables) => {
    environment = variables
    return startRegion(readConfig(variables), {
      writeLog: () => {},
      async open(options) {
        const engine = await openEngine(options)
        engines.set(variables.REGION ?? '', engine)
        return engine
      },
    })
  })
  edge = await startRawEdge(environment)
})
afterAll(async () => {
  edge.stop()
  await regions.close()
})

interface Seen {
  askedAtMs: number
  answeredAtMs: number
  status: number
  policy: string
  // biome-ignore lint/suspicious/noExplicitAny: a tenant or a problem
  body: any
}

interface Asking {
  method: 'GET' | 'POST'
  path: string
  body?: string
}
const READING: Asking = { method: 'GET', path: '/v1/tenant' }
const CREATING: Asking = { method: 'POST', path: '/v1/projects', body: '{"name":"Moving"}' }

const byKey = (key: string) => ({ authorization: `Bearer ${key}`, 'content-type': 'application/json' })

/** Clients that ask again and again until they are stopped. */
const load = (key: string, what = READING) => loadBy(byKey(key), what)

function loadBy(
  headers: Record<string, string>,
  { path, ...init }: Asking,
): { seen: Seen[]; stop: () => Promise<void> } {
  const seen: Seen[] = []
  let asking = true
  const client = async () => {
    while (asking) {
      const askedAtMs = performance.now()
      const answer = await fetch(edge.url + path, { ...init, headers, redirect: 'manual' })
      const policy = answer.headers.get('ratelimit-policy') ?? ''
      const isJson = answer.headers.get('content-type')?.includes('json')
      const body = isJson ? await answer.json() : await answer.text()
      seen.push({ askedAtMs, answeredAtMs: performance.now(), status: answer.status, policy, body })
    }
  }
  const clients = Array.from({ length: CLIENTS }, client)
  return {
    seen,
    async stop() {
      asking = false
      await Promise.all(clients)
    },
  }
}

async function once(key: string, { path, ...init } = READING) {
  const answer = await fetch(edge.url + path, { ...init, headers: byKey(key) })
  await answer.arrayBuffer()
  return { status: answer.status, rateLimit: answer.headers.get('ratelimit') ?? '' }
}

const enough = async (seen: ReadonlyArray<Seen>) => {
  const from = seen.length
  await expect.poll(() => seen.length, { timeout: 20_000 }).toBeGreaterThan(from + 100)
}

/** @returns when the change was known to be committed. */
async function patch(id: string, body: object): Promise<number> {
  const answer = await regions.ask('us', {
    as: 'operator',
    method: 'PATCH',
    path: `/platform/v1/tenants/${id}`,
    body,
  })
  expect(answer.status).toBe(200)
  return performance.now()
}

const statuses = (seen: ReadonlyArray<Seen>) => [...new Set(seen.map(({ status }) => status))].toSorted()
/** Those asked and answered in this time. */
const asked = (seen: ReadonlyArray<Seen>, fromMs: number, untilMs = Number.POSITIVE_INFINITY) =>
  seen.filter(({ askedAtMs, answeredAtMs }) => askedAtMs >= fromMs && answeredAtMs < untilMs)

async function projectsOf(key: string): Promise<string[]> {
  const ids: string[] = []
  let next: string | null = ''
  while (next !== null) {
    const path = `${edge.url}/v1/projects?limit=100${next && `&cursor=${next}`}`
    const answer = await fetch(path, { headers: byKey(key) })
    expect(answer.status).toBe(200)
    const page = (await answer.json()) as { data: Array<{ id: string }>; nextCursor: string | null }
    ids.push(...page.data.map(({ id }) => id))
    next = page.nextCursor
  }
  return ids.toSorted()
}

/** Those that clients were told they have made. */
const madeBy = (seen: ReadonlyArray<Seen>) =>
  seen.flatMap(({ status, body }) => (status === 201 ? [body.id as string] : [])).toSorted()

test('suspension: no request that comes after its commit is served, and a resumed tenant is not stuck', async () => {
  const { id, key } = await regions.newTenant('suspended', 'us')
  await patch(id, { plan: 'enterprise' })
  const { seen, stop } = load(key)
  const writing = load(key, CREATING)
  await Promise.all([enough(seen), enough(writing.seen)])
  const suspendedMs = await patch(id, { status: 'suspended' })
  await Promise.all([enough(seen), enough(writing.seen)])
  await writing.stop()
  const resumingMs = performance.now()
  const resumedMs = await patch(id, { status: 'active' })
  await enough(seen)
  await stop()
  for (const each of [seen, writing.seen])
    expect(statuses(asked(each, suspendedMs, resumingMs))).toEqual([403])
  // What was refused made nothing.
  expect(await projectsOf(key)).toEqual(madeBy(writing.seen))
  expect(statuses(asked(seen, resumedMs))).toEqual([200])
  expect(statuses(seen)).toEqual([200, 403])
})

test('a revoked key: no request that comes after its commit is served, and another key of the tenant is', async () => {
  const { id, key } = await regions.newTenant('revoking', 'us')
  await patch(id, { plan: 'enterprise' })
  const owner = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const made = await fetch(`${edge.url}/v1/api-keys`, {
    method: 'POST',
    headers: owner,
    body: JSON.stringify({ name: 'Second', scopes: ['*'] }),
  })
  expect(made.status).toBe(201)
  const second = (await made.json()) as { id: string; key: string }
  const { seen, stop } = load(second.key)
  const writing = load(second.key, CREATING)
  const other = load(key)
  await Promise.all([enough(seen), enough(writing.seen)])
  const path = `${edge.url}/v1/api-keys/${second.id}`
  expect((await fetch(path, { method: 'DELETE', headers: owner })).status).toBe(204)
  const revokedMs = performance.now()
  await Promise.all([enough(seen), enough(writing.seen)])
  await Promise.all([stop(), writing.stop(), other.stop()])
  for (const each of [seen, writing.seen]) expect(statuses(asked(each, revokedMs))).toEqual([401])
  expect(await projectsOf(key)).toEqual(madeBy(writing.seen))
  expect(statuses(seen)).toEqual([200, 401])
  expect(statuses(other.seen)).toEqual([200])
})

test('a session that is ended: no page is shown to it that is asked for after its commit', async () => {
  const { id, key } = await regions.newTenant('signing-out', 'us')
  await patch(id, { plan: 'enterprise' })
  const ask = (path: string, method = 'GET', body?: string) =>
    fetch(`${edge.url}/v1/${path}`, { method, headers: byKey(key), ...(body && { body }) })
  const made = await ask('admin-links', 'POST', '{"role":"admin","email":"ada@signing-out.example"}')
  const { url } = (await made.json()) as { url: string }
  const cookie = await signedIn(edge.url, 'signing-out', url)
  const { seen, stop } = loadBy({ cookie }, { method: 'GET', path: '/admin/signing-out/projects' })
  await enough(seen)
  const [session] = ((await (await ask('sessions')).json()) as { data: Array<{ id: string }> }).data
  expect((await ask(`sessions/${session?.id}`, 'DELETE')).status).toBe(204)
  const endedMs = performance.now()
  await enough(seen)
  await stop()
  expect(statuses(asked(seen, endedMs))).toEqual([401])
  expect(statuses(seen)).toEqual([200, 401])
})

test('on the smallest plan one client gets its whole share of the burst before it is refused, and hears no sooner when to come back', async () => {
  const share = PLANS.free.burst * 0.8
  for (const more of [[], [CREATING]]) {
    const { id, key } = await regions.newTenant(`bursting-${more.length}`, 'us')
    await patch(id, { plan: 'free' })
    const turns = [READING, ...more]
    const answers = []
    // The edge hears of the plan.
    answers.push(await once(key))
    for (let i = 1; i < 1.5 * share; i += CLIENTS)
      answers.push(
        ...(await Promise.all(Array.from({ length: CLIENTS }, (_, j) => once(key, turns[j % turns.length])))),
      )
    const begun = answers.slice(0, share)
    expect(begun.map(({ status }) => status >= 300)).toEqual(begun.map(() => false))
    expect(begun.slice(0, -CLIENTS).filter(({ rateLimit }) => rateLimit.includes(';t='))).toEqual([])
    const refused = answers.filter(({ status }) => status === 429)
    expect(refused.filter(({ rateLimit }) => !rateLimit.startsWith('"ip";r=0;t='))).toEqual([])
  }
})

test('a smaller plan holds within a second of the next forward', async () => {
  const { id, key } = await regions.newTenant('shrinking', 'us')
  await patch(id, { plan: 'enterprise' })
  const { seen, stop } = load(key)
  await enough(seen)
  const changedMs = await patch(id, { plan: 'free' })
  await pause(3_000)
  await stop()
  const after = asked(seen, changedMs + 1_000)
  expect(new Set(after.map(({ policy }) => policy.split(',')[0]))).toEqual(new Set(['"tenant";q=40;w=2']))
  // Whatever was asked under the larger plan, at most the burst remains, and 20 a second.
  expect(after.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(40 + 20 * 2 + CLIENTS)
  expect(statuses(seen)).toEqual([200, 429])
  const widenedMs = await patch(id, { plan: 'enterprise' })
  const again = load(key)
  await expect
    .poll(() => asked(again.seen, widenedMs).some(({ policy }) => policy.includes('q=10000')), {
      timeout: 5_000,
    })
    .toBe(true)
  await again.stop()
})

test('a full bucket locks nobody out: lowered to next to nothing, and raised again, the tenant is served within two seconds', async () => {
  const { id, key } = await regions.newTenant('lowered', 'us')
  await patch(id, { limits: { requestsPerSecond: 20, burst: 1_000 } })
  const { seen, stop } = load(key)
  await expect.poll(() => seen.length, { timeout: 30_000 }).toBeGreaterThan(500)
  const loweredMs = await patch(id, { limits: { requestsPerSecond: 1, burst: 5 } })
  await expect.poll(() => asked(seen, loweredMs).at(-1)?.status).toBe(429)
  const raisingMs = performance.now()
  const raisedMs = await patch(id, { limits: { requestsPerSecond: 1_000, burst: 4_000 } })
  const again = () =>
    asked(seen, raisedMs).find(({ status, policy }) => status === 200 && policy.startsWith('"tenant";q=4000'))
  await expect.poll(again, { timeout: 10_000 }).toBeDefined()
  await enough(seen)
  await stop()
  expect(statuses(seen)).toEqual([200, 429])
  const lowered = asked(seen, loweredMs + 1_000, raisingMs)
  expect(lowered.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(
    5 + (raisingMs - loweredMs) / 1_000,
  )
  const { askedAtMs, answeredAtMs } = again() ?? { askedAtMs: Number.POSITIVE_INFINITY, answeredAtMs: 0 }
  expect(askedAtMs - raisedMs).toBeLessThan(2_000)
  expect(statuses(asked(seen, answeredAtMs))).toEqual([200])
})

test('a move: from the commit of the tombstone on the new region answers, and nobody notices', async () => {
  const { id, key } = await regions.newTenant('moving', 'us')
  await patch(id, { plan: 'enterprise' })
  const { seen, stop } = load(key)
  const writing = load(key, CREATING)
  await Promise.all([enough(seen), enough(writing.seen)])
  await copyTo('eu', { id, slug: 'moving' })
  const movedMs = await leaveFor('eu', { id, slug: 'moving' })
  await Promise.all([enough(seen), enough(writing.seen)])
  await Promise.all([stop(), writing.stop()])
  expect(statuses(seen)).toEqual([200])
  expect(statuses(writing.seen)).toEqual([201])
  // What was written after the copy is written where the tenant is now; none of it twice.
  const made = asked(writing.seen, movedMs).map(({ body }) => body.id)
  expect(new Set(made).size).toBe(made.length)
  for (const project of made) {
    const { status } = await fetch(`${edge.url}/v1/projects/${project}`, {
      headers: { authorization: `Bearer ${key}` },
    })
    expect(status).toBe(200)
  }
  expect(new Set(asked(seen, movedMs).map(({ body }) => body.region))).toEqual(new Set(['eu']))
  expect(seen.some(({ body }) => body.region === 'us')).toBe(true)
  // An edge that asks for its limits is led there too.
  const path = snapshotPath(namesOf({ id, slug: 'moving' }).number, undefined)
  const { body } = await regions.ask('us', { as: { kind: 'edge' }, path })
  expect(body).toEqual({ snapshot: null, movedTo: 'eu' })
})

const database = (region: string): RegionDatabase => {
  const engine = engines.get(region)
  if (engine === undefined) throw new Error(`no region ${region}`)
  return new RegionDatabase(engine.native, keySpace(''), () => {})
}

/** Stands in for the move of the data, which is not built yet. */
async function copyTo(region: string, tenant: { id: string; slug: string }): Promise<void> {
  const [from, to] = [engines.get('us'), engines.get(region)]
  if (from === undefined || to === undefined) throw new Error('no regions')
  const { number } = namesOf(tenant)
  const own = keySpace('').tenant(number)
  const tn = to.native.createTransaction()
  for (const { key, value } of await rowsOfTenant(from.native, namesOf(tenant))) {
    if (key.subarray(0, own.length).equals(own)) tn.set(key, value)
  }
  await tn.commit()
  await database(region).tenant(number, async (scope) => {
    const [status, profile] = [scope.system('status', statusSpace), scope.system('profile', profileSpace)]
    const [before, described] = await Promise.all([status.get(['status']), profile.get(['profile'])])
    if (before === undefined || described === undefined) throw new Error('nothing was copied')
    status.set(['status'], { ...before, epoch: before.epoch + 1 })
    profile.set(['profile'], { ...described, region })
    return { value: undefined, commit: true }
  })
}

/** @returns when the tombstone was known to be committed. */
async function leaveFor(region: string, tenant: { id: string; slug: string }): Promise<number> {
  await database('us').tenant(namesOf(tenant).number, async (scope) => {
    const status = scope.system('status', statusSpace)
    const before = await status.get(['status'])
    if (before === undefined) throw new Error('no such tenant')
    status.set(['status'], { ...before, status: 'moved', movedTo: region })
    return { value: undefined, commit: true }
  })
  return performance.now()
}

test("what the edge refused by itself is in the region's metrics", async () => {
  const { id, key } = await regions.newTenant('counted', 'us')
  await patch(id, { plan: 'free' })
  const { seen, stop } = load(key)
  await expect
    .poll(() => seen.filter(({ status }) => status === 429).length, { timeout: 20_000 })
    .toBeGreaterThan(20)
  await stop()
  await expect
    .poll(async () => {
      // The counts wait for the next request that is admitted.
      await fetch(`${edge.url}/v1/tenant`, { headers: { authorization: `Bearer ${key}` } })
      const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
      return Number(/coditect_edge_decisions_total\{decision="throttled".*\} (\d+)/.exec(text)?.[1] ?? 0)
    })
    .toBeGreaterThan(20)
})
