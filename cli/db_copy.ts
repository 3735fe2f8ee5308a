// `coditect db copy`: a region's data from one database to another, embedded or a cluster, in batches of one
// transaction each. How far it has come stands in the target, in the transaction of each batch, so that a copy
// that was broken off goes on where it was, and never twice over the same rows.
import { raiseRegionEpoch, withRaisedEpoch } from '../regional/storage/epoch.ts'
import { StorageError } from '../regional/storage/open.ts'
import type { ByteTransaction } from '../regional/storage/space.ts'
import { isEmpty, markKey, type Opened, opened, requireWhole, type Side, wordsOf } from './db_side.ts'

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

/**
 * Copies until all is there; returns how much that was. Nothing else may write to either side meanwhile.
 * @throws {StorageError} when there is nothing to copy, or the target holds anything that this copy did not bring.
 */
export async function copyDatabase(
  from: Side,
  to: Side,
  report: (progress: Progress) => void,
): Promise<Progress> {
  const [source, target] = [opened(from), opened(to)]
  const [begin, end] = source.keys.range
  const [sourcePrefix, targetPrefix] = [Buffer.from(from.prefix), Buffer.from(to.prefix)]

  // Before the target is touched: a source that was mistyped must not spoil it for the right one.
  await requireWhole(source, from.name, from.prefix)
  let mark = await readMark(target, to, from)
  for (;;) {
    report(mark)
    const after = Buffer.from(mark.after, 'hex')
    const start = mark.rows === 0 ? begin : Buffer.concat([sourcePrefix, after, Buffer.alloc(1)])
    const rows = await source.run((tn) => readBatch(tn, start, end))
    const last = rows.at(-1)
    if (!last) break
    const next: Mark = {
      ...mark,
      after: last[0].subarray(sourcePrefix.length).toString('hex'),
      rows: mark.rows + rows.length,
      bytes: mark.bytes + rows.reduce((sum, [key, value]) => sum + key.length + value.length, 0),
    }
    // Run again after an unknown result it writes the same.
    await target.run(async (tn) => {
      for (const [key, value] of rows)
        tn.set(
          Buffer.concat([targetPrefix, key.subarray(sourcePrefix.length)]),
          withRaisedEpoch(source.keys, key, value),
        )
      tn.set(markKey(target.keys), Buffer.from(JSON.stringify(next)))
    })
    mark = next
  }
  await target.run(async (tn) => {
    // Already done if the last attempt's result was unknown.
    if ((await tn.get(markKey(target.keys))) === undefined) return
    await raiseRegionEpoch(tn, target.keys)
    tn.clear(markKey(target.keys))
  })
  return mark
}

/** Where to go on, and that is the beginning of an empty target. */
async function readMark({ run, keys }: Opened, to: Side, from: Side): Promise<Mark> {
  return run(async (tn) => {
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

async function readBatch(tn: ByteTransaction, start: Buffer, end: Buffer): Promise<[Buffer, Buffer][]> {
  const rows: [Buffer, Buffer][] = []
  let bytes = 0
  for await (const [key, value] of tn.snapshot().getRange(start, end, { limit: BATCH_ROWS })) {
    rows.push([key, value])
    bytes += key.length + value.length
    if (bytes >= BATCH_BYTES) break
  }
  return rows
}
