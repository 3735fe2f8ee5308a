// Which headers pass. Requests: an allow-list, so that a header nobody thought of can't be forged, and a new one
// is a decision. Answers: a deny-list, because a region is ours and services may add headers of their own.
import { HOOK_HEADERS } from '../../shared/credentials/source_token.ts'

/** All of them speak about the content or the caller's wishes; none about who the caller is. */
const FORWARDED: ReadonlySet<string> = new Set([
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
])

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

/** By name, in lower case. */
export type HeaderFields = Record<string, string>

const NONE: ReadonlySet<string> = new Set()

/** A header that `Connection` names is of one connection only, whatever it is called. */
function namedByConnection(headers: Headers): ReadonlySet<string> {
  const named = headers.get('connection')
  return named === null ? NONE : new Set(named.toLowerCase().split(/[\s,]+/))
}

export function strippedRequestHeaders(from: Headers): HeaderFields {
  const dropped = namedByConnection(from)
  const kept: HeaderFields = {}
  for (const [name, value] of from) if (FORWARDED.has(name) && !dropped.has(name)) kept[name] = value
  return kept
}

/** A list, since an answer may set several cookies. */
export function strippedAnswerHeaders(from: Headers): Array<[name: string, value: string]> {
  const dropped = namedByConnection(from)
  const isKept = ([name]: [string, string]) =>
    !HOP_BY_HOP.has(name) && !INTERNAL.test(name) && !dropped.has(name)
  return [...from].filter(isKept)
}
