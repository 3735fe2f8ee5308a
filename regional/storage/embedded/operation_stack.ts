// The operations that a transaction has put on one key, the lowest first. Those whose effect is known are joined
// into one; others wait, in their order, for the value below them (FoundationDB's OperationStack).
import { applyAtomicOp, isAtomicOp, joinNeedsEqualLength, Op } from './atomic_ops.ts'
import { code, fdbError } from './errors.ts'

/** `value` undefined with Op.Set: the key is known to be absent. */
export interface Operation {
  op: Op
  value: Buffer | undefined
}

/** The operations need the value below them. */
export function isDependent(operations: readonly Operation[]): boolean {
  const lowest = operations[0]?.op
  return (
    lowest !== undefined &&
    lowest !== Op.Set &&
    lowest !== Op.VersionstampedValue &&
    lowest !== Op.VersionstampedKey
  )
}

/** `operations` applied to the value below them; undefined: the key is absent. */
export function resolve(operations: readonly Operation[], below: Buffer | undefined): Buffer | undefined {
  const [only] = operations
  if (only && operations.length === 1 && !isDependent(operations)) return only.value
  let current: Operation = { op: Op.Set, value: below }
  for (const operation of operations) current = joined(current, operation)
  return current.value
}

/** Puts `next` over the stack, as one operation with the topmost if both together are one of the same kind. */
export function stack(operations: Operation[], next: Operation): void {
  const top = operations.at(-1)
  if (top === undefined) throw new Error('an empty stack has no top')
  const sameKind = top.op === next.op && next.op !== Op.CompareAndClear
  const stacks = sameKind
    ? joinNeedsEqualLength(top.op) && top.value !== undefined && top.value.length !== next.value?.length
    : isAtomicOp(next.op) && isAtomicOp(top.op)
  if (stacks) operations.push(next)
  else operations[operations.length - 1] = joined(top, next)
}

/** One operation that does what `first` and then `next` do. */
export function joined(first: Operation, next: Operation): Operation {
  if (next.op === Op.Set || next.op === Op.VersionstampedValue) return next
  if (next.value === undefined) throw new Error('an atomic operation has an operand')
  if (first.op === Op.Set) return { op: Op.Set, value: applyAtomicOp(next.op, first.value, next.value) }
  if (first.op !== next.op) throw fdbError(code.clientInvalidOperation)
  return { op: first.op, value: applyAtomicOp(next.op, first.value, next.value) }
}
