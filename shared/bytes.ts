// Byte strings: the few conversions that credentials, ids and assertions share. Text forms are canonical:
// a text that would not encode to itself again does not decode at all.

const encoder = new TextEncoder()

/** Bytes over an ArrayBuffer of their own, as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>

/** A WebCrypto key, by the one name that both runtimes' types can give it. */
export type WebCryptoKey = Awaited<ReturnType<typeof crypto.subtle.deriveKey>>

export const utf8 = (text: string): Bytes => encoder.encode(text) as Bytes

export function concat(...parts: ReadonlyArray<Uint8Array>): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Compares in time that depends on the lengths alone. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0)
  return difference === 0
}

/** Runtimes that have it (ECMAScript 2026) encode far faster. */
const builtIn: ((this: Uint8Array, options: object) => string) | undefined = Reflect.get(
  Uint8Array.prototype,
  'toBase64',
)
const BASE64URL = { alphabet: 'base64url', omitPadding: true }

export function toBase64url(bytes: Uint8Array): string {
  if (builtIn !== undefined) return builtIn.call(bytes, BASE64URL)
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** @returns undefined for anything but canonical, unpadded base64url (RFC 4648 section 5). */
export function fromBase64url(text: string): Bytes | undefined {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return undefined
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return toBase64url(bytes) === text ? bytes : undefined
}

export async function sha256(data: string | Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', typeof data === 'string' ? utf8(data) : data))
}

export const randomBytes = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))
