// Tokens as an OpenID issuer makes them, with the tests' own keys. Runs in Node and in workerd.
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose'

export const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const

/**
 * `rotated`: with the second set of keys alone; `both_sets`, with both; `without_alg`, with both,
 * and not what algorithm each is for. Others say what is wrong.
 */
export type Behaviour =
  | 'well'
  | 'rotated'
  | 'both_sets'
  | 'without_alg'
  | 'plain_text'
  | 'down'
  | 'silent'
  | 'html'
  | 'huge'
  | 'redirect'
  | 'redirect_keys'
  | 'private_keys_address'
  | 'another_issuer'
  | 'no_keys'

export interface Token extends JWTPayload {
  alg?: string
  /** Which of the issuer's two sets of keys. */
  set?: 1 | 2
  header?: Record<string, unknown>
}

/** Signs what the test says; valid for five minutes unless it says otherwise. */
export async function signToken(
  privateKeys: ReadonlyArray<JWK>,
  { alg = 'ES256', set = 1, header = {}, ...claims }: Token,
): Promise<string> {
  const jwk = privateKeys.find(({ kid }) => kid === `${alg}-${set}`)
  if (jwk === undefined) throw new Error(`no key for ${alg}`)
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ iat: now, exp: now + 300, ...claims })
    .setProtectedHeader({ alg, kid: `${alg}-${set}`, ...header })
    .sign(await importJWK(jwk, alg))
}
