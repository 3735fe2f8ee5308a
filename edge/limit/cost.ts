// What a request costs, in units, by method and the shape of its path. The client is not told in advance; `r` in
// `RateLimit` counts units too.
import { isReading } from '../reading.ts'

/** A path that ends in an id, a collection's name, or `/v1/tenant`, is one thing (a test holds it to the regions' operations). */
const LIST =
  /(?<!\/projects\/[^/]+\/collections)\/(?:projects|api-keys|members|invitations|identity-providers|admin-links|sessions|records|agents|runs|events|audit|deliveries|webhook-endpoints|missed|webhook-sources|received|domains|collections|models)$/

export const costOf = (method: string, path: string): number => {
  if (method === 'POST' && path.endsWith(':batch')) return 5
  return isReading(method) && LIST.test(path) ? 2 : 1
}

/** What waits for others, such as a model, however it is answered (a test holds it to the regions' operations). */
const LONG = /^\/v1\/(?:projects\/[^/]+\/agents\/[^/]+\/runs|domains\/[^/]+\/verify)$/

/** Whether a request is a stream, or may take long. */
export const needsSlot = (method: string, path: string, accept = ''): boolean =>
  /(?:^|[\s,])text\/event-stream\b/i.test(accept) || (method === 'POST' && LONG.test(path))
