// What each atomic operation makes of an existing value: pure functions of bytes (FoundationDB's Atomic.h).
// Absent and empty differ only for the operations that say so.
import { VALUE_SIZE_LIMIT } from './limits.ts'

export const Op = {
  Set: 0,
  ClearRange: 1,
  Add: 2,
  AndV1: 6,
  Or: 7,
  Xor: 8,
  AppendIfFits: 9,
  Max: 12,
  MinV1: 13,
  VersionstampedKey: 14,
  VersionstampedValue: 15,
  ByteMin: 16,
  ByteMax: 17,
  Min: 18,
  And: 19,
  CompareAndClear: 20,
} as const
export type Op = (typeof Op)[keyof typeof Op]

type Value = Buffer | undefined

const atomic = new Set<number>(Object.values(Op).filter((op) => op !== Op.Set && op !== Op.ClearRange))
export const isAtomicOp = (op: number): op is Op => atomic.has(op)

/** Since API version 510 And and Min of a missing key give the operand, under codes of their own. */
export const modernOp = (op: Op): Op => (op === Op.AndV1 ? Op.And : op === Op.MinV1 ? Op.Min : op)

/** Two operations of these kinds can't be joined into one if their operands differ in length. */
const lengthMatters = new Set<Op>([
  Op.Add,
  Op.Or,
  Op.Xor,
  Op.Max,
  Op.MinV1,
  Op.VersionstampedKey,
  Op.VersionstampedValue,
  Op.Min,
  Op.CompareAndClear,
])
export const joinNeedsEqualLength = (op: Op): boolean => lengthMatters.has(op)

/** The value after `op` with `operand` on `existing`; undefined: no value. Versionstamped operations are not of this kind. */
export function applyAtomicOp(op: Op, existing: Value, operand: Buffer): Value {
  switch (op) {
    case Op.Set:
      return operand
    case Op.Add:
      return add(existing, operand)
    case Op.And:
      return existing === undefined ? operand : and(existing, operand)
    case Op.AndV1:
      return and(existing, operand)
    case Op.Or:
      return combine(existing, operand, (a, b) => a | b)
    case Op.Xor:
      return combine(existing, operand, (a, b) => a ^ b)
    case Op.AppendIfFits:
      return append(existing, operand)
    case Op.Max:
      return max(existing, operand)
    case Op.Min:
      return existing === undefined ? operand : min(existing, operand)
    case Op.MinV1:
      return min(existing, operand)
    case Op.ByteMin:
      return existing !== undefined && existing.compare(operand) < 0 ? existing : operand
    case Op.ByteMax:
      return existing !== undefined && existing.compare(operand) > 0 ? existing : operand
    case Op.CompareAndClear:
      return existing === undefined || existing.equals(operand) ? undefined : existing
    default:
      throw new Error(`operation ${op} has no value of its own`)
  }
}

/** `existing` cut or extended with zeros to `length`. */
function fitted(existing: Buffer, length: number): Buffer {
  const out = Buffer.alloc(length)
  existing.copy(out, 0, 0, Math.min(existing.length, length))
  return out
}

function add(existing: Value, operand: Buffer): Buffer {
  if (!existing?.length || operand.length === 0) return operand
  const out = fitted(existing, operand.length)
  let carry = 0
  for (let i = 0; i < operand.length; i++) {
    const sum = (out[i] as number) + (operand[i] as number) + carry
    out[i] = sum
    carry = sum >> 8
  }
  return out
}

function and(existing: Value, operand: Buffer): Buffer {
  const out = fitted(existing ?? Buffer.alloc(0), operand.length)
  for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) & (operand[i] as number)
  return out
}

function combine(existing: Value, operand: Buffer, byte: (a: number, b: number) => number): Buffer {
  if (!existing?.length || operand.length === 0) return operand
  const out = fitted(existing, operand.length)
  for (let i = 0; i < out.length; i++) out[i] = byte(out[i] as number, operand[i] as number)
  return out
}

function append(existing: Value, operand: Buffer): Buffer {
  if (!existing?.length) return operand
  if (operand.length === 0 || existing.length + operand.length > VALUE_SIZE_LIMIT) return existing
  return Buffer.concat([existing, operand])
}

/** Compares as little-endian numbers of the operand's length: the sign of operand − existing. */
function compareLittleEndian(existing: Buffer, operand: Buffer): number {
  for (let i = operand.length - 1; i >= 0; i--) {
    const difference = (operand[i] as number) - (existing[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function max(existing: Value, operand: Buffer): Buffer {
  if (!existing?.length || operand.length === 0) return operand
  return compareLittleEndian(existing, operand) >= 0 ? operand : fitted(existing, operand.length)
}

function min(existing: Value, operand: Buffer): Buffer {
  const other = existing ?? Buffer.alloc(0)
  return compareLittleEndian(other, operand) <= 0 ? operand : fitted(other, operand.length)
}
