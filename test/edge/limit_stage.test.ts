import fc from 'fast-check'
import { expect, inject, test, vi } from 'vitest'
import { readBindings } from '../../edge/env.ts'
import { costOf } from '../../edge/limit/cost.ts'
import { mostRestrictive, policyField, rateLimitField } from '../../edge/limit/fields.ts'
import { FIRST_LIMITS, FIRST_STREAMS } from '../../edge/limit/first_limits.ts'
import type { LeaseSource } from '../../edge/limit/limiter.ts'
import { createEdge } from '../../edge/pipeline.ts'
import { POLICIES } from '../../shared/limits.ts'
import { PLANS, rateLimitsOf } from '../../shared/plans.ts'
import { type TenantSnapshot, writeSnapshot } from '../../shared/snapshot.ts'
import { eventually } from '../support/eventually.ts'
import { memoryLeases } from './memory_leases.ts'
import { bearer, bindings, newKey, newMarker, saySnapshot, seen, TENANT_NUMBER } from './support.ts'

const { steady, other } = inject('regions')
const key = await newKey()
const small = { rate: 1, burst: 4 }
const wide = { rate: 1_000, burst: 1_000 }
const snapshot: TenantSnapshot = {
  epoch: 1,
  version: 1,
  region: 'us',
  plan: 'team',
  limits: { tenant: wide, key: wide, ip: wide },
  streams: 10,
  corsOrigins: [],
}

async function edgeOver(
  leases: LeaseSource,
  regions: Record<string, string[]> = { us: [steady], eu: [other] },
) {
  const config = await readBindings(await bindings({ REGIONS: JSON.stringify(regions) }))
  const edge = createEdge(config, { leases })
  const ask = (path: string, init: RequestInit = {}, from = '192.0.2.1:5000', as = key) =>
    edge.request(
      new Request(`http://edge${path}`, {
        ...init,
        headers: { ...bearer(as), ...init.headers },
        cf: { clientIp: from },
      }),
    )
  /** A forward on whose answer the region tells this snapshot. */
  const told = (what: TenantSnapshot) => ask(`/v1/told?snapshot=${encodeURIComponent(writeSnapshot(what))}`)
  return { ask, told }
}

const broken: LeaseSource = async () => {
  throw new Error('no way there')
}

test('an admitted answer says how much is left, and by which policies', async () => {
  const { ask } = await edgeOver(memoryLeases())
  const { headers } = await ask('/v1/projects')
  expect(headers.get('ratelimit')).toMatch(/^"(tenant|key|ip)";r=\d+(;t=\d+)?$/)
  expect(headers.get('ratelimit-policy')).toBe('"tenant";q=1000;w=2, "key";q=900;w=2, "ip";q=800;w=2')
})

test.each([
  ['tenant', { ...snapshot.limits, tenant: small }],
  ['key', { ...snapshot.limits, key: small }],
  ['ip', { ...snapshot.limits, ip: small }],
] as const)(
  'beyond the limit of the %s: 429, Retry-After, and no region is asked',
  async (policy, limits) => {
    const { ask, told } = await edgeOver(memoryLeases())
    expect((await told({ ...snapshot, limits })).status).toBe(200)
    const statuses: number[] = []
    for (let i = 0; i < 20; i++) statuses.push((await ask('/v1/tenant')).status)
    // What was leased under the first limit may still be spent for a second.
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(12)
    const marker = newMarker()
    const refused = await ask(`/v1/tenant?${marker}`)
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({ code: 'rate_limited' })
    expect(refused.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    expect(refused.headers.get('ratelimit')).toBe(`"${policy}";r=0;t=${refused.headers.get('retry-after')}`)
    expect(await seen(marker)).toEqual([])
  },
)

test("another key, or another address, is not refused for the first one's sake", async () => {
  const limits = { tenant: wide, key: small, ip: small }
  const { ask, told } = await edgeOver(memoryLeases())
  await told({ ...snapshot, limits })
  for (let i = 0; i < 6; i++) await ask('/v1/tenant')
  expect((await ask('/v1/tenant')).status).toBe(429)
  expect((await ask('/v1/tenant', {}, '192.0.2.2:5000', await newKey())).status).toBe(200)
})

test('a wider limit on the next forward lifts the refusal at once', async () => {
  const { ask, told } = await edgeOver(memoryLeases())
  await told({ ...snapshot, limits: { ...snapshot.limits, tenant: { rate: 1, burst: 6 } } })
  const first = await ask('/v1/tenant')
  expect(first.headers.get('ratelimit-policy')).toContain('"tenant";q=6;w=6')
  await told({ ...snapshot, version: 2 })
  for (let i = 0; i < 20; i++) expect((await ask('/v1/tenant')).status).toBe(200)
})

test('while it refuses, the edge asks the region for newer limits, at most once a second, and goes by them', async () => {
  const { ask, told } = await edgeOver(memoryLeases())
  const tiny = { rate: 0.001, burst: 1 }
  await told({ ...snapshot, version: 70, limits: { tenant: tiny, key: tiny, ip: tiny } })
  const asked = async () => (await seen(`/edge/v1/snapshots/${TENANT_NUMBER}?held=1.70`)).length
  const until = async (status: number) =>
    eventually(async () => expect((await ask('/v1/tenant')).status).toBe(status))
  await until(429)
  const startedAtMs = Date.now()
  await eventually(async () => {
    expect((await ask('/v1/tenant')).status).toBe(429)
    expect(await asked()).toBe(2)
  })
  expect(Date.now() - startedAtMs).toBeGreaterThan(900)
  const newer = { ...snapshot, version: 71 }
  await saySnapshot({ tenant: TENANT_NUMBER, held: '1.70' }, { snapshot: writeSnapshot(newer) })
  await until(200)
  expect((await ask('/v1/tenant')).headers.get('ratelimit-policy')).toContain('q=1000;w=1')
})

test('what costs more than the burst takes all of it, and is let through as soon as Retry-After says', async () => {
  const { ask, told } = await edgeOver(memoryLeases())
  const tiny = { rate: 2, burst: 1 }
  await told({ ...snapshot, limits: { tenant: tiny, key: tiny, ip: tiny } })
  const list = () => ask('/v1/projects')
  // What was leased under the first limit is spent, or over.
  await eventually(async () => expect((await list()).status).toBe(429))
  for (let i = 0; i < 2; i++) {
    const refused = await list()
    expect(refused.status).toBe(429)
    const waitMs = Number(refused.headers.get('retry-after')) * 1_000
    expect(waitMs).toBeLessThanOrEqual(3_000)
    await scheduler.wait(waitMs)
    expect((await list()).status).toBe(200)
  }
})

test('an older snapshot never replaces a newer one', async () => {
  const { ask, told } = await edgeOver(memoryLeases())
  await told({ ...snapshot, version: 2 })
  await told({ ...snapshot, limits: { tenant: small, key: small, ip: small } })
  const marker = newMarker()
  expect((await ask(`/v1/tenant?${marker}`)).headers.get('ratelimit-policy')).toContain('q=1000;w=1')
  expect((await seen(marker))[0]?.headers['coditect-snapshot']).toBe('1.2')
})

test('a snapshot of more than a minute ago says where no more, but how much until there is another', async () => {
  const { ask, told } = await edgeOver(memoryLeases())
  const limits = rateLimitsOf(PLANS.enterprise)
  await told({ ...snapshot, plan: 'enterprise', limits })
  const [fresh, old, retold] = [newMarker(), newMarker(), newMarker()]
  await ask(`/v1/tenant?${fresh}`)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
  try {
    const { headers } = await ask(`/v1/tenant?${old}`)
    expect(headers.get('ratelimit-policy')).toContain('"key";q=9000;w=2, "ip";q=8000;w=2')
  } finally {
    vi.useRealTimers()
  }
  await told({ ...snapshot, version: 2 })
  await ask(`/v1/tenant?${retold}`)
  const says = async (marker: string) => {
    const headers = (await seen(marker))[0]?.headers
    return [headers?.['coditect-snapshot'], headers?.['coditect-plan']]
  }
  expect(await says(fresh)).toEqual(['1.1', 'enterprise'])
  expect(await says(old)).toEqual([undefined, 'enterprise'])
  expect(await says(retold)).toEqual(['1.2', 'team'])
})

test('with the object out of reach writes are refused, reads pass up to a bound, and all of it is told', async () => {
  const { ask } = await edgeOver(broken)
  const write = await ask('/v1/projects', { method: 'POST', body: '{}' })
  expect(write.status).toBe(503)
  expect(await write.json()).toMatchObject({ code: 'limiter_unavailable' })
  expect(write.headers.get('retry-after')).toBe('1')
  const marker = newMarker()
  const reads = await Promise.all(Array.from({ length: 100 }, () => ask(`/v1/tenant?${marker}`)))
  const passed = reads.filter(({ status }) => status === 200).length
  expect(passed).toBeGreaterThan(0)
  expect(passed).toBeLessThanOrEqual(PLANS.team.requestsPerSecond * 0.1 + 5)
  const counted = (await seen(marker)).map(({ headers }) => headers['coditect-edge-counts'] ?? '')
  const sum = (name: string) =>
    counted.reduce((total, text) => total + Number(new RegExp(`${name}=(\\d+)`).exec(text)?.[1] ?? 0), 0)
  expect(sum('limiter_bypassed')).toBe(passed)
  expect(sum('limiter_failed')).toBeGreaterThan(0)
  expect(sum('limiter_closed')).toBeGreaterThanOrEqual(1)
})

test('an object that never answers is given up on, not waited for', async () => {
  const { ask } = await edgeOver(() => new Promise(() => {}))
  expect((await ask('/v1/tenant')).status).toBe(200)
  expect((await ask('/v1/projects', { method: 'POST', body: '{}' })).status).toBe(503)
})

test('counts of a forward that failed go with the next', async () => {
  const { ask } = await edgeOver(broken, { us: ['http://127.0.0.1:1'], eu: [steady] })
  await ask('/v1/tenant')
  const marker = newMarker()
  await ask(`/v1/tenant?${marker}`, {}, undefined, await newKey('eu'))
  expect((await seen(marker))[0]?.headers['coditect-edge-counts']).toContain('limiter_bypassed=2')
})

test('a tenant that has moved is followed once, and found at once the next time', async () => {
  const { ask, told } = await edgeOver(memoryLeases())
  await told(snapshot)
  await ask('/v1/projects', {}, undefined, 'invented')
  const there = encodeURIComponent(writeSnapshot({ ...snapshot, epoch: 2, region: 'eu' }))
  const marker = newMarker()
  const path = `/v1/moved?from=us&to=eu&snapshot=${there}&${marker}`
  const moved = await ask(path, { method: 'POST', body: 'once', headers: { 'idempotency-key': 'a' } })
  expect(moved.status).toBe(200)
  const heard = (await seen(marker)).map(({ region, body, headers }) => [
    region,
    body,
    headers['coditect-snapshot'],
    headers['coditect-edge-counts'],
  ])
  // What the edge holds is of the time before, and what it has counted, the first region has heard.
  expect(heard).toEqual([
    ['us', 'once', '1.1', 'failed_attempts=1'],
    ['eu', 'once', undefined, undefined],
  ])
  const again = newMarker()
  expect((await ask(`/v1/moved?from=us&to=eu&${again}`)).status).toBe(200)
  expect((await seen(again)).map(({ region }) => region)).toEqual(['eu'])
})

test('a tenant that both regions send away is 421, and nobody is asked a third time', async () => {
  const { ask } = await edgeOver(memoryLeases())
  const marker = newMarker()
  const answer = await ask(`/v1/moved?from=us,eu&to=eu&${marker}`)
  expect(answer.status).toBe(421)
  expect(answer.headers.has('coditect-moved-to')).toBe(false)
  expect(await seen(marker)).toHaveLength(2)
})

test.each([
  ['GET', '/v1/projects', 2],
  ['GET', '/v1/projects/prj_01h455vb4pex5vsknk084sn02q', 1],
  ['GET', '/v1/tenant', 1],
  ['POST', '/v1/projects', 1],
  ['GET', '/v1/projects/prj_01h455vb4pex5vsknk084sn02q/collections/notes/records', 2],
  ['POST', '/v1/projects/prj_01h455vb4pex5vsknk084sn02q/collections/notes/records:batch', 5],
])('%s %s costs %i', (method, path, units) => {
  expect(costOf(method, path)).toBe(units)
})

test('the fields are structured fields, and report the policy that refuses first', () => {
  const standing = (policy: 'tenant' | 'key', left: number) => ({ policy, left, retryAfterMs: 1_500 })
  const unknown = { ...standing('tenant', 0), retryAfterMs: undefined }
  expect(rateLimitField(mostRestrictive([standing('tenant', 7.9), standing('key', 3)]))).toBe('"key";r=3')
  expect(rateLimitField(standing('tenant', 0))).toBe('"tenant";r=0;t=2')
  expect(rateLimitField(unknown)).toBe('"tenant";r=0')
  expect(policyField({ tenant: { rate: 20, burst: 40 }, key: { rate: 3, burst: 4 } })).toBe(
    '"tenant";q=40;w=2, "key";q=4;w=2',
  )
})

test('a tenant that no region has spoken of is on the plan team', () => {
  expect(FIRST_LIMITS).toEqual(rateLimitsOf(PLANS.team))
  expect(FIRST_STREAMS).toBe(PLANS.team.streams)
})

test('no policy says more than the rate: q units in w seconds are at most that', () => {
  const limits = fc.record({
    requestsPerSecond: fc.integer({ min: 1, max: 1_000_000 }),
    burst: fc.integer({ min: 1, max: 10_000_000 }),
  })
  fc.assert(
    fc.property(limits, (own) => {
      const said = rateLimitsOf({ ...PLANS.team, ...own })
      for (const policy of POLICIES) {
        const limit = said[policy]
        const [, q, w] = /;q=(\d+);w=(\d+)$/.exec(policyField({ [policy]: limit })) ?? []
        expect(Number(q)).toBeLessThanOrEqual(limit.burst)
        expect(Number(q) / Number(w)).toBeLessThanOrEqual(limit.rate * (1 + 1e-6))
      }
    }),
  )
})
