// `coditect db copy`: a region's data from one database to another, embedded or a cluster, in batches of one
// transaction each. How far it has come stands in the target, in the transaction of each batch, so that a copy
// that was broken off goes on where it was, and never twice over the same rows.
import { raiseRegionEpoch, withRaisedEpoch } from '../regional/storage/epoch.ts'
import { Database, root, tuple } from '../regional/storage/foundationdb.ts'
import { type KeySpace, keySpace } from '../regional/storage/keys.ts'
import { type Engine, StorageError } from '../regional/storage/open.ts'

export interface Side {
  engine: Engine
  /** Where it is, in words: a copy goes on only from the same place. */
  name: string
  /** Stands before every key of the region there. */
  prefix: string
}

export interface Progress {
  rows: number
  bytes: number
}

interface Mark extends Progress {
  source: string
  /** None in what an older version began, which minded other keys: that cannot go on. */
  sourcePrefix?: string
  /** The last key copied, without the source's prefix, in hex. */
  after: string
}

/** Far below the limits of a transaction, and enough to make the overhead of each small. */
const BATCH_ROWS = 500
const BATCH_BYTES = 500_000

type Bytes = Database<Buffer, Buffer, Buffer, Buffer>
const bytesOf = ({ native }: Engine): Bytes => new Database(native, root) as unknown as Bytes

const markKey = ({ region }: KeySpace): Buffer => Buffer.concat([region, tuple.pack(['copy'])])

/**
 * Copies until all is there; returns how much that was. Nothing else may write to either side meanwhile.
 * @throws {StorageError} when there is nothing to copy, or the target holds anything that this copy did not bring.
 */
export async function copyDatabase(
  from: Side,
  to: Side,
  report: (progress: Progress) => void,
): Promise<Progress> {
  const [source, target] = [bytesOf(from.engine), bytesOf(to.engine)]
  const [sourceKeys, targetKeys] = [keySpace(from.prefix), keySpace(to.prefix)]
  const [begin, end] = sourceKeys.range
  const [sourcePrefix, targetPrefix] = [Buffer.from(from.prefix), Buffer.from(to.prefix)]

  if ((await source.get(markKey(sourceKeys))) !== undefined)
    throw new StorageError(`The source ${from.name} is itself an unfinished copy. Finish that one first.`)
  // A name or a prefix that was mistyped has nothing, and must not spoil the target for the right one.
  if (await source.doTn((tn) => isEmpty(tn, sourceKeys)))
    throw new StorageError(`There is nothing in ${wordsOf(from.name, from.prefix)}. Is it the right one?`)
  let mark = await readMark(target, to, targetKeys, from)
  for (;;) {
    report(mark)
    const after = Buffer.from(mark.after, 'hex')
    const start = mark.rows === 0 ? begin : Buffer.concat([sourcePrefix, after, Buffer.alloc(1)])
    const rows = await source.doTn((tn) => readBatch(tn, start, end))
    const last = rows.at(-1)
    if (!last) break
    const next: Mark = {
      ...mark,
      after: last[0].subarray(sourcePrefix.length).toString('hex'),
      rows: mark.rows + rows.length,
      bytes: mark.bytes + rows.reduce((sum, [key, value]) => sum + key.length + value.length, 0),
    }
    // Run again after an unknown result it writes the same.
    await target.doTn(async (tn) => {
      for (const [key, value] of rows)
        tn.set(
          Buffer.concat([targetPrefix, key.subarray(sourcePrefix.length)]),
          withRaisedEpoch(sourceKeys, key, value),
        )
      tn.set(markKey(targetKeys), Buffer.from(JSON.stringify(next)))
    })
    mark = next
  }
  await target.doTn(async (tn) => {
    // Already done if the last attempt's result was unknown.
    if ((await tn.get(markKey(targetKeys))) === undefined) return
    await raiseRegionEpoch(tn, targetKeys)
    tn.clear(markKey(targetKeys))
  })
  return mark
}

const wordsOf = (name: string, prefix: string): string =>
  prefix === '' ? name : `${name} under the prefix ${prefix}`

/** Where to go on, and that is the beginning of an empty target. */
async function readMark(target: Bytes, to: Side, keys: KeySpace, from: Side): Promise<Mark> {
  return target.doTn(async (tn) => {
    const stored = await tn.get(markKey(keys))
    if (stored) {
      const mark = JSON.parse(stored.toString()) as Mark
      if (mark.sourcePrefix === undefined)
        throw new StorageError(
          `The target holds an unfinished copy of ${mark.source} that an older version began. Empty the target.`,
        )
      if (mark.source !== from.name || mark.sourcePrefix !== from.prefix)
        throw new StorageError(
          `The target holds an unfinished copy of ${wordsOf(mark.source, mark.sourcePrefix)}. Finish that one, or empty the target.`,
        )
      return mark
    }
    if (!(await isEmpty(tn, keys)))
      throw new StorageError(`The target ${to.name} is not empty. Copy to an empty one.`)
    const mark: Mark = { source: from.name, sourcePrefix: from.prefix, after: '', rows: 0, bytes: 0 }
    tn.set(markKey(keys), Buffer.from(JSON.stringify(mark)))
    return mark
  })
}

async function isEmpty(tn: ReadTransaction, { range: [begin, end] }: KeySpace): Promise<boolean> {
  for await (const _ of tn.getRange(begin, end, { limit: 1 })) return false
  return true
}

type ReadTransaction = Parameters<Parameters<Bytes['doTn']>[0]>[0]

async function readBatch(tn: ReadTransaction, start: Buffer, end: Buffer): Promise<[Buffer, Buffer][]> {
  const rows: [Buffer, Buffer][] = []
  let bytes = 0
  for await (const [key, value] of tn.snapshot().getRange(start, end, { limit: BATCH_ROWS })) {
    rows.push([key, value])
    bytes += key.length + value.length
    if (bytes >= BATCH_BYTES) break
  }
  return rows
}
