// Region names, and the six bytes in which a credential carries one.

/** One to nine of a–z, 0–9 and `-`, a letter first. */
export const REGION_NAME = /^[a-z][a-z0-9-]{0,8}$/
export const REGION_BYTES = 6

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789-'
const BASE = ALPHABET.length + 1
const LONGEST = 9

export function writeRegion(name: string, into: DataView, at: number): void {
  if (!REGION_NAME.test(name)) throw new RangeError(`not a region name: ${name}`)
  let value = 0
  for (let i = 0; i < LONGEST; i++) value = value * BASE + ALPHABET.indexOf(name.charAt(i) || ' ') + 1
  into.setUint16(at, Math.floor(value / 2 ** 32))
  into.setUint32(at + 2, value >>> 0)
}

/** @returns undefined for bytes that {@link writeRegion} never writes. */
export function readRegion(from: DataView, at: number): string | undefined {
  let value = from.getUint16(at) * 2 ** 32 + from.getUint32(at + 2)
  let name = ''
  for (let i = 0; i < LONGEST; i++) {
    const digit = value % BASE
    value = Math.floor(value / BASE)
    if (digit > 0) name = ALPHABET.charAt(digit - 1) + name
    else if (name !== '') return undefined
  }
  return value === 0 && REGION_NAME.test(name) ? name : undefined
}
