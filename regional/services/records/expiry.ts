// Expiry: records with an `expiresAt` are served until then and never after. A job of each minute that has any removes
// them afterwards. Whoever writes such a record reads whether the minute has its job, so none is forgotten.
import { jobKind } from '../../jobs/kind.ts'
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
/** The minutes that have a job. */
const sweepSpace = jsonSpace<[minuteMs: number], 1>('sweep')

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
  if ((await tx.space(sweepSpace).get([minuteMs])) !== undefined) return
  tx.space(sweepSpace).set([minuteMs], 1)
  tx.enqueue(expireRecords, { minuteMs }, { runAtMs: minuteMs + PATIENCE_MS })
}

export function forgetExpiry(
  tx: RecordsTransaction,
  collection: Pick<CollectionRecord, 'uid'>,
  id: string,
  atMs: number,
): void {
  tx.space(expirySpace).clear([minuteOf(atMs), uidKey(collection), recordKey(id)])
}

export const expireRecords = jobKind<{ minuteMs: number }, { done: number }>({
  kind: 'records.expire',
  service: 'records',
  promised: true,
  retry: { firstMs: 1_000, maxMs: 10 * MINUTE_MS, tries: Number.POSITIVE_INFINITY },
  async step(tx, { payload: { minuteMs }, place = { done: 0 } }) {
    const expiring = tx.space(expirySpace)
    const { entries, more } = await expiring.page({ under: [minuteMs], limit: PAGE })
    let early = false
    for (const [[, uid, id], at] of entries) {
      const collection = await findCollection(tx, at)
      // Of a collection that was deleted, its own job clears everything.
      const bytes =
        collection && uidKey(collection).equals(uid) && (await tx.chunked(recordSpace).get([uid, id]))
      const record = bytes ? decodeRecord(id, bytes) : undefined
      // By a clock that is behind.
      if (record !== undefined && isLive(record, tx.nowMs)) {
        early = true
        continue
      }
      expiring.clear([minuteMs, uid, id])
      if (collection === undefined || record === undefined) continue
      const writer = new RecordWriter(tx, at, collection, tx.nowMs)
      await writer.remove(record)
      await writer.settle()
    }
    const done = place.done + entries.length
    if (early) return { next: { done }, done, runAtMs: tx.nowMs + PATIENCE_MS }
    if (more) return { next: { done }, done }
    tx.space(sweepSpace).clear([minuteMs])
    return { finished: true, done }
  },
})
