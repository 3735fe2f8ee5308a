// OpenID issuers and the audiences of tenants. An issuer is an https URL of a named host (OpenID Connect Discovery 1.0
// section 3): an address would let a tenant point the platform's own network at itself. A name that resolves to a
// private address is the runtime's to refuse (docs/isolation.md).
import type { Id } from './ids.ts'
import { type TenantNumber, tenantNumberOf } from './tenant.ts'

export const MAX_ISSUER_LENGTH = 512
/** OpenID Connect Core 1.0 section 2. */
export const MAX_SUBJECT_LENGTH = 255

const ADDRESS = /^(?:\[.*\]|\d+\.\d+\.\d+\.\d+)$/
const INNER_NAME = /(?:^|\.)(?:localhost|local|internal|intranet|home\.arpa|test|invalid)$/
export const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost'])

/**
 * Whether keys may be fetched from this URL: https of a public name.
 * @param development also http of this machine
 */
export function isFetchable(text: string, development: boolean): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  if (username !== '' || password !== '') return false
  if (development && protocol === 'http:') return LOOPBACK.has(hostname)
  // The parser has already turned every spelling of an IPv4 address into four decimal numbers.
  // With a full stop at its end a name of the inside is found too, although it has only one part.
  const isName = /\.[^.]+$/.test(hostname) && !ADDRESS.test(hostname) && !INNER_NAME.test(hostname)
  return protocol === 'https:' && isName
}

export function isIssuer(text: string, development: boolean): boolean {
  if (text.length > MAX_ISSUER_LENGTH || /[?#\s]/.test(text) || !isFetchable(text, development)) return false
  const { href } = new URL(text)
  // One spelling only: tokens are compared with it letter by letter.
  return href === text || href === `${text}/`
}

const TENANT_AUDIENCE = 'coditect:'

/** The audience that we issue to a tenant: a token made out to it can be meant for no other. */
export const audienceOf = (tenant: Id<'ten'>): string => TENANT_AUDIENCE + tenant

export const isTenantAudience = (audience: string): boolean => audience.startsWith(TENANT_AUDIENCE)

/** The tenant that an audience of ours names; undefined for any other text. */
export const tenantOfAudience = (audience: string): TenantNumber | undefined =>
  isTenantAudience(audience) ? tenantNumberOf(audience.slice(TENANT_AUDIENCE.length)) : undefined
