// Whose address it is, for counting. One customer of an IPv6 provider has a /64 at least (RFC 6177), and could take
// another address of it for each attempt; so IPv6 counts by the /64, and IPv4 by the address.

const IPV4_MAPPED = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i

/**
 * @param address as the runtime says it, in any spelling of RFC 4291 section 2.2
 * @returns a name that all addresses of the block share; a text that is no IPv6 address is its own
 */
export function addressBlock(address: string): string {
  const mapped = IPV4_MAPPED.exec(address)?.[1]
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address
  const [before = '', after] = address.toLowerCase().split('::')
  const left = groups(before)
  const right = groups(after ?? '')
  const missing = after === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const all = [...left, ...Array<string>(missing).fill('0'), ...right]
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

/** An IPv4 address at the end stands for two of them. */
const groups = (part: string): string[] =>
  part === '' ? [] : part.split(':').flatMap((group) => (group.includes('.') ? ['v4', 'v4'] : [group]))
