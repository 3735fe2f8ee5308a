// Who a person is by the claims of an OpenID token: the same whether a client sends it to the edge, or a provider gives it
// to the region at a sign-in. What is told of it goes into an assertion, so it has to fit into a header.
import { utf8 } from './bytes.ts'
import { MAX_SUBJECT_LENGTH } from './issuer.ts'
import type { JwtPrincipal } from './principal.ts'

/** Longer ones are mapped to no role. */
export const MAX_ROLE_VALUE_LENGTH = 200
/** Of all role values together, in UTF-8, as JSON. The rest counts for nothing. */
const MAX_ROLES_BYTES = 6_000

export type Claims = Readonly<Record<string, unknown>>

export type Person = Pick<JwtPrincipal, 'subject' | 'iat' | 'expiresAtMs' | 'email' | 'roles'>

/** @returns undefined when a claim is missing or not what it has to be */
export function personOf(claims: Claims, roleClaim: string | null): Person | undefined {
  const { sub, iat, exp, email, email_verified: verified } = claims
  if (typeof sub !== 'string' || sub === '' || sub.length > MAX_SUBJECT_LENGTH) return undefined
  // Two of these could be one and the same once they are bytes.
  if (!sub.isWellFormed()) return undefined
  if (!Number.isFinite(exp)) return undefined
  return {
    subject: sub,
    ...(typeof iat === 'number' && { iat }),
    expiresAtMs: Number(exp) * 1000,
    ...(typeof email === 'string' && verified === true && email.length <= 254 && { email }),
    ...(roleClaim !== null && { roles: { claim: roleClaim, values: texts(valueAt(claims, roleClaim)) } }),
  }
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
  let left = MAX_ROLES_BYTES
  return [value].flat().filter((each): each is string => {
    if (typeof each !== 'string' || each.length > MAX_ROLE_VALUE_LENGTH || !each.isWellFormed()) return false
    // And a comma.
    left -= utf8(JSON.stringify(each)).length + 1
    return left >= 0
  })
}
