// What a region is told of a token's claims: who it is, and what the tenant's own rules will be applied to.
import { CLOCK_TOLERANCE_SECONDS } from '../../shared/assertion.ts'
import { MAX_SUBJECT_LENGTH } from '../../shared/issuer.ts'
import type { JwtPrincipal } from '../../shared/principal.ts'
import type { Claims } from './jwt_text.ts'

/** Characters of role values, so that the assertion fits into a header. The rest counts for nothing. */
const MAX_ROLES_LENGTH = 6_000

export type Person = Pick<JwtPrincipal, 'subject' | 'expiresAtMs' | 'email' | 'roles'>

/** @returns undefined when a claim is missing or not what it has to be */
export function personOf(claims: Claims, roleClaim: string | null): Person | undefined {
  const { sub, exp, email, email_verified: verified } = claims
  if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_LENGTH) return undefined
  // Two of these could be one and the same once they are bytes.
  if (!sub.isWellFormed()) return undefined
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return undefined
  return {
    subject: sub,
    expiresAtMs: exp * 1000,
    ...(typeof email === 'string' && verified === true && email.length <= 254 && { email }),
    ...(roleClaim !== null && { roles: { claim: roleClaim, values: texts(valueAt(claims, roleClaim)) } }),
  }
}

/** RFC 7519 sections 4.1.4 and 4.1.5. */
export function isTimely({ exp, nbf }: Claims, nowMs: number): boolean {
  const now = Math.floor(nowMs / 1000)
  if (typeof exp !== 'number' || !(exp > now - CLOCK_TOLERANCE_SECONDS)) return false
  return nbf === undefined || (typeof nbf === 'number' && nbf <= now + CLOCK_TOLERANCE_SECONDS)
}

/** The claim of that name, or else what the name leads to as a path: some issuers nest what others don't. */
function valueAt(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  let value: unknown = claims
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Claims)[step]
  }
  return value
}

function texts(value: unknown): ReadonlyArray<string> {
  let left = MAX_ROLES_LENGTH
  return [value].flat().filter((each): each is string => {
    if (typeof each !== 'string' || !each.isWellFormed()) return false
    left -= each.length + 3
    return left >= 0
  })
}
