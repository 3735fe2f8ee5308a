// What a client sent fits its schema and not the database: a bound that the schema should have had. Whoever sent it is told
// what to do all the same.
import { Problem } from '../../shared/problems.ts'
import { FDBError } from '../storage/foundationdb.ts'

const [TRANSACTION, KEY, VALUE] = [2101, 2102, 2103]

/** The refusal of a change that is too large to be kept; undefined for any other error. */
export function tooLarge(error: unknown): Problem | undefined {
  if (!(error instanceof FDBError)) return undefined
  if (error.code === KEY) {
    return new Problem('validation_failed', 'A name or value to find this by is too long. Nothing was done.')
  }
  if (error.code === TRANSACTION || error.code === VALUE) {
    return new Problem('body_too_large', 'This is too large to be kept. Nothing was done; send it in parts.')
  }
  return undefined
}
