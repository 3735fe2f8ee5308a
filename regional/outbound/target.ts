// Which URLs a tenant may have called at all. Names are checked again where they lead to (connect.ts).
import { isPublicAddress, literalAddress } from './address.ts'

const MAX_URL_LENGTH = 2_048

/** Hosts of a developer's own machine or network, by name or address: for them http and private addresses will do. */
export type DevelopmentHosts = ReadonlySet<string>

/**
 * The parser has turned every spelling of an IPv4 address (decimal, octal, hexadecimal) into four decimal numbers
 * (WHATWG URL section 3.5), so there is one form to look at.
 * @returns the URL in its one spelling; undefined for what is not to be called
 */
export function callableUrl(text: string, development: DevelopmentHosts): string | undefined {
  if (text.length > MAX_URL_LENGTH || !URL.canParse(text)) return undefined
  const { protocol, hostname, username, password, hash, href } = new URL(text)
  if (username !== '' || password !== '' || hash !== '') return undefined
  if (development.has(hostname)) return protocol === 'https:' || protocol === 'http:' ? href : undefined
  const literal = literalAddress(hostname)
  if (literal !== undefined && !isPublicAddress(literal)) return undefined
  return protocol === 'https:' ? href : undefined
}
