// The one spelling of a request's path and query that the edge routes by, signs, and sends. A raw `/v1/../x` or
// `/%2e%2e/x` is resolved here once, so that no later stage can read another path than the region does.

export interface Target {
  path: string
  /** Path and query, as the region's `request.url` will say. */
  full: string
}

/** Everything before the path: `Host` may say what it likes. */
const ORIGIN = /^[a-z]+:\/\/[^/?#]*/i

const FRAGMENT = /#.*$/s

/** Path and query in the client's own spelling. A fragment is no part of it: clients don't send theirs. */
export const targetAsSent = (url: string): string => url.replace(ORIGIN, '').replace(FRAGMENT, '')

export function targetOf(url: string): Target {
  const { pathname, search } = new URL(`http://edge${url.replace(ORIGIN, '')}`)
  return { path: pathname, full: pathname + search }
}
