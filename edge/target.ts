// The one spelling of a request's path and query that the edge routes by, signs, and sends. A raw `/v1/../x` or
// `/%2e%2e/x` is resolved here once, so that no later stage can read another path than the region does. Escapes stay as they
// are; those that a region would read as something else are refused (shared/path_spelling.ts).

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

/** Nothing in it that a URL parser would write otherwise: no dot, escape or other character in the path. */
const PLAIN = /^(\/[\w\-~/:@!$&()*+,;=]*)(?:\?[\w\-~/:@!$&()*+,;=.?%[\]]+)?$/

export function targetOf(url: string): Target {
  const sent = url.replace(ORIGIN, '')
  const path = PLAIN.exec(sent)?.[1]
  if (path !== undefined) return { path, full: sent }
  const { pathname, search } = new URL(`http://edge${sent}`)
  return { path: pathname, full: pathname + search }
}
