// The region's side of the assertion (`shared/assertion.ts`): whether a request came through the edge, for whom, and whether
// it is this request. It stands before everything else that a request costs, so nothing in it waits for another thread.
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { JWSHeaderParameters } from 'jose'
import {
  ASSERTION_TTL_SECONDS,
  type AssertionClaims,
  type AssertionKeyConfig,
  CLOCK_TOLERANCE_SECONDS,
  protectedHeader,
  readSecret,
} from '../../shared/assertion.ts'
import type { Principal } from '../../shared/principal.ts'
import { parseTenantNumber } from '../../shared/tenant.ts'

/** What a request is, as this region sees it. */
export interface AskedRequest {
  method: string
  /** Path and query exactly as they were sent, such as `/v1/projects?limit=5`. */
  target: string
}

export type AssertionVerdict =
  | {
      outcome: 'verified'
      principal: Principal
      requestId: string
      idempotencyKey: string | undefined
      publicOrigin: string | undefined
    }
  /** `why` is for the operator's log, never for an answer. `madeForAnother`: the edge made it, for another method or path. */
  | { outcome: 'refused'; why: string; madeForAnother?: true }

export type AssertionVerifier = (token: string, request: AskedRequest, nowMs?: number) => AssertionVerdict

/**
 * Every key verifies; there is one algorithm.
 * @throws {Error} when there is no key, or a secret is not 32 bytes
 */
export function assertionVerifier(
  region: string,
  configs: ReadonlyArray<AssertionKeyConfig>,
): AssertionVerifier {
  if (configs.length === 0) throw new Error('a region needs an assertion key')
  const byKid = new Map<string, KeyObject>()
  /** As the edge writes them, so that hardly any has to be read. */
  const byHeader = new Map<string, KeyObject>()
  for (const config of configs) {
    const key = createSecretKey(readSecret(config))
    byKid.set(config.kid, key)
    byHeader.set(protectedHeader(config.kid), key)
  }
  const keyOf = (header: string): KeyObject | undefined => {
    const { alg, kid, crit } = readJson<JWSHeaderParameters>(header) ?? {}
    return alg === 'HS256' && kid !== undefined && crit === undefined ? byKid.get(kid) : undefined
  }
  return (token, { method, target }, nowMs = Date.now()) => {
    const [header = '', payload = '', signature = '', ...more] = token.split('.')
    const key = byHeader.get(header) ?? keyOf(header)
    if (key === undefined || more.length > 0) return refused('not signed with a key of this region')
    const mac = createHmac('sha256', key).update(`${header}.${payload}`).digest('base64url')
    if (!equal(mac, signature)) return refused('the signature is wrong')
    const claims = readJson<AssertionClaims>(payload)
    const principal = readPrincipal(claims?.p)
    if (claims === undefined || principal === undefined) return refused('unreadable')
    if (claims.aud !== region) return refused('made for another region')
    const { iat = Number.NaN, exp = Number.NaN, jti } = claims
    const nowSeconds = Math.floor(nowMs / 1_000)
    const age = nowSeconds - iat
    const isOfNow = age >= -CLOCK_TOLERANCE_SECONDS && age <= ASSERTION_TTL_SECONDS + CLOCK_TOLERANCE_SECONDS
    if (!isOfNow || !(exp > nowSeconds - CLOCK_TOLERANCE_SECONDS)) return refused('of another time')
    if (jti === undefined) return refused('has no request id')
    if (claims.m !== method || claims.t !== target) {
      return { ...refused('made for another method or path'), madeForAnother: true }
    }
    const { k: idempotencyKey, iss: publicOrigin } = claims
    return { outcome: 'verified', principal, requestId: jti, idempotencyKey, publicOrigin }
  }
}

const refused = (why: string) => ({ outcome: 'refused', why }) as const

/** Of texts, in a time that depends on their lengths alone. */
function equal(a: string, b: string): boolean {
  const [ours, theirs] = [Buffer.from(a), Buffer.from(b)]
  return ours.length === theirs.length && timingSafeEqual(ours, theirs)
}

/** Of base64url. */
function readJson<T extends object>(text: string): Partial<T> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** The signature vouches for the shape; only the tenant number needs its type back. */
function readPrincipal(wire: AssertionClaims['p'] | undefined): Principal | undefined {
  if (wire?.tenant === undefined) return wire as Principal | undefined
  const tenant = parseTenantNumber(wire.tenant)
  return tenant === undefined ? undefined : ({ ...wire, tenant } as Principal)
}
