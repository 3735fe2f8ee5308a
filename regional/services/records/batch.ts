// A batch: up to a hundred changes of one collection, all or none. Each sees what those before it did. When some can't be
// done the answer names all of these; nothing was done then.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type FieldError, Problem } from '../../../shared/problems.ts'
import type { BatchOperation } from './schema.ts'
import type { StoredRecord } from './store.ts'
import type { RecordWrites } from './writing.ts'

export interface BatchResult {
  op: NonNullable<BatchOperation['op']>
  record: StoredRecord | null
}

const MAX_ERRORS = 100
/** Then others have a turn. */
const HELD_MS = 5

/** @throws {Problem} the first one's, with the errors of all */
export async function runBatch(
  writes: RecordWrites,
  operations: ReadonlyArray<BatchOperation>,
): Promise<BatchResult[]> {
  const results: BatchResult[] = []
  const errors: FieldError[] = []
  let first: Problem | undefined
  let heldFrom = performance.now()
  for (const [i, operation] of operations.entries()) {
    if (performance.now() - heldFrom > HELD_MS) {
      await nextTurn()
      heldFrom = performance.now()
    }
    try {
      results.push({ op: operation.op ?? 'create', record: await runOne(writes, operation) })
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      // Too much in all is no single one's fault, nor is it to have no time left.
      if (error.code === 'body_too_large' || error.code === 'rate_limited') throw error
      first ??= error
      errors.push(...within(`/operations/${i}`, error))
    }
  }
  if (first !== undefined) {
    throw new Problem(
      first.code,
      `Nothing was done. ${first.detail} \`errors\` says which operations can’t be done.`,
      { ...first.extras, errors: errors.slice(0, MAX_ERRORS) },
    )
  }
  await writes.settle()
  return results
}

async function runOne(writes: RecordWrites, operation: BatchOperation): Promise<StoredRecord | null> {
  switch (operation.op) {
    case 'create':
    case undefined:
      return writes.create(operation)
    case 'replace':
      return writes.replace(operation.id, operation.ifMatch, operation)
    case 'update':
      return writes.update(operation.id, operation.ifMatch, operation)
    case 'delete':
      await writes.remove(operation.id, operation.ifMatch)
      return null
  }
}

function within(pointer: string, { code, detail, extras }: Problem): FieldError[] {
  if (extras.errors !== undefined) {
    return extras.errors.map((each) => ({ ...each, pointer: pointer + each.pointer, code }))
  }
  return [{ pointer, detail, code }]
}
