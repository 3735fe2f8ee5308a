// Keys inside the engine are strings with one character a byte (latin1): they compare in byte order with
// `<`, concatenate cheaply, work in a Map, and V8 holds them in one byte a character. Only here do they
// meet the caller's Buffers and UTF-8 strings.
import type { NativeValue } from '../foundationdb.ts'

/** The bytes of a key as a string of characters 0 to 255. */
export type Key = string

export const FIRST_KEY: Key = ''
/** Where the user's key space ends and the system's begins. */
export const USER_END: Key = '\xff'
/** Where the database ends. */
export const DATABASE_END: Key = '\xff\xff'
/** Special keys are answered by a client itself; the embedded engine has none. */
export const SPECIAL_END: Key = '\xff\xff\xff'
export const METADATA_VERSION: Key = '\xff/metadataVersion'

/** The first key after `key`. */
export const keyAfter = (key: Key): Key => `${key}\0`

export const isKeyAfter = (key: Key, of: Key): boolean =>
  key.length === of.length + 1 && key.charCodeAt(of.length) === 0 && key.startsWith(of)

/** What the binding accepts as bytes: a string is UTF-8. */
export function toBuffer(value: NativeValue | ArrayBufferLike | ArrayBufferView): Buffer {
  if (typeof value === 'string') return Buffer.from(value, 'utf8')
  if (Buffer.isBuffer(value)) return value
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof ArrayBuffer) return Buffer.from(value)
  throw new Error('Invalid param - must be string, buffer or arraybuffer')
}

export function toKey(value: NativeValue): Key {
  // An ASCII string is its own UTF-8.
  if (typeof value === 'string' && Buffer.byteLength(value, 'utf8') === value.length) return value
  return toBuffer(value).toString('latin1')
}

export const keyBytes = (key: Key): Buffer => Buffer.from(key, 'latin1')
