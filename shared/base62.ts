// Base62 of a byte string of known length: letters and digits only, so that a double click selects a whole
// credential. The width is fixed by the length, which makes the encoding canonical.

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const VALUE = new Map([...ALPHABET].map((character, value) => [character, value]))
/** Eight digits at a time stay inside a double; only the steps between them need big integers. */
const STEP = 8
const STEP_BASE = 62n ** BigInt(STEP)

/** Characters that `length` bytes take. */
export const base62Width = (length: number): number => Math.ceil((length * 8) / Math.log2(62))

export function toBase62(bytes: Uint8Array): string {
  let rest = 0n
  for (const byte of bytes) rest = (rest << 8n) | BigInt(byte)
  const width = base62Width(bytes.length)
  let text = ''
  while (text.length < width) {
    let digits = Number(rest % STEP_BASE)
    rest /= STEP_BASE
    for (let i = 0; i < STEP && text.length < width; i++) {
      text = ALPHABET[digits % 62] + text
      digits = Math.floor(digits / 62)
    }
  }
  return text
}

/** @returns undefined unless `text` is what {@link toBase62} gives for some `length` bytes. */
export function fromBase62(text: string, length: number): Uint8Array<ArrayBuffer> | undefined {
  if (text.length !== base62Width(length)) return undefined
  let whole = 0n
  for (let at = 0; at < text.length; at += STEP) {
    const step = text.slice(at, at + STEP)
    let digits = 0
    for (const character of step) {
      const value = VALUE.get(character)
      if (value === undefined) return undefined
      digits = digits * 62 + value
    }
    whole = whole * 62n ** BigInt(step.length) + BigInt(digits)
  }
  if (whole >> BigInt(length * 8) !== 0n) return undefined
  const bytes = new Uint8Array(length)
  for (let i = length - 1; i >= 0; i--) {
    bytes[i] = Number(whole & 0xffn)
    whole >>= 8n
  }
  return bytes
}
