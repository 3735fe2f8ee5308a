// Ids of records that one request makes, which sort as they were made though all are of one millisecond: the twelve bits behind the
// time count (RFC 9562, section 6.2, method 1), and the 62 that are left are chance.
import { randomBytes, randomInt } from 'node:crypto'
import { type Id, idFromBytes, uuidv7 } from '../../../shared/ids.ts'

/** Of the 4,096 that the bits can say, so that a request has as many more. */
const STARTS = 2_048

/** @returns what makes the next one, up to 2,048 times */
export function idsInOrder(nowMs: number): () => Id<'rec'> {
  let count = randomInt(STARTS)
  return () => {
    const tail = randomBytes(10)
    tail.writeUInt16BE(count++)
    return idFromBytes('rec', uuidv7(nowMs, tail))
  }
}
