// Which addresses may be connected to: public unicast ones, as the IANA special-purpose registries leave them (RFC 6890).
// All others lead into networks that only look at who is asking: private ones, this machine, metadata services.
import ipaddr from 'ipaddr.js'

/** All that is given out as global unicast (RFC 4291 section 2.4); the rest of IPv6 is somebody's own, or nobody's. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3')
/** Public by the registries, and yet the metadata service of a cloud (Azure). */
const METADATA = new Set(['168.63.129.16'])

/** @param address an IPv4 or IPv6 address as text; anything else is none */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  // An IPv4 address in the clothes of IPv6 (::ffff:10.0.0.1) counts as what it is.
  const parsed = ipaddr.process(address)
  if (parsed.range() !== 'unicast' || METADATA.has(parsed.toString())) return false
  return !(parsed instanceof ipaddr.IPv6) || parsed.match(GLOBAL_IPV6)
}

/** The address that a URL's host is, without the brackets of IPv6; undefined for a name. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '')
  return ipaddr.isValid(bare) ? bare : undefined
}
