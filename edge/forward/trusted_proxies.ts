// Who stands before an edge of one's own and ends TLS there: blocks of addresses whose word on where a request came from is
// taken. Nobody else's is: a client can write what it likes into `X-Forwarded-For`.

/** What an address begins with, in bits; IPv4 is in IPv6 (RFC 4291 section 2.5.5.2). */
export type Blocks = ReadonlyArray<string>

/**
 * @param text `10.0.0.0/8, 2001:db8::/32, 192.0.2.1`
 * @throws {Error} where it is not that
 */
export function readBlocks(text: string | null | undefined): Blocks {
  const named = (text ?? '').split(/[\s,]+/).filter((block) => block !== '')
  return named.map((block) => {
    const [, address = '', length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(block) ?? []
    const bits = bitsOf(address)
    const most = isV4(address) ? 32 : 128
    const long = length === undefined ? most : Number(length)
    if (bits === undefined || long > most)
      throw new Error('TRUSTED_PROXIES: is not a list of blocks of addresses')
    return bits.slice(0, 128 - most + long)
  })
}

/**
 * The address behind all proxies that are trusted, as the nearest of them tells it.
 * @param peer without its port
 */
export function clientBehind(peer: string, forwardedFor: string | null, trusted: Blocks): string {
  let client = peer
  for (const said of (forwardedFor ?? '').split(',').toReversed()) {
    if (!isIn(trusted, client)) break
    const address = withoutPort(said.trim())
    if (bitsOf(address) === undefined) break
    client = address
  }
  return client
}

/** `192.0.2.1:50000`, `[2001:db8::1]:50000`, and each without a port. */
export const withoutPort = (text: string): string => {
  const [, v6, v4] = /^(?:\[(.*)\](?::\d+)?|([\d.]+):\d+)$/.exec(text) ?? []
  return v6 ?? v4 ?? text
}

const isIn = (blocks: Blocks, address: string): boolean => {
  const bits = bitsOf(address)
  return bits !== undefined && blocks.some((block) => bits.startsWith(block))
}

const isV4 = (address: string): boolean => /^\d+\.\d+\.\d+\.\d+$/.test(address)

/** Undefined for what is no address. */
function bitsOf(address: string): string | undefined {
  if (!/^[\da-f:.]+$/i.test(address)) return undefined
  const url = `http://[${isV4(address) ? '::ffff:' : ''}${address}]`
  if (!URL.canParse(url)) return undefined
  const [head = [], tail = []] = new URL(url).hostname
    .slice(1, -1)
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''))
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  return groups.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')
}
