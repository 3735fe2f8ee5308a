// Signing in at an organisation's identity provider, as far as the provider is spoken to: its client secret never leaves
// the region, and its addresses are called like any that a tenant has named. Which member it is, and whether they may
// come in, is read later, with the session that begins.
import * as oidc from 'openid-client'
import { z } from 'zod'
import { personOf } from '../../shared/person.ts'
import { MOST } from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import type { SignedInPerson, SignInBegin, SignInFinish, SignInOffer } from '../../shared/sign_in.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Log } from '../log.ts'
import { checkBody, notFound, type RawInput, type Reply } from '../operation.ts'
import type { ConnectOptions } from '../outbound/connect.ts'
import { clientSecretBound } from '../services/identity-providers/schema.ts'
import { SealError, type Sealer } from '../tenancy/idempotency.ts'
import { type ProviderRecord, providerSpace, statusSpace } from '../tenancy/records.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import { ProviderCalls } from './provider_calls.ts'

export interface SignInDependencies {
  database: RegionDatabase
  sealer: Sealer
  connect: ConnectOptions
  now: () => number
  log: Log
}

/** `deadlineMs`: when nobody waits for the answer any more, where anybody said. */
export interface SignIns {
  offer(tenant: TenantNumber): Promise<Reply>
  begin(tenant: TenantNumber, raw: RawInput, deadlineMs: number | undefined): Promise<Reply>
  finish(tenant: TenantNumber, raw: RawInput, deadlineMs: number | undefined): Promise<Reply>
  close(): Promise<void>
}

const SCOPE = 'openid email profile'
const random = z.string().regex(/^[\w-]{43}$/)
const Begin = z.strictObject({
  provider: z.string(),
  redirectUri: z.url(),
  state: random,
  nonce: random,
  verifier: random,
}) satisfies z.ZodType<SignInBegin>
const Finish = Begin.extend({ answer: z.string().max(8_000) }) satisfies z.ZodType<SignInFinish>

export function signIns({ database, sealer, connect, now, log }: SignInDependencies): SignIns {
  /** Which version of each provider was said last to have a secret that does not open. */
  const toldLost = new Map<ProviderRecord['id'], number>()
  const calls = new ProviderCalls({ connect, now })

  const providersOf = (tenant: TenantNumber): Promise<ReadonlyArray<ProviderRecord>> =>
    database.tenant(tenant, async (scope) => {
      const [status, { entries }] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        scope.service('identity-providers').space(providerSpace).page({ limit: MOST.identityProviders }),
      ])
      if (status?.status !== 'active') throw notFound()
      return { value: entries.map(([, provider]) => provider), commit: false }
    })

  async function providerOf(tenant: TenantNumber, wanted: string) {
    const provider = (await providersOf(tenant)).find(({ id }) => id === wanted)
    if (provider === undefined || !provider.clientId) throw notFound()
    const { id, version, issuer, clientId } = provider
    const client = { id, version, issuer, clientId, secret: secretOf(tenant, provider) }
    return { provider, client }
  }

  /** Nothing that the provider does: it is the secret that is to be set again. */
  function secretOf(tenant: TenantNumber, { id, version, sealedClientSecret: sealed }: ProviderRecord) {
    if (!sealed) return undefined
    try {
      return sealer.open(sealed, clientSecretBound(id))
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      if (toldLost.get(id) !== version)
        log.error('nobody signs in at an identity provider until its client secret is set again', {
          ...{ tenant: String(tenant), provider: id, error },
        })
      toldLost.set(id, version)
      throw unavailable('Its client secret is lost: the organisation has to set it again.')
    }
  }

  return {
    async offer(tenant) {
      const offered = (await providersOf(tenant)).filter(({ clientId }) => clientId)
      const body: SignInOffer = { providers: offered.map(({ id, name }) => ({ id, name })) }
      return { status: 200, body }
    },
    begin: (tenant, raw, deadlineMs) =>
      told(async () => {
        const { provider, redirectUri, state, nonce, verifier } = checkBody(Begin, raw)
        const { client } = await providerOf(tenant, provider)
        const challenge = await oidc.calculatePKCECodeChallenge(verifier)
        const url = await calls.converse(tenant, client, deadlineMs, (configuration) =>
          oidc.buildAuthorizationUrl(configuration, {
            ...{ redirect_uri: redirectUri, scope: SCOPE, state, nonce },
            code_challenge: challenge,
            code_challenge_method: 'S256',
          }),
        )
        return { status: 200, body: { url: url.href } }
      }),
    finish: (tenant, raw, deadlineMs) =>
      told(async () => {
        const given = checkBody(Finish, raw)
        const { provider, client } = await providerOf(tenant, given.provider)
        const answered = new URL(given.redirectUri)
        answered.search = given.answer
        const tokens = await calls.converse(tenant, client, deadlineMs, (configuration) =>
          oidc.authorizationCodeGrant(configuration, answered, {
            pkceCodeVerifier: given.verifier,
            expectedState: given.state,
            expectedNonce: given.nonce,
            idTokenExpected: true,
          }),
        )
        const claims = tokens.claims()
        if (claims === undefined) throw failed('It told nothing of you.')
        return { status: 200, body: signedIn(claims, provider) }
      }),
    close: () => calls.close(),
  }
}

function signedIn(claims: oidc.IDToken, { id, issuer, audience, roleClaim }: ProviderRecord): SignedInPerson {
  const person = personOf(claims, roleClaim)
  if (person === undefined) throw failed('It gave you a name that is none.')
  return { providerId: id, issuer, audience, ...person }
}

const failed = (why: string): Problem =>
  new Problem('sign_in_failed', `The identity provider did not let you in. ${why}`)

/** Whatever a provider does is told in one of two ways. What it said stays here: it may hold anything. */
async function told(work: () => Promise<Reply>): Promise<Reply> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Problem) throw error
    const said = error instanceof oidc.AuthorizationResponseError || error instanceof oidc.ResponseBodyError
    if (said)
      throw failed(error.error === 'access_denied' ? 'You were refused, or have cancelled.' : 'Try again.')
    if (error instanceof oidc.ClientError && error.code !== undefined && !UNAVAILABLE.has(error.code)) {
      throw failed('What it answered does not fit what was asked. Try again.')
    }
    throw unavailable('The identity provider does not answer as it should.')
  }
}

const unavailable = (why: string): Problem =>
  new Problem('identity_provider_unavailable', why, { headers: { 'retry-after': '5' } })

/** Of the library's codes: the provider, or the way to it, and not this sign-in. */
const UNAVAILABLE: ReadonlySet<string> = new Set([
  'OAUTH_TIMEOUT',
  'OAUTH_RESPONSE_IS_NOT_CONFORM',
  'OAUTH_RESPONSE_IS_NOT_JSON',
  'OAUTH_HTTP_REQUEST_FORBIDDEN',
  'OAUTH_MISSING_SERVER_METADATA',
])
