// Expiry: records with an `expiresAt` are served until then and never after. One job of the tenant, the sweep, removes
// them afterwards; it waits for the first minute that has any. Whoever writes such a record reads which minute that is,
// and brings the sweep forward where theirs is earlier: so none is forgotten, and no record leaves a job of its own.
import type { Id } from '../../../shared/ids.ts'
import { jobKind, UNTIL_DONE } from '../../jobs/kind.ts'
import { jsonSpace } from '../../tenancy/service.ts'
import {
  type CollectionRecord,
  findCollection,
  type Place,
  type RecordsTransaction,
  uidKey,
} from './collections.ts'
import { recordKey } from './entries.ts'
import { decodeRecord, isLive, RecordWriter, recordSpace } from './store.ts'

const MINUTE_MS = 60_000
/** Clocks may be apart, and a job comes this much after its minute. */
const PATIENCE_MS = 5_000
/** Each may be a megabyte to read. */
const PAGE = 10

/** By the end of the minute. The value is where the collection was when the record was written. */
const expirySpace = jsonSpace<[minuteMs: number, uid: Buffer, id: Buffer], Place>('expiry')
/** Which minute the sweep waits for. It has none while nothing expires. */
const nextSpace = jsonSpace<['next'], { minuteMs: number; job: Id<'job'> }>('next-sweep')

const after = (minuteMs: number) => ({ runAtMs: minuteMs + PATIENCE_MS })

const minuteOf = (atMs: number): number => Math.ceil(atMs / MINUTE_MS) * MINUTE_MS

export async function noteExpiry(
  tx: RecordsTransaction,
  place: Place,
  collection: CollectionRecord,
  id: string,
  atMs: number,
): Promise<void> {
  const minuteMs = minuteOf(atMs)
  tx.space(expirySpace).set([minuteMs, uidKey(collection), recordKey(id)], place)
  await sweepAfter(tx, minuteMs)
}

async function sweepAfter(tx: RecordsTransaction, minuteMs: number): Promise<void> {
  const next = await tx.space(nextSpace).get(['next'])
  if (next !== undefined && next.minuteMs <= minuteMs) return
  const { runAtMs } = after(minuteMs)
  const isThere = next !== undefined && (await tx.hasten(next.job, runAtMs))
  const job = isThere ? next.job : tx.enqueue(sweepRecords, null, { runAtMs })
  tx.space(nextSpace).set(['next'], { minuteMs, job })
}

export function forgetExpiry(
  tx: RecordsTransaction,
  collection: Pick<CollectionRecord, 'uid'>,
  id: string,
  atMs: number,
): void {
  tx.space(expirySpace).clear([minuteOf(atMs), uidKey(collection), recordKey(id)])
}

export const sweepRecords = jobKind<null>({
  kind: 'records.sweep',
  service: 'records',
  promised: true,
  retry: UNTIL_DONE,
  async step(tx, { id: job }) {
    const expiring = tx.space(expirySpace)
    // The last minute that is over. Nobody writes there any more, so this reading conflicts with no writer.
    const overMs = Math.floor((tx.nowMs - PATIENCE_MS) / MINUTE_MS) * MINUTE_MS
    const { entries, more } = await expiring.page({ through: [overMs], limit: PAGE })
    for (const [[minuteMs, uid, id], at] of entries) {
      expiring.clear([minuteMs, uid, id])
      const collection = await findCollection(tx, at)
      // Of a collection that was deleted, its own job clears everything.
      if (collection === undefined || !uidKey(collection).equals(uid)) continue
      const bytes = await tx.chunked(recordSpace).get([uid, id])
      const record = bytes && decodeRecord(id, bytes)
      if (record === undefined || isLive(record, tx.nowMs)) continue
      const writer = new RecordWriter(tx, at, collection, tx.nowMs)
      await writer.remove(record)
      await writer.settle()
    }
    if (more) return { next: undefined }
    const [first] = (await expiring.page({ behind: [overMs], limit: 1 })).entries
    if (first === undefined) {
      tx.space(nextSpace).clear(['next'])
      return { finished: true }
    }
    const [[minuteMs]] = first
    tx.space(nextSpace).set(['next'], { minuteMs, job })
    return { next: undefined, ...after(minuteMs) }
  },
})

/** The minutes that have a job of their own, as each had in earlier versions. */
const minuteSpace = jsonSpace<[minuteMs: number], 1>('sweep')

/** Such a job. It leaves its minute to the sweep. */
export const expireMinute = jobKind<{ minuteMs: number }>({
  kind: 'records.expire',
  service: 'records',
  promised: true,
  retry: UNTIL_DONE,
  async step(tx, { payload: { minuteMs } }) {
    tx.space(minuteSpace).clear([minuteMs])
    await sweepAfter(tx, minuteMs)
    return { finished: true }
  },
})
