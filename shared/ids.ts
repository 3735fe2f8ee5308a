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

/** A UUIDv7: 48 bits of milliseconds, then version, variant and 74 further bits of the tail. */
export function uuidv7(nowMs: number, tail: Uint8Array): Bytes {
  const bytes = new Uint8Array(16)
  for (let i = 5, rest = nowMs; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256
  bytes.set(tail.subarray(0, 10), 6)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes
}

export const idFromBytes = <P extends IdPrefix>(prefix: P, bytes: Uint8Array): Id<P> =>
  `${prefix}_${toBase32(bytes)}`

/**
 * Every request has one, so it is put together from pairs of characters, ten bits each, with no bytes in between: the two
 * zero bits and the time are five pairs, and the same for all of a millisecond; version, variant and 74 random bits are eight.
 */
export function newId<P extends IdPrefix>(prefix: P, nowMs = Date.now()): Id<P> {
  if (nowMs !== lastMs) {
    lastMs = nowMs
    lastTime = toBase32(uuidv7(nowMs, NO_TAIL)).slice(0, TIME_LENGTH)
  }
  if (drawn + 8 > random.length) {
    crypto.getRandomValues(random)
    drawn = 0
  }
  const versioned = pair(0b0111_000000 | (draw() & 0b111111)) + pair((draw() & 0b111111_00_11) | 0b10_00)
  return `${prefix}_${lastTime}${versioned}${pair(draw())}${pair(draw())}${pair(draw())}${pair(draw())}${pair(draw())}${pair(draw())}`
}

const NO_TAIL = new Uint8Array(10)
const TIME_LENGTH = 10
let lastMs = Number.NaN
let lastTime = ''
/** Fetched by the page: one call for a few bits would cost more than all else about an id. */
const random = new Uint16Array(1_024)
let drawn = random.length
const draw = (): number => random[drawn++] ?? 0

const PAIRS: ReadonlyArray<string> = [...ALPHABET].flatMap((first) =>
  [...ALPHABET].map((second) => first + second),
)
const pair = (bits: number): string => PAIRS[bits & 0x3ff] ?? ''

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

/** When an id was made, in milliseconds since 1970; undefined for what is none of this kind. */
export function idTimeMs(prefix: IdPrefix, text: string): number | undefined {
  return idBytes(prefix, text)
    ?.subarray(0, 6)
    .reduce((ms, byte) => ms * 256 + byte, 0)
}

export const isId = <P extends IdPrefix>(prefix: P, text: string): text is Id<P> =>
  idBytes(prefix, text) !== undefined
