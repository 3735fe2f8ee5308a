// A region's data in one database, for the commands that work on it as a whole, beneath any tenant.
import { Database, FDBError, root, TransactionOptionCode, tuple } from '../regional/storage/foundationdb.ts'
import { type KeySpace, keySpace } from '../regional/storage/keys.ts'
import { type Engine, StorageError } from '../regional/storage/open.ts'
import type { ByteTransaction } from '../regional/storage/space.ts'

export interface Side {
  engine: Engine
  /** Where it is, in words: a copy goes on only from the same place. */
  name: string
  /** Stands before every key of the region there. */
  prefix: string
}

export interface Opened {
  keys: KeySpace
  /** Runs a transaction, again where its result is unknown. @throws {StorageError} when the database does not answer */
  run<T>(body: (tn: ByteTransaction) => Promise<T>): Promise<T>
}

/** Far longer than a transaction takes, all of its tries together. */
const ANSWER_MS = 30_000
const TIMED_OUT = 1031

export function opened({ engine: { native }, name, prefix }: Side): Opened {
  const database = new Database(native, root) as unknown as Database<Buffer, Buffer, Buffer, Buffer>
  return {
    keys: keySpace(prefix),
    run: (body) =>
      database
        .doTn((tn) => {
          // A cluster that is not there is waited for without end.
          tn.setOption(TransactionOptionCode.Timeout, ANSWER_MS)
          return body(tn)
        })
        .catch((error: unknown) => {
          throw error instanceof FDBError && error.code === TIMED_OUT ? silent(name) : error
        }),
  }
}

const silent = (name: string): StorageError =>
  new StorageError(
    `${name} has not answered for ${ANSWER_MS / 1000} seconds. Is the database up, and the cluster file its own? The same command may be run again.`,
  )

/** Where a copy that is not finished says how far it is. */
export const markKey = ({ region }: KeySpace): Buffer => Buffer.concat([region, tuple.pack(['copy'])])

export const wordsOf = (name: string, prefix: string): string =>
  prefix === '' ? name : `${name} under the prefix ${prefix}`

/** @throws {StorageError} unless a region's data is there, and all of it */
export async function requireWhole({ run, keys }: Opened, name: string, prefix: string): Promise<void> {
  if ((await run((tn) => tn.get(markKey(keys)))) !== undefined)
    throw new StorageError(`What is in ${name} is itself an unfinished copy. Finish that one first.`)
  // A name or a prefix that was mistyped has nothing.
  if (await run((tn) => isEmpty(tn, keys)))
    throw new StorageError(`There is nothing in ${wordsOf(name, prefix)}. Is it the right one?`)
}

export async function isEmpty(tn: ByteTransaction, { range: [begin, end] }: KeySpace): Promise<boolean> {
  for await (const _ of tn.getRange(begin, end, { limit: 1 })) return false
  return true
}
