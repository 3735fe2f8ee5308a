// Tokens, tenants and issuers for the edge's own tests: real issuers over HTTP, and a region that says whose they are.
import { inject } from 'vitest'
import type { KeyStore, StoredKeys } from '../../edge/identify/oidc/key_store.ts'
import type { EdgeOptions } from '../../edge/pipeline.ts'
import type { ProviderEntry, ProvidersAnswer } from '../../shared/edge_calls.ts'
import { newId } from '../../shared/ids.ts'
import { audienceOf } from '../../shared/issuer.ts'
import { asTenantNumber, type TenantNumber, tenantId } from '../../shared/tenant.ts'
import type { Behaviour } from '../support/oidc_tokens.ts'
import { signToken, type Token } from '../support/oidc_tokens.ts'
import { edgeTo } from './support.ts'

export interface TestTenant {
  number: TenantNumber
  id: string
  /** As the loopback region knows it. */
  slug: string
  audience: string
  issuer: string
  /** The issuer's name among the test issuers. */
  name: string
}

let made = BigInt(Date.now())

/** A tenant with one provider, by default of an issuer of its own and the audience that we issue. */
export async function newTenant(
  issuerName = `i${crypto.randomUUID()}`,
  more: Partial<ProviderEntry> = {},
): Promise<TestTenant> {
  const number = asTenantNumber(++made)
  const id = tenantId(number, Date.now())
  const issuer = `${inject('issuers').origin}/${issuerName}`
  const audience = more.audience ?? audienceOf(id)
  const tenant = { number, id, slug: `slug-${number}`, audience, issuer, name: issuerName }
  await sayProviders(tenant, {
    outcome: 'known',
    providers: [{ id: newId('idp'), issuer, audience, roleClaim: null, ...more }],
  })
  return tenant
}

export async function sayProviders({ number }: TestTenant, answer: ProvidersAnswer): Promise<void> {
  const query = new URLSearchParams({ tenant: String(number), answer: JSON.stringify(answer) })
  await (await fetch(`${inject('regions').control}/providers?${query}`)).text()
}

export const behave = async ({ name }: TestTenant, behaviour: Behaviour): Promise<void> => {
  await (await fetch(`${inject('issuers').origin}/control/${name}/${behaviour}`)).text()
}

/** How often the issuer was asked for anything. */
export const askedOf = async ({ name }: Pick<TestTenant, 'name'>): Promise<number> =>
  (await fetch(`${inject('issuers').origin}/asked/${name}`)).json()

export const tokenFor = ({ issuer, audience }: TestTenant, more: Token = {}): Promise<string> =>
  signToken(inject('issuers').privateKeys, { iss: issuer, aud: audience, sub: 'ann', ...more })

export function memoryStore(): KeyStore {
  const stored = new Map<string, StoredKeys>()
  return {
    get: async (issuer) => stored.get(issuer),
    put: async (issuer, keys) => void stored.set(issuer, keys),
  }
}

/** An edge that may ask issuers of this machine. */
export const edgeForTokens = (options: EdgeOptions = {}) =>
  edgeTo(undefined, undefined, { DEVELOPMENT_ISSUERS: 'on' }, { keyStore: memoryStore(), ...options })
