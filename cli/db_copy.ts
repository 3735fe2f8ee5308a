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
  /** The last key copied, without the source's prefix, in hex. */
  after: string
}

/** Far below the limits of a transaction, and enough to make the overhead of each small. */
const BATCH_ROWS = 500
const BATCH_BYTES = 500_000

type Bytes = Database<Buffer, Buffer, Buffer, Buffer>
const bytesOf = ({ native }: Engine): Bytes => new Database(native, root) as unknown as Bytes

const markKey = ({ region }: KeySpace): Buffer => Buffer.concat([region, tuple.pack(['copy'])])

/** Every key that begins with the prefix; the user's whole key space for none. */
function everything(prefix: string): [Buffer, Buffer] {
  if (prefix === '') return [Buffer.alloc(0), Buffer.of(0xff)]
  const begin = Buffer.from(prefix)
  return [begin, Buffer.concat([begin, Buffer.of(0xff)])]
}

/**
 * Copies until all is there; returns how much that was. Nothing else may write to either side meanwhile.
 * @throws {StorageError} when the target holds anything that this copy did not bring.
 */
export async function copyDatabase(
  from: Side,
  to: Side,
  report: (progress: Progress) => void,
): Promise<Progress> {
  const [source, target] = [bytesOf(from.engine), bytesOf(to.engine)]
  const [sourceKeys, targetKeys] = [keySpace(from.prefix), keySpace(to.prefix)]
  const [begin, end] = everything(from.prefix)
  const cut = Buffer.byteLength(from.prefix)
  const targetPrefix = Buffer.from(to.prefix)

  if ((await source.get(markKey(sourceKeys))) !== undefined)
    throw new StorageError(`The source ${from.name} is itself an unfinished copy. Finish that one first.`)
  let mark = await readMark(target, to, targetKeys, from.name)
  for (;;) {
    report(mark)
    const after = Buffer.from(mark.after, 'hex')
    const start = mark.rows === 0 ? begin : Buffer.concat([begin, after, Buffer.alloc(1)])
    const rows = await source.doTn((tn) => readBatch(tn, start, end))
    const last = rows.at(-1)
    if (!last) break
    const next: Mark = {
      source: mark.source,
      after: last[0].subarray(cut).toString('hex'),
      rows: mark.rows + rows.length,
      bytes: mark.bytes + rows.reduce((sum, [key, value]) => sum + key.length + value.length, 0),
    }
    // Run again after an unknown result it writes the same.
    await target.doTn(async (tn) => {
      for (const [key, value] of rows)
        tn.set(Buffer.concat([targetPrefix, key.subarray(cut)]), withRaisedEpoch(sourceKeys, key, value))
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

/** Where to go on, and that is the beginning of an empty target. */
async function readMark(target: Bytes, to: Side, keys: KeySpace, source: string): Promise<Mark> {
  const [begin, end] = everything(to.prefix)
  return target.doTn(async (tn) => {
    const stored = await tn.get(markKey(keys))
    if (stored) {
      const mark = JSON.parse(stored.toString()) as Mark
      if (mark.source !== source)
        throw new StorageError(
          `The target holds an unfinished copy of ${mark.source}. Finish that one, or empty the target.`,
        )
      return mark
    }
    for await (const _ of tn.getRange(begin, end, { limit: 1 }))
      throw new StorageError(`The target ${to.name} is not empty. Copy to an empty one.`)
    const mark: Mark = { source, after: '', rows: 0, bytes: 0 }
    tn.set(markKey(keys), Buffer.from(JSON.stringify(mark)))
    return mark
  })
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
