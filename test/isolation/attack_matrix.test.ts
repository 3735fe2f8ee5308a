// Every operation of the OpenAPI document × every kind of credential × what belongs to another tenant, through the
// whole stack. A new route is attacked without a new line here.
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashOperatorToken, newOperatorToken } from '../../shared/credentials/operator_token.ts'
import { type Answer, type CallOptions, type Stack, startStack } from '../e2e/stack.ts'
import { eventually } from '../support/eventually.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { type OidcIssuers, startOidcIssuers } from '../support/oidc_issuers.ts'
import { signToken } from '../support/oidc_tokens.ts'
import {
  bodyOf,
  type Document,
  type IdOf,
  inTurn,
  kindOf,
  kindsNamed,
  namingBodyOf,
  nobodysId,
  type Route,
  routesOf,
} from './samples.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of every route there is
type Body = any

interface Tenant {
  id: string
  slug: string
  key: string
  revoked: string
}

let stack: Stack
let document: Document
let tenantRoutes: Route[]
/** Those that name something by its id. */
let routesWithIds: Route[]
let issuers: OidcIssuers
let models: ModelServer
/** Of an owner of the attacker's, by an issuer that the victim takes tokens of as well. */
let attackersToken: string
/** The same person's, for an audience that is nobody's. */
let strayToken: string
/** Of an operator who may look and change nothing. */
const onlookersToken = newOperatorToken()
let victim: Tenant
/** Of the victim's owner, in the console. */
let victimsCookie: string
let attacker: Tenant
/** What a tenant has, by the path of its collection, and by the kind of its id. */
class Things {
  readonly at = new Map<string, string>()
  readonly kinds = new Map<string, string>()
  readonly idOf: IdOf = (kind) => this.kinds.get(kind)

  add(collection: string, id: string): void {
    this.at.set(collection, id)
    this.kinds.set(id.slice(0, 3), id)
  }

  /** Of what nothing else is known. */
  learn(answers: unknown): void {
    for (const [id] of JSON.stringify(answers).matchAll(/\b[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}\b/g)) {
      if (!this.kinds.has(id.slice(0, 3))) this.kinds.set(id.slice(0, 3), id)
    }
  }
}
const victims = new Things()
/** Has done nothing yet but make things of its own. */
let intruder: Tenant
let own: Things

const call = (tenant: Tenant, path: string, more: object = {}) =>
  stack.call<Body>(path, { as: tenant.key, ...more })

async function newTenant(slug: string, region: string): Promise<Tenant> {
  const made = await stack.call<Body>('/platform/v1/tenants', {
    method: 'POST',
    body: { slug, name: slug, region, plan: 'team', owner: { email: `o@${slug}.example` } },
  })
  const tenant = { id: made.body.tenant.id, slug, key: made.body.apiKey.key, revoked: '' }
  const extra = await call(tenant, '/v1/api-keys', { method: 'POST', body: { name: 'old', scopes: ['*'] } })
  await call(tenant, `/v1/api-keys/${extra.body.id}`, { method: 'DELETE' })
  return { ...tenant, revoked: extra.body.key }
}

/** @returns the session's cookie */
async function enterConsole(tenant: Tenant): Promise<string> {
  const link = await call(tenant, '/v1/admin-links', { method: 'POST', body: { role: 'owner' } })
  const entered = await fetch(link.body.url, { method: 'POST', redirect: 'manual' })
  expect(entered.status).toBe(303)
  return entered.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

const fill = (path: string, ids: (collection: string) => string): string =>
  path.replace(/\/\{[^}]+\}/g, (_, at: number) => `/${ids(path.slice(0, at))}`)

/** Path and query of a signed URL of the tenant's, or undefined where nobody can have one. */
async function signedTarget(tenant: Tenant, method: string, path: string): Promise<string | undefined> {
  const body = { method, path, expiresIn: 60 }
  const made = await call(tenant, '/v1/signed-urls', { method: 'POST', body })
  if (made.status === 403) return undefined
  expect(made.status, `${method} ${path}: ${JSON.stringify(made.body)}`).toBe(201)
  expect(made.body.url.startsWith(`${stack.edge}${path}`)).toBe(true)
  return made.body.url.slice(stack.edge.length)
}

/**
 * With a tenant’s own ids; where a name is the client’s to choose, with the one that it has, and where it has nothing
 * of a kind, with what nobody has.
 */
const pathOf = (path: string, things: Things) =>
  fill(path, (collection) => things.at.get(collection) ?? 'sample')
const foreign = (path: string) => pathOf(path, victims)

/** Has a tenant make one of each thing, from its collections on to what lies below them. */
async function furnish(tenant: Tenant, things = new Things()): Promise<Things> {
  const lists = tenantRoutes.filter(({ method, path }) => method === 'GET' && !path.includes('{'))
  things.learn(await Promise.all(lists.map(async ({ path }) => (await call(tenant, path)).body)))
  const creations = tenantRoutes
    .filter(
      ({ method, operation }) => method === 'POST' && operation.security?.some((each) => 'apiKey' in each),
    )
    .sort(
      (a, b) => Number(a.path.includes('{')) - Number(b.path.includes('{')) || a.path.length - b.path.length,
    )
  await inTurn(creations, document, things.idOf, async ({ method, path, operation }) => {
    const request = { method, body: bodyOf(operation, document, things.idOf) }
    const made = await call(tenant, pathOf(path, things), request)
    if (!path.includes('{')) {
      expect(made.status, `${method} ${path}: ${JSON.stringify(made.body)}`).toBeLessThan(300)
    }
    if (made.status < 300 && typeof made.body?.id === 'string') things.add(path, made.body.id)
  })
  return things
}

/** Everything of the victim's that its own key can read, but for what that very reading adds to. */
async function everythingOf(tenant: Tenant): Promise<Record<string, unknown>> {
  const lists = tenantRoutes.filter(({ method, path }) => method === 'GET' && path !== '/v1/audit')
  const entries = lists.map(async ({ path }) => {
    const { body } = await call(tenant, foreign(path))
    return [path, { ...withoutUses(body), history: null, requestId: '' }] as const
  })
  return Object.fromEntries(await Promise.all(entries))
}

/** When a key was used last is written down some time in the minute after that. */
const withoutUses = (body: Body): Body =>
  JSON.parse(JSON.stringify(body, (name, value) => (name === 'lastUsedAt' ? null : value)))

/** All of an answer but what no two have in common: the request's id, the time, and what is left of a limit. */
function asSeen({ status, headers, text }: Answer<Body>) {
  const told = [...headers].filter(([name]) => !['x-request-id', 'date', 'ratelimit'].includes(name))
  return { status, headers: told, text: text.replaceAll(headers.get('x-request-id') ?? '', '') }
}

/** The victim has them, and no creation of the document is answered with their ids. */
async function addWhatComesAbout(): Promise<void> {
  const made = async (path: string, method: string, body?: object) => {
    const answer = await call(victim, path, { method, body })
    expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300)
    return answer.body
  }
  // The key made first is gone: it was rotated.
  victims.add('/v1/api-keys', victims.at.get('/v1/api-keys/{id}/rotate') ?? '')
  victims.add('/v1/deliveries', victims.at.get('/v1/webhook-endpoints/{id}/test') ?? '')

  const project = await made('/v1/projects', 'POST', { name: 'Deleted' })
  const { job } = await made(`/v1/projects/${project.id}`, 'DELETE')
  await eventually(async () => expect((await call(victim, `/v1/jobs/${job}`)).body.state).toBe('done'))
  victims.add('/v1/jobs', job)

  const given = { name: 'Sends', provider: 'github', secret: 'a-secret-of-theirs' }
  const source = await made('/v1/webhook-sources', 'POST', given)
  const signature = createHmac('sha256', given.secret).update('{}').digest('hex')
  const headers = { 'x-hub-signature-256': `sha256=${signature}`, 'content-type': 'application/json' }
  const received = await fetch(source.url, { method: 'POST', headers, body: '{}' })
  expect(received.status).toBe(200)
  victims.add('/v1/webhook-sources', source.id)
  victims.add('/v1/webhook-sources/{sourceId}/received', ((await received.json()) as { id: string }).id)

  for (let i = 0; i < 2; i++) victimsCookie = await enterConsole(victim)
  victims.add('/v1/sessions', (await call(victim, '/v1/sessions')).body.data[0].id)
}

beforeAll(async () => {
  // Most of it is failed attempts, all from one address.
  const onlooker = { id: 'onlooker', role: 'read', secretHash: await hashOperatorToken(onlookersToken) }
  stack = await startStack({
    FAILURE_LIMIT: '{"rate":1000,"burst":100000}',
    OPERATORS: JSON.stringify([onlooker]),
  })
  document = (await stack.call<Document>('/openapi.json', { as: null })).body
  tenantRoutes = routesOf(document).filter(({ path }) => path.startsWith('/v1/'))
  routesWithIds = tenantRoutes.filter(({ path }) => path.includes('{'))
  models = await startModelServer()
  for (const name of ['small', 'spare']) {
    const model = { name, baseUrl: models.baseUrl }
    expect((await stack.call('/platform/v1/models', { method: 'POST', body: model })).status).toBe(201)
  }
  issuers = await startOidcIssuers()
  victim = await newTenant('victim', 'us')
  attacker = await newTenant('attacker', 'us')
  for (const tenant of [victim, attacker]) {
    const provider = {
      name: 'Shared',
      issuer: `${issuers.origin}/shared`,
      createMembers: true,
      roleClaim: 'groups',
      roleMapping: { all: 'owner' },
    }
    const made = await call(tenant, '/v1/identity-providers', { method: 'POST', body: provider })
    expect(made.status).toBe(201)
  }
  const claims = { iss: `${issuers.origin}/shared`, sub: 'eve', groups: ['all'] }
  attackersToken = await signToken(issuers.privateKeys, { ...claims, aud: `coditect:${attacker.id}` })
  strayToken = await signToken(issuers.privateKeys, { ...claims, aud: 'somebody' })
  await furnish(victim, victims)
  await addWhatComesAbout()
  victims.learn(await everythingOf(victim))
  intruder = await newTenant('intruder', 'us')
  own = await furnish(intruder)
})
afterAll(async () => {
  await Promise.all([stack.stop(), issuers.close(), models.close()])
})

test('the document has routes to attack, and what the attacks name is there for the victim', async () => {
  expect(tenantRoutes.length).toBeGreaterThan(50)
  expect(routesWithIds.length).toBeGreaterThan(40)
  for (const { method, path } of routesWithIds) {
    if (method === 'GET') expect((await call(victim, foreign(path))).status, path).toBe(200)
  }
})

describe('another tenant’s ids', () => {
  test('are answered, byte for byte, as ids that nobody has, and nothing changes', async () => {
    const before = await everythingOf(victim)
    for (const { method, path, operation } of routesWithIds) {
      const request = { method, body: bodyOf(operation, document) }
      const theirs = await call(attacker, foreign(path), request)
      const nobodys = await call(
        attacker,
        fill(path, (collection) => unknownLike(collection)),
        request,
      )
      expect(asSeen(theirs), `${method} ${path}`).toEqual(asSeen(nobodys))
      expect(theirs.status, `${method} ${path}`).toBe(404)
    }
    expect(await everythingOf(victim)).toEqual(before)
  })

  test('are nothing to a person of another tenant, either', async () => {
    const before = await everythingOf(victim)
    for (const { method, path, operation } of routesWithIds) {
      const request = { method, as: attackersToken, body: bodyOf(operation, document) }
      const theirs = await stack.call<Body>(foreign(path), request)
      const nobodys = await stack.call<Body>(
        fill(path, (collection) => unknownLike(collection)),
        request,
      )
      expect(asSeen(theirs), `${method} ${path}`).toEqual(asSeen(nobodys))
      expect(theirs.status, `${method} ${path}`).toBe(404)
    }
    expect(await everythingOf(victim)).toEqual(before)
  })

  test('in If-Match, as versions, open nothing', async () => {
    const before = await everythingOf(victim)
    let versions = 0
    for (const { method, path, operation } of routesWithIds) {
      if (method === 'GET') continue
      const read = await call(victim, foreign(path))
      if (read.headers.has('etag')) versions++
      const headers = { 'if-match': read.headers.get('etag') ?? '"1"' }
      const theirs = await call(attacker, foreign(path), {
        method,
        headers,
        body: bodyOf(operation, document),
      })
      expect(theirs.status, `${method} ${path}`).toBe(404)
    }
    expect(versions).toBeGreaterThan(10)
    expect(await everythingOf(victim)).toEqual(before)
  })

  test('and slugs in X-Tenant are a mismatch on every route, in either region', async () => {
    const abroad = await newTenant('abroad', 'eu')
    for (const { method, path, operation } of tenantRoutes) {
      for (const [tenant, claimed] of [
        [attacker, victim.id],
        [attacker, victim.slug],
        [abroad, victim.slug],
        [abroad, attacker.id],
      ] as const) {
        const headers = { 'x-tenant': claimed }
        const body = bodyOf(operation, document)
        const { status, body: problem } = await call(tenant, foreign(path), { method, headers, body })
        expect([status, problem.code], `${method} ${path} as ${tenant.slug} for ${claimed}`).toEqual([
          403,
          'tenant_mismatch',
        ])
      }
    }
  })
})

describe('another tenant’s ids in what is sent', () => {
  /** All of an answer but the id that was asked for. */
  const without = (answer: Answer<Body>, id: string) =>
    JSON.parse(JSON.stringify(asSeen(answer)).replaceAll(id, ''))

  test('as a filter find nothing more than ids that nobody has', async () => {
    let filters = 0
    for (const { method, path, operation } of tenantRoutes) {
      for (const { in: place, name, schema } of operation.parameters ?? []) {
        const isText = schema.type === 'string' && schema.enum === undefined && schema.format === undefined
        if (method !== 'GET' || place !== 'query' || !isText || name === 'cursor') continue
        const kind = kindOf(schema)
        const attempts = (kind === undefined ? [...victims.kinds.keys()] : [kind]).map(async (each) => {
          const ask = async (id: string) =>
            without(await call(intruder, `${pathOf(path, own)}?${name}=${id}`), id)
          const theirs = await ask(victims.idOf(each) ?? '')
          expect(theirs, `${path}?${name}=${each}_…`).toEqual(await ask(nobodysId(each)))
          filters++
        })
        await Promise.all(attempts)
      }
    }
    expect(filters).toBeGreaterThan(10)
  })

  test('as a body are taken for ids that nobody has, and nothing changes', async () => {
    const before = await everythingOf(victim)
    const attacked: string[] = []
    for (const { method, path, operation } of tenantRoutes) {
      const body = (idOf: IdOf) => namingBodyOf(operation, document, idOf)
      for (const kind of kindsNamed(body)) {
        const name = `${method} ${path} with ${kind}_…`
        const send = (id: string) =>
          call(intruder, pathOf(path, own), {
            method,
            body: body((other) => (other === kind ? id : own.idOf(other))),
          })
        const [theirId, ownId] = [victims.idOf(kind) ?? '', own.idOf(kind) ?? '']
        const unknownId = nobodysId(kind)
        const theirs = await send(theirId)
        const nobodys = await send(unknownId)
        if (theirs.status < 300) {
          // What is only looked for later, as the agent of a webhook source is, is found in no tenant but one’s own.
          expect(theirs.status, name).toBe(nobodys.status)
        } else {
          expect([404, 422], `${name}: ${theirs.text}`).toContain(theirs.status)
          expect(without(theirs, theirId), name).toEqual(without(nobodys, unknownId))
        }
        // Otherwise it would be something else that is refused.
        const answer = await send(ownId)
        expect(answer.status, `${name}: ${answer.text}`).toBeLessThan(300)
        attacked.push(name)
      }
    }
    expect(attacked).toContain('POST /v1/webhook-sources with agt_…')
    expect(await everythingOf(victim)).toEqual(before)
  })
})

async function idsOfAll(tenant: Tenant, list: string): Promise<string[]> {
  const ids: string[] = []
  for (let query: string | null = ''; query !== null; ) {
    const { body }: Answer<Body> = await call(tenant, `${list}?limit=100${query}`)
    ids.push(...body.data.map(({ id }: Body) => id))
    query = body.nextCursor && `&cursor=${body.nextCursor}`
  }
  return ids
}

test('another tenant’s cursor shows nothing of theirs', async () => {
  let lists = 0
  let below = 0
  for (const { method, path, operation } of tenantRoutes) {
    const pages = operation.parameters?.some(({ name }) => name === 'cursor')
    if (method !== 'GET' || !pages) continue
    const creator = tenantRoutes.find((route) => route.method === 'POST' && route.path === path)
    if (creator !== undefined) {
      const body = bodyOf(creator.operation, document, victims.idOf)
      await call(victim, foreign(path), { method: 'POST', body })
    }
    const { body: page } = await call(victim, `${foreign(path)}?limit=1`)
    const isBelow = path.includes('{')
    // Of some of these there is no second one.
    if (isBelow && page.nextCursor === null) continue
    expect(page.nextCursor, path).not.toBeNull()
    const at = pathOf(path, own)
    const { status, body } = await call(intruder, `${at}?limit=100&cursor=${page.nextCursor}`)
    // A cursor may name what its list lies below.
    if (!isBelow || status === 200) expect(status, path).toBe(200)
    else expect([status, body.code], path).toEqual([400, 'invalid_cursor'])
    const known = await idsOfAll(intruder, at)
    for (const { id } of body.data ?? []) expect(known, path).toContain(id)
    if (isBelow) below++
    else lists++
  }
  expect(lists).toBeGreaterThan(10)
  expect(below).toBeGreaterThan(2)
})

test('another tenant’s idempotency key is a key of one’s own that nobody has used', async () => {
  const [first, second] = [await newTenant('first-to-ask', 'us'), await newTenant('second-to-ask', 'us')]
  const [firsts, seconds] = await Promise.all([furnish(first), furnish(second)])
  let creations = 0
  let below = 0
  for (const { method, path, operation } of tenantRoutes) {
    if (method !== 'POST') continue
    const ask = (tenant: Tenant, things: Things) =>
      call(tenant, pathOf(path, things), {
        method,
        body: bodyOf(operation, document, things.idOf),
        headers: { 'idempotency-key': `shared-${path}` },
      })
    const theirs = await ask(first, firsts)
    const own = await ask(second, seconds)
    expect([own.status, own.body?.code], path).toEqual([theirs.status, theirs.body?.code])
    expect(own.headers.get('idempotency-replayed'), path).toBeNull()
    if (own.status !== 201) continue
    expect(own.body, path).not.toEqual(theirs.body)
    if (path.includes('{')) below++
    else creations++
  }
  expect(creations).toBeGreaterThan(8)
  expect(below).toBeGreaterThan(2)
})

describe('signed URLs', () => {
  test('of another tenant’s maker reach its own things alone, and what gives access not at all', async () => {
    const before = await everythingOf(victim)
    let reached = 0
    for (const { method, path, operation } of tenantRoutes) {
      const name = `${method} ${path}`
      const signable = operation.security?.some((scheme) => 'signedUrl' in scheme)
      const target = await signedTarget(attacker, method, foreign(path))
      expect(target !== undefined, name).toBe(signable)
      if (target === undefined || !path.includes('{')) continue
      const request = { method, as: null, body: bodyOf(operation, document) }
      const theirs = await stack.call<Body>(target, request)
      expect([theirs.status, theirs.body.code], name).toEqual([404, 'not_found'])
      reached++
    }
    expect(reached).toBeGreaterThan(10)
    expect(await everythingOf(victim)).toEqual(before)
  })

  test('of the victim are no use with another’s key, for another tenant, method or path, or altered', async () => {
    const before = await everythingOf(victim)
    for (const { method, path, operation } of tenantRoutes) {
      const target = await signedTarget(victim, method, foreign(path))
      if (target === undefined) continue
      const [at, signature = ''] = target.split('?')
      const other = method === 'GET' ? 'DELETE' : 'GET'
      const body = bodyOf(operation, document)
      const cases: Array<[string, string, CallOptions, number, string]> = [
        ['beside a key', target, { method, as: attacker.key, body }, 400, 'conflicting_credentials'],
        [
          'for another tenant',
          target,
          { method, headers: { 'x-tenant': attacker.id }, body },
          403,
          'tenant_mismatch',
        ],
        ['another method', target, { method: other }, 401, 'credential_invalid'],
        ['another path', `/v1/api-keys?${signature}`, { method, body }, 401, 'credential_invalid'],
        ['a path below', `${at}/x?${signature}`, { method, body }, 401, 'credential_invalid'],
        ['a parameter more', `${at}?a=1&${signature}`, { method, body }, 401, 'credential_invalid'],
        [
          'a letter changed',
          target.slice(0, -4) + (target.at(-4) === 'A' ? 'B' : 'A') + target.slice(-3),
          { method, body },
          401,
          'credential_invalid',
        ],
      ]
      for (const [what, sent, options, status, code] of cases) {
        const answer = await stack.call<Body>(sent, { as: null, ...options })
        expect([answer.status, answer.body.code], `${method} ${path}: ${what}`).toEqual([status, code])
      }
    }
    expect(await everythingOf(victim)).toEqual(before)
  })
})

describe('every route refuses', () => {
  const kinds: Array<
    [string, () => { as?: string | null; headers?: Record<string, string> }, number, string]
  > = [
    ['no credential', () => ({ as: null }), 401, 'credential_missing'],
    [
      'the console’s cookie',
      () => ({ as: null, headers: { cookie: victimsCookie } }),
      401,
      'credential_missing',
    ],
    [
      'the console’s cookie’s value as a key',
      () => ({ as: victimsCookie.split('=')[1] ?? '' }),
      401,
      'credential_invalid',
    ],
    ['a text that is no key', () => ({ as: 'ck_dev_nonsense' }), 401, 'credential_invalid'],
    ['a key with one character changed', () => ({ as: flipped(victim.key) }), 401, 'credential_invalid'],
    ['a revoked key', () => ({ as: victim.revoked }), 401, 'api_key_revoked'],
    ['the operator’s token', () => ({ as: stack.operatorToken }), 401, 'credential_invalid'],
    [
      'another tenant’s person, by an issuer that both take tokens of',
      () => ({ as: attackersToken, headers: { 'x-tenant': victim.id } }),
      403,
      'tenant_mismatch',
    ],
    [
      'a token of the tenant’s own issuer, for another audience',
      () => ({ as: strayToken, headers: { 'x-tenant': victim.slug } }),
      401,
      'credential_invalid',
    ],
    [
      'a token with one character changed',
      () => ({ as: attackersToken.replace(/.$/, (end) => (end === 'A' ? 'B' : 'A')) }),
      401,
      'credential_invalid',
    ],
    [
      'two credentials',
      () => ({ as: attacker.key, headers: { 'x-api-key': victim.key } }),
      400,
      'conflicting_credentials',
    ],
  ]
  test.each(kinds)('%s', async (_, credential, status, code) => {
    const before = await everythingOf(victim)
    for (const { method, path, operation } of tenantRoutes) {
      const request = { method, body: bodyOf(operation, document), ...credential() }
      const answer = await stack.call<Body>(foreign(path), request)
      expect([answer.status, answer.body.code], `${method} ${path}`).toEqual([status, code])
      expect(answer.headers.get('content-type')).toContain('application/problem+json')
    }
    expect(await everythingOf(victim)).toEqual(before)
  })

  test('the platform’s routes to a tenant’s key', async () => {
    const routes = routesOf(document).filter(({ path }) => path.startsWith('/platform/'))
    expect(routes.length).toBeGreaterThan(3)
    for (const { method, path, operation } of routes) {
      const request = { method, as: attacker.key, body: bodyOf(operation, document) }
      const answer = await stack.call<Body>(
        fill(path, () => victim.id),
        request,
      )
      expect([answer.status, answer.body.code], `${method} ${path}`).toEqual([401, 'credential_invalid'])
    }
  })

  test('what a client sends as the edge’s own word', async () => {
    for (const { method, path, operation } of routesWithIds) {
      const headers = {
        'coditect-assertion': 'forged',
        'x-request-id': 'req_forged',
        'x-tenant-number': '1',
        'x-principal-id': 'root',
      }
      const answer = await call(attacker, foreign(path), {
        method,
        headers,
        body: bodyOf(operation, document),
      })
      expect(answer.status, `${method} ${path}`).toBe(404)
      expect(answer.body.requestId).not.toBe('req_forged')
    }
  })
})

test('an operator who may look sees what there is, and changes nothing', async () => {
  const routes = routesOf(document).filter(({ path }) => path.startsWith('/platform/'))
  const looks = routes.filter(({ method }) => method === 'GET')
  const ask = (as: string, { method, path, operation }: Route) =>
    stack.call<Body>(
      fill(path, (collection) => (collection.endsWith('/tenants') ? victim.id : 'sample')),
      { method, as, ...(method !== 'GET' && { body: bodyOf(operation, document) }) },
    )
  const everything = () =>
    Promise.all(looks.map(async (route) => (await ask(stack.operatorToken, route)).status))
  const before = [await everythingOf(victim), await everything()]
  for (const route of routes) {
    const name = `${route.method} ${route.path}`
    const answer = await ask(onlookersToken, route)
    if (route.method === 'GET') {
      expect(answer.status, name).toBe((await ask(stack.operatorToken, route)).status)
      expect([200, 404], name).toContain(answer.status)
    } else {
      expect([answer.status, answer.body.code], name).toEqual([403, 'insufficient_scope'])
    }
  }
  expect(looks.length).toBeGreaterThan(3)
  expect(routes.length - looks.length).toBeGreaterThan(3)
  expect([await everythingOf(victim), await everything()]).toEqual(before)
})

/** An id of the same kind as the victim's, of nobody. */
const unknownLike = (collection: string): string =>
  nobodysId(victims.at.get(collection)?.slice(0, 3) ?? 'prj')

/** The same text with one letter's case turned. */
function flipped(text: string): string {
  const at = text.search(/[a-z](?=[^_]*$)/)
  return text.slice(0, at) + text.charAt(at).toUpperCase() + text.slice(at + 1)
}
