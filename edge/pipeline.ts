// The way of a request through the edge, one line a stage. Every refusal is a problem, every answer has a
// request id; what a stage decides, the next one finds by `c.get` (`c.var` copies all of it).
import { Hono } from 'hono'
import { createMiddleware } from 'hono/factory'
import { MAX_HOOK_BYTES, RECEIVE_PATH } from '../shared/credentials/source_token.ts'
import { EDGE_COUNTS, PLAN, REQUEST_ID, SNAPSHOT, STALE_PROVIDERS, TENANT } from '../shared/headers.ts'
import { type Id, newId } from '../shared/ids.ts'
import { PLANS } from '../shared/plans.ts'
import type { Principal, TenantPrincipal } from '../shared/principal.ts'
import { Problem, problemResponse } from '../shared/problems.ts'
import { readSnapshot, type TenantSnapshot, writeVersion } from '../shared/snapshot.ts'
import type { TenantNumber } from '../shared/tenant.ts'
import type { Inside } from './console/api.ts'
import type { ConsoleDependencies } from './console/visit.ts'
import { isPreflight, preflightAnswer, share } from './cors.ts'
import { Counts } from './counts.ts'
import type { EdgeConfig, Region } from './env.ts'
import { clientIp } from './forward/client_ip.ts'
import { forward, HEADER_TIMEOUT_MS, unavailable } from './forward/index.ts'
import { Instances } from './forward/instances.ts'
import { FailedAttempts } from './identify/failed_attempts.ts'
import { type Identify, type Identity, identifier, type Part } from './identify/index.ts'
import { jwtIdentifier } from './identify/jwt.ts'
import { issuerKeys, KEEP_MS } from './identify/oidc/issuer_keys.ts'
import { cachedKeys, type KeyStore } from './identify/oidc/key_store.ts'
import { identifySource } from './identify/source_token.ts'
import { retryAfterSeconds } from './limit/fields.ts'
import { RateLimits } from './limit/index.ts'
import type { LeaseSource } from './limit/limiter.ts'
import { type SlotSource, Slots, wantsStream } from './limit/slots.ts'
import { hostTenants } from './locate/host.ts'
import { locate } from './locate/index.ts'
import { Snapshots } from './locate/snapshots.ts'
import { TenantDirectory } from './locate/tenant_directory.ts'
import { secure } from './security_headers.ts'
import { targetOf } from './target.ts'

interface EdgeTypes {
  Variables: {
    requestId: Id<'req'>
    /** Path and query to ask a region for. */
    target: string
    /** Where it came from, where the runtime tells. */
    clientIp: string | undefined
    /** The tenant that the host names. */
    host: TenantNumber | undefined
    identity: Identity
    region: Region
    principal: Principal | undefined
    snapshot: TenantSnapshot | undefined
  }
}

export interface EdgeOptions {
  /** How long a region may stay silent. */
  headerTimeoutMs?: number
  /** Where tenants' rate limits are kept; undefined switches them off. */
  leases?: LeaseSource | undefined
  /** Where tenants' concurrency slots are held; undefined where nobody counts them. */
  slots?: SlotSource | undefined
  /** Keeps work alive beyond its request's answer. */
  waitUntil?: (work: Promise<unknown>) => void
  /** Where the keys of OpenID issuers are kept beside the isolate. */
  keyStore?: KeyStore
  now?: () => number
}

/** What the requests of one isolate share. */
interface Isolate {
  config: EdgeConfig
  snapshots: Snapshots
  directory: TenantDirectory
  counts: Counts
  instances: Instances
  headerTimeoutMs: number
}

export function createEdge(
  config: EdgeConfig,
  {
    headerTimeoutMs = HEADER_TIMEOUT_MS,
    leases,
    slots,
    waitUntil = () => {},
    keyStore = cachedKeys(KEEP_MS / 1_000),
    now = Date.now,
  }: EdgeOptions = {},
) {
  const counts = new Counts()
  const instances = new Instances()
  const directory = new TenantDirectory({ config, waitUntil, now })
  const isolate: Isolate = {
    config,
    snapshots: new Snapshots(),
    directory,
    counts,
    instances,
    headerTimeoutMs,
  }
  const keys = issuerKeys({ store: keyStore, development: config.developmentIssuers, waitUntil, now })
  const identify = identifier(config, jwtIdentifier({ directory, keys, now }), now)
  const limits = leases && new RateLimits({ leases, counts, waitUntil })
  const holds = holding(slots && new Slots({ source: slots, waitUntil, now }), counts)
  const failures = new FailedAttempts(config.failureLimit)
  const identifying = identifyingBy(identify, failures, counts)
  const getPath = (request: Request) => targetOf(request.url).path
  const edge = new Hono<EdgeTypes>({ getPath })
  // What the console's pages ask takes the same way as any client's request, but for who says who asks.
  const inside = new Hono<InsideTypes>({ getPath })

  edge.use(everyAnswer(config))
  edge.all('/healthz', reading, (c) => c.json({ status: 'ok' }))
  edge.all('/openapi.json', reading, inControlRegion(config), forwarding(isolate))
  edge.use('/v1/*', sharing(isolate), naming(isolate))
  edge.all('/v1/*', identifying('tenant'), locating(isolate), limiting(limits), holds, forwarding(isolate))
  edge.post(
    '/hooks/*',
    sending(config, failures, counts),
    locating(isolate),
    limiting(limits),
    forwarding(isolate),
  )
  edge.all('/hooks/*', posting)
  edge.all('/platform/v1/*', identifying('platform'), locating(isolate), forwarding(isolate))
  inside.use(everyAnswer(config))
  inside.all('/v1/*', presented, locating(isolate), limiting(limits), holds, forwarding(isolate))
  inside.all('/console/v1/*', presented, locating(isolate), limiting(limits), forwarding(isolate))
  inside.all('/edge/v1/*', presented, locating(isolate), forwarding(isolate))
  inside.all('/platform/v1/*', presented, locating(isolate), forwarding(isolate))
  const insideOf: Inside = async (request, identity) => inside.fetch(request, { identity })
  const noteInvalid = (request: Request) => noteFailure(clientIp(request), failures, counts)
  const pages = showing({
    config,
    inside: insideOf,
    noteInvalid,
    placeOf: (slug) => directory.placeOf({ slug }),
    now,
  })
  for (const path of ['/admin', '/admin/*', '/platform', '/platform/*', '/sign-up', '/sign-up/*'])
    edge.all(path, pages)
  edge.all(
    '/docs',
    reading,
    describing(async (request) => edge.fetch(request)),
  )
  for (const app of [edge, inside] as ReadonlyArray<Pick<typeof edge, 'notFound' | 'onError'>>) refusing(app)
  return edge
}

/** Gives refusals and failures their answers. */
function refusing(edge: Pick<Hono<EdgeTypes>, 'notFound' | 'onError'>): void {
  // Answered, not thrown: Hono would carry an error from here past the middleware that every answer needs.
  edge.notFound((c) =>
    problemResponse(new Problem('not_found', 'There is nothing at this path.'), c.get('requestId')),
  )
  edge.onError((error, c) => {
    if (error instanceof Problem) return problemResponse(error, c.get('requestId'))
    console.error(c.get('requestId'), error)
    return problemResponse(
      new Problem('internal', 'The edge failed; nothing is known to be wrong with the request.'),
      c.get('requestId'),
    )
  })
}

/** Made inside, and nowhere else. */
type InsideTypes = EdgeTypes & { Bindings: { identity: Identity } }

const presented = createMiddleware<InsideTypes>(async function presented(c, next) {
  c.set('identity', c.env.identity)
  await next()
})

/** The console's pages are loaded with the first one that is asked for: the API starts without them. */
const showing = (dependencies: ConsoleDependencies) => {
  let app: Awaited<ReturnType<typeof consoleOf>> | undefined
  return createMiddleware<EdgeTypes>(async function showing(c) {
    app ??= await consoleOf(dependencies)
    return app.fetch(c.req.raw)
  })
}

/** Loaded like the console, with the first reader. */
const describing = (read: (request: Request) => Promise<Response>) => {
  let app: Awaited<ReturnType<typeof docsOf>> | undefined
  return createMiddleware<EdgeTypes>(async function describing(c) {
    app ??= await docsOf(read)
    return app.fetch(c.req.raw)
  })
}

async function docsOf(read: (request: Request) => Promise<Response>) {
  const { createDocs } = await import('./console/app.tsx')
  return createDocs(read)
}

async function consoleOf(dependencies: ConsoleDependencies) {
  const { createConsole } = await import('./console/app.tsx')
  return createConsole(dependencies)
}

const everyAnswer = ({ publicOrigin }: EdgeConfig) =>
  createMiddleware<EdgeTypes>(async function everyAnswer(c, next) {
    c.set('requestId', newId('req'))
    c.set('clientIp', clientIp(c.req.raw))
    c.set('target', targetOf(c.req.url).full)
    await next()
    c.res.headers.set(REQUEST_ID, c.get('requestId'))
    secure(c.res.headers, publicOrigin)
  })

const reading = createMiddleware(async function reading(c, next) {
  if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
    throw new Problem('method_not_allowed', 'This can only be read.', { headers: { allow: 'GET, HEAD' } })
  }
  await next()
})

const REFUSALS = {
  credential_missing: 'Send a credential in the Authorization header, as a Bearer token.',
  credential_invalid: 'The credential is not one that this part of the API takes.',
  conflicting_credentials: 'Send one credential only.',
  tenant_mismatch: 'The credential, the host and X-Tenant have to name one and the same organisation.',
  identity_provider_unavailable: 'The identity provider’s keys can’t be had at present, and none are known.',
  signed_url_expired: 'Ask whoever sent you this URL for a new one.',
} as const

/** Lets pages of the tenant's own origins read the answer, refusals too. */
const sharing = ({ snapshots }: Isolate) =>
  createMiddleware<EdgeTypes>(async function sharing(c, next) {
    if (isPreflight(c.req.raw)) return preflightAnswer(c.req.raw)
    await next()
    const principal = c.get('principal')
    const snapshot = ofTenant(principal) ? snapshots.get(principal.tenant, Date.now()) : undefined
    share(c.res.headers, c.req.raw.headers.get('origin'), snapshot)
    return undefined
  })

const naming = ({ config, directory }: Isolate) => {
  const tenantOf = hostTenants(config, directory)
  return createMiddleware<EdgeTypes>(async function naming(c, next) {
    const host = await tenantOf(c.req.url)
    if (host.outcome === 'no_such_tenant') throw new Problem('tenant_mismatch', REFUSALS.tenant_mismatch)
    if (host.outcome === 'unavailable') throw unavailable(config.controlRegion.name, 'Nothing was done.')
    c.set('host', host.outcome === 'tenant' ? host.number : undefined)
    await next()
  })
}

const identifyingBy = (identify: Identify, failures: FailedAttempts, counts: Counts) => (part: Part) =>
  createMiddleware<EdgeTypes>(async function identifying(c, next) {
    const verdict = await identify(c.req.raw, part, c.get('host'))
    if (verdict.outcome === 'refused') {
      const { code } = verdict
      if (code === 'credential_invalid') noteFailure(c.get('clientIp'), failures, counts)
      throw new Problem(code, REFUSALS[code], {
        ...(code === 'identity_provider_unavailable' && { headers: { 'retry-after': '2' } }),
      })
    }
    c.set('identity', verdict.identity)
    if (verdict.identity.kind === 'signed_url') c.set('target', verdict.identity.target)
    await next()
  })

/** @throws {Problem} `too_many_failures` */
function noteFailure(address: string | undefined, failures: FailedAttempts, counts: Counts): void {
  counts.add('failed_attempts')
  const throttled = failures.note(address, Date.now())
  if (throttled === undefined) return
  counts.add('failed_attempts_throttled')
  throw new Problem('too_many_failures', 'Valid credentials are let in all the same.', {
    headers: { 'retry-after': String(retryAfterSeconds(throttled.retryAfterMs)) },
  })
}

const posting = createMiddleware(async function posting() {
  throw new Problem('method_not_allowed', 'Webhooks are sent here, with POST.', {
    headers: { allow: 'POST' },
  })
})

/** A third party, by the token in the path. The region is asked for a path of its own, so the token goes no further. */
const sending = ({ roots }: EdgeConfig, failures: FailedAttempts, counts: Counts) =>
  createMiddleware<EdgeTypes>(async function sending(c, next) {
    const identity = await identifySource(c.req.path, roots)
    if (identity === undefined) {
      noteFailure(c.get('clientIp'), failures, counts)
      throw new Problem('not_found', 'There is nothing at this path.')
    }
    if (Number(c.req.header('content-length')) > MAX_HOOK_BYTES) {
      throw new Problem('body_too_large', `A webhook has at most ${MAX_HOOK_BYTES} bytes.`)
    }
    c.set('identity', identity)
    c.set('target', RECEIVE_PATH)
    await next()
  })

const locating = ({ config, snapshots }: Isolate) =>
  createMiddleware<EdgeTypes>(async function locating(c, next) {
    const held = (tenant: TenantNumber) => snapshots.get(tenant, Date.now())
    const claims = { claimedTenant: c.req.raw.headers.get(TENANT), host: c.get('host') }
    const location = locate(c.get('identity'), claims, held, config)
    if (location.outcome === 'tenant_mismatch') {
      throw new Problem('tenant_mismatch', REFUSALS.tenant_mismatch)
    }
    if (location.outcome === 'region_unavailable') throw unavailable('of this credential')
    c.set('region', location.region)
    c.set('principal', location.principal)
    c.set('snapshot', location.snapshot)
    await next()
  })

const ofTenant = (principal: Principal | undefined): principal is TenantPrincipal =>
  principal !== undefined && 'tenant' in principal

const LIMIT_DETAILS = {
  tenant: 'The organisation asks more than its plan allows.',
  key: 'This API key asks more than one key may.',
  ip: 'This address asks more than one address may.',
} as const

const limiting = (limits: RateLimits | undefined) =>
  createMiddleware<EdgeTypes>(async function limiting(c, next) {
    const principal = c.get('principal')
    const snapshot = c.get('snapshot')
    if (limits === undefined || !ofTenant(principal)) return next()
    const { method, path } = c.req
    const verdict = await limits.decide({ method, path, principal, snapshot, clientIp: c.get('clientIp') })
    if (verdict.outcome === 'throttled') {
      throw new Problem('rate_limited', LIMIT_DETAILS[verdict.policy], { headers: verdict.fields })
    }
    if (verdict.outcome === 'closed') {
      throw new Problem('limiter_unavailable', 'The limiter does not answer, so nothing was done.', {
        headers: verdict.fields,
      })
    }
    await next()
    for (const [name, value] of Object.entries(verdict.fields)) c.res.headers.set(name, value)
  })

/** Until a region has said how many streams the tenant may have. */
const FIRST_STREAMS = PLANS.team.streams
const STREAMS_RETRY_AFTER_SECONDS = '5'

/** A stream holds a concurrency slot of its tenant for as long as it lasts. */
const holding = (slots: Slots | undefined, counts: Counts) =>
  createMiddleware<EdgeTypes>(async function holding(c, next) {
    const principal = c.get('principal')
    const snapshot = c.get('snapshot')
    const requestId = c.get('requestId')
    const request = c.req.raw
    if (slots === undefined || !ofTenant(principal) || !wantsStream(request)) return next()
    const limit = snapshot?.streams ?? FIRST_STREAMS
    const verdict = await slots.hold(principal.tenant, requestId, limit, request.signal)
    if (verdict.outcome === 'full') {
      counts.add('streams_refused')
      throw new Problem('too_many_streams', `The organisation may have ${limit} streams at the same time.`, {
        headers: { 'retry-after': STREAMS_RETRY_AFTER_SECONDS },
      })
    }
    if (verdict.outcome === 'silent') {
      // The rate limit has let it through already: a stream more is the smaller harm.
      counts.add('limiter_bypassed')
      return next()
    }
    try {
      await next()
    } catch (error) {
      verdict.slot.release()
      throw error
    }
    c.res = verdict.slot.during(c.res)
    return undefined
  })

const inControlRegion = ({ controlRegion }: EdgeConfig) =>
  createMiddleware<EdgeTypes>(async function inControlRegion(c, next) {
    c.set('region', controlRegion)
    await next()
  })

const forwarding = ({ config, snapshots, directory, counts, instances, headerTimeoutMs }: Isolate) =>
  createMiddleware<EdgeTypes>(async function forwarding(c) {
    const requestId = c.get('requestId')
    const target = c.get('target')
    const region = c.get('region')
    const principal = c.get('principal')
    const snapshot = c.get('snapshot')
    // Only a request that speaks for someone is believed about more than itself.
    const counted = principal && counts.take()
    const told = {
      ...(snapshot && { [SNAPSHOT]: writeVersion(snapshot), [PLAN]: snapshot.plan }),
      ...(counted && { [EDGE_COUNTS]: counted.text }),
    }
    const { regions, publicOrigin } = config
    try {
      const asked = { requestId, target, region, principal, publicOrigin, clientIp: c.get('clientIp') }
      const forwarding = { ...asked, headerTimeoutMs, instances, told, regions }
      const { response, heard } = await forward(c.req.raw, forwarding)
      const newer = readSnapshot(heard.get(SNAPSHOT))
      if (newer && ofTenant(principal)) snapshots.learn(principal.tenant, newer, Date.now())
      if (ofTenant(principal) && heard.has(STALE_PROVIDERS)) directory.forgetProvidersOf(principal.tenant)
      return response
    } catch (error) {
      counted?.putBack()
      const { aborted } = c.req.raw.signal
      if (error instanceof Problem && error.code === 'region_unavailable' && !aborted) {
        counts.add('region_unavailable')
      }
      throw error
    }
  })
