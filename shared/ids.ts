// Resource ids are TypeIDs: a prefix that says what it names, and a UUIDv7 (RFC 9562) in Crockford's base32.
// Ids of one kind sort by the time they were made.
import type { Bytes } from './bytes.ts'

export const ID_PREFIXES = [
  'ten',
  'dom',
  'prj',
  'agt',
  'rec',
  'key',
  'lnk',
  'ses',
  'mem',
  'inv',
  'idp',
  'whe',
  'whs',
  'evt',
  'del',
  'job',
  'run',
  'req',
] as const
export type IdPrefix = (typeof ID_PREFIXES)[number]
export type Id<P extends IdPrefix = IdPrefix> = `${P}_${string}`

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const VALUE = new Map([...ALPHABET].map((character, value) => [character, BigInt(value)]))
const LENGTH = 26

/** Sixteen bytes as 26 characters; the first holds three bits only. */
function toBase32(bytes: Uint8Array): string {
  let text = ''
  // Two zero bits in front make the 128 bits 26 groups of five.
  let waiting = 0
  let bits = 2
  for (const byte of bytes) {
    waiting = ((waiting << 8) | byte) & 0x1fff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += ALPHABET.charAt((waiting >>> bits) & 31)
    }
  }
  return text
}

/** Random bytes are fetched by the page: one call for a few would cost more than all else about an id. */
const PAGE_BYTES = 2_000
let page = new Uint8Array()

function randomTail(): Uint8Array {
  if (page.length < 10) page = crypto.getRandomValues(new Uint8Array(PAGE_BYTES))
  const tail = page.subarray(0, 10)
  page = page.subarray(10)
  return tail
}

/** A UUIDv7: 48 bits of milliseconds, then version, variant and 74 further bits. */
export function uuidv7(nowMs: number, tail: Uint8Array = randomTail()): Bytes {
  const bytes = new Uint8Array(16)
  for (let i = 5, rest = nowMs; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256
  bytes.set(tail.subarray(0, 10), 6)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes
}

export const idFromBytes = <P extends IdPrefix>(prefix: P, bytes: Uint8Array): Id<P> =>
  `${prefix}_${toBase32(bytes)}`

export const newId = <P extends IdPrefix>(prefix: P, nowMs = Date.now()): Id<P> =>
  idFromBytes(prefix, uuidv7(nowMs))

/** The sixteen bytes of an id of this kind; undefined for any other text, non-canonical spellings included. */
export function idBytes(prefix: IdPrefix, text: string): Bytes | undefined {
  if (text.length !== prefix.length + 1 + LENGTH || !text.startsWith(`${prefix}_`)) return undefined
  let whole = 0n
  for (const character of text.slice(prefix.length + 1)) {
    const value = VALUE.get(character)
    if (value === undefined) return undefined
    whole = (whole << 5n) | value
  }
  if (whole >> 128n !== 0n) return undefined
  const bytes = new Uint8Array(16)
  for (let i = 15; i >= 0; i--) {
    bytes[i] = Number(whole & 0xffn)
    whole >>= 8n
  }
  return bytes
}

export const isId = <P extends IdPrefix>(prefix: P, text: string): text is Id<P> =>
  idBytes(prefix, text) !== undefined
