// Cross-origin reads (WHATWG Fetch, "HTTP CORS protocol"). A page of another origin may read an answer if the tenant has
// named its origin, and never otherwise. Credentials of /v1 are sent by hand, never by the browser itself, so a preflight,
// which carries none and so names no tenant, may be granted to everyone: it opens nothing that the answer does not. So may what
// is said to nobody, such as that a token has expired: it is no tenant's.
import type { TenantSnapshot } from '../shared/snapshot.ts'
import type { RequestContext } from './context.ts'

const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
const REQUEST_HEADERS =
  'Authorization, X-Api-Key, X-Tenant, Content-Type, Accept, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, traceparent, tracestate'
const EXPOSED = 'ETag, Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, Idempotency-Replayed'
const MAX_AGE_SECONDS = '600'

export const isPreflight = ({ method, headers }: RequestContext): boolean =>
  method === 'OPTIONS' && headers.has('origin') && headers.has('access-control-request-method')

export const preflightAnswer = ({ headers }: RequestContext): Response =>
  new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-origin': headers.get('origin') ?? '',
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': REQUEST_HEADERS,
      'access-control-max-age': MAX_AGE_SECONDS,
      vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    },
  })

/**
 * @param isNobodys whether the edge does not know who asks
 * @param snapshot of the tenant that was asked for; undefined where none is known
 * @param vary what the answer varies by already
 */
export function corsFields(
  origin: string | undefined,
  isNobodys: boolean,
  snapshot: TenantSnapshot | undefined,
  vary: string | undefined,
): Record<string, string> {
  const varying = { vary: vary === undefined ? 'Origin' : `${vary}, Origin` }
  if (origin === undefined || !(isNobodys || snapshot?.corsOrigins.includes(origin))) return varying
  return {
    ...varying,
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED,
    'cross-origin-resource-policy': 'cross-origin',
  }
}
