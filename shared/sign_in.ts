// Signing in to the console at an identity provider of the organisation's own (OpenID Connect Core 1.0, authorization code
// flow with PKCE, RFC 7636): what the edge's pages and the organisation's region say to each other on the way.
import type { JwtPrincipal } from './principal.ts'
import type { TenantNumber } from './tenant.ts'

/** Of the home region, for the edge alone. */
export const signInCall = (tenant: TenantNumber, step?: 'begin' | 'finish'): string =>
  `/edge/v1/sign-in/${tenant}${step === undefined ? '' : `/${step}`}`

/** `GET`: where its people may sign in. */
export interface SignInOffer {
  providers: ReadonlyArray<{ id: string; name: string }>
}

/** What only the browser that began it holds: all of it random. */
export interface SignInSecrets {
  state: string
  nonce: string
  /** PKCE. */
  verifier: string
}

/** `POST …/begin` → `{ url }`: where the browser goes. */
export interface SignInBegin extends SignInSecrets {
  provider: string
  redirectUri: string
}

/** `POST …/finish` → {@link SignedInPerson} */
export interface SignInFinish extends SignInBegin {
  /** The query that the browser came back with, from the question mark on. */
  answer: string
}

/** Whom the provider has vouched for. */
export type SignedInPerson = Omit<JwtPrincipal, 'kind' | 'tenant'>
