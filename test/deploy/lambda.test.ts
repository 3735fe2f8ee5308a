// A region on AWS Lambda, asked by events as Function URLs and HTTP APIs send them. What stands for Lambda here is only what
// lies between HTTP and the handler: the event of a request, and the stream that the handler writes, with its prelude.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { newId } from '../../shared/ids.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { RegionClient, RegionSecrets } from '../support/region_client.ts'

type Streaming = (event: APIGatewayProxyEventV2, to: PassThrough, context: Context) => Promise<void>
type Buffered = (
  event: APIGatewayProxyEventV2,
  context: Context,
) => Promise<APIGatewayProxyStructuredResultV2>

/** As Lambda's own runtime does it: what is sent first is JSON about the answer, then eight zero bytes, then the body. */
const runtime = {
  streamifyResponse: (work: Streaming): Streaming => work,
  HttpResponseStream: {
    from(to: PassThrough, about: unknown): PassThrough {
      to.write(JSON.stringify(about))
      to.write(Buffer.alloc(8))
      return to
    },
  },
}

const context = { awsRequestId: newId('req'), functionName: 'coditect-us' } as Context
const folder = mkdtempSync(join(tmpdir(), 'coditect-lambda-'))
const secrets = new RegionSecrets(['us'])
const events: APIGatewayProxyEventV2[] = []
let lambda: { handler: Streaming; buffered: Buffered }
let client: RegionClient
/** By way of an HTTP API. */
let wholeClient: RegionClient
let model: ModelServer
let key: string
let url: string

/**
 * Version 2.0 of the payload, as `docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html` shows it.
 * @param isText a body comes as it is, as of JSON; otherwise in base64
 */
async function eventOf(request: IncomingMessage, isText: boolean): Promise<APIGatewayProxyEventV2> {
  const target = new URL(request.url ?? '/', 'https://abcdefg.lambda-url.us-east-1.on.aws')
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  const { cookie, ...headers } = request.headers
  return {
    version: '2.0',
    routeKey: '$default',
    // Lambda decodes the path, and leaves the query as it is.
    rawPath: decodeURIComponent(target.pathname),
    rawQueryString: target.search.slice(1),
    ...(cookie !== undefined && { cookies: cookie.split('; ') }),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
    queryStringParameters: Object.fromEntries(target.searchParams),
    requestContext: {
      accountId: 'anonymous',
      apiId: 'abcdefg',
      domainName: target.host,
      domainPrefix: 'abcdefg',
      http: {
        method: request.method ?? 'GET',
        path: decodeURIComponent(target.pathname),
        protocol: 'HTTP/1.1',
        sourceIp: '203.0.113.7',
        userAgent: String(headers['user-agent']),
      },
      requestId: 'e1506fd5-9e7b-434f-bd42-4f8fa224b599',
      routeKey: '$default',
      stage: '$default',
      time: '24/Nov/2026:10:15:00 +0000',
      timeEpoch: 1_795_515_300_000,
    },
    ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const event = await eventOf(request, false)
  events.push(event)
  const stream = new PassThrough()
  let head = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    if (response.headersSent) return void response.write(chunk)
    head = Buffer.concat([head, chunk])
    const end = head.indexOf(Buffer.alloc(8))
    if (end < 0) return
    const about = JSON.parse(head.subarray(0, end).toString('utf8')) as {
      statusCode: number
      headers: Record<string, string>
    }
    response.writeHead(about.statusCode, about.headers).flushHeaders()
    if (head.length > end + 8) response.write(head.subarray(end + 8))
  })
  stream.on('end', () => response.end())
  response.on('close', () => stream.destroy())
  await lambda.handler(event, stream, context)
}

async function answerWhole(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const event = await eventOf(request, true)
  events.push(event)
  const { statusCode = 200, headers, body = '', isBase64Encoded } = await lambda.buffered(event, context)
  const said = Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)] as const)
  response.writeHead(statusCode, Object.fromEntries(said))
  response.end(Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8'))
}

const servers = [answer, answerWhole].map((by) =>
  createServer((request, response) => void by(request, response).catch(() => response.destroy())),
)

beforeAll(async () => {
  vi.stubGlobal('awslambda', runtime)
  const urls = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    }),
  )
  url = urls[0] ?? ''
  model = await startModelServer()
  const environment = await secrets.environment('us', { us: url })
  // A model of this machine, over http.
  const own = { ...environment, DATA_DIR: join(folder, 'us'), LOG_LEVEL: 'silent', DEVELOPMENT_ISSUERS: 'on' }
  for (const [name, value] of Object.entries(own)) vi.stubEnv(name, value)
  lambda = (await import(new URL('../../deploy/lambda/index.mjs', import.meta.url).href)) as typeof lambda
  client = new RegionClient(secrets, () => url)
  wholeClient = new RegionClient(secrets, () => urls[1] ?? '')
  ;({ key } = await client.newTenant('acme', 'us'))
})
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  await model.close()
  vi.unstubAllGlobals()
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

test('a tenant is made, writes and reads, all by events of a Function URL', async () => {
  const made = await client.ask('us', {
    as: key,
    method: 'POST',
    path: '/v1/projects',
    body: { name: 'Über Lambda' },
    headers: { 'idempotency-key': 'once' },
  })
  expect([made.status, made.body.name]).toEqual([201, 'Über Lambda'])
  const listed = await client.ask('us', { as: key, path: '/v1/projects?limit=5' })
  expect(listed.body.data).toEqual([made.body])
  expect(listed.headers.get('content-type')).toMatch(/^application\/json/)
  expect(events.at(-1)).toMatchObject({ rawPath: '/v1/projects', rawQueryString: 'limit=5' })
})

test('a query keeps its spelling, which the assertion is bound to', async () => {
  const { status, body } = await client.ask('us', {
    as: key,
    path: '/v1/events?types=project.*%2Capi_key.%2A&limit=1',
  })
  expect([status, body.data.length]).toEqual([200, 1])
})

test('what did not come through the edge is refused, and nothing of the instance is shown', async () => {
  const bare = await fetch(`${url}/v1/projects`)
  expect([bare.status, ((await bare.json()) as { code: string }).code]).toEqual([401, 'assertion_invalid'])
  expect([(await fetch(`${url}/metrics`)).status, (await fetch(`${url}/readyz`)).status]).toEqual([404, 404])
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  const alive = await fetch(`${url}/alive`)
  expect([alive.status, alive.headers.get('coditect-took')]).toEqual([200, '0'])
})

test('what an event leaves in memory is written down before its answer ends', async () => {
  const ask = (path: string, method = 'GET') => client.ask('us', { as: key, path, method })
  const reads = async (): Promise<number> => {
    const { body } = await ask('/v1/usage')
    return body.history.reduce((sum: number, period: { reads: number }) => sum + period.reads, 0)
  }
  // One after the other at once, so that no timer of the process can be what wrote it.
  const before = await reads()
  for (let i = 1; i <= 5; i++) {
    await ask('/v1/projects')
    expect(await reads()).toBe(before + 2 * i)
  }
  // An answer without a body.
  await ask('/v1/projects', 'HEAD')
  expect(await reads()).toBe(before + 12)
})

test('a stream, which would have the process to itself, is refused at once, and pages are there', async () => {
  const asked = { as: key, path: '/v1/events', headers: { accept: 'text/event-stream' } }
  const refused = await client.ask('us', asked)
  expect([refused.status, refused.body.code]).toEqual([406, 'not_acceptable'])
  expect((await client.ask('us', { as: key, path: '/v1/events' })).body.data.length).toBeGreaterThan(0)
})

test('a run streams: what the model has said comes while it still speaks', async () => {
  const ask = (path: string, body: unknown, as = key) => client.ask('us', { as, method: 'POST', path, body })
  const upstream = { name: 'small', baseUrl: model.baseUrl, apiKey: 'upstream-secret', upstreamModel: 'gpt' }
  expect((await ask('/platform/v1/models', upstream, 'operator')).status).toBe(201)
  const project = (await ask('/v1/projects', { name: 'Agents' })).body.id
  const agent = (await ask(`/v1/projects/${project}/agents`, { name: 'A', model: 'small' })).body.id
  const run = await client.open('us', {
    ...{ as: key, method: 'POST', path: `/v1/projects/${project}/agents/${agent}/runs` },
    body: { input: 'wait' },
    headers: { accept: 'text/event-stream' },
  })
  expect([run.status, run.headers.get('content-type')]).toEqual([201, 'text/event-stream'])
  let text = ''
  for await (const chunk of run.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk
    if (text.includes('"Wait"')) model.release()
  }
  const said = [...text.matchAll(/^event: (\w+)$/gm)].map(([, event]) => event)
  expect([said[0], said[1], said.at(-1)]).toEqual(['run', 'delta', 'done'])
  expect(text).toContain('"output":"WaitHello, world."')
})

test('an HTTP API’s body comes as text, and its answer goes out whole', async () => {
  const path = '/v1/projects'
  const made = await wholeClient.ask('us', { as: key, method: 'POST', path, body: { name: 'Übers Gateway' } })
  expect([made.status, made.body.name]).toEqual([201, 'Übers Gateway'])
  expect(events.at(-1)).toMatchObject({ isBase64Encoded: false, body: '{"name":"Übers Gateway"}' })
  expect((await wholeClient.ask('us', { as: key, path: `${path}/${made.body.id}` })).body).toEqual(made.body)
})

test('an HTTP API gets the whole answer at once', async () => {
  // As the developer guide of API Gateway shows it, with a stage that is `$default`.
  const event: APIGatewayProxyEventV2 = {
    version: '2.0',
    routeKey: '$default',
    rawPath: '/healthz',
    rawQueryString: '',
    cookies: ['cookie1', 'cookie2'],
    headers: { header1: 'value1', header2: 'value1,value2', host: 'id.execute-api.us-east-1.amazonaws.com' },
    requestContext: {
      accountId: '123456789012',
      apiId: 'api-id',
      domainName: 'id.execute-api.us-east-1.amazonaws.com',
      domainPrefix: 'id',
      http: {
        method: 'GET',
        path: '/healthz',
        protocol: 'HTTP/1.1',
        sourceIp: '192.0.2.1',
        userAgent: 'agent',
      },
      requestId: 'JKJaXmPLvHcESHA=',
      routeKey: '$default',
      stage: '$default',
      time: '10/Mar/2020:05:16:23 +0000',
      timeEpoch: 1_583_817_383_220,
    },
    isBase64Encoded: false,
  }
  const result = await lambda.buffered(event, context)
  expect(result).toMatchObject({ statusCode: 200, isBase64Encoded: false })
  expect(JSON.parse(result.body ?? '')).toEqual({ status: 'ok', region: 'us' })
  const unknown = await lambda.buffered({ ...event, rawPath: '/v1/projects' }, context)
  expect([unknown.statusCode, JSON.parse(unknown.body ?? '').code]).toEqual([401, 'assertion_invalid'])
})
