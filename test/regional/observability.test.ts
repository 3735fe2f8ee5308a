// What a region tells those who run it: a line a request, metrics, readiness, traces; and what it never tells them.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Hono } from 'hono'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { readConfig } from '../../regional/config.ts'
import { jsonLog } from '../../regional/log.ts'
import { regionMetrics } from '../../regional/metrics.ts'
import { observing } from '../../regional/observe/observing.ts'
import { startTracing } from '../../regional/observe/tracing.ts'
import { startRegion } from '../../regional/server.ts'
import { type Service, tenantOperation } from '../../regional/tenancy/service.ts'
import type { StreamSource } from '../../regional/tenancy/stream.ts'
import { type AssertionKey, importAssertionKey, signAssertion } from '../../shared/assertion.ts'
import { toBase64url } from '../../shared/bytes.ts'
import { ASSERTION } from '../../shared/headers.ts'
import { newId } from '../../shared/ids.ts'
import type { Principal } from '../../shared/principal.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

interface Line {
  message: string
  requestId?: string
  [field: string]: unknown
}

interface OtlpSpan {
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId?: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: Array<{ key: string; value: { stringValue?: string; intValue?: number } }>
}

const lines: string[] = []
const logged = (): Line[] => lines.map((line) => JSON.parse(line) as Line)
const spans: OtlpSpan[] = []
const receiver = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      resourceSpans: Array<{ scopeSpans: Array<{ spans: OtlpSpan[] }> }>
    }
    if (request.url === '/otel/v1/traces' && request.headers['x-token'] === 'of the collector') {
      for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans)
    }
    response.setHeader('content-type', 'application/json').end('{}')
  })
})

/** What a stream of the tests' own reads, place by place. */
let batchOf: StreamSource['batch']
const streaming: Service = {
  name: 'streaming',
  operations: [
    tenantOperation({
      ...{ name: 'list', method: 'get', path: '/v1/streaming', tag: 'Test', summary: 'Stream' },
      scope: 'projects:read',
      answers: { 200: z.object({}) },
      handle: async () => ({ status: 200, body: {} }),
      stream: () => ({ open: async () => '0', batch: (tx, place) => batchOf(tx, place) }),
    }),
  ],
}

const collector = () => {
  const { port } = receiver.address() as AddressInfo
  return `http://127.0.0.1:${port}/otel`
}

let overloaded = false
let regions: Regions
let key: string
let tenant: string
beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const tracing = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector(),
    OTEL_EXPORTER_OTLP_HEADERS: 'x-token=of%20the%20collector',
  }
  regions = await startRegions({}, (environment) =>
    startRegion(readConfig({ ...environment, ...tracing }), {
      writeLog: (line) => lines.push(line),
      overloaded: () => overloaded,
      extraServices: [streaming],
    }),
  )
  const { id, key: first } = await regions.newTenant('acme', 'us')
  tenant = id
  key = first
})
afterAll(async () => {
  await regions.close()
  receiver.close()
})

const lineOf = (requestId: string): Promise<Line> =>
  eventually(() => {
    const line = logged().find(({ message, requestId: told }) => message === 'request' && told === requestId)
    if (line === undefined) throw new Error(`no line of ${requestId}`)
    return line
  })

async function metric(name: string): Promise<Array<{ labels: string; value: number }>> {
  const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
  return [...text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))].map(
    ([, labels = '', value]) => ({ labels, value: Number(value) }),
  )
}

test('a request leaves one line: whose it is, what it cost, and how long each stage took', async () => {
  const requestId = newId('req')
  const made = await regions.ask('us', {
    as: key,
    method: 'POST',
    path: '/v1/projects',
    body: { name: 'First' },
    requestId,
    headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
  })
  expect(made.status).toBe(201)
  const line = await lineOf(requestId)
  expect(line).toMatchObject({
    level: 'info',
    region: 'us',
    traceId: 'a'.repeat(32),
    tenant: expect.stringMatching(/^\d+$/),
    principal: 'api_key',
    method: 'POST',
    route: '/v1/projects',
    status: 201,
    units: expect.any(Number),
    retries: 0,
    ms: expect.any(Number),
  })
  expect(Object.keys(line.stages as object).toSorted()).toEqual(
    ['admit', 'commit', 'receive', 'transaction', 'verify', 'work'].toSorted(),
  )

  const refusedId = newId('req')
  await regions.ask('us', { as: key, path: `/v1/projects/${newId('prj')}`, requestId: refusedId })
  expect(await lineOf(refusedId)).toMatchObject({
    status: 404,
    code: 'not_found',
    route: '/v1/projects/{id}',
  })
  expect(logged().filter((each) => each.requestId === requestId)).toHaveLength(1)
})

test('what regions and edges ask has a route, and what regions ask by themselves leaves a line only in trouble', async () => {
  const call = async (name: string, headers: Record<string, string> = {}) => {
    const requestId = newId('req')
    const path = `/internal/v1/${name}`
    await regions.ask('us', { as: 'region', method: 'POST', path, body: {}, headers, requestId })
    return requestId
  }
  const quiet = new Set<string | undefined>()
  for (let i = 0; i < 5; i++) quiet.add(await call('load'))
  const headers = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }
  expect(await lineOf(await call('load', headers))).toMatchObject({ route: '/internal/v1/load' })
  expect(await lineOf(await call('read'))).toMatchObject({ route: '/internal/v1/read', status: 400 })
  // Each of them may take its time on a busy machine.
  expect(logged().filter(({ requestId }) => quiet.has(requestId)).length).toBeLessThan(5)
  // Spans go out in the order that they ended in.
  const traced = await eventually(() => {
    const found = spans.filter(({ name }) => name === 'POST /internal/v1/load')
    if (found.length === 0) throw new Error('not exported yet')
    return found
  })
  expect(traced.map(({ traceId }) => traceId)).toEqual(['a'.repeat(32)])

  const requestId = newId('req')
  const path = `/edge/v1/snapshots/${tenantNumberOf(tenant)}`
  await regions.ask('us', { as: { kind: 'edge' }, path, requestId })
  expect(await lineOf(requestId)).toMatchObject({ route: '/edge/v1/snapshots/{number}', status: 200 })
})

test('a stream leaves its line when it is over', async () => {
  const requestId = newId('req')
  const leaving = new AbortController()
  const asked = { as: key, path: '/v1/events', requestId, headers: { accept: 'text/event-stream' } }
  const stream = await regions.open('us', asked, leaving.signal)
  const reader = stream.body?.getReader()
  await reader?.read()
  expect(logged().some((line) => line.requestId === requestId)).toBe(false)
  expect(await metric('coditect_requests_in_flight')).toEqual([{ labels: 'region="us"', value: 1 }])
  leaving.abort()
  expect(await lineOf(requestId)).toMatchObject({ status: 200, route: '/v1/events' })
  expect(await metric('coditect_requests_in_flight')).toEqual([{ labels: 'region="us"', value: 0 }])
})

const TAIL = { headers: { accept: 'text/event-stream' } }

test('a stream that fails by our own mistake says so in its body, in the log and in the metrics', async () => {
  const failures = async () => [
    ...(await metric('coditect_problems_total')).filter(({ labels }) => labels.includes('"internal"')),
    ...(await metric('coditect_request_duration_seconds_count')).filter(
      ({ labels }) => labels.includes('class="stream"') && labels.includes('5xx'),
    ),
  ]
  const before = await failures()
  const told = vi.spyOn(console, 'error')
  batchOf = async (_, place) => {
    if (place !== '0') throw new SyntaxError('a secret of a client')
    return { messages: [{ id: '1', data: {} }], place: '1', more: true }
  }
  const requestId = newId('req')
  const answer = await regions.open('us', { as: key, path: '/v1/streaming', requestId, ...TAIL })
  expect(await answer.text()).toMatch(/event: end\ndata: \{"code":"internal","status":500,/)
  expect(await lineOf(requestId)).toMatchObject({ status: 200, code: 'internal' })
  const errors = logged().filter((line) => line.level === 'error' && line.requestId === requestId)
  expect(errors).toMatchObject([
    { message: 'a stream failed', error: expect.stringContaining('SyntaxError') },
  ])
  expect(lines.join('')).not.toContain('a secret of a client')
  expect((await failures()).map(({ value }, i) => value - (before[i]?.value ?? 0))).toEqual([1, 1])
  expect(told).not.toHaveBeenCalled()
})

test('an open stream is counted, and what it uses as it uses it', async () => {
  // Of all tenants: whoever uses much has a label of its own some time.
  const counted = async () => {
    const sum = async (name: string, labels = '') =>
      (await metric(name))
        .filter((each) => each.labels.includes(labels))
        .reduce((all, { value }) => all + value, 0)
    return {
      streams: await sum('coditect_request_duration_seconds_count', 'class="stream",status="2xx"'),
      requests: await sum('coditect_tenant_requests_total'),
      units: await sum('coditect_tenant_units_total'),
    }
  }
  const goOn = Promise.withResolvers<void>()
  batchOf = async (_, place) => {
    if (place !== '0') await goOn.promise
    const next = `${place}1`
    return { messages: [{ id: next, data: {} }], place: next, more: next.length < 10 }
  }
  const before = await counted()
  const leaving = new AbortController()
  const asked = { as: key, path: '/v1/streaming', requestId: newId('req'), ...TAIL }
  await regions.open('us', asked, leaving.signal)
  const atHead = await counted()
  expect(atHead).toMatchObject({ streams: before.streams + 1, requests: before.requests + 1 })
  expect(atHead.units).toBeGreaterThan(before.units)
  goOn.resolve()
  await expect.poll(async () => (await counted()).units).toBeGreaterThan(atHead.units)
  expect(await counted()).toMatchObject({ streams: atHead.streams, requests: atHead.requests })
  leaving.abort()
  expect(await lineOf(asked.requestId)).toMatchObject({ status: 200 })
  expect(await counted()).toMatchObject({ streams: atHead.streams, requests: atHead.requests })
})

test('why a stream has ended is in its line; that the region stops is no failure', async () => {
  const made = await regions.ask('us', {
    ...{ as: key, method: 'POST', path: '/v1/api-keys' },
    body: { name: 'reader', scopes: ['events:read'] },
  })
  const [revoked, stopped] = [newId('req'), newId('req')]
  const ended = await regions.open('us', {
    as: made.body.key,
    path: '/v1/events',
    requestId: revoked,
    ...TAIL,
  })
  await regions.ask('us', { as: key, method: 'DELETE', path: `/v1/api-keys/${made.body.id}` })
  await ended.text()
  expect(await lineOf(revoked)).toMatchObject({ status: 200, code: 'api_key_revoked' })

  const other = await regions.newTenant('stopping', 'eu')
  const open = await regions.open('eu', { as: other.key, path: '/v1/events', requestId: stopped, ...TAIL })
  const spansBefore = spans.length
  await regions.stop('eu')
  await open.text()
  expect(await lineOf(stopped)).toMatchObject({ status: 200, code: 'region_unavailable' })
  await regions.start('eu')
  const ofIt = spans.slice(spansBefore).find(({ name }) => name === 'GET /v1/events')
  expect(ofIt).toMatchObject({ status: { code: 0 } })
})

test('a client that does not read its stream loses its connection, and nothing is said of it but in the log', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const told = vi.spyOn(console, 'error')
  batchOf = async (_, place) => ({
    messages: [{ id: place, data: 'x'.repeat(1_000_000) }],
    place: `${Number(place) + 1}`,
    more: true,
  })
  const requestId = newId('req')
  const answer = await regions.open('us', { as: key, path: '/v1/streaming', requestId, ...TAIL })
  const isOver = () => logged().some((line) => line.message === 'request' && line.requestId === requestId)
  await vi.waitFor(
    () => {
      vi.advanceTimersByTime(15_000)
      expect(isOver()).toBe(true)
    },
    { timeout: 10_000, interval: 100 },
  )
  await expect(answer.text()).rejects.toThrow()
  expect(logged()).toContainEqual(
    expect.objectContaining({ message: 'a stream was cut off', why: 'the client does not read', requestId }),
  )
  expect(await metric('coditect_requests_in_flight')).toEqual([{ labels: 'region="us"', value: 0 }])
  expect(told).not.toHaveBeenCalled()
})

test('HEAD of a stream opens none: it is the head of a page', async () => {
  const requestId = newId('req')
  const headers = { accept: 'text/event-stream' }
  const head = await regions.open('us', { as: key, method: 'HEAD', path: '/v1/events', requestId, headers })
  expect([head.status, head.headers.get('content-type')]).toEqual([200, 'application/json'])
  expect(await lineOf(requestId)).toMatchObject({ status: 200, method: 'HEAD', route: '/v1/events' })
  expect(await metric('coditect_requests_in_flight')).toEqual([{ labels: 'region="us"', value: 0 }])
})

test('whatever stream a handler gives to HEAD is ended, and the request is over', async () => {
  const own: string[] = []
  const metrics = regionMetrics('us', [])
  const log = jsonLog('us', (line) => own.push(line))
  const app = new Hono().use(observing({ log, metrics, tracing: undefined }))
  const ended = vi.fn()
  const endless = () => new ReadableStream({ cancel: ended })
  app.get('/', () => new Response(endless(), { headers: { 'content-type': 'text/event-stream' } }))
  expect((await app.request('/', { method: 'HEAD' })).body).toBeNull()
  expect(ended).toHaveBeenCalledOnce()
  expect(await metrics.text()).toContain('coditect_requests_in_flight{region="us"} 0')
  expect(own).toHaveLength(1)
})

test('nothing that a client sends, and no secret, gets into the log, wherever it stands', async () => {
  const marks: string[] = []
  const mark = (): string => {
    const text = `canary${newId('req').slice(4)}`
    marks.push(text)
    return text
  }
  const headers = [
    ...['authorization', 'cookie', 'x-api-key', 'x-tenant', 'user-agent', 'accept', 'accept-language'],
    ...['content-type', 'idempotency-key', 'if-match', 'if-none-match', 'last-event-id', 'prefer', 'referer'],
    ...[
      'traceparent',
      'tracestate',
      'baggage',
      'forwarded',
      'x-forwarded-for',
      'x-request-id',
      'coditect-assertion',
    ],
    ...[
      'coditect-client-ip',
      'coditect-snapshot',
      'coditect-edge-counts',
      'x-request-deadline',
      'x-anything',
    ],
  ]
  const asks: Ask[] = [
    ...headers.flatMap((name): Ask[] => [
      { as: key, path: '/v1/projects', headers: { [name]: mark() } },
      { as: key, method: 'POST', path: '/v1/projects', body: { name: mark() }, headers: { [name]: mark() } },
    ]),
    { as: key, path: `/v1/projects/${mark()}` },
    { as: key, path: `/${mark()}` },
    { as: key, path: `/v1/projects?${mark()}=${mark()}` },
    { as: key, path: `/v1/projects?cursor=${mark()}` },
    { as: key, path: `/v1/events?after=${mark()}` },
    { as: key, method: 'POST', path: '/v1/projects', body: `{"name": "${mark()}` },
    { as: key, method: 'POST', path: '/v1/projects', body: { [mark()]: mark() } },
    { as: key, method: 'POST', path: '/v1/members', body: { email: `${mark()}@acme.example` } },
    { as: 'region', method: 'POST', path: '/internal/v1/claim', body: `{"slug": ${mark()}` },
    { as: 'region', method: 'POST', path: '/internal/v1/claim', body: { slug: mark() } },
    { as: 'region', method: 'POST', path: `/internal/v1/${mark()}`, body: {} },
    { as: 'operator', method: 'POST', path: '/platform/v1/tenants', body: { slug: mark(), name: mark() } },
    { as: 'operator', path: `/platform/v1/tenants/${mark()}` },
  ]
  const ids = new Set<string>()
  for (const ask of asks) {
    const requestId = newId('req')
    ids.add(requestId)
    await regions.ask('us', { ...ask, requestId }).catch(() => undefined)
  }
  const minted = await regions.ask('us', {
    as: key,
    method: 'POST',
    path: '/v1/api-keys',
    body: { name: mark(), scopes: ['projects:read'] },
  })
  expect(minted.status).toBe(201)
  marks.push(minted.body.key, key, minted.body.key.slice(-20), key.slice(-20))
  const last = newId('req')
  await regions.ask('us', { as: key, path: '/v1/projects', requestId: last })
  await lineOf(last)
  const log = lines.join('')
  expect(
    logged().filter(({ requestId }) => requestId !== undefined && ids.has(requestId)).length,
  ).toBeGreaterThan(headers.length)
  expect(marks.filter((each) => log.includes(each))).toEqual([])
  expect(log).not.toMatch(/ck_test_|eyJ[\w-]+\.|secretHash/)
})

test('metrics name latency by class, stages, jobs and the process, and tenants by a bounded label', async () => {
  await regions.ask('us', { as: key, path: '/v1/projects' })
  const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
  for (const shown of [
    /^coditect_request_duration_seconds_bucket\{le="0\.1",region="us",class="read",status="2xx"\} [1-9]/m,
    /^coditect_request_duration_seconds_count\{region="us",class="operator",status="2xx"\} [1-9]/m,
    /^coditect_stage_duration_seconds_count\{region="us",stage="commit"\} [1-9]/m,
    /^coditect_problems_total\{code="not_found",region="us"\} [1-9]/m,
    /^coditect_transaction_retries_total\{region="us"\} \d/m,
    /^coditect_job_tenants_waiting\{region="us"\} \d/m,
    /^coditect_event_loop_active_seconds_total [\d.]+$/m,
    /^nodejs_eventloop_lag_p99_seconds [\d.e-]+$/m,
    /^coditect_isolation_violations_total\{region="us"\} 0$/m,
    /^coditect_edge_decisions_total\{decision="unanswered",of="eu",region="us"\} 0$/m,
  ]) {
    expect(text).toMatch(shown)
  }
  const tenants = await metric('coditect_tenant_units_total')
  expect(tenants.length).toBeGreaterThan(0)
  expect(text).not.toContain(tenant)
})

test('what edges told before the first scrape comes with the second, as an increase', async () => {
  const metrics = regionMetrics('us', ['us', 'eu'])
  metrics.edgeDecided({ decision: 'throttled', count: 3 })
  metrics.edgeDecided({ decision: 'unanswered', of: 'eu', count: 2 })
  const shown = async () =>
    [...(await metrics.text()).matchAll(/^coditect_edge_decisions_total\{(.*),region="us"\} (\d+)$/gm)].map(
      ([, labels, value]) => `${labels} ${value}`,
    )
  const first = await shown()
  expect(first).toContain('decision="throttled" 0')
  expect(first).toContain('decision="region_unavailable",of="us" 0')
  expect(first.every((series) => series.endsWith(' 0'))).toBe(true)
  metrics.edgeDecided({ decision: 'throttled', count: 1 })
  const second = await shown()
  expect(second).toContain('decision="throttled" 4')
  expect(second).toContain('decision="unanswered",of="eu" 2')
  expect(await shown()).toEqual(second)
  expect(second).toHaveLength(first.length)
  // Of a region that was added since this one was started.
  metrics.edgeDecided({ decision: 'unanswered', of: 'ap', count: 3 })
  expect(await shown()).toContain('decision="unanswered",of="ap" 0')
  metrics.edgeDecided({ decision: 'unanswered', of: 'ap', count: 1 })
  expect(await shown()).toContain('decision="unanswered",of="ap" 4')
})

test('what an edge decided is counted even of a request that comes too late', async () => {
  const told = () => metric('coditect_edge_decisions_total')
  expect(await told()).toContainEqual({ labels: 'decision="limiter_closed",region="us"', value: 0 })
  const late = await regions.ask('us', {
    as: key,
    path: '/v1/projects',
    headers: { 'x-request-deadline': '1', 'coditect-edge-counts': 'limiter_closed=3' },
  })
  expect(late.body.code).toBe('deadline_exceeded')
  expect(await told()).toContainEqual({ labels: 'decision="limiter_closed",region="us"', value: 3 })
})

test('a region that is overloaded says that it is not ready, and answers all the same', async () => {
  const ready = async (query = '') => {
    const answer = await fetch(`${regions.url('us')}/readyz${query}`)
    return [answer.status, ((await answer.json()) as { status: string }).status]
  }
  expect(await ready()).toEqual([200, 'ready'])
  overloaded = true
  expect(await ready()).toEqual([503, 'overloaded'])
  expect(await ready('?exclude=draining')).toEqual([503, 'overloaded'])
  // For who would take all instances out at once.
  expect(await ready('?exclude=overloaded')).toEqual([200, 'ready'])
  expect((await regions.ask('us', { as: key, path: '/v1/projects' })).status).toBe(200)
  overloaded = false
  expect(await ready()).toEqual([200, 'ready'])
})

test.each(['/metrics', '/readyz'])(
  '%s is for those beside the instance: by a proxy it is as any path',
  async (path) => {
    const ask = async (headers: Record<string, string>) =>
      (await fetch(regions.url('us') + path, { headers })).status
    expect(await ask({})).toBe(200)
    for (const proxy of [
      { 'x-forwarded-for': '192.0.2.1' },
      { forwarded: 'for=192.0.2.1' },
      { via: '1.1 proxy' },
      { 'x-real-ip': '192.0.2.1' },
    ]) {
      expect(await ask(proxy)).toBe(401)
    }
  },
)

test.each([
  ['GET', '/alive', 200],
  ['GET', '/openapi.json', 200],
  ['GET', '/v1/projects', 200],
  ['PATCH', '/nowhere', 404],
])(
  'what a region answers says that it is the region’s, or edges would take it for nobody’s: %s %s',
  async (method, path, status) => {
    const answer = await regions.open('us', { as: key, method, path })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('coditect-took')).toMatch(/^\d+(\.\d+)?$/)
  },
)

test('an instance that does not believe the edge, by its keys or its clock, says why in the log, and to the edge nothing', async () => {
  const principal: Principal = { kind: 'edge' }
  const [method, path] = ['GET', '/v1/projects']
  const keyOf = (kid: string, secret: string) => importAssertionKey([{ kid, secret }])
  const ours = await keyOf('us-1', regions.assertionSecret('us'))
  const theirs = await keyOf('us-1', toBase64url(randomBytes(32)))
  const anothers = await keyOf('eu-1', regions.assertionSecret('eu'))
  const bySide = async (key: AssertionKey, said: { target?: string; atMs?: number } = {}) => {
    const { target = path, atMs } = said
    const asserted = { region: 'us', method, target, requestId: newId('req') }
    const assertion = await signAssertion(asserted, principal, key, atMs)
    const answer = await fetch(regions.url('us') + path, { headers: { [ASSERTION]: assertion } })
    const { code, requestId } = (await answer.json()) as { code: string; requestId: string }
    expect([answer.status, code]).toEqual([401, 'assertion_invalid'])
    return [(await lineOf(requestId)).why, answer.headers.has('coditect-took')]
  }
  expect(await bySide(theirs)).toEqual(['the signature is wrong', false])
  expect(await bySide(anothers)).toEqual(['not signed with a key of this region', false])
  for (const offMs of [60_000, -60_000]) {
    expect(await bySide(ours, { atMs: Date.now() + offMs })).toEqual(['of another time', false])
  }
  // Whatever rewrote it on the way would do so again: another instance is of no use.
  expect(await bySide(ours, { target: '/v1/other' })).toEqual(['made for another method or path', true])
})

const newTraceId = () => randomBytes(16).toString('hex')

test('a client’s trace goes on in the region: the request, its transaction, and the stages in it', async () => {
  const traceId = newTraceId()
  const caller = 'c'.repeat(16)
  const headers = { traceparent: `00-${traceId}-${caller}-00` }
  const body = { name: 'Traced' }
  await regions.ask('us', { as: key, method: 'POST', path: '/v1/projects', body, headers })
  const ofTrace = () => spans.filter((span) => span.traceId === traceId)
  const names = ['POST /v1/projects', 'admit', 'commit', 'receive', 'transaction', 'verify', 'work']
  await eventually(() =>
    expect(
      ofTrace()
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(names),
  )
  const [request] = ofTrace().filter(({ name }) => name === 'POST /v1/projects')
  const [transaction] = ofTrace().filter(({ name }) => name === 'transaction')
  expect(request).toMatchObject({ parentSpanId: caller, kind: 2 })
  expect(transaction?.parentSpanId).toBe(request?.spanId)
  for (const { name, parentSpanId } of ofTrace()) {
    if (['admit', 'work', 'commit'].includes(name)) expect(parentSpanId).toBe(transaction?.spanId)
  }
  const attributes = Object.fromEntries((request?.attributes ?? []).map(({ key, value }) => [key, value]))
  expect(attributes).toMatchObject({
    'http.route': { stringValue: '/v1/projects' },
    'http.response.status_code': { intValue: 201 },
  })
})

test.each([
  ['begins there', undefined, undefined],
  ['goes on through it', 'd'.repeat(16), 'c'.repeat(16)],
])(
  'what the edge tells of its own span is the request’s outer one: a trace that %s',
  async (_, spanId, parent) => {
    const traceId = newTraceId()
    const startMs = Date.now() - 50
    const caller = 'c'.repeat(16)
    const headers = {
      traceparent: `00-${traceId}-${caller}-00`,
      'coditect-edge-span': spanId === undefined ? String(startMs) : `${startMs};${spanId}`,
    }
    await regions.ask('us', { as: key, path: '/v1/tenant', headers })
    const named = (name: string) => spans.find((span) => span.traceId === traceId && span.name === name)
    await eventually(() => expect(named('GET at the edge')).toBeDefined())
    const outer = named('GET at the edge')
    expect(outer?.spanId).toBe(spanId ?? caller)
    expect(outer?.parentSpanId).toBe(parent)
    expect(Number(outer?.startTimeUnixNano) / 1e6).toBeCloseTo(startMs, 0)
    expect(named('GET /v1/tenant')?.parentSpanId).toBe(spanId ?? caller)
  },
)

const spansOf = (traceId: string) => spans.filter((span) => span.traceId === traceId)
const named = (traceId: string, name: string) =>
  eventually(() => {
    const found = spansOf(traceId).find((span) => span.name === name)
    if (found === undefined) throw new Error(`no span ${name}`)
    return found
  })

test('what goes on side by side, and what another region is asked, lies below what it is a part of', async () => {
  const ofEurope = await regions.newTenant('nested-eu', 'eu')
  for (const slug of ['nested-one', 'nested-two']) await regions.newTenant(slug, 'us')
  const traceId = newTraceId()
  const headers = {
    traceparent: `00-${traceId}-${'c'.repeat(16)}-00`,
    'coditect-edge-span': `${Date.now()};${'d'.repeat(16)}`,
  }
  const asked = { as: 'operator', path: '/platform/v1/tenants?limit=100', headers }
  const { body } = await regions.ask('us', asked)
  expect(body.data.map(({ id }: { id: string }) => id)).toContain(ofEurope.id)
  const request = await named(traceId, 'GET /platform/v1/tenants')
  const elsewhere = await named(traceId, 'POST /internal/v1/describe')
  const inTrace = (id: string | undefined) => spansOf(traceId).find(({ spanId }) => spanId === id)
  const transactions = spansOf(traceId).filter(({ name }) => name === 'transaction')
  expect(transactions.length).toBeGreaterThanOrEqual(4)
  const above = [request.spanId, elsewhere.spanId]
  expect(transactions.filter(({ parentSpanId = '' }) => !above.includes(parentSpanId))).toEqual([])
  expect(inTrace(elsewhere.parentSpanId)).toBe(request)
})

test('what a stream follows goes on in no trace of a request that is over', async () => {
  const tail = async (traceId: string) => {
    const leaving = new AbortController()
    const requestId = newId('req')
    const headers = { ...TAIL.headers, traceparent: `00-${traceId}-${'c'.repeat(16)}-00` }
    const answer = await regions.open(
      'us',
      { as: key, path: '/v1/events', requestId, headers },
      leaving.signal,
    )
    const reader = answer.body?.getReader()
    await reader?.read()
    return { leave: () => leaving.abort(), read: () => reader?.read(), line: () => lineOf(requestId) }
  }
  const [first, second] = [newTraceId(), newTraceId()]
  const one = await tail(first)
  const another = await tail(second)
  one.leave()
  await one.line()
  const { endTimeUnixNano } = await named(first, 'GET /v1/events')
  for (const name of ['A', 'B', 'C']) {
    await regions.ask('us', { as: key, method: 'POST', path: '/v1/projects', body: { name } })
    await another.read()
  }
  another.leave()
  await named(second, 'GET /v1/events')
  const late = spansOf(first).filter((span) => BigInt(span.startTimeUnixNano) > BigInt(endTimeUnixNano))
  expect(late.map(({ name }) => name)).toEqual([])
})

test('the edge’s span is told with the last answer, not by an instance that sends the edge elsewhere', async () => {
  const log = { info() {}, error() {} }
  const tracing = await startTracing({
    ...{ endpoint: collector(), headers: { 'x-token': 'of the collector' }, ratio: 1, secret: 'shared' },
    ...{ serviceName: 'test', region: 'us', lost: () => {}, log },
  })
  const app = new Hono().use(observing({ log, metrics: regionMetrics('us', []), tracing }))
  app.get('/leaving', () => new Response(null, { status: 503, headers: { 'coditect-draining': '1' } }))
  app.get('/staying', () => new Response())
  const traceId = newTraceId()
  const headers = {
    traceparent: `00-${traceId}-${'c'.repeat(16)}-00`,
    'coditect-edge-span': `${Date.now()};${'d'.repeat(16)}`,
  }
  for (const path of ['/leaving', '/staying']) await app.request(path, { headers })
  await tracing.stop(1_000)
  expect(
    spansOf(traceId)
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(['GET', 'GET', 'GET at the edge'])
})
