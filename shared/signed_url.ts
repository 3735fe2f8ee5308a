// Signed URLs: access to one method, path and query for a while, in the URL itself. `?…&signature=cs_<body>` with the
// same head as every credential. The tag covers the whole request line and who stands behind it, so a URL that differs
// in one byte is no signed URL. Only the canonical text verifies: query sorted, `signature` last, nothing twice.
import {
  concat,
  equalInConstantTime,
  fromBase64url,
  randomBytes,
  toBase64url,
  utf8,
  type WebCryptoKey,
} from './bytes.ts'
import { type CredentialHead, HEAD_BYTES, readHead, writeHead } from './credentials/head.ts'
import type { Roots } from './credentials/roots.ts'
import { type Id, idBytes, idFromBytes } from './ids.ts'
import { isPlainlySpelled } from './path_spelling.ts'

/** The query parameter that carries it. No operation has one of this name. */
export const SIGNATURE = 'signature'
export const MIN_SECONDS = 10
export const MAX_SECONDS = 7 * 24 * 60 * 60
/** Of path and query. None longer is signed, so none is looked at: that would take far longer than all else about a request. */
export const MAX_TARGET_LENGTH = 2_048

const PREFIX = 'cs_'
const ID_BYTES = 16
const EXPIRY_BYTES = 4
const NONCE_BYTES = 16
const TAG_BYTES = 32
/** head · issuer · expiry in seconds · nonce · scope, to the end · tag */
const SCOPE_AT = HEAD_BYTES + ID_BYTES + EXPIRY_BYTES + NONCE_BYTES
const MAX_BYTES = SCOPE_AT + 64 + TAG_BYTES
const AT_END = /([?&])signature=cs_([\w-]+)$/

export interface SignedUrlClaims extends CredentialHead {
  /** The API key that signed it, and without which it is worth nothing. */
  issuer: Id<'key'>
  /** What the one operation needs. */
  scope: string
  expiresAtMs: number
  /** Makes it this URL and no other; a write happens once under it. In base64url. */
  nonce: string
}

/** What a signed URL is for. */
export interface SignedRequest {
  /** The public origin, as configuration has it; never what a `Host` header says. */
  origin: string
  method: string
  /** Path and sorted query. */
  target: string
}

export type SignedUrlVerdict =
  | { outcome: 'verified'; claims: SignedUrlClaims; target: string }
  /** Genuine, but its time is over. */
  | { outcome: 'expired' }
  | { outcome: 'refused' }

/**
 * @param target a path and query of our own spelling, see {@link canonicalTarget}
 * @returns the whole URL
 */
export async function signUrl(
  claims: Omit<SignedUrlClaims, 'rootId' | 'nonce'>,
  request: SignedRequest,
  roots: Roots,
): Promise<string> {
  const issuer = idBytes('key', claims.issuer)
  const scope = utf8(claims.scope)
  if (issuer === undefined || SCOPE_AT + scope.length + TAG_BYTES > MAX_BYTES) {
    throw new RangeError('not an issuer and a scope')
  }
  const root = roots.signing()
  const head = new Uint8Array(HEAD_BYTES)
  writeHead({ ...claims, rootId: root.id }, head)
  const expiry = new Uint8Array(EXPIRY_BYTES)
  new DataView(expiry.buffer).setUint32(0, Math.floor(claims.expiresAtMs / 1000))
  const signed = concat(head, issuer, expiry, randomBytes(NONCE_BYTES), scope)
  const tag = await tagOf(await root.tenantKey('signed-url v1', claims.tenant), signed, request)
  const { origin, target } = request
  const text = PREFIX + toBase64url(concat(signed, tag))
  return `${origin}${target}${separatorAfter(target)}${SIGNATURE}=${text}`
}

const separatorAfter = (target: string): '&' | '?' => (target.includes('?') ? '&' : '?')

/** Whether a URL would be one that is signed, be it genuine or not. */
export const looksSigned = (url: string): boolean => /[?&]signature=/.test(url)

/**
 * Checks a request's URL offline. Never says what was wrong with it, and of a compromised root believes nothing.
 * @param full path and query as they came, `signature` included
 */
export async function verifySignedUrl(
  { origin, method, full }: { origin: string; method: string; full: string },
  roots: Roots,
  nowMs: number,
): Promise<SignedUrlVerdict> {
  const [end = '', separator, text = ''] = AT_END.exec(full) ?? []
  const target = full.slice(0, full.length - end.length)
  const bytes = fromBase64url(text)
  if (
    bytes === undefined ||
    bytes.length <= SCOPE_AT + TAG_BYTES ||
    bytes.length > MAX_BYTES ||
    target.length > MAX_TARGET_LENGTH ||
    separator !== separatorAfter(target) ||
    canonicalTarget(target) !== target
  ) {
    return { outcome: 'refused' }
  }
  const signed = bytes.subarray(0, bytes.length - TAG_BYTES)
  const head = readHead(signed)
  const root = head && roots.get(head.rootId)
  if (head === undefined || root === undefined || root.state === 'compromised') return { outcome: 'refused' }
  const tag = await tagOf(await root.tenantKey('signed-url v1', head.tenant), signed, {
    origin,
    method,
    target,
  })
  if (!equalInConstantTime(tag, bytes.subarray(bytes.length - TAG_BYTES))) return { outcome: 'refused' }
  const expiryAt = HEAD_BYTES + ID_BYTES
  const nonceAt = expiryAt + EXPIRY_BYTES
  const expiresAtMs = new DataView(signed.buffer, signed.byteOffset).getUint32(expiryAt) * 1000
  if (expiresAtMs <= nowMs) return { outcome: 'expired' }
  return {
    outcome: 'verified',
    target,
    claims: {
      ...head,
      issuer: idFromBytes('key', signed.subarray(HEAD_BYTES, expiryAt)),
      scope: new TextDecoder().decode(signed.subarray(SCOPE_AT)),
      expiresAtMs,
      nonce: toBase64url(signed.subarray(nonceAt, SCOPE_AT)),
    },
  }
}

/**
 * The one spelling of a path and query that can be signed: as a URL parser leaves it (WHATWG URL), nothing escaped in the path
 * that need not be, parameters in the order of their raw text. The signature is the last one, so it is not among them.
 * @returns undefined where there is no such spelling: not a path, a fragment, a parameter twice or without a name
 */
export function canonicalTarget(target: string): string | undefined {
  const url = URL.canParse(target, 'http://edge') ? new URL(target, 'http://edge') : undefined
  if (url === undefined || url.hash !== '' || url.pathname + url.search !== target) return undefined
  if (!isPlainlySpelled(url.pathname)) return undefined
  const raw = url.search === '' ? [] : url.search.slice(1).split('&')
  const names = new Set([...url.searchParams.keys(), SIGNATURE])
  // Each name once, and an own one: an empty part would vanish, a doubled name read differently by two readers.
  if (names.size !== raw.length + 1 || names.has('')) return undefined
  return url.pathname + (raw.length === 0 ? '' : `?${raw.toSorted().join('&')}`)
}

/** Every part has its own length or a separator that it cannot hold, so no two requests share a text. */
async function tagOf(
  key: WebCryptoKey,
  signed: Uint8Array,
  { origin, method, target }: SignedRequest,
): Promise<Uint8Array> {
  const text = utf8(`${signed.length}\n${method}\n${origin}\n${target}\n`)
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, concat(text, signed)))
}
