// Header names that edge and region agree on. A client's own copies of the internal ones never get past the edge.

/** Edge → region: who asks, for which tenant, bound to this one request (`shared/assertion.ts`). */
export const ASSERTION = 'coditect-assertion'
export const REQUEST_ID = 'x-request-id'
export const IDEMPOTENCY_KEY = 'idempotency-key'
/** On an answer that a region gave from an idempotency record. */
export const IDEMPOTENCY_REPLAYED = 'idempotency-replayed'
/** The tenant that a client means, by id or slug. The edge reads it and strips it. */
export const TENANT = 'x-tenant'
/** The largest request body, in bytes. Bodies are buffered, so that a request can be sent again. */
export const MAX_BODY_BYTES = 2 * 1024 * 1024
