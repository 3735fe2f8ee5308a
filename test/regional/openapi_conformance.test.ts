// The OpenAPI document against a running region, every operation: no answer that it does not document, none whose body does
// not match its schema, and no mistake of a client's that is answered as one of ours. A new route is covered without a
// new line here.
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { writeCursor } from '../../regional/cursor.ts'
import { startRegion } from '../../regional/server.ts'
import {
  bodyOf,
  type Document,
  inTurn,
  kindsNamed,
  type Operation,
  type Route,
  routesOf,
} from '../isolation/samples.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { arbitraryOf } from '../support/schema_arbitrary.ts'
import { type Answer, type Regions, startRegions } from './support.ts'

const SEED = Number(process.env.CONFORMANCE_SEED ?? 20_261_123)
const BODIES = 12
const VALUES = 4
let server: ModelServer
let regions: Regions
let document: Document
let key: string
let routes: Route[]
/** The id of one thing of each collection, by the collection's path. */
const made = new Map<string, string>()
const faults: string[] = []
/** What was made without a word of where it is, or without its ETag. */
const unnamed: string[] = []
/** Operations that have done what they are for. */
const reached = new Set<string>()
const ajv = new Ajv2020({ strict: false })
formats.default(ajv)

beforeAll(async () => {
  server = await startModelServer()
  // A model of this machine, over http.
  regions = await startRegions({}, (environment) =>
    startRegion(readConfig({ ...environment, DEVELOPMENT_ISSUERS: 'on' }), { writeLog: () => {} }),
  )
  document = (await (await fetch(`${regions.url('us')}/openapi.json`)).json()) as Document
  ajv.addSchema({ ...document, $id: 'api' })
  const model = { name: 'a', baseUrl: server.baseUrl }
  await regions.ask('us', { as: 'operator', method: 'POST', path: '/platform/v1/models', body: model })
  key = (await regions.newTenant('conforming', 'us')).key
  routes = routesOf(document)
  const isCollection = (path: string) => routes.some((each) => each.path.startsWith(`${path}/{`))
  // What lies above comes before what lies below it.
  const creations = routes
    .filter(({ method, path }) => method === 'POST' && isCollection(path))
    .sort((a, b) => a.path.length - b.path.length)
  await inTurn(creations, document, idOf, make)
  // Nobody makes these by asking for them.
  const asked = { as: key, method: 'POST', path: filled('/v1/webhook-endpoints/{id}/test') }
  made.set('/v1/deliveries', (await regions.ask('us', asked)).body?.id)
  const doomed = { as: key, path: '/v1/projects', method: 'POST', body: { name: 'Doomed' } }
  const { id } = (await regions.ask('us', doomed)).body
  const deletion = { as: key, path: `/v1/projects/${id}`, method: 'DELETE' }
  made.set('/v1/jobs', (await regions.ask('us', deletion)).body.job)
})
afterAll(async () => {
  await regions.close()
  await server.close()
})

/** With the ids of what there is; a name of one's own choice is `sample`. */
const filled = (path: string): string =>
  path.replaceAll(/\{\w+\}/g, (param, at: number) =>
    encodeURIComponent(made.get(path.slice(0, at - 1)) ?? (param === '{name}' ? 'sample' : 'nothing')),
  )

/** What was made last of a kind. */
const idOf = (kind: string) => [...made.values()].findLast((id) => id.startsWith(`${kind}_`))

/** Naming what there is. */
const sampleFor = ({ operation }: Route): unknown => bodyOf(operation, document, idOf)

async function make(route: Route): Promise<void> {
  const body = sampleFor(route)
  const answer = await send(route, { body })
  note(route, answer, JSON.stringify(body))
  const id = answer.body?.id ?? answer.body?.name ?? answer.body?.tenant?.id
  if (answer.status >= 300 || typeof id !== 'string') return
  made.set(route.path, id)
  // A tenant is answered beside its key. A run has begun when its head goes out, and changes until it is over.
  const isBare = answer.body.tenant === undefined && !route.path.endsWith('/runs')
  const location = `${filled(route.path)}/${id}`
  if (answer.headers.get('location') !== location || (isBare && !answer.headers.has('etag')))
    unnamed.push(`${route.path}: ${answer.headers.get('location')}, ETag ${answer.headers.get('etag')}`)
}

interface Sent {
  body?: unknown
  query?: string
  headers?: Record<string, string>
  path?: string
}

const send = (
  { method, path }: Route,
  { body, query = '', headers = {}, path: at = filled(path) }: Sent,
): Promise<Answer> =>
  regions.ask('us', {
    as: path.startsWith('/platform/') ? 'operator' : key,
    method,
    path: at + query,
    body,
    headers,
  })

const OF_ANSWERS = ['X-Request-Id', 'ETag', 'Location', 'Retry-After', 'Idempotency-Replayed']

/** @returns what is wrong with an answer, in words */
function faultOf({ method, path, operation }: Route, answer: Answer, what: string): string | undefined {
  const told = `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)} to ${what}`.slice(0, 500)
  if (answer.status >= 500) return told
  const documented = operation.responses[answer.status] as
    | { content?: object; description?: string; headers?: object }
    | undefined
  if (documented === undefined) return `not documented: ${told}`
  for (const name of OF_ANSWERS) {
    if (answer.headers.has(name) && !Object.hasOwn(documented.headers ?? {}, name))
      return `an undocumented ${name}: ${told}`
  }
  if (answer.body === undefined) return undefined
  if (answer.body.code !== undefined && answer.body.requestId !== undefined) {
    if (!documented.description?.includes(`\`${answer.body.code}\``))
      return `an undocumented problem: ${told}`
  }
  const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
  const steps = ['paths', path, method.toLowerCase(), 'responses', String(answer.status), 'content', type]
  const fits = ajv.validate({ $ref: pointerTo(...steps, 'schema') }, answer.body)
  return fits ? undefined : `${ajv.errorsText()}: ${told}`
}

function note(route: Route, answer: Answer, what: string): void {
  if (answer.status < 300) reached.add(route.operation.operationId)
  const fault = faultOf(route, answer, what)
  if (fault !== undefined) faults.push(fault)
}

/** Bodies near the sample: one field replaced, dropped or added; and some that are nothing like it. */
const bodiesNear = (sample: unknown): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.jsonValue(),
    fc
      .tuple(fc.constantFrom(...Object.keys((sample ?? {}) as object), 'unheardOf'), fc.jsonValue())
      .map(([field, value]) => ({ ...(sample as object), [field]: value })),
  )

type Parameter = NonNullable<Operation['parameters']>[number]
const parametersOf = ({ parameters = [] }: Operation, place: 'query' | 'path' | 'header'): Parameter[] =>
  parameters.filter((parameter) => parameter.in === place)

const fitsBody = ({ method, path }: Route, body: unknown): boolean =>
  ajv.validate({ $ref: pointerTo('paths', path, method.toLowerCase(), 'requestBody', ...JSON_BODY) }, body)
const JSON_BODY = ['content', 'application/json', 'schema']

const pointerTo = (...steps: string[]): string =>
  `api#/${steps.map((each) => encodeURIComponent(each.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`

/** As it stands in a query: all of it is text there, and what has parts is written as `where[age]=3`. */
function inQuery(name: string, value: unknown): string {
  const asText = (each: unknown) => (typeof each === 'object' ? JSON.stringify(each) : String(each))
  const parts: Array<[string, string]> =
    typeof value === 'object' && value !== null
      ? Object.entries(value).map(([key, part]) => [`${name}[${key}]`, asText(part)])
      : [[name, asText(value)]]
  return parts.length === 0 ? '' : `?${new URLSearchParams(parts)}`
}

/** Everything that is sent to an operation, and whether it fits what the document says of it. */
function* requestsOf(route: Route): Generator<Sent & { what: string; isBad?: boolean }> {
  const { operation } = route
  const schema = operation.requestBody?.content['application/json']?.schema
  const some = <T>(arbitrary: fc.Arbitrary<T>, numRuns: number): T[] =>
    fc.sample(arbitrary, { numRuns, seed: SEED })
  const sample = sampleFor(route)
  if (schema !== undefined) {
    for (const body of [
      ...some(bodiesNear(sample), BODIES),
      ...some(arbitraryOf(schema, document), BODIES),
      sample,
    ]) {
      yield { body, what: JSON.stringify(body), isBad: !fitsBody(route, body) }
    }
  }
  for (const { name, schema } of parametersOf(operation, 'query')) {
    const values = [...some(arbitraryOf(schema, document), VALUES), ...some(fc.string(), VALUES)]
    for (const value of values)
      yield { query: inQuery(name, value), what: inQuery(name, value), body: sample }
  }
  for (const { name, schema } of parametersOf(operation, 'header')) {
    if (name === 'X-Tenant') continue
    for (const value of some(fc.string({ unit: fc.constantFrom(...'"1*,W/é ~') }), VALUES)) {
      const text = value.trim()
      const isBad = schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(text)
      yield { headers: { [name]: text }, what: `${name}: ${text}`, body: sample, isBad }
    }
  }
  for (const { name } of parametersOf(operation, 'path')) {
    for (const value of some(fc.string({ unit: 'binary', minLength: 1 }), VALUES)) {
      if (!value.isWellFormed()) continue
      const path = filled(route.path.replace(`{${name}}`, encodeURIComponent(value)))
      yield { path, what: path, body: sample }
    }
  }
  if (schema === undefined) yield { what: 'nothing' }
}

/** Operations that no sample reaches, and why. */
const OUT_OF_REACH: Readonly<Record<string, string>> = {
  'DELETE /v1/jobs/{id}':
    'what is deleted is cleared to its end; test/jobs/http.test.ts cancels another kind',
  'DELETE /v1/sessions/{id}': 'sessions begin in the console; sessions.test.ts',
  'GET /v1/sessions/{id}': 'sessions begin in the console; sessions.test.ts',
  'DELETE /v1/tenant': 'it ends whoever asks here; own_erasure.test.ts',
  'GET /v1/webhook-sources/{sourceId}/received/{id}': 'third parties make them; webhook_sources.test.ts',
  'POST /v1/invitations/accept': 'people accept them, not keys; invitations.test.ts',
}

/** Writing operations that leave nothing in the feed, and why. */
const TELLS_NOTHING: Readonly<Record<string, string>> = {
  'POST /v1/signed-urls': 'a signed URL is kept nowhere',
  'POST /v1/domains/{id}/verify': 'told when the record is found; nobody’s DNS has it here',
  'POST /v1/webhook-endpoints/{id}/test': 'its delivery tells of it, and events are what is delivered',
  'POST /v1/deliveries/{id}/retry': 'its delivery tells of it, and events are what is delivered',
  'DELETE /v1/tenant': 'nobody is left to read it',
  'POST /v1/projects/{projectId}/agents/{agentId}/runs/{id}/cancel': 'a run that has ended stays as it is',
}

const endOfFeed = async (): Promise<string | undefined> => {
  const { body } = await regions.ask('us', { as: key, method: 'GET', path: '/v1/events?limit=100' })
  let last = body
  while (typeof last?.nextCursor === 'string') {
    const path = `/v1/events?limit=100&after=${encodeURIComponent(last.nextCursor)}`
    const { body } = await regions.ask('us', { as: key, method: 'GET', path })
    if (body.data.length === 0) break
    last = body
  }
  return last?.data?.at(-1)?.id
}

test('what is read by itself has an ETag, and is neither changed nor taken away by who knows another one', async () => {
  const wrong: string[] = []
  for (const route of routes) {
    if (!route.path.endsWith('}')) continue
    const name = `${route.method} ${route.path}`
    if (route.method === 'GET') {
      const { status, headers } = await send(route, {})
      const tag = headers.get('etag') ?? ''
      if (!(name in OUT_OF_REACH) && !/^"[\w-]+"$/.test(tag))
        wrong.push(`${name}: ${status} with ETag ${tag}`)
      continue
    }
    const sent = { headers: { 'If-Match': '"another"' }, body: sampleFor(route) }
    const { status, body } = await send(route, sent)
    const isDocumented = parametersOf(route.operation, 'header').some((each) => each.name === 'If-Match')
    const isUnheard = status !== 412 && !(status === 404 && name in OUT_OF_REACH)
    if (!isDocumented || isUnheard) wrong.push(`${name}: ${status} ${body?.code}`)
  }
  expect(wrong).toEqual([])
})

test('what is made is answered with its place and its ETag', () => {
  expect(made.size).toBeGreaterThan(10)
  expect(unnamed).toEqual([])
})

/** What no list takes, and what it says of it. */
const NO_PAGES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['', '0', '-1', '101', '1.5', '1e1', '0x10', '+1', '%201', 'abc', '1&limit=1'].map((limit) => [
      `limit=${limit}`,
      'malformed_request',
    ]),
  ),
  'cursor=a&cursor=b': 'malformed_request',
  'cursor=': 'invalid_cursor',
  'cursor=zz': 'invalid_cursor',
  [`cursor=${writeCursor('of another list', 'a')}`]: 'invalid_cursor',
}

test('every list has its pages by limit and cursor, and refuses others than there are', async () => {
  const wrong: string[] = []
  let lists = 0
  for (const route of routes) {
    if (route.method !== 'GET' || !Array.isArray((await send(route, {})).body?.data)) continue
    lists++
    for (const query of ['limit=1', 'limit=100']) {
      const { status, body } = await send(route, { query: `?${query}` })
      if (status !== 200 || body.data.length > 100 || (query === 'limit=1' && body.data.length > 1))
        wrong.push(`${route.path}?${query}: ${status}, ${body.data?.length} entries`)
    }
    for (const [query, code] of Object.entries(NO_PAGES)) {
      const { status, body } = await send(route, { query: `?${query}` })
      if (status !== 400 || body.code !== code) wrong.push(`${route.path}?${query}: ${status} ${body.code}`)
    }
  }
  expect(wrong).toEqual([])
  expect(lists).toBeGreaterThanOrEqual(25)
})

test('a query parameter that a list or a change does not know, that is said twice or left empty is refused', async () => {
  const wrong: string[] = []
  for (const route of routes) {
    const name = `${route.method} ${route.path}`
    const known = parametersOf(route.operation, 'query').flatMap((each) => [
      `${each.name}=a&${each.name}=a`,
      `${each.name}=`,
      `${each.name}[a]=1&${each.name}[a]=1`,
    ])
    const unknown = route.method === 'GET' && known.length === 0 ? [] : ['unheardOf', 'unheardOf=1']
    for (const query of [...unknown, ...known]) {
      const { status, body } = await send(route, {
        query: `?${query}`,
        body: sampleFor(route),
      })
      if (name in OUT_OF_REACH ? status < 400 : status !== 400)
        wrong.push(`${name}?${query}: ${status} ${body?.code}`)
    }
  }
  expect(wrong).toEqual([])
})

test('a body may be left out where the document says so, and nowhere else', async () => {
  const left: string[] = []
  for (const route of routes) {
    const { required, content } = route.operation.requestBody ?? { required: true, content: undefined }
    if (content === undefined) continue
    const name = `${route.method} ${route.path}`
    const answers = [await send(route, {}), await send(route, { body: '' })]
    const told = answers.map(({ status, body }) => (status < 300 ? 'done' : `${status} ${body?.code}`))
    if (!required) left.push(name)
    const refused = ['415 unsupported_media_type', '400 malformed_json']
    expect([name, ...told]).toEqual([name, ...(required ? refused : ['done', 'done'])])
    const other = { body: 'a', headers: { 'content-type': 'text/plain' } }
    expect([name, (await send(route, other)).status]).toEqual([name, 415])
  }
  expect(left.toSorted()).toEqual([
    'POST /platform/v1/tenants/{id}/admin-links',
    'POST /v1/admin-links',
    'POST /v1/api-keys/{id}/rotate',
    'POST /v1/webhook-endpoints/{id}/rotate',
  ])
})

test('a body where none is taken is refused, but for an empty object', async () => {
  const heard: string[] = []
  for (const route of routes) {
    if (route.method === 'GET' || route.operation.requestBody !== undefined) continue
    const name = `${route.method} ${route.path}`
    const { status, body } = await send(route, { body: { dryRun: true } })
    if (status !== 422 && !(status >= 400 && name in OUT_OF_REACH)) heard.push(`${name}: ${status}`)
    else if (status === 422) expect([name, body.errors[0].pointer]).toEqual([name, '/dryRun'])
  }
  expect(heard).toEqual([])
  const restored = await regions.ask('us', {
    ...{ as: key, method: 'POST', body: {} },
    path: filled('/v1/projects/{id}/restore'),
  })
  expect(restored.status).toBe(200)
})

test('every operation answers a sample, and what is near it, as the document says', async () => {
  const silent = new Set<string>()
  const creationOf = ({ path }: Route) =>
    routes.find((each) => each.method === 'POST' && path === `${each.path}/{id}`)
  const namesOthers = (route: Route) => {
    const creation = creationOf(route)
    return creation !== undefined && kindsNamed((of) => bodyOf(creation.operation, document, of)).length > 0
  }
  // Taking things away comes last, from what names others, and then from what lies lowest.
  const order = [
    ...routes.filter(({ method }) => method !== 'DELETE'),
    ...routes
      .filter(({ method }) => method === 'DELETE')
      .toSorted((a, b) => Number(namesOthers(b)) - Number(namesOthers(a)) || b.path.length - a.path.length),
  ]
  for (const route of order) {
    const { operation } = route
    const creation = route.method === 'DELETE' ? creationOf(route) : undefined
    // What random changes came to may have ended it.
    if (creation !== undefined) await make(creation)
    const isWriting = route.method !== 'GET' && route.path.startsWith('/v1/')
    const before = isWriting ? await endOfFeed() : undefined
    for (const { what, isBad = false, ...sent } of requestsOf(route)) {
      const answer = await send(route, sent)
      note(route, answer, what)
      // What was rotated has a successor, which is there from now on.
      const [, rotated] = /^(.*)\/\{id\}\/rotate$/.exec(route.path) ?? []
      if (rotated !== undefined && answer.status < 300) made.set(rotated, answer.body.id)
      if (isBad && answer.status < 400) faults.push(`${route.method} ${route.path} takes ${what}`)
    }
    const name = `${route.method} ${route.path}`
    if (isWriting && reached.has(operation.operationId) && (await endOfFeed()) === before) silent.add(name)
  }
  // Some are there only now, such as an erasure.
  for (const route of routes) {
    if (route.method === 'GET' && !reached.has(route.operation.operationId)) {
      note(route, await send(route, {}), 'nothing, at last')
    }
  }
  expect(faults).toEqual([])
  expect([...silent].filter((name) => !(name in TELLS_NOTHING))).toEqual([])
  // Otherwise it would only have met refusals.
  const unreached = routes.filter(({ operation }) => !reached.has(operation.operationId))
  expect(unreached.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(
    Object.keys(OUT_OF_REACH).toSorted(),
  )
}, 180_000)

test('an answer that the document does not know is a fault', () => {
  const route = routes.find(({ path, method }) => path === '/v1/projects' && method === 'POST')
  if (route === undefined) throw new Error('there are no projects')
  const answer = (status: number, body: unknown, type = 'application/json') =>
    ({ status, body, headers: new Headers({ 'content-type': type }) }) as Answer
  expect(faultOf(route, answer(500, {}), '')).toBeDefined()
  expect(faultOf(route, answer(302, {}), '')).toContain('not documented')
  expect(faultOf(route, answer(201, { id: 7 }), '')).toContain('must')
  const problem = { code: 'slug_taken', requestId: 'req_1', status: 409, title: '', detail: '', type: '' }
  expect(faultOf(route, answer(409, problem, 'application/problem+json'), '')).toContain(
    'undocumented problem',
  )
})
