// Every request of a tenant that is answered 5xx without a region counts against that region, and another one hears of it.
import { expect, inject, test } from 'vitest'
import { FAILURES_TO_OPEN } from '../../edge/forward/breaker.ts'
import { Bulkhead } from '../../edge/limit/bulkhead.ts'
import type { LeaseSource } from '../../edge/limit/limiter.ts'
import type { EdgeOptions } from '../../edge/pipeline.ts'
import { eventually } from '../support/eventually.ts'
import { newTenant, tokenFor } from './jwt_support.ts'
import { bearer, edgeTo, newKey, newMarker, OPERATOR_TOKEN, seen } from './support.ts'

const { steady, other } = inject('regions')
const nowhere = 'http://127.0.0.1:1'
const headers = bearer(await newKey())
const elsewhere = bearer(await newKey('eu'))

type Edge = Awaited<ReturnType<typeof edgeTo>>

/** What the next request that gets through tells a region. */
async function allToldBy(edge: Edge): Promise<string[]> {
  const marker = newMarker()
  expect((await edge.request(`http://edge/v1/tenant?${marker}`, { headers: elsewhere })).status).toBe(200)
  const text = (await seen(marker))[0]?.headers['coditect-edge-counts'] ?? ''
  return text === '' ? [] : text.split(', ')
}

/** How many of them were unanswered, by region. */
const toldBy = async (edge: Edge): Promise<string[]> =>
  (await allToldBy(edge)).filter((part) => part.startsWith('unanswered'))

const broken: LeaseSource = async () => {
  throw new Error('no way there')
}

const causes: Array<[string, string[], string, RequestInit, EdgeOptions]> = [
  ['no instance answers', [nowhere], 'edge/v1/projects', {}, {}],
  ['all instances are leaving', [steady, steady], 'edge/v1/departed', { method: 'POST', body: 'x' }, {}],
  ['a balancer has nobody to ask', [steady], 'edge/v1/gateway', {}, {}],
  ['nobody knows whose host it is', [nowhere], 'api.acme.example/v1/projects', {}, {}],
  [
    'the limiter is out of reach',
    [steady],
    'edge/v1/projects',
    { method: 'POST', body: 'x' },
    { leases: broken },
  ],
]
test.each(causes)('%s', async (_, us, path, init, options) => {
  const edge = await edgeTo({ us, eu: [other] }, undefined, {}, options)
  const answer = await edge.request(`http://${path}?${newMarker()}`, { ...init, headers })
  expect(answer.status).toBeGreaterThanOrEqual(500)
  await answer.text()
  expect(await toldBy(edge)).toEqual(['unanswered.us=1'])
})

test('when all instances are leaving, the client hears that nothing was done, and when to ask again', async () => {
  const edge = await edgeTo({ us: [steady, steady] })
  const answer = await edge.request(`http://edge/v1/departed?${newMarker()}`, { headers })
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
  expect(await answer.json()).toMatchObject({
    code: 'region_unavailable',
    detail: expect.stringContaining('Nothing was done'),
  })
})

test.each([
  ['gateway', '2', 'is unknown'],
  ['wall', '2', 'is unknown'],
  ['nowhere', '2', 'is unknown'],
  ['elsewhere', '2', 'is unknown'],
  ['throttled', '1', 'Nothing was done'],
])(
  'a balancer’s page is nobody’s answer: two are asked, and the client hears of a silent region: %s',
  async (path, wait, detail) => {
    const edge = await edgeTo({ us: [steady, steady] })
    const marker = newMarker()
    const answer = await edge.request(`http://edge/v1/${path}?${marker}`, {
      method: 'POST',
      body: 'x',
      headers,
    })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, wait])
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    const said = { code: 'region_unavailable', detail: expect.stringContaining(detail) }
    expect(await answer.json()).toMatchObject(said)
    expect(await seen(marker)).toHaveLength(2)
  },
)

test('what a balancer says of one request takes the way from no other', async () => {
  const edge = await edgeTo({ us: [steady] })
  for (let i = 0; i < 2 * FAILURES_TO_OPEN; i++)
    expect((await edge.request('http://edge/v1/wall', { headers })).status).toBe(503)
  expect((await edge.request('http://edge/v1/projects', { headers })).status).toBe(200)
})

test.each([['gateway'], ['wall']])(
  'what a balancer was told is told again, however often it answers: %s',
  async (path) => {
    const edge = await edgeTo({ us: [steady], eu: [other] })
    expect((await edge.request('http://edge/v1/projects', { headers: bearer('ck_') })).status).toBe(401)
    for (let i = 0; i < 3; i++)
      expect((await edge.request(`http://edge/v1/${path}?${newMarker()}`, { headers })).status).toBe(503)
    const told = await allToldBy(edge)
    expect(told).toContain('failed_attempts=1')
    expect(told.filter((part) => part.startsWith('unanswered'))).toEqual(['unanswered.us=3'])
    expect(await allToldBy(edge)).toEqual([])
  },
)

test('a tenant has moved, and its new region is down: what the old one was told is not told again', async () => {
  const edge = await edgeTo({ us: [steady], eu: [nowhere] })
  expect((await edge.request('http://edge/v1/projects', { headers: bearer('ck_') })).status).toBe(401)
  const told: unknown[] = []
  for (let i = 0; i < 3; i++) {
    const marker = newMarker()
    const answer = await edge.request(`http://edge/v1/moved?from=us&to=eu&${marker}`, { headers })
    expect(answer.status).toBe(503)
    told.push((await seen(marker))[0]?.headers['coditect-edge-counts'])
  }
  const each = 'region_unavailable.eu=1, unanswered.eu=1'
  expect(told).toEqual(['failed_attempts=1', each, each])
})

test('the edge has no time, whether or not it has read who asks', async () => {
  let nowMs = Date.now()
  const bulkhead = new Bulkhead({ least: 1, first: 1, most: 1, targetMs: 50 })
  const edge = await edgeTo({ us: [steady], eu: [other] }, undefined, {}, { bulkhead, now: () => nowMs })
  const abort = new AbortController()
  const silent = newMarker()
  const held = edge.request(new Request(`http://edge/v1/silent?${silent}`, { headers, signal: abort.signal }))
  await eventually(async () => expect(await seen(silent)).toHaveLength(1))
  for (let i = 0; i < 2; i++)
    expect((await edge.request('http://edge/v1/tenant', { headers })).status).toBe(503)
  nowMs += 1_001
  expect(await toldBy(edge)).toEqual(['unanswered.us=2'])
  abort.abort()
  await held
})

test('a key of a region that this edge knows no way to', async () => {
  const edge = await edgeTo({ us: [steady] })
  const refused = await edge.request('http://edge/v1/projects', { headers: elsewhere })
  expect(refused.status).toBe(503)
  expect(await refused.json()).toMatchObject({ detail: expect.stringContaining('Nothing was done.') })
  const marker = newMarker()
  await edge.request(`http://edge/v1/tenant?${marker}`, { headers })
  expect((await seen(marker))[0]?.headers['coditect-edge-counts']).toBe('unanswered.us=1')
})

test('operators, strangers, tokens that nobody can check and clients that left spend nothing of it', async () => {
  const edge = await edgeTo({ us: [nowhere], eu: [other] })
  const ask = async (path: string, init: RequestInit = {}) =>
    (await edge.request(`http://${path}`, init)).status
  expect(await ask('edge/platform/v1/tenants', { headers: bearer(OPERATOR_TOKEN) })).toBe(503)
  const token = await tokenFor(await newTenant())
  expect(await ask('api.acme.example/v1/projects', { headers: bearer(token) })).toBe(503)
  expect(await ask('edge/v1/projects', { headers: bearer(token) })).toBe(503)
  await edge.request(new Request('http://edge/v1/projects', { headers, signal: AbortSignal.abort() }))
  expect(await ask('edge/v1/projects', { headers: bearer('ck_') })).toBe(401)
  expect(await toldBy(edge)).toEqual([])
})
