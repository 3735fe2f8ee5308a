// Which headers pass. Requests: an allow-list, so that a header nobody thought of can't be forged, and a new one
// is a decision. Answers: a deny-list, because a region is ours and services may add headers of their own.
import { HOOK_HEADERS } from '../../shared/credentials/source_token.ts'
import type { HeaderFields } from '../context.ts'

/** All of them speak about the content or the caller's wishes; none about who the caller is. */
const FORWARDED: ReadonlySet<string> = new Set([
  ...HOOK_HEADERS,
  'accept',
  'accept-language',
  'content-encoding',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'last-event-id',
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
const INTERNAL = 'coditect-'

const NONE: ReadonlySet<string> = new Set()

/** A header that `Connection` names is of one connection only, whatever it is called. */
const namedByConnection = (named: string | null | undefined): ReadonlySet<string> =>
  named ? new Set(named.toLowerCase().split(/[\s,]+/)) : NONE

export function strippedRequestHeaders(from: ReadonlyMap<string, string>): HeaderFields {
  const dropped = namedByConnection(from.get('connection'))
  const kept: HeaderFields = {}
  for (const [name, value] of from) if (FORWARDED.has(name) && !dropped.has(name)) kept[name] = value
  return kept
}

/** Cookies apart, because an answer may set several. */
export function strippedAnswerHeaders(from: Headers): { fields: HeaderFields; cookies: string[] } {
  const dropped = namedByConnection(from.get('connection'))
  const fields: HeaderFields = {}
  const cookies: string[] = []
  for (const [name, value] of from) {
    if (HOP_BY_HOP.has(name) || name.startsWith(INTERNAL) || dropped.has(name)) continue
    if (name === 'set-cookie') cookies.push(value)
    else fields[name] = value
  }
  return { fields, cookies }
}
