// The assertion: how a region knows that a request came through the edge, for whom, and that it is this request.
// A JWS (RFC 7515, HS256) under a key of that region alone, bound to method, path, query, request id and Idempotency-Key,
// for 30 s.
import { type Bytes, fromBase64url, toBase64url, utf8, type WebCryptoKey } from './bytes.ts'
import type { Principal } from './principal.ts'

export const ASSERTION_TTL_SECONDS = 30
/** How far the clocks of edge and region may be apart. */
export const CLOCK_TOLERANCE_SECONDS = 5

/** As configuration holds it: the first key signs, every key verifies. `secret` is 32 bytes in base64url. */
export interface AssertionKeyConfig {
  kid: string
  secret: string
}

/** What signs assertions for one region, imported once. */
export interface AssertionKey {
  /** The protected header of what it signs, in base64url. */
  header: string
  key: WebCryptoKey
}

/** The request that an assertion speaks for. */
export interface AssertedRequest {
  /** The region it is meant for. */
  region: string
  method: string
  /** Path and query exactly as they are sent, such as `/v1/projects?limit=5`. */
  target: string
  requestId: string
  /** What the client sent as that: the region takes it from nowhere else, so that a replay has the one it had. */
  idempotencyKey?: string | undefined
  /** The edge's public origin, as its configuration has it. Regions that ask each other have none. */
  publicOrigin?: string
}

/** What is signed (RFC 7519 section 4.1, and four of our own). */
export interface AssertionClaims {
  /** Method. */
  m: string
  /** Target. */
  t: string
  /** The principal; JSON has no integers as large as a tenant's number. */
  p: { kind: Principal['kind']; tenant?: string }
  /** The Idempotency-Key, where there is one. */
  k?: string
  iss?: string
  aud: string
  jti: string
  /** Seconds since 1970, as is `exp`. */
  iat: number
  exp: number
}

/** @throws {Error} when there is no key, or a secret is not 32 bytes. */
export async function importAssertionKey(configs: ReadonlyArray<AssertionKeyConfig>): Promise<AssertionKey> {
  const [first] = configs
  if (first === undefined) throw new Error('a region needs an assertion key')
  for (const config of configs) readSecret(config)
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', readSecret(first), hmac, false, ['sign'])
  return { header: protectedHeader(first.kid), key }
}

/** @throws {Error} when it is not 32 bytes */
export function readSecret({ kid, secret }: AssertionKeyConfig): Bytes {
  const bytes = fromBase64url(secret)
  if (bytes?.length !== 32) throw new Error(`assertion key ${kid} is not 32 bytes in base64url`)
  return bytes
}

/** In base64url (RFC 7515 section 4). */
export const protectedHeader = (kid: string): string => encoded({ alg: 'HS256', kid })

/** JWS compact serialisation (RFC 7515 section 7.1), written out: every request is signed, and only ever in this way. */
export async function signAssertion(
  { region, method, target, requestId, idempotencyKey, publicOrigin }: AssertedRequest,
  principal: Principal,
  { header, key }: AssertionKey,
  nowMs = Date.now(),
): Promise<string> {
  const iat = Math.floor(nowMs / 1000)
  const claims: AssertionClaims = {
    m: method,
    t: target,
    p: 'tenant' in principal ? { ...principal, tenant: String(principal.tenant) } : principal,
    ...(idempotencyKey !== undefined && { k: idempotencyKey }),
    ...(publicOrigin !== undefined && { iss: publicOrigin }),
    aud: region,
    jti: requestId,
    iat,
    exp: iat + ASSERTION_TTL_SECONDS,
  }
  const signed = `${header}.${encoded(claims)}`
  const signature = await crypto.subtle.sign('HMAC', key, utf8(signed))
  return `${signed}.${toBase64url(new Uint8Array(signature))}`
}

const encoded = (json: object): string => toBase64url(utf8(JSON.stringify(json)))
