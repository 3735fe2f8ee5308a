import { expect, inject, test, vi } from 'vitest'
import { contextOf } from '../../edge/context.ts'
import { Counts } from '../../edge/counts.ts'
import { readBindings } from '../../edge/env.ts'
import { FAILURES_TO_OPEN } from '../../edge/forward/breaker.ts'
import { forward, HEADER_TIMEOUT_MS } from '../../edge/forward/index.ts'
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { eventually } from '../support/eventually.ts'
import {
  bearer,
  bindings,
  control,
  edgeTo,
  newHookPath,
  newKey,
  newMarker,
  newSignedTarget,
  OPERATOR_TOKEN,
  push,
  seen,
} from './support.ts'

const { fragile, other, steady } = inject('regions')
const edge = await edgeTo()
const headers = bearer(await newKey())

const post = (body: BodyInit, marker = newMarker(), more: Record<string, string> = {}) =>
  edge.request(`http://edge/v1/projects?${marker}`, {
    method: 'POST',
    headers: { ...headers, ...more },
    body,
  })

function inChunks(total: number, size = 64 * 1024): ReadableStream<Uint8Array> {
  let left = total
  return new ReadableStream({
    pull(controller) {
      const chunk = Math.min(left, size)
      left -= chunk
      if (chunk > 0) controller.enqueue(new Uint8Array(chunk).fill(32))
      else controller.close()
    },
  })
}

test('a body of exactly the limit passes, announced or in chunks', async () => {
  for (const body of [new Uint8Array(MAX_BODY_BYTES).fill(32), inChunks(MAX_BODY_BYTES)]) {
    const marker = newMarker()
    expect((await post(body, marker)).status).toBe(200)
    expect((await seen(marker))[0]?.headers['content-length']).toBe(String(MAX_BODY_BYTES))
  }
})

test('a byte more is 413 and reaches no region, announced or in chunks', async () => {
  for (const body of [new Uint8Array(MAX_BODY_BYTES + 1), inChunks(MAX_BODY_BYTES + 1)]) {
    const marker = newMarker()
    const response = await post(body, marker)
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ code: 'body_too_large' })
    expect(await seen(marker)).toEqual([])
  }
})

test('a body is not read before the credential is accepted', async () => {
  const pull = vi.fn()
  const body = new ReadableStream({ pull }, { highWaterMark: 0 })
  const response = await edge.request('http://edge/v1/projects', {
    method: 'POST',
    headers: bearer('ck_'),
    body,
  })
  expect(response.status).toBe(401)
  expect(pull).not.toHaveBeenCalled()
})

test("the client gets the region's answer, with the edge's request id, and nothing internal", async () => {
  const response = await edge.request('http://edge/v1/chatty', {
    headers: { ...headers, 'x-request-id': 'mine' },
  })
  expect(response.status).toBe(200)
  expect(response.headers.get('etag')).toBe('"1"')
  expect(response.headers.get('cache-control')).toBe('private, max-age=5')
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect(response.headers.has('x-hop')).toBe(false)
  expect(response.headers.has('coditect-internal')).toBe(false)
  const { headers: sent } = await response.json<{ headers: Record<string, string> }>()
  expect(response.headers.get('x-request-id')).toBe(sent['x-request-id'])
  expect(sent['x-request-id']).toMatch(/^req_[0-9a-z]{26}$/)
})

test('answers that say nothing about caching are kept by nobody', async () => {
  const response = await edge.request('http://edge/v1/projects', { headers })
  expect(response.headers.get('cache-control')).toBe('no-store')
})

test('an answer streams: each part is there before the region has the next', async () => {
  const marker = newMarker()
  const abort = new AbortController()
  const request = new Request(`http://edge/v1/stream?${marker}`, { headers, signal: abort.signal })
  const reader = (await edge.request(request)).body?.getReader()
  const next = async () => new TextDecoder().decode((await reader?.read())?.value)
  expect(await next()).toBe('first')
  for (const part of ['second', 'third']) {
    await push(marker, part)
    expect(await next()).toBe(part)
  }
  abort.abort()
})

test('a client that goes away in the middle of an answer ends it at the region', async () => {
  const marker = newMarker()
  const response = await edge.request(`http://edge/v1/stream?${marker}`, { headers })
  const reader = response.body?.getReader()
  await reader?.read()
  await reader?.cancel()
  await eventually(async () => expect(await seen(marker)).toMatchObject([{ aborted: true }]))
})

test('a client that goes away takes its request to the region with it', async () => {
  const marker = newMarker()
  const abort = new AbortController()
  const request = new Request(`http://edge/v1/silent?${marker}`, { headers, signal: abort.signal })
  const answer = edge.request(request)
  await eventually(async () => expect(await seen(marker)).toHaveLength(1))
  abort.abort()
  await answer
  await eventually(async () => expect(await seen(marker)).toMatchObject([{ aborted: true }]))
})

test.each([
  ['198.51.100.7:50000', '198.51.100.7'],
  ['[2001:db8::1]:50000', '2001:db8::1'],
])("audit learns the peer that workerd saw, whatever the client's headers say: %s", async (peer, address) => {
  const marker = newMarker()
  const request = new Request(`http://edge/v1/projects?${marker}`, {
    headers: { ...headers, 'cf-connecting-ip': '192.0.2.1', 'x-forwarded-for': '192.0.2.1' },
    cf: { clientIp: peer },
  })
  await edge.request(request)
  expect((await seen(marker))[0]?.headers['coditect-client-ip']).toBe(address)
})

test('HEAD is HEAD all the way', async () => {
  const marker = newMarker()
  const response = await edge.request(`http://edge/v1/projects?${marker}`, { method: 'HEAD', headers })
  expect(response.status).toBe(200)
  expect(await response.text()).toBe('')
  expect(await seen(marker)).toMatchObject([{ method: 'HEAD' }])
})

async function expectUnavailable(response: Response): Promise<void> {
  expect(response.status).toBe(503)
  expect(response.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
  expect(await response.json()).toMatchObject({ code: 'region_unavailable' })
}

test('a region that is down is 503, and serves again through the same edge when it is back', async () => {
  const toFragile = await edgeTo({ us: [fragile] })
  const read = () => toFragile.request('http://edge/v1/projects', { headers })
  expect((await read()).status).toBe(200)
  await control('close')
  await expectUnavailable(await read())
  await control('open')
  expect((await read()).status).toBe(200)
})

test('a region that resets the connection, or stays silent, is 503', async () => {
  await expectUnavailable(await edge.request('http://edge/v1/reset', { headers }))
  const impatient = await edgeTo(undefined, 50)
  await expectUnavailable(await impatient.request('http://edge/v1/silent', { headers }))
})

test('the patience is for the first byte: an answer may take longer', async () => {
  const impatient = await edgeTo(undefined, 100)
  const abort = new AbortController()
  const request = new Request('http://edge/v1/stream', { headers, signal: abort.signal })
  const reader = (await impatient.request(request)).body?.getReader()
  await reader?.read()
  const rest = reader?.read().then(
    () => 'ended',
    () => 'ended',
  )
  // Asked later and given up on: by then the stream has outlived the same patience.
  const silent = Promise.resolve(impatient.request('http://edge/v1/silent', { headers })).then(
    () => 'given up on',
  )
  expect(await Promise.race([rest, silent])).toBe('given up on')
  abort.abort()
})

test.each<[string, RequestInit, string]>([
  ['a read', {}, '/v1'],
  ['a write with an idempotency key', { method: 'POST', headers: { 'idempotency-key': 'a' } }, '/v1'],
  ['a write without one', { method: 'POST', body: 'x' }, '/v1'],
  ['an operator’s', { method: 'POST', body: 'x', headers: bearer(OPERATOR_TOKEN) }, '/platform/v1'],
])('%s is sent to two instances when they reset, and is the same request to both', async (_, init, part) => {
  const twoInstances = await edgeTo({ us: [steady, steady] })
  const marker = newMarker()
  const all = { ...headers, ...(init.headers as Record<string, string>) }
  const response = await twoInstances.request(`http://edge${part}/reset?${marker}`, { ...init, headers: all })
  await expectUnavailable(response)
  const [first, second, ...more] = await seen(marker)
  expect(more).toEqual([])
  expect(second?.headers['x-request-id']).toBe(first?.headers['x-request-id'])
  expect(second?.headers['coditect-assertion']).toBe(first?.headers['coditect-assertion'])
})

test.each([
  ['POST', 1],
  ['GET', 2],
])(
  'of what the edge asks for a stranger a region knows nothing again: %s is sent to %i',
  async (method, times) => {
    const {
      controlRegion: region,
      regions,
      publicOrigin,
    } = await readBindings(
      await bindings({ REGIONS: JSON.stringify({ us: [steady, steady], eu: [steady] }) }),
    )
    const marker = newMarker()
    const context = contextOf(new Request(`http://edge/v1/reset?${marker}`, { method }))
    context.principal = { kind: 'edge' }
    context.region = region
    const forwarding = { regions, publicOrigin, headerTimeoutMs: HEADER_TIMEOUT_MS, counts: new Counts() }
    await expect(forward(context, forwarding)).rejects.toMatchObject({ code: 'region_unavailable' })
    expect(await seen(marker)).toHaveLength(times)
  },
)

test('a signed write is sent to so many as well: it happens once all the same', async () => {
  const twoInstances = await edgeTo({ us: [steady, steady] })
  const marker = newMarker()
  const target = await newSignedTarget(`/v1/reset?m=${marker}`, { method: 'POST' })
  await expectUnavailable(await twoInstances.request(`http://edge${target}`, { method: 'POST', body: 'x' }))
  expect(await seen(marker)).toHaveLength(2)
})

test.each<[string, () => Promise<string>, RequestInit]>([
  ['read', async () => '/v1/projects', { headers }],
  ['write', async () => '/v1/projects', { method: 'POST', headers, body: '{}' }],
  ['webhook, which its provider may never send again', newHookPath, { method: 'POST', body: '{}' }],
])(
  'with one of two instances down every %s of an isolate that is hardly asked is answered',
  async (...of) => {
    const [, pathOf, init] = of
    const path = await pathOf()
    for (let i = 0; i < 4; i++) {
      // Each knows of nothing, and asks the instance that is down first or second.
      const quiet = await edgeTo({
        us: i % 2 ? ['http://127.0.0.1:1', steady] : [steady, 'http://127.0.0.1:1'],
      })
      expect((await quiet.request(`http://edge${path}`, init)).status).toBe(200)
    }
  },
)

test('an instance that stopped answering is passed over, and found again when it is back', async () => {
  const toBoth = await edgeTo({ us: [fragile, steady] })
  const read = (marker = '') => toBoth.request(`http://edge/v1/projects?${marker}`, { headers })
  const write = () => toBoth.request('http://edge/v1/projects', { method: 'POST', headers, body: 'x' })
  await control('close')
  for (let i = 0; i < 2 * FAILURES_TO_OPEN; i++) expect((await read()).status).toBe(200)
  for (let i = 0; i < 10; i++) expect((await write()).status).toBe(200)
  await control('open')
  await eventually(async () => {
    const marker = newMarker()
    await Promise.all([read(marker), read(marker)])
    expect(new Set((await seen(marker)).map(({ headers: { host } }) => host)).size).toBe(2)
  })
})

test('an instance that takes connections and stays silent keeps a few waiting, and then nobody, until it is back', async () => {
  const toBoth = await edgeTo({ us: [fragile, steady] })
  const marker = newMarker()
  const ask = async (init: RequestInit = {}) => {
    const fromMs = Date.now()
    const answer = await toBoth.request(`http://edge/v1/projects?${marker}`, { headers, ...init })
    expect(answer.status).toBe(200)
    return Date.now() - fromMs
  }
  const probes = async () => (await seen('/alive')).filter(({ body }) => body !== '').length
  await control('hang')
  const writing = { method: 'POST', body: 'x' }
  const first = await Promise.all(Array.from({ length: 12 }, (_, i) => ask(i % 2 ? writing : {})))
  expect(Math.max(...first)).toBeLessThan(HEADER_TIMEOUT_MS / 2)
  const before = await probes()
  while ((await probes()) < before + 3) {
    expect(await ask()).toBeLessThan(2_000)
    // Not so often that the organisation has none left.
    await scheduler.wait(100)
  }
  await control('wake')
  await eventually(async () => {
    const after = newMarker()
    const read = () => toBoth.request(`http://edge/v1/projects?${after}`, { headers })
    await Promise.all([read(), read()])
    expect(new Set((await seen(after)).map(({ headers: { host } }) => host)).size).toBe(2)
  })
})

test('a region that all have given up on is found again by the first who asks when it is back', async () => {
  const toFragile = await edgeTo({ us: [fragile] })
  const write = () => toFragile.request('http://edge/v1/projects', { method: 'POST', headers, body: 'x' })
  await control('close')
  for (let i = 0; i <= FAILURES_TO_OPEN; i++) await expectUnavailable(await write())
  await control('open')
  await eventually(async () => expect((await write()).status).toBe(200))
})

test('what only takes long is sent to nobody else, and closes no instance', async () => {
  const twoInstances = await edgeTo({ us: [steady, other] })
  const marker = newMarker()
  const slow = Array.from({ length: 2 * FAILURES_TO_OPEN }, () =>
    twoInstances.request(`http://edge/v1/slow?${marker}`, { headers }),
  )
  for (const { status } of await Promise.all(slow)) expect(status).toBe(200)
  expect(await seen(marker)).toHaveLength(slow.length)
  const after = newMarker()
  for (let i = 0; i < 2; i++) await twoInstances.request(`http://edge/v1/projects?${after}`, { headers })
  expect((await seen(after)).map(({ region }) => region).toSorted()).toEqual(['eu', 'us'])
})

test('a region whose instances are all silent is not given up on so soon: the last one is waited for', async () => {
  const toSilent = await edgeTo({ us: [fragile] }, 1_500)
  await control('hang')
  const asked = toSilent.request('http://edge/v1/projects', { headers })
  const before = (await seen('/alive')).length
  await expectUnavailable(await asked)
  await control('wake')
  expect(await seen('/alive')).toHaveLength(before)
  expect((await toSilent.request('http://edge/v1/projects', { headers })).status).toBe(200)
})

test('requests that no instance answered are counted, and a region that answers hears of them', async () => {
  const to = await edgeTo()
  await expectUnavailable(await to.request(`http://edge/v1/reset?${newMarker()}`, { headers }))
  const marker = newMarker()
  await to.request(`http://edge/v1/projects?${marker}`, { headers })
  expect((await seen(marker))[0]?.headers['coditect-edge-counts']).toBe(
    'region_unavailable.us=1, unanswered.us=1',
  )
})

test.each([
  ['two origins', [steady, fragile]],
  ['one, which leads to several', [steady]],
])('an instance that is leaving did nothing: any request goes to another, by %s', async (_, us) => {
  for (const method of ['GET', 'POST']) {
    const to = await edgeTo({ us })
    const marker = newMarker()
    const answer = await to.request(`http://edge/v1/leaving?${marker}`, { method, headers })
    expect(answer.status).toBe(200)
    expect(await seen(marker)).toHaveLength(2)
  }
})

test('who balances an only origin has time to notice that an instance leaves', async () => {
  const marker = newMarker()
  const to = await edgeTo({ us: [steady] })
  const answer = await to.request(`http://edge/v1/balanced?${marker}`, { method: 'POST', headers, body: 'x' })
  expect(answer.status).toBe(200)
  expect(await seen(marker)).toHaveLength(5)
})

test('a head is as long as its bytes, not its characters', async () => {
  const long = { ...headers, 'user-agent': 'é'.repeat(8_000) }
  const answer = await edge.request('http://edge/v1/projects', { headers: long })
  expect([answer.status, await answer.json()]).toMatchObject([431, { code: 'request_head_too_large' }])
})

test.each(['\x01', '\x1f', '\x7f', 'é\x08'])(
  'a control character in a header (%j) is told, and goes no further',
  async (text) => {
    const marker = newMarker()
    const answer = await edge.request(`http://edge/v1/projects?${marker}`, {
      headers: { ...headers, 'user-agent': `a${text}b` },
    })
    expect([answer.status, await answer.json()]).toMatchObject([400, { code: 'malformed_request' }])
    expect(await seen(marker)).toHaveLength(0)
  },
)

test('while no instance answers, most requests are refused without waiting for one', async () => {
  const marker = newMarker()
  const toSilent = await edgeTo({ us: [steady] }, 50)
  for (let i = 0; i < FAILURES_TO_OPEN; i++) {
    await expectUnavailable(await toSilent.request(`http://edge/v1/silent?${marker}`, { headers }))
  }
  const asked = (await seen(marker)).length
  const refused = await toSilent.request(`http://edge/v1/projects?${marker}`, { headers })
  expect(await refused.clone().json()).toMatchObject({ detail: expect.stringContaining('Nothing was done') })
  await expectUnavailable(refused)
  expect(await seen(marker)).toHaveLength(asked)
})

test('what a region answers, refusals and failures too, never opens its breaker', async () => {
  for (let i = 0; i < 2 * FAILURES_TO_OPEN; i++) {
    expect((await edge.request('http://edge/v1/failing', { headers })).status).toBe(500)
  }
  expect((await edge.request('http://edge/v1/projects', { headers })).status).toBe(200)
})

test('the region learns until when someone waits, whatever the client says', async () => {
  const marker = newMarker()
  const before = Date.now()
  await edge.request(`http://edge/v1/projects?${marker}`, {
    headers: { ...headers, 'x-request-deadline': '1' },
  })
  const deadlineMs = Number((await seen(marker))[0]?.headers['x-request-deadline'])
  expect(deadlineMs).toBeGreaterThanOrEqual(before + HEADER_TIMEOUT_MS)
  expect(deadlineMs).toBeLessThanOrEqual(Date.now() + HEADER_TIMEOUT_MS)
})

test('a second instance has as long as the first one had', async () => {
  const marker = newMarker()
  const impatient = await edgeTo({ us: [steady, other] }, 200)
  await expectUnavailable(await impatient.request(`http://edge/v1/silent?${marker}`, { headers }))
  const [first, second] = (await seen(marker)).map(({ headers: told }) => Number(told['x-request-deadline']))
  expect(second).toBeGreaterThanOrEqual(Number(first) + 190)
})

test.each([
  ['/v1/projects', 200],
  ['/v1/chatty', 200],
  ['/nothing', 404],
  ['/healthz', 200],
])('every answer tells browsers to read nothing into it: %s', async (path, status) => {
  const response = await edge.request(`http://edge${path}`, { headers })
  expect(response.status).toBe(status)
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'x-frame-options': 'DENY',
    'cross-origin-resource-policy': 'same-origin',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'strict-transport-security': 'max-age=31536000',
  })
})

test('browsers are told to stay on https where the edge is found there, and only there', async () => {
  const plain = await edgeTo(undefined, undefined, { PUBLIC_ORIGIN: 'http://127.0.0.1:8787' })
  const { headers: sent } = await plain.request('http://edge/healthz')
  expect(sent.has('strict-transport-security')).toBe(false)
  expect(sent.get('x-frame-options')).toBe('DENY')
})

test('liveness answers at the edge', async () => {
  const healthz = await edge.request('http://edge/healthz')
  expect(healthz.status).toBe(200)
  expect(healthz.headers.get('x-request-id')).toMatch(/^req_/)
})

test.each([
  ['POST', '/healthz', 405],
  ['DELETE', '/openapi.json', 405],
  ['GET', '/v2/projects', 404],
  ['GET', '/V1/projects', 404],
  ['GET', '//v1/projects', 404],
  ['GET', '/%761/projects', 404],
  ['GET', '/readyz', 404],
  ['GET', '/metrics', 404],
])('%s %s is %i, and no region is asked', async (method, path, status) => {
  const marker = newMarker()
  const response = await edge.request(new Request(`http://edge${path}?${marker}`, { method, headers }))
  expect(response.status).toBe(status)
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  if (status === 405) expect(response.headers.get('allow')).toBe('GET, HEAD')
  expect(await seen(marker)).toEqual([])
})

test('an operator reads what the control region answers', async () => {
  const response = await edge.request('http://edge/platform/v1/tenants', { headers: bearer(OPERATOR_TOKEN) })
  expect(response.status).toBe(200)
})
