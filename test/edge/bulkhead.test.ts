import { afterEach, expect, inject, test, vi } from 'vitest'
import { Bulkhead, type Pass } from '../../edge/limit/bulkhead.ts'
import type { EdgeOptions } from '../../edge/pipeline.ts'
import { ConcurrencyLimit } from '../../shared/concurrency_limit.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { memoryLeases } from './memory_leases.ts'
import { bearer, edgeTo, newKey, newMarker, seen } from './support.ts'

const { steady } = inject('regions')

const [one, another] = [asTenantNumber(1n), asTenantNumber(2n)]
const always = (places: number) => ({ least: places, first: places, most: places, targetMs: 50 })

function fill(bulkhead: Bulkhead, tenant = one, nowMs = 0): Pass[] {
  const passes: Pass[] = []
  const enter = () => bulkhead.enter(tenant, 'GET us', nowMs)
  for (let pass = enter(); pass !== undefined; pass = enter()) passes.push(pass)
  return passes
}

test('one tenant alone gets two thirds of the places, and whoever comes next finds some', () => {
  const bulkhead = new Bulkhead(always(60))
  expect(fill(bulkhead)).toHaveLength(40)
  expect(fill(bulkhead, another).length).toBeGreaterThanOrEqual(13)
})

test('a place is free again when its request has left, which it may say twice', () => {
  const bulkhead = new Bulkhead(always(60))
  const [first] = fill(bulkhead)
  if (first === undefined) throw new Error('nobody was let in')
  bulkhead.leave(first, 5)
  bulkhead.leave(first, 5)
  expect(fill(bulkhead)).toHaveLength(1)
})

test('what takes longer than a second holds no place any more', () => {
  const bulkhead = new Bulkhead(always(60))
  fill(bulkhead)
  expect(fill(bulkhead, one, 1_000)).toHaveLength(0)
  expect(fill(bulkhead, one, 1_001)).toHaveLength(40)
})

test('what began before a clock went back holds no place any more, and keeps nobody else’s', () => {
  const bulkhead = new Bulkhead(always(60))
  fill(bulkhead, one, 3_600_000)
  expect(fill(bulkhead, one, 0)).toHaveLength(40)
  expect(fill(bulkhead, one, 1_001)).toHaveLength(40)
})

test('how many there may be is found anew also after a clock went back', () => {
  const limit = new ConcurrencyLimit({ least: 10, first: 100, most: 100, targetMs: 50 })
  const answers = (tookMs: number, nowMs: number) => {
    for (let i = 0; i < 20; i++) limit.answered('GET us', tookMs, 100, nowMs)
    return limit.limit
  }
  expect(answers(10, 3_600_000)).toBe(100)
  expect(answers(100, 3_600_100)).toBe(90)
  expect(answers(100, 0)).toBe(81)
})

test('answers that get late leave fewer places, and a region that is far away, or slow, does not', () => {
  /** How many are under way in the end, of 2,000 a second, while each answer takes so long at first, and then so long. */
  const underWay = (firstMs: number, thenMs: number, ofThatInTheRegionMs = 0): number => {
    const bulkhead = new Bulkhead({ least: 48, first: 128, most: 512, targetMs: 100 })
    let held: Pass[] = []
    for (let nowMs = 0; nowMs < 10_000; nowMs += 10) {
      const tookMs = nowMs < 3_000 ? firstMs : thenMs
      for (const pass of held)
        if (nowMs - pass.sinceMs >= tookMs) bulkhead.leave(pass, nowMs, ofThatInTheRegionMs)
      held = held.filter((pass) => nowMs - pass.sinceMs < tookMs)
      for (let n = 0; n < 20; n++) {
        const pass = bulkhead.enter(one, 'GET us', nowMs)
        if (pass !== undefined) held.push(pass)
      }
    }
    return held.length
  }
  expect(underWay(20, 150)).toBeLessThan(48)
  expect(underWay(150, 150)).toBeGreaterThan(200)
  expect(underWay(20, 150, 140)).toBeGreaterThan(200)
})

afterEach(() => vi.restoreAllMocks())

const EVENTS = { accept: 'text/event-stream' }
/** What others take in each of these. */
const OTHERS_MS = 400
const late = async <T>(what: () => T | Promise<T>): Promise<T> => {
  await scheduler.wait(OTHERS_MS)
  return what()
}
const slowUpload = () =>
  new ReadableStream({
    async pull(controller) {
      controller.enqueue(await late(() => new TextEncoder().encode('{}')))
      controller.close()
    },
  })
const memory = memoryLeases()
const farLeases: EdgeOptions = { leases: (...asked) => late(() => memory(...asked)) }
const farSlots: EdgeOptions = { slots: { hold: () => late(() => true), release: async () => {} } }

test.each<[string, string, () => RequestInit, EdgeOptions]>([
  ['its client sends slowly', 'projects', () => ({ method: 'POST', body: slowUpload() }), {}],
  ['its tenant’s limits are kept far away', 'projects', () => ({}), farLeases],
  ['its tenant’s slots are kept far away', 'events', () => ({ headers: EVENTS }), farSlots],
  ['its region’s only instance is leaving', 'balanced', () => ({}), {}],
])('a request that waits for others takes nothing of the edge’s time: %s', async (_, path, init, options) => {
  const answered = vi.spyOn(ConcurrencyLimit.prototype, 'answered')
  const edge = await edgeTo({ us: [steady] }, undefined, {}, options)
  const { headers, ...rest } = init()
  const all = { ...bearer(await newKey()), ...(headers as Record<string, string>) }
  const fromMs = Date.now()
  const answer = await edge.request(`http://edge/v1/${path}?${newMarker()}`, { ...rest, headers: all })
  expect(answer.status).toBe(200)
  await answer.text()
  expect(Date.now() - fromMs).toBeGreaterThanOrEqual(OTHERS_MS - 1)
  expect(answered.mock.calls.map(([operation, tookMs]) => [operation, tookMs < OTHERS_MS / 2])).toEqual([
    [`${rest.method ?? 'GET'} us`, true],
  ])
})

test('what no region has answered tells nothing of how long answers take', async () => {
  const answered = vi.spyOn(ConcurrencyLimit.prototype, 'answered')
  const edge = await edgeTo({ us: [steady], eu: ['http://127.0.0.1:1'] })
  const ask = async (path: string, region = 'us') =>
    (await edge.request(`http://edge/v1/${path}`, { headers: bearer(await newKey(region)) })).status
  expect(await ask('gateway')).toBe(503)
  expect(await ask('wall')).toBe(503)
  expect(await ask('projects', 'eu')).toBe(503)
  expect(answered).not.toHaveBeenCalled()
  expect(await ask('failing')).toBe(500)
  expect(answered).toHaveBeenCalledOnce()
})

test('beyond it: 503 with Retry-After, no region is asked, and the next forward tells', async () => {
  let nowMs = Date.now()
  const edge = await edgeTo(undefined, undefined, {}, { bulkhead: new Bulkhead(always(1)), now: () => nowMs })
  const headers = bearer(await newKey())
  const abort = new AbortController()
  const silent = newMarker()
  const held = edge.request(new Request(`http://edge/v1/silent?${silent}`, { headers, signal: abort.signal }))
  await eventually(async () => expect(await seen(silent)).toHaveLength(1))
  const marker = newMarker()
  const refused = await edge.request(`http://edge/v1/tenant?${marker}`, { headers })
  expect(refused.status).toBe(503)
  const problem = await refused.json<{ requestId: string }>()
  expect(problem).toMatchObject({ code: 'overloaded', requestId: refused.headers.get('x-request-id') })
  expect(refused.headers.get('retry-after')).toBe('1')
  const again = await edge.request(`http://edge/v1/tenant?${marker}`, { headers })
  expect([again.status, again.headers.get('retry-after')]).toEqual([503, '1'])
  // Sent away unread, and told the same.
  const requestId = again.headers.get('x-request-id')
  expect(requestId).toMatch(/^req_/)
  expect(await again.json()).toEqual({ ...problem, requestId })
  expect({ ...Object.fromEntries(again.headers), 'x-request-id': '' }).toEqual({
    ...Object.fromEntries(refused.headers),
    'x-request-id': '',
  })
  expect((await edge.request('http://edge/healthz', { headers })).status).toBe(200)
  const origin = 'https://page.example'
  expect((await edge.request('http://edge/v1/tenant', { headers: { ...headers, origin } })).status).toBe(503)
  expect(await seen(marker)).toEqual([])
  nowMs += 1_001
  expect((await edge.request(`http://edge/v1/tenant?${marker}`, { headers })).status).toBe(200)
  expect((await seen(marker))[0]?.headers['coditect-edge-counts']).toContain('overloaded=3')
  abort.abort()
  await held
})
