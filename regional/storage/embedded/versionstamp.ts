// Versionstamps: ten bytes (8 of the commit version, 2 of the order in its batch, both big endian) put into
// a key or a value at commit. The last four bytes of the operand say where, little endian.
import { DATABASE_END, type Key } from './key.ts'

export const STAMP_BYTES = 10
const OFFSET_BYTES = 4

export function stampBytes(version: number, order = 0): Buffer {
  const stamp = Buffer.alloc(STAMP_BYTES)
  stamp.writeBigUInt64BE(BigInt(version), 0)
  stamp.writeUInt16BE(order, 8)
  return stamp
}

/** Where the stamp goes in `operand`, or undefined if it can't go there. */
export function stampOffset(operand: Buffer): number | undefined {
  if (operand.length < OFFSET_BYTES) return undefined
  const offset = operand.readInt32LE(operand.length - OFFSET_BYTES)
  return offset >= 0 && offset + STAMP_BYTES <= operand.length - OFFSET_BYTES ? offset : undefined
}

/** The operand without its offset, the stamp in its place. The offset must have been checked. */
export function stamped(operand: Buffer, stamp: Buffer): Buffer {
  const out = Buffer.from(operand.subarray(0, operand.length - OFFSET_BYTES))
  stamp.copy(out, operand.readInt32LE(operand.length - OFFSET_BYTES))
  return out
}

/** The keys that a versionstamped key may become: from the first possible commit version to the last. */
export function stampedKeyRange(operand: Buffer, offset: number, firstVersion: number, end: Key): [Key, Key] {
  const low = Buffer.from(operand.subarray(0, operand.length - OFFSET_BYTES))
  stampBytes(firstVersion).copy(low, offset)
  const high = Buffer.from(low)
  high.fill(0xff, offset, offset + STAMP_BYTES)
  const limit = `${high.toString('latin1')}\0`
  return [low.toString('latin1'), limit < end ? limit : end < DATABASE_END ? end : DATABASE_END]
}

/** A version as the binding gives it: eight bytes, big endian. */
export function versionBytes(version: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(version))
  return bytes
}
