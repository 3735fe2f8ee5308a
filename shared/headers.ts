// Header names that edge and region agree on. A client's own copies of the internal ones never get past the edge.

/** Edge → region: who asks, for which tenant, bound to this one request (`shared/assertion.ts`). */
export const ASSERTION = 'coditect-assertion'
/** Edge → region: the client's IP address, for audit. Missing where the runtime can't tell it. */
export const CLIENT_IP = 'coditect-client-ip'
/** Edge → region: the version of the tenant's snapshot that the edge holds. Region → edge: a newer snapshot. */
export const SNAPSHOT = 'coditect-snapshot'
/** Edge → region: the tenant's plan, as its snapshot says: what share of a busy region is the tenant's. */
export const PLAN = 'coditect-plan'
/** Region → edge, with 421 `tenant_moved`: the region that the tenant lives in now. */
export const MOVED_TO = 'coditect-moved-to'
/** Region → edge, with 503: this instance is leaving and did nothing, so that any request may be sent to another. */
export const DRAINING = 'coditect-draining'
/** Region → edge: how long the region had the request, in milliseconds; the rest of the time was the edge's, and the way's. */
export const TOOK = 'coditect-took'
/** Edge → region: what the edge decided without asking a region (`shared/edge_counts.ts`). */
export const EDGE_COUNTS = 'coditect-edge-counts'
/** Edge → region: the edge's own part of the trace (`shared/trace.ts`). */
export const EDGE_SPAN = 'coditect-edge-span'
/** Edge → region: when nobody waits for the answer any more, in milliseconds since 1970. */
export const REQUEST_DEADLINE = 'x-request-deadline'
/** Region → edge, with a refusal: what the edge knows of the tenant's identity providers is out of date. */
export const STALE_PROVIDERS = 'coditect-stale-providers'
/** Region → edge, with a refusal: the code of what it is that does not hold of the credential itself, whatever is asked. */
export const CREDENTIAL_REFUSED = 'coditect-credential-refused'
export const REQUEST_ID = 'x-request-id'
export const IDEMPOTENCY_KEY = 'idempotency-key'
/** On an answer that a region gave from an idempotency record. */
export const IDEMPOTENCY_REPLAYED = 'idempotency-replayed'
/** A client's API key, where it does not come as a Bearer token. */
export const API_KEY = 'x-api-key'
/** The tenant that a client means, by id or slug. The edge reads it and strips it. */
export const TENANT = 'x-tenant'
/** The largest request body, in bytes. Bodies are buffered, so that a request can be sent again. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024
