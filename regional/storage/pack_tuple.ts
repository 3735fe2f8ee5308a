// A key's tuple behind its prefix, in FoundationDB's tuple encoding. Nearly every key is a few short texts, whole numbers
// and bytes: those are written in one go; whatever else comes is the library’s.
// Source: FoundationDB, design/tuple.md.
import { tuple } from './foundationdb.ts'
import { isBytes, lengthOf } from './kept_bytes.ts'

/** A key has 10,000 bytes at most, and a text's characters become up to three bytes each. */
const scratch = Buffer.allocUnsafe(32_768)
const BYTES = 0x01
const TEXT = 0x02
/** Zero; a whole number of n bytes has this and n more. */
const ZERO = 0x14
const END = 0x00

export function packTuple(prefix: Buffer, key: ReadonlyArray<string | number | bigint | Buffer>): Buffer {
  let at = prefix.length
  scratch.set(prefix)
  for (const item of key) {
    const end = typeof item === 'string' ? text(item, at) : typeof item === 'number' ? whole(item, at) : -1
    at = end < 0 && typeof item === 'object' ? bytes(item, at) : end
    if (at < 0) return Buffer.concat([prefix, tuple.pack(key as Array<typeof item>)])
  }
  return Buffer.from(scratch.subarray(0, at))
}

/** @returns where the next item goes; below zero for what is not packed here. */
function text(item: string, from: number): number {
  if (from + item.length * 3 + 2 > scratch.length || item.includes('\0')) return -1
  scratch[from] = TEXT
  const end = from + 1 + scratch.write(item, from + 1)
  scratch[end] = END
  return end + 1
}

/** By what the item is, not by what its `length` answers: behind its bytes lie those of other keys. */
function bytes(item: Buffer, from: number): number {
  if (!isBytes(item) || item.includes(0)) return -1
  const length = lengthOf(item)
  if (from + length + 2 > scratch.length) return -1
  scratch[from] = BYTES
  scratch.set(item, from + 1)
  scratch[from + 1 + length] = END
  return from + length + 2
}

function whole(item: number, from: number): number {
  if (!Number.isSafeInteger(item) || item < 0 || Object.is(item, -0) || from + 8 > scratch.length) return -1
  let length = 0
  for (let rest = item; rest > 0; rest = Math.floor(rest / 256)) length++
  scratch[from] = ZERO + length
  for (let i = length, rest = item; i > 0; i--, rest = Math.floor(rest / 256)) scratch[from + i] = rest % 256
  return from + 1 + length
}
