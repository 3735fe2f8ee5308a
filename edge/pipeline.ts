// The way of a request through the edge, one line a stage. Every refusal is a problem, every answer has a
// request id; what a stage decides, the next one finds in `c.var`.
import { Hono } from 'hono'
import { createMiddleware } from 'hono/factory'
import { REQUEST_ID, TENANT } from '../shared/headers.ts'
import { type Id, newId } from '../shared/ids.ts'
import type { Principal } from '../shared/principal.ts'
import { Problem, problemResponse } from '../shared/problems.ts'
import type { EdgeConfig, Region } from './env.ts'
import { forward, HEADER_TIMEOUT_MS, unavailable } from './forward/index.ts'
import { type CredentialKind, type Identify, type Identity, identifier } from './identify/index.ts'
import { locate } from './locate/index.ts'
import { targetOf } from './target.ts'

interface EdgeTypes {
  Variables: {
    requestId: Id<'req'>
    identity: Identity
    region: Region
    principal: Principal | undefined
  }
}

/** `headerTimeoutMs`: how long a region may stay silent. */
export function createEdge(config: EdgeConfig, { headerTimeoutMs = HEADER_TIMEOUT_MS } = {}) {
  const edge = new Hono<EdgeTypes>({ getPath: (request) => targetOf(request.url).path })
  const identify = identifier(config)

  edge.use(everyAnswer)
  edge.all('/healthz', reading, (c) => c.json({ status: 'ok' }))
  edge.all('/openapi.json', reading, inControlRegion(config), forwarding(headerTimeoutMs))
  edge.all('/v1/*', identifying('api_key', identify), locating(config), forwarding(headerTimeoutMs))
  edge.all('/platform/v1/*', identifying('operator', identify), locating(config), forwarding(headerTimeoutMs))
  edge.notFound(() => {
    throw new Problem('not_found', 'There is nothing at this path.')
  })
  edge.onError((error, c) => {
    if (error instanceof Problem) return problemResponse(error, c.var.requestId)
    console.error(c.var.requestId, error)
    return problemResponse(
      new Problem('internal', 'The edge failed; nothing is known to be wrong with the request.'),
      c.var.requestId,
    )
  })
  return edge
}

const everyAnswer = createMiddleware<EdgeTypes>(async function everyAnswer(c, next) {
  c.set('requestId', newId('req'))
  await next()
  const { headers } = c.res
  headers.set(REQUEST_ID, c.var.requestId)
  headers.set('x-content-type-options', 'nosniff')
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
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
} as const

const identifying = (kind: CredentialKind, identify: Identify) =>
  createMiddleware<EdgeTypes>(async function identifying(c, next) {
    const verdict = await identify(c.req.raw.headers, kind)
    if (verdict.outcome === 'refused') throw new Problem(verdict.code, REFUSALS[verdict.code])
    c.set('identity', verdict.identity)
    await next()
  })

const locating = (config: EdgeConfig) =>
  createMiddleware<EdgeTypes>(async function locating(c, next) {
    const location = locate(c.var.identity, c.req.raw.headers.get(TENANT), config)
    if (location.outcome === 'tenant_mismatch') {
      throw new Problem('tenant_mismatch', 'The credential is not one of the organisation in X-Tenant.')
    }
    if (location.outcome === 'region_unavailable') throw unavailable('of this credential')
    c.set('region', location.region)
    c.set('principal', location.principal)
    await next()
  })

const inControlRegion = ({ controlRegion }: EdgeConfig) =>
  createMiddleware<EdgeTypes>(async function inControlRegion(c, next) {
    c.set('region', controlRegion)
    await next()
  })

const forwarding = (headerTimeoutMs: number) =>
  createMiddleware<EdgeTypes>(async function forwarding(c) {
    const { requestId, region, principal } = c.var
    return forward(c.req.raw, { requestId, region, principal, headerTimeoutMs })
  })
