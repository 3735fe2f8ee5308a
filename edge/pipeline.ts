// The way of a request through the edge, one line a stage. Every refusal is a problem, every answer has a request id;
// what a stage decides, the next one finds in the request's context.
import type { Context } from 'hono'
import { Hono } from 'hono/tiny'
import { isPlainlySpelled } from '../shared/path_spelling.ts'
import { Problem, problemResponse } from '../shared/problems.ts'
import { ownAnswer } from './answer.ts'
import type { Inside } from './console/api.ts'
import { describing, showing } from './console/loaded.ts'
import { contextOf } from './context.ts'
import { isPreflight, preflightAnswer } from './cors.ts'
import { Counts, isUnanswered } from './counts.ts'
import type { EdgeConfig } from './env.ts'
import { buffering, holdingBodies } from './forward/body.ts'
import { BodyBudget } from './forward/body_budget.ts'
import { clientIp } from './forward/client_ip.ts'
import { HEADER_TIMEOUT_MS } from './forward/index.ts'
import { forwarding } from './forward/stage.ts'
import { FailedAttempts } from './identify/failed_attempts.ts'
import type { Identity } from './identify/identity.ts'
import { identifier } from './identify/index.ts'
import { jwtIdentifier } from './identify/jwt.ts'
import { issuerKeys, KEEP_MS } from './identify/oidc/issuer_keys.ts'
import { cachedKeys, type KeyStore } from './identify/oidc/key_store.ts'
import { Refusals } from './identify/refusals.ts'
import {
  holdingBack,
  identifying,
  identifyingAnew,
  identifyingSource,
  noting,
  provingLate,
} from './identify/stage.ts'
import { Bulkhead } from './limit/bulkhead.ts'
import { crowding } from './limit/crowding.ts'
import { RateLimits } from './limit/index.ts'
import type { LeaseSource, NearSource } from './limit/limiter.ts'
import { newerLimits } from './limit/newer_limits.ts'
import { type SlotSource, Slots } from './limit/slots.ts'
import { holding, limiting } from './limit/stage.ts'
import { Snapshots } from './locate/snapshots.ts'
import { hosting, locating, naming } from './locate/stage.ts'
import { TenantDirectory } from './locate/tenant_directory.ts'
import { isReading } from './reading.ts'
import { type Stage, through } from './stage.ts'

export interface EdgeOptions {
  /** How long a region may stay silent. */
  headerTimeoutMs?: number
  /** Where tenants' rate limits are kept; undefined switches them off. */
  leases?: LeaseSource | undefined
  /** What is known of them without a call. */
  nearLeases?: NearSource | undefined
  /** Where tenants' concurrency slots are held; undefined where nobody counts them. */
  slots?: SlotSource | undefined
  /** How many requests of tenants are under way at a time. */
  bulkhead?: Bulkhead
  /** How many bytes of bodies are held at a time. */
  bodies?: BodyBudget
  /** Keeps work alive beyond its request's answer. */
  waitUntil?: (work: Promise<unknown>) => void
  /** Where the keys of OpenID issuers are kept beside the isolate. */
  keyStore?: KeyStore
  now?: () => number
}

/** Made inside, and nowhere else. */
type InsideBindings = { Bindings: { identity: Identity } }

export function createEdge(
  config: EdgeConfig,
  {
    headerTimeoutMs = HEADER_TIMEOUT_MS,
    leases,
    nearLeases,
    slots,
    bulkhead = new Bulkhead(),
    bodies = new BodyBudget(),
    waitUntil = () => {},
    keyStore = cachedKeys(KEEP_MS / 1_000),
    now = Date.now,
  }: EdgeOptions = {},
) {
  const { publicOrigin } = config
  const counts = new Counts()
  const snapshots = new Snapshots()
  const directory = new TenantDirectory({ config, waitUntil, now })
  const keys = issuerKeys({ store: keyStore, development: config.developmentIssuers, waitUntil, now })
  const refusals = new Refusals()
  const noteFailure = noting(new FailedAttempts(config.failureLimit), counts)

  const host = hosting(config)
  const share = sharing(publicOrigin)
  const name = naming(config, directory, noteFailure)
  const identifyJwt = jwtIdentifier({ directory, keys, now })
  const identify = identifying(identifier(config, { name, identifyJwt, now }), noteFailure)
  const identifySource = identifyingSource(config, noteFailure)
  const locate = locating(config, snapshots)
  const holdBack = holdingBack(refusals, noteFailure)
  const newer = newerLimits({ snapshots, regions: config.regions, waitUntil, now })
  const limit = limiting(leases && new RateLimits({ leases, near: nearLeases, counts, waitUntil }), newer)
  const withBody = holdingBodies({ budget: bodies, counts, now })
  const forwardOnce = provingLate(
    forwarding({ config, snapshots, directory, refusals, counts, headerTimeoutMs }),
    noteFailure,
  )
  const forward = buffering(withBody, forwardOnce)
  const forwardTokens = buffering(withBody, identifyingAnew(identify('tenant'), locate, forwardOnce))
  const concurrency = slots && new Slots({ source: slots, waitUntil, now })
  const { turnAway, enter } = crowding({ bulkhead, counts, publicOrigin, now })
  const held = (answering: Stage) => holding({ slots: concurrency, newer, counts }, answering)

  const getPath = (request: Request) => contextOf(request).path
  const edge = new Hono({ getPath })
  // What the console's pages ask takes the same way as any client's request, but for who says who asks.
  const inside = new Hono<InsideBindings>({ getPath })

  edge.all('/healthz', own(read, healthy))
  const description = describing({ config, waitUntil, now })
  for (const path of ['/openapi.json', '/docs']) edge.all(path, own(read, description))
  edge.all(
    '/v1/*',
    answering(share, identify('tenant'), name, locate, holdBack, enter(limit, held(forwardTokens))),
  )
  edge.post('/hooks/*', answering(identifySource, name, locate, holdBack, enter(limit, forward)))
  edge.all('/hooks/*', own(onlyPost))
  edge.all('/platform/v1/*', answering(identify('platform'), locate, forward))
  inside.all('/v1/*', presenting(locate, holdBack, enter(limit, held(forward))))
  inside.all('/console/v1/*', presenting(locate, holdBack, enter(limit, forward)))
  inside.all('/edge/v1/*', presenting(locate, forward))
  inside.all('/platform/v1/*', presenting(locate, forward))
  const insideOf: Inside = async (request, identity) => inside.fetch(request, { identity })
  const pages = showing({
    config,
    inside: insideOf,
    withBody,
    noteInvalid: (request) => noteFailure(clientIp(request)),
    placeOf: (slug, request) => directory.placeOf({ slug }, clientIp(request)),
    now,
  })
  for (const path of [
    '/',
    '/favicon.ico',
    '/admin',
    '/admin/*',
    '/platform',
    '/platform/*',
    '/sign-up',
    '/sign-up/*',
  ])
    edge.all(path, own(pages))
  for (const app of [edge, inside] as ReadonlyArray<Pick<Hono, 'notFound' | 'onError'>>) refusing(app)
  // In a flood even to look for the route is too much.
  const { fetch } = edge
  edge.fetch = (request, ...rest) => turnAway(request) ?? fetch(request, ...rest)
  return edge

  /** To a region, whose answer the last stage makes the client's. */
  function answering(...stages: ReadonlyArray<Stage>) {
    const all = [host, spelt, ...stages]
    return (c: Context) => through(all, contextOf(c.req.raw))
  }

  /** What the edge answers itself. */
  function own(...stages: ReadonlyArray<Stage>) {
    const all = [host, ...stages]
    return async (c: Context) => {
      const context = contextOf(c.req.raw)
      return ownAnswer(context, await through(all, context), publicOrigin)
    }
  }

  function presenting(...stages: ReadonlyArray<Stage>) {
    const all = [spelt, ...stages]
    return (c: Context<InsideBindings>) => {
      const context = contextOf(c.req.raw)
      context.identity = c.env.identity
      return through(all, context)
    }
  }

  /** Gives refusals and failures their answers. */
  function refusing(app: Pick<Hono, 'notFound' | 'onError'>): void {
    const refuse = (c: Context, problem: Problem) => {
      const context = contextOf(c.req.raw)
      const { region = config.controlRegion } = context
      if (isUnanswered(context, problem)) counts.add('unanswered', region.name)
      return ownAnswer(context, problemResponse(problem, context.requestId), publicOrigin)
    }
    app.notFound((c) => refuse(c, new Problem('not_found', 'There is nothing at this path.')))
    app.onError((error, c) => {
      if (error instanceof Problem) return refuse(c, error)
      console.error(contextOf(c.req.raw).requestId, error)
      return refuse(c, new Problem('internal', 'The edge failed, not the request.'))
    })
  }
}

const healthy: Stage = () => Response.json({ status: 'ok' })

const read: Stage = function read({ method }) {
  if (isReading(method)) return undefined
  throw new Problem('method_not_allowed', 'This can only be read.', { headers: { allow: 'GET, HEAD' } })
}

/** What a path costs, and whether it takes long, is told by the path as it came: the region must not read another one. */
const spelt: Stage = function spelt({ path }) {
  if (isPlainlySpelled(path)) return undefined
  throw new Problem(
    'malformed_request',
    'Letters, digits and -._~ are written in a path as they are, not escaped.',
  )
}

const onlyPost: Stage = function onlyPost() {
  throw new Problem('method_not_allowed', 'Webhooks are sent here, with POST.', {
    headers: { allow: 'POST' },
  })
}

/** Lets pages of the tenant's own origins read the answer, refusals too. */
const sharing = (publicOrigin: string): Stage =>
  function sharing(context) {
    if (isPreflight(context)) return ownAnswer(context, preflightAnswer(context), publicOrigin)
    context.shared = true
    return undefined
  }
