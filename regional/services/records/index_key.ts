// Values as an index keeps them: bytes whose order is the order of the values. Pure.
import type { Json } from './document.ts'

export const INDEX_TYPES = ['string', 'number', 'boolean', 'time'] as const
export type IndexType = (typeof INDEX_TYPES)[number]

/** Of all values of one entry together. A key of the database has 10,000 bytes at most, and escaping may double these. */
export const MAX_INDEXED_BYTES = 1_000

/** The key of a document's value, or undefined when it is not of the index's type: then it is not in the index. */
export function keyOf(type: IndexType, value: Json | undefined): Buffer | undefined {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? stringKey(value) : undefined
    case 'number':
      return typeof value === 'number' ? numberKey(value) : undefined
    case 'boolean':
      return typeof value === 'boolean' ? booleanKey(value) : undefined
    case 'time':
      return typeof value === 'string' ? timeKey(value) : undefined
  }
}

/** The key of a value as a query writes it, or undefined when it is no value of this type. */
export function keyOfText(type: IndexType, text: string): Buffer | undefined {
  switch (type) {
    case 'string':
      return text.isWellFormed() ? stringKey(text) : undefined
    case 'number':
      return JSON_NUMBER.test(text) && Number.isFinite(Number(text)) ? numberKey(Number(text)) : undefined
    case 'boolean':
      return text === 'true' || text === 'false' ? booleanKey(text === 'true') : undefined
    case 'time':
      return timeKey(text)
  }
}

const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

/** UTF-8 sorts by code point. Nothing is normalised: two spellings of one glyph are two values. */
const stringKey = (text: string): Buffer => Buffer.from(text)

const booleanKey = (value: boolean): Buffer => Buffer.of(value ? 1 : 0)

/** IEEE 754 as bytes that sort: the sign turned for positive numbers, every bit for negative ones. */
function numberKey(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  // −0 and 0 are one number.
  bytes.writeDoubleBE(value === 0 ? 0 : value)
  const negative = (bytes.readUInt8() & 0x80) !== 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes.readUInt8(i)
    bytes.writeUInt8(negative ? ~byte & 0xff : i === 0 ? byte ^ 0x80 : byte, i)
  }
  return bytes
}

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/
/** Before every instant that RFC 3339 can write. */
const FIRST_SECOND = Date.UTC(-1, 0) / 1_000
const SECOND_BYTES = 5

/** The instant of an RFC 3339 time, to the nanosecond, whatever its offset. A leap second is the one after it. */
function timeKey(text: string): Buffer | undefined {
  const match = RFC3339.exec(text)
  if (match === null) return undefined
  const part = (i: number) => Number(match[i] ?? 0)
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(part) as [
    ...[number, number, number],
    ...[number, number, number],
  ]
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  const isDate = date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  if (!isDate || hour > 23 || minute > 59 || second > 60 || part(9) > 23 || part(10) > 59) return undefined
  const offset = (part(9) * 60 + part(10)) * (match[8] === '-' ? -60 : 60)
  const seconds = date.getTime() / 1_000 + (hour * 60 + minute) * 60 + second - offset - FIRST_SECOND
  const bytes = Buffer.alloc(SECOND_BYTES + 4)
  bytes.writeUIntBE(seconds, 0, SECOND_BYTES)
  bytes.writeUInt32BE(Number((match[7] ?? '').padEnd(9, '0')), SECOND_BYTES)
  return bytes
}

/** The first key behind all that begin with these bytes. They are UTF-8, so none is ff. */
export function behindPrefix(prefix: Buffer): Buffer | undefined {
  if (prefix.length === 0) return undefined
  const end = Buffer.from(prefix)
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1)
  return end
}
