import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { payloadOf } from '../../regional/webhooks/payload.ts'
import { EVENT_TYPES } from '../../shared/event_types.ts'
import { newId } from '../../shared/ids.ts'
import { type Regions, startRegions } from './support.ts'

let regions: Regions
// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document, looked into here and there
let document: any
beforeAll(async () => {
  regions = await startRegions()
  document = await (await fetch(`${regions.url('us')}/openapi.json`)).json()
})
afterAll(() => regions.close())

test('the document is OpenAPI 3.1 and shows every operation with its body, answers and problems', () => {
  expect(document.openapi).toBe('3.1.0')
  const create = document.paths['/v1/projects'].post
  expect(create.requestBody.content['application/json'].schema.$ref).toBe(
    '#/components/schemas/CreateProject',
  )
  expect(create.responses[201].content['application/json'].schema.$ref).toBe('#/components/schemas/Project')
  expect(create.responses[422].description).toContain('validation_failed')
  expect(Object.keys(create.responses[201].headers)).toEqual(
    expect.arrayContaining(['X-Request-Id', 'RateLimit', 'ETag', 'Location', 'Idempotency-Replayed']),
  )
  expect(create.responses[429].headers).toHaveProperty('Retry-After')
  expect(create.security).toEqual([{ apiKey: [] }, { jwt: [] }, { signedUrl: [] }])
  expect(document.paths['/v1/api-keys'].post.security).toEqual([{ apiKey: [] }, { jwt: [] }])
  expect(Object.keys(document.paths['/v1/projects/{id}'])).toEqual(['get', 'patch', 'delete'])
  expect(document.paths['/platform/v1/tenants'].post.security).toEqual([{ operator: [] }])
})

test('the document is written once, and whoever has it is told so', async () => {
  const url = `${regions.url('us')}/openapi.json`
  const { headers } = await fetch(url)
  expect(headers.get('cache-control')).toBe('public, max-age=60')
  const etag = headers.get('etag') ?? ''
  const again = await fetch(url, { headers: { 'if-none-match': etag } })
  expect([again.status, again.headers.get('etag'), await again.text()]).toEqual([304, etag, ''])
  const other = await fetch(url, { headers: { 'if-none-match': '"other"' } })
  expect([other.status, await other.json()]).toEqual([200, document])
})

test('every operation has an id of its own, and every reference is there', () => {
  const ids = Object.values(document.paths).flatMap((path) =>
    Object.values(path as Record<string, { operationId: string }>).map(({ operationId }) => operationId),
  )
  expect(new Set(ids).size).toBe(ids.length)
  const text = JSON.stringify(document)
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    expect(document.components.schemas).toHaveProperty([name ?? ''])
  }
  for (const [, name] of text.matchAll(/"#\/components\/headers\/([\w-]+)"/g)) {
    expect(document.components.headers).toHaveProperty([name ?? ''])
  }
})

test('an operation that answers as a stream too says so, and no other does', () => {
  const streaming = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, { responses: Record<string, { content?: object }> }>).flatMap(
      ([method, { responses }]) =>
        Object.entries(responses)
          .filter(([, { content }]) => content !== undefined && 'text/event-stream' in content)
          .map(([status]) => `${method} ${path} ${status}`),
    ),
  )
  expect(streaming.sort()).toEqual([
    'get /v1/events 200',
    'post /v1/projects/{projectId}/agents/{agentId}/runs 201',
  ])
})

test('an operation whose work outlives its transaction says so, and what that may come to', () => {
  for (const [path, status] of [
    ['/v1/projects/{projectId}/agents/{agentId}/runs', 201],
    ['/v1/domains/{id}/verify', 200],
  ] as const) {
    const { responses } = document.paths[path].post
    expect(responses[409].description).toContain('request_in_progress')
    expect(responses[429].description).toContain('too_many_streams')
    expect(responses[status].description).toContain('event `error`')
  }
  expect(document.paths['/v1/projects'].post.responses[429].description).not.toContain('too_many_streams')
})

test('every JSON body and success answer has an example that fits its schema', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  formats.default(ajv)
  ajv.addSchema({ ...document, $id: 'api' })
  const faults: string[] = []
  let examples = 0
  const pointer = (steps: ReadonlyArray<string>) =>
    steps.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
  for (const [path, methods] of Object.entries<Record<string, Record<string, unknown>>>(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const responses = Object.keys(operation.responses as object).filter((status) => status.startsWith('2'))
      const holders = [['requestBody'], ...responses.map((status) => ['responses', status])]
      for (const holder of holders) {
        const held = holder.reduce<unknown>((at, step) => at && Reflect.get(at, step), operation)
        const media = (held as { content?: Record<string, { example?: unknown }> } | undefined)?.content?.[
          'application/json'
        ]
        if (media === undefined) continue
        examples++
        const at = pointer(['paths', path, method, ...holder, 'content', 'application/json', 'schema'])
        if (media.example === undefined || !ajv.validate({ $ref: `api#/${at}` }, media.example)) {
          faults.push(
            `${method} ${path} ${holder.join(' ')}: ${ajv.errorsText()} ${JSON.stringify(media.example)}`,
          )
        }
      }
    }
  }
  expect(faults).toEqual([])
  expect(examples).toBeGreaterThan(100)
})

test('every type of event is a webhook, whose payload is what endpoints are sent', () => {
  expect(Object.keys(document.webhooks).sort()).toEqual(Object.keys(EVENT_TYPES).sort())
  const sent = payloadOf({
    id: newId('evt'),
    type: 'record.created',
    resource: 'r1',
    at: new Date().toISOString(),
    actor: { kind: 'api_key', id: newId('key') },
    sequence: '0'.repeat(40),
    data: { project: 'prj_1', version: 1 },
  })
  const { schema, example } = document.webhooks['record.created'].post.requestBody.content['application/json']
  expect(example.type).toBe('record.created')
  const ajv = new Ajv2020({ strict: false })
  formats.default(ajv)
  ajv.addSchema({ ...document, $id: 'api' })
  expect([ajv.validate({ $ref: `api${schema.$ref}` }, sent), ajv.errorsText()]).toEqual([true, 'No errors'])
  expect(Object.keys(sent).sort()).toEqual(
    Object.keys(document.components.schemas.WebhookPayload.properties).sort(),
  )
})
