// Which headers pass. Requests: an allow-list, so that a header nobody thought of can't be forged, and a new one
// is a decision. Answers: a deny-list, because a region is ours and services may add headers of their own.
import { HOOK_HEADERS } from '../../shared/credentials/source_token.ts'

/** All of them speak about the content or the caller's wishes; none about who the caller is. */
const FORWARDED: ReadonlyArray<string> = [
  ...HOOK_HEADERS,
  'accept',
  'accept-language',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'last-event-id',
  'prefer',
  'user-agent',
]

/** Of one connection only (RFC 9110 section 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** Between edge and region. */
const INTERNAL = /^coditect-/

/** A header that `Connection` names is of one connection only, whatever it is called. */
const namedByConnection = (headers: Headers): ReadonlySet<string> =>
  new Set(
    headers
      .get('connection')
      ?.toLowerCase()
      .split(/[\s,]+/),
  )

export function strippedRequestHeaders(from: Headers): Headers {
  const dropped = namedByConnection(from)
  const headers = new Headers()
  for (const name of FORWARDED) {
    const value = from.get(name)
    if (value !== null && !dropped.has(name)) headers.set(name, value)
  }
  return headers
}

export function strippedAnswerHeaders(from: Headers): Headers {
  const dropped = namedByConnection(from)
  const headers = new Headers(from)
  for (const name of from.keys()) {
    if (HOP_BY_HOP.has(name) || INTERNAL.test(name) || dropped.has(name)) headers.delete(name)
  }
  return headers
}
