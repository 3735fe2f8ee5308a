// The OpenAPI document against a running region, every operation: no answer that it does not document, none whose body does
// not match its schema, and no mistake of a client's that is answered as one of ours. A new route is covered without a
// new line here.
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bodyOf, type Document, type Operation, type Route, routesOf } from '../isolation/samples.ts'
import { type Answer, type Regions, startRegions } from './support.ts'

const SEED = Number(process.env.CONFORMANCE_SEED ?? 20_261_123)
const BODIES = 12
let regions: Regions
let document: Document
let key: string
let routes: Route[]
/** The id of one thing of each collection, by the collection's path. */
const made = new Map<string, string>()
const ajv = new Ajv2020({ strict: false })
formats.default(ajv)

beforeAll(async () => {
  regions = await startRegions()
  document = (await (await fetch(`${regions.url('us')}/openapi.json`)).json()) as Document
  ajv.addSchema({ ...document, $id: 'api' })
  key = (await regions.newTenant('conforming', 'us')).key
  routes = routesOf(document)
  // What lies above comes before what lies below it.
  for (const route of routes.toSorted((a, b) => a.path.length - b.path.length)) {
    if (route.method !== 'POST' || route.path.endsWith('}')) continue
    const { status, body } = await send(route, bodyOf(route.operation, document))
    const id = body?.id ?? body?.name ?? body?.tenant?.id
    if (status < 300 && typeof id === 'string') made.set(route.path, id)
  }
})
afterAll(() => regions.close())

/** With the ids of what there is; a name of one's own choice is `sample`. */
const filled = (path: string): string =>
  path.replaceAll(/\{\w+\}/g, (param, at: number) =>
    encodeURIComponent(made.get(path.slice(0, at - 1)) ?? (param === '{name}' ? 'sample' : 'nothing')),
  )

const send = ({ method, path }: Route, body: unknown, query = ''): Promise<Answer> =>
  regions.ask('us', {
    as: path.startsWith('/platform/') ? 'operator' : key,
    method,
    path: filled(path) + query,
    body,
  })

/** @returns what is wrong with an answer, in words */
function faultOf({ method, path, operation }: Route, answer: Answer, what: string): string | undefined {
  const told = `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)} to ${what}`.slice(0, 500)
  // A region without a model says so with a 503 of its own; every other one is ours.
  if (answer.status >= 500 && answer.body?.code !== 'no_model_configured') return told
  const documented = operation.responses[answer.status] as
    | { content?: object; description?: string }
    | undefined
  if (documented === undefined) return `not documented: ${told}`
  if (answer.body === undefined) return undefined
  if (answer.body.code !== undefined && answer.body.requestId !== undefined) {
    if (!documented.description?.includes(`\`${answer.body.code}\``))
      return `an undocumented problem: ${told}`
  }
  const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
  const steps = ['paths', path, method.toLowerCase(), 'responses', String(answer.status), 'content', type]
  const pointer = [...steps, 'schema'].map((each) => each.replaceAll('~', '~0').replaceAll('/', '~1'))
  const fits = ajv.validate({ $ref: `api#/${pointer.map(encodeURIComponent).join('/')}` }, answer.body)
  return fits ? undefined : `${ajv.errorsText()}: ${told}`
}

/** Bodies near the sample: one field replaced, dropped or added; and some that are nothing like it. */
const bodiesNear = (sample: unknown): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.jsonValue(),
    fc
      .tuple(fc.constantFrom(...Object.keys((sample ?? {}) as object), 'unheardOf'), fc.jsonValue())
      .map(([field, value]) => ({ ...(sample as object), [field]: value })),
  )

const queryOf = ({ parameters = [] }: Operation): string[] =>
  parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name)

/** Writing operations that leave nothing in the feed, and why. */
const TELLS_NOTHING: Readonly<Record<string, string>> = {
  'POST /v1/signed-urls': 'a signed URL is kept nowhere',
  'POST /v1/domains/{id}/verify': 'told when the record is found; nobody’s DNS has it here',
  'POST /v1/webhook-endpoints/{id}/test': 'its delivery tells of it, and events are what is delivered',
  'POST /v1/deliveries/{id}/retry': 'its delivery tells of it, and events are what is delivered',
  'DELETE /v1/tenant': 'nobody is left to read it',
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

test('every operation answers a sample, and what is near it, as the document says', async () => {
  const faults: string[] = []
  const reached = new Map<string, number>()
  const silent = new Set<string>()
  // Taking things away comes last, from what lies lowest.
  const order = [
    ...routes.filter(({ method }) => method !== 'DELETE'),
    ...routes.filter(({ method }) => method === 'DELETE').toSorted((a, b) => b.path.length - a.path.length),
  ]
  for (const route of order) {
    const { operation } = route
    const isWriting = route.method !== 'GET' && route.path.startsWith('/v1/')
    const before = isWriting ? await endOfFeed() : undefined
    const note = (answer: Answer, what: string) => {
      if (answer.status < 300) reached.set(operation.operationId, answer.status)
      const fault = faultOf(route, answer, what)
      if (fault !== undefined) faults.push(fault)
    }
    if (operation.requestBody !== undefined) {
      const sample = bodyOf(operation, document)
      for (const body of fc.sample(bodiesNear(sample), { numRuns: BODIES, seed: SEED })) {
        note(await send(route, body), JSON.stringify(body))
      }
      note(await send(route, sample), JSON.stringify(sample))
    } else {
      for (const name of queryOf(operation)) {
        for (const value of fc.sample(fc.string(), { numRuns: 3, seed: SEED })) {
          const query = `?${new URLSearchParams({ [name]: value })}`
          note(await send(route, undefined, query), query)
        }
      }
      note(await send(route, undefined), 'nothing')
    }
    const name = `${route.method} ${route.path}`
    if (isWriting && reached.has(operation.operationId) && (await endOfFeed()) === before) silent.add(name)
  }
  expect(faults).toEqual([])
  expect([...silent].filter((name) => !(name in TELLS_NOTHING))).toEqual([])
  // Otherwise it would only have met refusals.
  expect(reached.size / routes.length).toBeGreaterThan(0.7)
})

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
