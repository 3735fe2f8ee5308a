// JWTs of the issuers that a tenant has registered (RFC 7519, RFC 8725). Which tenant is meant, the audience that we
// issued to it says, or the host, or X-Tenant; never the issuer, which two tenants may share and one may register of another. Only
// then the token is checked, against that tenant's providers alone.
import { compactVerify } from 'jose'
import { CLOCK_TOLERANCE_SECONDS } from '../../shared/assertion.ts'
import type { ProviderEntry } from '../../shared/edge_calls.ts'
import type { Id } from '../../shared/ids.ts'
import { isTenantAudience, tenantOfAudience } from '../../shared/issuer.ts'
import { type Claims, type Person, personOf } from '../../shared/person.ts'
import type { JwtPrincipal } from '../../shared/principal.ts'
import { SLUG, type TenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import type { RequestContext } from '../context.ts'
import type { TenantDirectory } from '../locate/tenant_directory.ts'
import { Lru } from '../lru.ts'
import { ALGORITHMS, audiencesOf, headerOf, KEY_TYPES, readJwt } from './jwt_text.ts'
import type { IssuerKeys, KeySource } from './oidc/issuer_keys.ts'

export type JwtIdentity = { kind: 'jwt'; principal: JwtPrincipal; home: string }

export type JwtVerdict =
  | { outcome: 'identified'; identity: JwtIdentity }
  | {
      outcome: 'refused'
      code:
        | 'credential_invalid'
        | 'tenant_mismatch'
        | 'identity_provider_unavailable'
        /** Who knows where the tenant lives, or whose tokens it takes, does not answer. */
        | 'region_unavailable'
    }

/** `host` is the tenant that the request's host names. */
type Asked = Pick<RequestContext, 'claimedTenant' | 'host' | 'clientIp'>
export type IdentifyJwt = (text: string, asked: Asked) => Promise<JwtVerdict>

export interface JwtDependencies {
  directory: TenantDirectory
  keys: KeySource
  now(): number
}

/** A token whose signature held. Of its claims no more is kept than is used: its issuer may write anything beside. */
interface Proven {
  claims: Claims
  /** By this claim of roles. */
  person: Person
  roleClaim: string | null
  /** The serial of the keys that it held under. When they change it is checked again. */
  keys: number
}

/** Characters that all tokens together may have which an isolate remembers: those of some thousands. */
const PROVEN_LENGTH = 4 * 2 ** 20
/** What a token takes beside its text and the parts of it, in characters. */
const TOKEN_LENGTH = 500

/** Keys that a token is held against which says of none that it is its own. */
const MAX_TRIED = 5

const refused = (code: Extract<JwtVerdict, { outcome: 'refused' }>['code']): JwtVerdict => ({
  outcome: 'refused',
  code,
})
const invalid = refused('credential_invalid')
const noRegion = refused('region_unavailable')

/** For one isolate: keeps the tokens that it has verified. */
export function jwtIdentifier({ directory, keys, now }: JwtDependencies): IdentifyJwt {
  const proven = new Lru<string, Proven>(PROVEN_LENGTH, (text) => TOKEN_LENGTH + text.length)

  return async function identifyJwt(text, { claimedTenant, host, clientIp }) {
    const known = proven.get(text)
    const claims = known?.claims ?? readJwt(text)
    if (claims === undefined || !isTimely(claims, now())) return invalid
    const named = tenantNamed(audiencesOf(claims), claimedTenant, host)
    if (named === 'nobody') return invalid
    if (named === 'several') return refused('tenant_mismatch')
    const place = await directory.placeOf(named, clientIp)
    if (place.outcome === 'unavailable') return noRegion
    if (place.outcome === 'absent') return invalid
    const tenant = place.value.number
    const provider = await providerOf(tenant, claims, clientIp)
    if (typeof provider === 'string') return provider === 'unavailable' ? noRegion : invalid
    const { issuer, audience, id, roleClaim } = provider
    const person = known?.roleClaim === roleClaim ? known.person : personOf(readJwt(text) ?? {}, roleClaim)
    if (person === undefined) return invalid
    const signature = await signatureHolds(text, issuer, known?.keys)
    if (signature === 'unavailable') return refused('identity_provider_unavailable')
    if (signature === 'wrong') return invalid
    if (known?.keys !== signature || known.person !== person) {
      const { iss, exp, nbf } = claims
      const kept = { claims: { iss, aud: audiencesOf(claims), exp, nbf }, person, roleClaim, keys: signature }
      // A text of its own: the one at hand holds the whole header that it was cut from.
      proven.set(text.split('.').join('.'), kept)
    }
    const principal: JwtPrincipal = {
      kind: 'jwt',
      tenant,
      providerId: id as Id<'idp'>,
      issuer,
      audience,
      ...person,
    }
    return { outcome: 'identified', identity: { kind: 'jwt', principal, home: place.value.region } }
  }

  async function providerOf(
    tenant: TenantNumber,
    claims: Claims,
    asker: string | undefined,
  ): Promise<ProviderEntry | 'unknown' | 'unavailable'> {
    const audiences = audiencesOf(claims)
    const fits = ({ issuer, audience }: ProviderEntry) =>
      issuer === claims.iss && audiences.includes(audience)
    const known = await directory.providersOf(tenant, asker)
    if (known.outcome === 'had') {
      const found = known.value.find(fits)
      if (found !== undefined) return found
    }
    // A provider may have been added since.
    const newer = known.outcome === 'had' ? await directory.newerProvidersOf(tenant, asker) : known
    if (newer.outcome === 'unavailable') return 'unavailable'
    return (newer.outcome === 'had' ? newer.value.find(fits) : undefined) ?? 'unknown'
  }

  /** @returns the serial of the keys that it holds under */
  async function signatureHolds(
    text: string,
    issuer: string,
    heldUnder: number | undefined,
  ): Promise<number | 'wrong' | 'unavailable'> {
    const had = await keys.get(issuer)
    if (had.outcome !== 'had') return 'unavailable'
    const { serial } = had.value
    if (heldUnder === serial) return serial
    if (await holds(text, had.value)) return serial
    const newer = await keys.renewed(issuer)
    if (newer.outcome !== 'had' || newer.value.serial === serial) return 'wrong'
    return (await holds(text, newer.value)) ? newer.value.serial : 'wrong'
  }

  /** Its signature alone: what it claims has been looked at. */
  async function holds(text: string, { keys: ofIssuer }: IssuerKeys): Promise<boolean> {
    const { alg, kid } = headerOf(text)
    const mayBe = ofIssuer.filter(
      (key) =>
        // A token need not say which key it is of (RFC 7515 section 4.1.4).
        (kid === undefined || key.kid === kid) &&
        (key.alg ?? alg) === alg &&
        key.kty === KEY_TYPES[alg as string],
    )
    for (const key of mayBe.slice(0, MAX_TRIED)) {
      const verified = compactVerify(text, key, { algorithms: ALGORITHMS })
      // Keys that the issuer describes wrongly throw whatever WebCrypto throws.
      if (await verified.catch(() => undefined)) return true
    }
    return false
  }
}

/** RFC 7519 sections 4.1.4 and 4.1.5. */
function isTimely({ exp, nbf }: Claims, nowMs: number): boolean {
  const now = Math.floor(nowMs / 1000)
  if (typeof exp !== 'number' || !(exp > now - CLOCK_TOLERANCE_SECONDS)) return false
  return nbf === undefined || (typeof nbf === 'number' && nbf <= now + CLOCK_TOLERANCE_SECONDS)
}

type Named = { number: TenantNumber } | { slug: string } | 'nobody' | 'several'

/** A slug beside a number is the region's to compare: it has the tenant's slug. */
function tenantNamed(
  audiences: ReadonlyArray<string>,
  claimed: string | undefined,
  host?: TenantNumber,
): Named {
  const ours = audiences.filter(isTenantAudience).map(tenantOfAudience)
  const numbers = new Set(ours)
  if (numbers.has(undefined)) return 'nobody'
  if (claimed !== undefined && !SLUG.test(claimed)) {
    const number = tenantNumberOf(claimed)
    if (number === undefined) return 'several'
    numbers.add(number)
  }
  if (host !== undefined) numbers.add(host)
  const [number, ...others] = numbers
  if (others.length > 0) return 'several'
  if (number !== undefined) return { number }
  return claimed === undefined ? 'nobody' : { slug: claimed }
}
