// The assertion: how a region knows that a request came through the edge, for whom, and that it is this request.
// A JWS (RFC 7515, HS256) under a key of that region alone, bound to method, path, query and request id, for 30 s.
import { errors, jwtVerify } from 'jose'
import { fromBase64url, toBase64url, utf8, type WebCryptoKey } from './bytes.ts'
import type { Principal } from './principal.ts'
import { parseTenantNumber } from './tenant.ts'

export const ASSERTION_TTL_SECONDS = 30
/** How far the clocks of edge and region may be apart. */
export const CLOCK_TOLERANCE_SECONDS = 5

/** As configuration holds it: the first key signs, every key verifies. `secret` is 32 bytes in base64url. */
export interface AssertionKeyConfig {
  kid: string
  secret: string
}

/** The assertion keys of one region, imported once. */
export interface AssertionKeys {
  /** `header`: the protected header of what it signs, in base64url. */
  signing: { header: string; key: WebCryptoKey }
  byKid: ReadonlyMap<string, WebCryptoKey>
}

/** The request that an assertion speaks for. */
export interface AssertedRequest {
  /** The region it is meant for. */
  region: string
  method: string
  /** Path and query exactly as they are sent, such as `/v1/projects?limit=5`. */
  target: string
  requestId: string
  /** The edge's public origin, as its configuration has it. Regions that ask each other have none. */
  publicOrigin?: string
}

export type AssertionVerdict =
  | { outcome: 'verified'; principal: Principal; requestId: string; publicOrigin: string | undefined }
  | { outcome: 'refused'; why: string }

/** @throws {Error} when there is no key, or a secret is not 32 bytes. */
export async function importAssertionKeys(
  configs: ReadonlyArray<AssertionKeyConfig>,
): Promise<AssertionKeys> {
  const byKid = new Map<string, WebCryptoKey>()
  let signing: AssertionKeys['signing'] | undefined
  for (const { kid, secret } of configs) {
    const bytes = fromBase64url(secret)
    if (bytes?.length !== 32) throw new Error(`assertion key ${kid} is not 32 bytes in base64url`)
    const hmac = { name: 'HMAC', hash: 'SHA-256' }
    const key = await crypto.subtle.importKey('raw', bytes, hmac, false, ['sign', 'verify'])
    byKid.set(kid, key)
    signing ??= { header: encoded({ alg: 'HS256', kid }), key }
  }
  if (signing === undefined) throw new Error('a region needs an assertion key')
  return { signing, byKid }
}

/** JWS compact serialisation (RFC 7515 section 7.1), written out: every request is signed, and only ever in this way. */
export async function signAssertion(
  { region, method, target, requestId, publicOrigin }: AssertedRequest,
  principal: Principal,
  { signing }: AssertionKeys,
  nowMs = Date.now(),
): Promise<string> {
  const iat = Math.floor(nowMs / 1000)
  const claims = {
    m: method,
    t: target,
    p: 'tenant' in principal ? { ...principal, tenant: String(principal.tenant) } : principal,
    ...(publicOrigin !== undefined && { iss: publicOrigin }),
    aud: region,
    jti: requestId,
    iat,
    exp: iat + ASSERTION_TTL_SECONDS,
  }
  const signed = `${signing.header}.${encoded(claims)}`
  const signature = await crypto.subtle.sign('HMAC', signing.key, utf8(signed))
  return `${signed}.${toBase64url(new Uint8Array(signature))}`
}

const encoded = (json: object): string => toBase64url(utf8(JSON.stringify(json)))

/** `why` is for the operator's log, never for an answer. */
export async function verifyAssertion(
  token: string,
  request: Omit<AssertedRequest, 'requestId' | 'publicOrigin'>,
  keys: AssertionKeys,
  nowMs = Date.now(),
): Promise<AssertionVerdict> {
  try {
    const keyOf = ({ kid }: { kid?: string }) => {
      const key = kid === undefined ? undefined : keys.byKid.get(kid)
      if (key === undefined) throw new errors.JWKSNoMatchingKey()
      return key
    }
    const { payload } = await jwtVerify(token, keyOf, {
      algorithms: ['HS256'],
      audience: request.region,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      maxTokenAge: ASSERTION_TTL_SECONDS,
      requiredClaims: ['exp', 'jti'],
      currentDate: new Date(nowMs),
    })
    if (payload.m !== request.method || payload.t !== request.target) {
      return { outcome: 'refused', why: 'made for another method or path' }
    }
    return {
      outcome: 'verified',
      principal: readPrincipal(payload.p),
      requestId: String(payload.jti),
      publicOrigin: payload.iss,
    }
  } catch (error) {
    return { outcome: 'refused', why: error instanceof errors.JOSEError ? error.code : 'unreadable' }
  }
}

/** The signature already vouches for the shape; only the tenant number needs its type back. */
function readPrincipal(wire: unknown): Principal {
  const principal = wire as Principal | (Omit<Principal, 'tenant'> & { tenant: string })
  if (!('tenant' in principal)) return principal
  const tenant = parseTenantNumber(String(principal.tenant))
  if (tenant === undefined) throw new Error('no tenant')
  return { ...principal, tenant } as Principal
}
