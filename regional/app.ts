// One instance of a region's app: verify → transact → service, a line a route. The declarations of the operations
// say which routes there are, so nothing is served that the OpenAPI document does not show.
import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { createMiddleware } from 'hono/factory'
import { routePath } from 'hono/route'
import { TrieRouter } from 'hono/router/trie-router'
import { getPath, tryDecodeURIComponent } from 'hono/utils/url'
import { findOperator, type OperatorConfig } from '../shared/credentials/operator_token.ts'
import { isDomain } from '../shared/domain.ts'
import { ALIVE_PATH, writePlace } from '../shared/edge_calls.ts'
import { readCounts } from '../shared/edge_counts.ts'
import {
  CLIENT_IP,
  DRAINING,
  EDGE_COUNTS,
  MAX_BODY_BYTES,
  PLAN,
  REQUEST_DEADLINE,
  REQUEST_ID,
  SNAPSHOT,
  TOOK,
} from '../shared/headers.ts'
import { Problem, type ProblemCode, problemResponse } from '../shared/problems.ts'
import { publish, publishedJson } from '../shared/published.ts'
import { readVersion, type TenantSnapshot, writeSnapshot } from '../shared/snapshot.ts'
import { parseTenantNumber, SLUG, type TenantNumber } from '../shared/tenant.ts'
import { EVENT_STREAM, wantsEvents } from './accept.ts'
import { type Admission, WaitEnded } from './admission/admission.ts'
import { weightOf } from './admission/weights.ts'
import { answerOutside } from './answer_outside.ts'
import { bounded } from './bounded_errors.ts'
import type { Log } from './log.ts'
import { type Observed, type Observers, observing } from './observe/observing.ts'
import { type RequestNote, timed, timedNow } from './observe/request.ts'
import { openApiDocument } from './openapi.ts'
import {
  type Declaration,
  type RawInput,
  type Reply,
  routedPath,
  routePattern,
  unlessKnown,
} from './operation.ts'
import { type Calls, isCall, receive } from './platform/calls.ts'
import type { EdgeCalls } from './platform/edge_calls.ts'
import type { OperatorOperation } from './platform/operation.ts'
import type { SignIns } from './platform/sign_in.ts'
import type { SignUpCall } from './platform/sign_up.ts'
import type { Readiness } from './readiness.ts'
import { askingOf, type TransactDependencies } from './tenancy/admission.ts'
import type { AssertionVerifier } from './tenancy/assertion.ts'
import type { OutsideWorks } from './tenancy/outside.ts'
import { heedingPreconditions } from './tenancy/preconditions.ts'
import { tooLate } from './tenancy/retry.ts'
import type { Service, TenantOperation } from './tenancy/service.ts'
import { openStream, type StreamWatcher } from './tenancy/stream.ts'
import type { Tails } from './tenancy/tails.ts'
import type { TenantTransaction } from './tenancy/tenant_transaction.ts'
import { tooLarge } from './tenancy/too_large.ts'
import { transact } from './tenancy/transact.ts'
import { speakingAs, type Verified, verify } from './tenancy/verify.ts'

export interface AppDependencies extends Observers {
  region: string
  verifier: AssertionVerifier
  operators: ReadonlyArray<OperatorConfig>
  services: ReadonlyArray<Service>
  /** Empty but in the control region. */
  platform: ReadonlyArray<OperatorOperation>
  calls: Calls
  edgeCalls: EdgeCalls
  /** What the edge's page for strangers asks; only the control region has an answer. */
  signUp: ReadonlyArray<SignUpCall>
  /** What the console's sign-in asks of the organisation's home. */
  signIns: SignIns
  transact: TransactDependencies
  tails: Tails
  outside: OutsideWorks
  readiness: (exclude?: string) => Promise<Readiness>
  admission: Admission
  /** Whether a client may hold a stream open: not where a request has the process to itself. */
  holdsStreams: boolean
  /** Whether this instance is leaving. */
  draining: () => boolean
}

type Variables = Observed & { verified: Verified; snapshot: TenantSnapshot | undefined }
type RegionEnv = { Bindings: Partial<HttpBindings>; Variables: Variables }
type RegionContext = Context<RegionEnv>

export function regionApp(dependencies: AppDependencies): Hono<RegionEnv> {
  const { region, verifier, platform, calls, readiness, draining, log, metrics } = dependencies
  const services = dependencies.services.map(heedingPreconditions)
  const app = new Hono<RegionEnv>({ getPath: (request) => routedPath(getPath(request)) })
  const document = openApiDocument([
    ...services.flatMap(({ operations, mintsCredentials = false }) =>
      operations.filter(isOfTheApi).map((operation) => ({
        declaration: operation.declaration,
        security: operation.invitees ? ('person' as const) : ('apiKey' as const),
        needs: operation.scope,
        signable: !mintsCredentials,
        streamsAs: streamStatus(operation),
        outside: operation.answers === 'outside',
      })),
    ),
    ...platform.map(({ declaration, role }) => ({
      declaration,
      security: 'operator' as const,
      needs: role,
      signable: false,
    })),
  ])

  const description = publish(JSON.stringify(document))

  app.get('/healthz', (c) => c.json({ status: 'ok', region }))
  app.get(ALIVE_PATH, (c) => c.json({ status: 'ok', region }, 200, { [TOOK]: '0' }))
  app.get('/readyz', async (c, next) => {
    if (isFromOutside(c)) return next()
    const status = await readiness(c.req.query('exclude'))
    return c.json({ status, region }, status === 'ready' ? 200 : 503)
  })
  app.get('/metrics', async (c, next) => {
    if (isFromOutside(c)) return next()
    return c.body(await metrics.text(), 200, { 'content-type': metrics.contentType })
  })

  app.use(observing(dependencies))
  app.use(async (_, next) => {
    try {
      await next()
    } catch (thrown) {
      throw asError(thrown)
    }
  })
  app.use(async (c, next) => {
    if (draining()) throw leaving()
    await next()
    if (draining()) c.res.headers.set('connection', 'close')
  })
  app.get('/openapi.json', async (c) => publishedJson(await description, c.req.header('if-none-match')))

  app.use(async (c, next) => {
    const verified = timedNow('verify', () => verify(c.req.raw, verifier))
    c.set('verified', verified)
    noteSpeaker(c.get('note'), verified, c.req.method)
    const counts = c.req.header(EDGE_COUNTS)
    for (const counted of counts === undefined ? [] : readCounts(counts)) metrics.edgeDecided(counted)
    if ((deadlineOf(c) ?? Number.POSITIVE_INFINITY) <= Date.now()) {
      // An edge that still waits for it has another clock than this instance.
      const note = c.get('note')
      note.why = 'its deadline was over'
      note.isNoAnswer = true
      throw tooLate('Nothing was done.')
    }
    await next()
    const snapshot = c.get('snapshot')
    if (snapshot !== undefined) c.res.headers.set(SNAPSHOT, writeSnapshot(snapshot))
  })

  // Asked where no route is found. By itself, because Hono's quick router takes no pattern twice over.
  const declared = new TrieRouter<Declaration>()
  /** Of those that take what stands in the path: `accept` is no id, so at `/v1/invitations/accept` no invitation is read. */
  const methodsAt = (path: string): string =>
    declared
      .match('ALL', path)[0]
      .filter(([{ params }, found]) => params === undefined || params.safeParse(decoded(found)).success)
      .flatMap(([{ method }]) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
      .join(', ')
  const route = (declaration: Declaration, answer: (c: RegionContext) => Promise<Response>): void => {
    const { method, path } = declaration
    const pattern = routePattern(path)
    declared.add('ALL', pattern, declaration)
    app.on(method.toUpperCase(), pattern, (c) => {
      c.get('note').route = path
      return answer(c)
    })
  }
  for (const service of services) {
    for (const operation of service.operations) {
      route(operation.declaration, (c) => answerTenant(c, dependencies, service, operation))
    }
  }
  for (const operation of platform) {
    route(operation.declaration, (c) => answerOperator(c, dependencies.operators, operation))
  }
  const signIn = async (c: RegionContext, step: SignIns['finish']) => {
    speakingAs(c.get('verified'), 'edge')
    const number = tenantNumber(c.req.param('number') ?? '')
    return answer(c, await step(number, await readRaw(c), deadlineOf(c)))
  }
  const { signIns } = dependencies
  app.get('/edge/v1/sign-in/:number', named, (c) => signIn(c, signIns.offer))
  app.post('/edge/v1/sign-in/:number/begin', named, (c) => signIn(c, signIns.begin))
  app.post('/edge/v1/sign-in/:number/finish', named, (c) => signIn(c, signIns.finish))
  for (const { declaration, prepare } of dependencies.signUp) {
    app.on(declaration.method.toUpperCase(), declaration.path, named, async (c) => {
      const { publicOrigin, requestId } = speakingAs(c.get('verified'), 'edge')
      if (publicOrigin === undefined) throw noRoute()
      const visitor = { clientIp: c.req.header(CLIENT_IP), publicOrigin, requestId }
      return answer(c, await prepare(await readRaw(c))(visitor))
    })
  }
  app.post('/internal/v1/:call', named, async (c) => {
    speakingAs(c.get('verified'), 'region')
    const name = c.req.param('call')
    if (!isCall(name)) throw noRoute()
    c.get('note').route = `/internal/v1/${name}`
    return c.json(await receive(calls, name, await c.req.json()))
  })
  app.get('/edge/v1/tenants/number/:number', named, async (c) => {
    speakingAs(c.get('verified'), 'edge')
    const number = tenantNumber(c.req.param('number'))
    return c.json(writePlace(await dependencies.edgeCalls.placeOf({ number })))
  })
  app.get('/edge/v1/tenants/slug/:slug', named, async (c) => {
    speakingAs(c.get('verified'), 'edge')
    const slug = c.req.param('slug')
    if (!SLUG.test(slug)) throw noRoute()
    return c.json(writePlace(await dependencies.edgeCalls.placeOf({ slug })))
  })
  app.get('/edge/v1/tenants/domain/:domain', named, async (c) => {
    speakingAs(c.get('verified'), 'edge')
    const domain = c.req.param('domain')
    if (!isDomain(domain)) throw noRoute()
    return c.json(writePlace(await dependencies.edgeCalls.placeOf({ domain })))
  })
  app.get('/edge/v1/identity-providers/:number', named, async (c) => {
    speakingAs(c.get('verified'), 'edge')
    return c.json(await dependencies.edgeCalls.providersOf(tenantNumber(c.req.param('number'))))
  })
  app.get('/edge/v1/snapshots/:number', named, async (c) => {
    speakingAs(c.get('verified'), 'edge')
    const held = readVersion(c.req.query('held'))
    return c.json(await dependencies.edgeCalls.snapshotOf(tenantNumber(c.req.param('number')), held))
  })
  app.get('/edge/v1/erasures/:number/:job', named, async (c) => {
    speakingAs(c.get('verified'), 'edge')
    const erasure = await dependencies.edgeCalls.erasureOf(
      tenantNumber(c.req.param('number')),
      c.req.param('job'),
    )
    if (erasure === undefined) throw noRoute()
    return c.json(erasure)
  })
  app.notFound((c) => {
    const allow = methodsAt(c.req.path)
    if (allow === '') return refuse(c, noRoute())
    const detail = `Here there is only ${allow}; ${c.req.method} is not.`
    return refuse(c, new Problem('method_not_allowed', detail, { headers: { allow } }))
  })
  app.onError((error, c) => {
    if (error instanceof Problem) return refuse(c, error)
    if (error instanceof WaitEnded) return new Response(null, { status: GONE })
    const requestId = requestIdOf(c)
    const { tenant, trace } = c.get('note')
    const whose = tenant === undefined ? undefined : String(tenant)
    const what = { requestId, traceId: trace?.traceId, tenant: whose, error }
    if (c.req.raw.signal.aborted) {
      // Most likely its body ended with it; what else it may be stays to be seen.
      log.info('a request failed whose client has gone', what)
      return new Response(null, { status: GONE })
    }
    log.error('a request failed', what)
    const internal = () => new Problem('internal', 'Try again; if it stays, tell us the request id.')
    return refuse(c, tooLarge(error) ?? internal())
  })
  return app
}

/** Of routes that no client sees, and none declares. */
const named = createMiddleware<RegionEnv>(async function named(c, next) {
  c.get('note').route = routePath(c).replaceAll(/:(\w+)/g, '{$1}')
  await next()
})

/** A path's parameters, as the routes read them. */
const decoded = (params: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(params).map(([name, text]) => [name, tryDecodeURIComponent(String(text))]),
  )

/**
 * Whoever comes by a proxy may be anybody: some places (Cloud Run) have no other way in, and open it to everyone. Probes and
 * Prometheus ask the instance itself.
 */
const isFromOutside = (c: RegionContext): boolean =>
  SAID_BY_PROXIES.some((name) => c.req.raw.headers.has(name))

/** None of them is a probe's, or of a mesh's own sidecar. */
const SAID_BY_PROXIES: ReadonlyArray<string> = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-real-ip',
  'true-client-ip',
  'cf-connecting-ip',
]

const MAX_THROWN_LENGTH = 200

/** Hono hands nothing but an `Error` to `onError`. Anything may be thrown, and the reason of an abort is its caller's. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  const what = typeof thrown === 'string' ? thrown.slice(0, MAX_THROWN_LENGTH) : typeof thrown
  return new Error(`what was thrown is no Error: ${what}`)
}

/** Nobody reads it: the client went away, as proxies log it since nginx. */
const GONE = 499

/** The rest is for the console's own pages. */
const isOfTheApi = ({ declaration }: TenantOperation): boolean => declaration.path.startsWith('/v1/')

async function answerTenant(
  c: RegionContext,
  dependencies: AppDependencies,
  { name: service, mintsCredentials, operations }: Service,
  operation: TenantOperation,
): Promise<Response> {
  const verified = speakingAs(c.get('verified'), ...operation.speakers)
  const { name, declaration, scope, invitees, erases, kind } = operation
  const note = c.get('note')
  note.class = kind
  const asked = {
    verified,
    service,
    action: `${service}.${name}`,
    scope,
    mintsCredentials,
    invitees,
    erases,
    kind,
    target: operation.target?.(c.req.param()) ?? c.req.param('id'),
    clientIp: c.req.header(CLIENT_IP),
    deadlineMs: deadlineOf(c),
    client: c.req.raw,
    held: readVersion(c.req.header(SNAPSHOT)),
    tell: (snapshot: TenantSnapshot) => c.set('snapshot', snapshot),
    weight: weightOf(c.req.header(PLAN)),
    route: `${declaration.method} ${declaration.path}`,
    content: NOTHING,
  }
  const { admission } = dependencies
  if (operation.answers === 'outside') {
    note.class = 'outside'
    const begin = await admission.run(askingOf(asked), async (meter) => {
      const raw = await timed('receive', () => readRaw(c))
      const work = meter.timed(() => operation.prepare(raw))
      return dependencies.outside.begin({ ...asked, content: contentOf(c, raw), meter }, work)
    })
    const requestId = requestIdOf(c)
    const report = (error: unknown) => dependencies.log.error('work outside failed', { requestId, error })
    const events = operation.streams && wantsEvents(c.req.header('accept'))
    const failed = (code: ProblemCode) => {
      note.problem = code
    }
    return answerOutside(c, begin, { status: operation.status, events, requestId, report, failed })
  }
  // HEAD comes here too, and nobody would end its stream.
  if (
    operation.prepareStream !== undefined &&
    c.req.method === 'GET' &&
    wantsEvents(c.req.header('accept'))
  ) {
    note.class = 'stream'
    if (!dependencies.holdsStreams) throw noStreams()
    const source = operation.prepareStream(await readRaw(c))
    const body = await openStream(dependencies, asked, source, streamWatcher(c, dependencies.log))
    return new Response(body, {
      headers: {
        'content-type': EVENT_STREAM,
        'cache-control': 'no-store',
        // Proxies on the way would otherwise gather it.
        'x-accel-buffering': 'no',
        [REQUEST_ID]: requestIdOf(c),
      },
    })
  }
  // The body is read, and what it says looked at, when it is this request's turn.
  return admission.run(askingOf(asked), async (meter) => {
    const raw = await timed('receive', () => readRaw(c))
    const work = meter.timed(() => operation.prepare(raw))
    // What changes nothing may be done again, and is not remembered.
    const content = kind === 'read' ? NOTHING : contentOf(c, raw)
    const request = { ...asked, content, meter }
    const reader = declaration.method === 'put' ? readerOf(declaration, operations) : undefined
    const shows = reader && ((tx: TenantTransaction) => reader.prepare(raw)(tx))
    const reply = await transact(dependencies.transact, request, work, shows)
    return meter.timed(() => answer(c, reply))
  })
}

/** Has in the log, and counted, what becomes of a stream after its head. */
function streamWatcher(c: RegionContext, log: Log): StreamWatcher {
  const note = c.get('note')
  const { requestId } = note
  return {
    report: (error) => log.error('a stream failed', { requestId, error }),
    failed(code) {
      note.problem = code
    },
    stopped(code) {
      note.stopped = code
    },
    unread(why) {
      log.info('a stream was cut off', { requestId, why })
      c.env.outgoing?.destroy()
    },
  }
}

/** What reads at the same path: what a PUT has made of it (RFC 9110 section 9.3.4). */
const readerOf = ({ path }: Declaration, operations: ReadonlyArray<TenantOperation>) =>
  operations
    .filter((operation) => operation.answers === 'in_transaction')
    .find(({ declaration }) => declaration.path === path && declaration.method === 'get')

const NOTHING = new Uint8Array()

/** What a client sent beside its idempotency key. A verb's path as it was first remembered: another spelling is another request. */
const contentOf = (c: RegionContext, { body }: RawInput): Uint8Array =>
  Buffer.concat([Buffer.from(`${c.req.path.replace('#', ' ')}\n${queryOf(c)}\n`), body])

/** With its question mark; empty where there is none. */
const queryOf = ({ req: { url } }: RegionContext): string => {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at)
}

/** The status of an operation's stream; undefined where it has none. */
const streamStatus = (operation: TenantOperation): number | undefined => {
  if (operation.answers === 'outside') return operation.streams ? operation.status : undefined
  return operation.prepareStream && 200
}

async function answerOperator(
  c: RegionContext,
  operators: ReadonlyArray<OperatorConfig>,
  operation: OperatorOperation,
): Promise<Response> {
  const operator = speakingAs(c.get('verified'), 'operator')
  // The edge's list may be older than ours: an operator who left is refused here.
  const known = findOperator(operator.principal.secretHash, operators)
  if (known?.id !== operator.principal.operatorId || known.role !== operator.principal.role) {
    throw new Problem('credential_invalid', 'The operator token is not one of ours.')
  }
  return answer(c, await operation.prepare(await readRaw(c))(operator))
}

/** Undefined where none was said, or none that can be read. */
function deadlineOf(c: RegionContext): number | undefined {
  const text = c.req.header(REQUEST_DEADLINE)
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

async function readRaw(c: RegionContext): Promise<RawInput> {
  const length = Number(c.req.header('content-length') ?? 0)
  if (length > MAX_BODY_BYTES)
    throw new Problem('body_too_large', `A body has at most ${MAX_BODY_BYTES} bytes.`)
  const hasBody = c.req.method !== 'GET' && c.req.method !== 'HEAD'
  return {
    params: c.req.param(),
    query: queryOf(c) === '' ? {} : parsedQuery(c),
    contentType: c.req.header('content-type'),
    body: hasBody ? new Uint8Array(await c.req.arrayBuffer()) : NOTHING,
    ifMatch: c.req.header('if-match'),
    idempotencyKey: c.get('verified').idempotencyKey,
    lastEventId: c.req.header('last-event-id'),
    header: (name) => c.req.header(name),
  }
}

const parsedQuery = (c: RegionContext): RawInput['query'] =>
  Object.fromEntries(
    Object.entries(c.req.queries()).map(([name, values]) => [name, values.length === 1 ? values[0] : values]),
  )

function answer(c: RegionContext, reply: Reply): Response {
  const reads = c.req.method === 'GET' || c.req.method === 'HEAD'
  const { status, body, headers } = reads ? unlessKnown(reply, c.req.header('if-none-match')) : reply
  const own = { [REQUEST_ID]: requestIdOf(c), 'cache-control': 'no-store', ...headers }
  return body === undefined
    ? new Response(null, { status, headers: own })
    : Response.json(body, { status, headers: own })
}

/** @throws {Problem} `not_found` */
function tenantNumber(text: string): TenantNumber {
  const number = parseTenantNumber(text)
  if (number === undefined) throw noRoute()
  return number
}

function refuse(c: RegionContext, problem: Problem): Response {
  c.get('note').problem = problem.code
  return problemResponse(bounded(problem), requestIdOf(c))
}

const leaving = (): Problem =>
  new Problem('region_unavailable', 'This instance is stopping. Nothing was done; send it again.', {
    headers: { [DRAINING]: '1', 'retry-after': '1', connection: 'close' },
  })

const noStreams = (): Problem =>
  new Problem('not_acceptable', 'This region holds no streams open. Ask for pages, from `after` on.')

const noRoute = (): Problem =>
  new Problem('not_found', 'There is no such path. /openapi.json lists them all.')

const requestIdOf = (c: RegionContext): string => c.get('note').requestId

const CLASS_OF_SPEAKER = { operator: 'operator', region: 'region', edge: 'edge' } as const

function noteSpeaker(note: RequestNote, { principal, requestId }: Verified, method: string): void {
  note.asserted(requestId)
  note.principal = principal.kind
  if (principal.kind === 'operator') note.operator = principal.operatorId
  if ('tenant' in principal) {
    note.tenant = principal.tenant
    // Its route knows better. What is refused before it is there was asked by a tenant all the same.
    note.class = method === 'GET' || method === 'HEAD' ? 'read' : 'write'
  } else note.class = CLASS_OF_SPEAKER[principal.kind]
}
