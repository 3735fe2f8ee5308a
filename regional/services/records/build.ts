// Building indexes over the records that were there before them. Since the commit of the declaration every write keeps
// the new indexes; the builder adds the others, some at a time, reading each record in the transaction that writes its
// entries. So a record that changes meanwhile conflicts with it, and nothing stale is written; one that is new does not.
import { jobKind } from '../../jobs/kind.ts'
import { clearIndex } from './clear.ts'
import {
  type CollectionRecord,
  findCollection,
  type IndexRecord,
  type Place,
  type RecordsTransaction,
  readCount,
  uidKey,
  writeCollection,
} from './collections.ts'
import {
  entryBytes,
  entrySpace,
  IndexFault,
  indexedValues,
  indexKey,
  recordKey,
  requireUnique,
} from './entries.ts'
import { decodeRecord, isLive, recordSpace, type StoredRecord } from './store.ts'
import { takeBytes } from './stored_bytes.ts'

/** One step; small, because any write to one of these records meanwhile makes it start again. */
const STEP_RECORDS = 50
const STEP_BYTES = 1024 * 1024

export const buildIndexes = jobKind<
  Place & { uid: string; numbers: number[] },
  { after: string; done: number }
>({
  kind: 'records.build-indexes',
  service: 'records',
  retry: { firstMs: 200, maxMs: 60_000, tries: 50 },
  async step(tx, { payload, place: at }) {
    const collection = await findCollection(tx, payload)
    const isBuilt = ({ state, number }: IndexRecord) =>
      state === 'building' && payload.numbers.includes(number)
    if (collection?.uid !== payload.uid || !collection.indexes.some(isBuilt)) {
      return { failed: 'The indexes are no longer wanted.' }
    }
    const uid = uidKey(collection)
    const [page, total] = await Promise.all([
      tx.chunked(recordSpace).page({
        under: [uid],
        limit: STEP_RECORDS,
        maxBytes: STEP_BYTES,
        onlyValues: true,
        after: at && [uid, Buffer.from(at.after, 'hex')],
      }),
      readCount(tx, collection),
    ])
    const records = page.entries.map(([[, id], bytes]) => decodeRecord(id, bytes))
    const outcome = collection.indexes.map((index) => ({ index, fault: undefined as IndexFault | undefined }))
    let grown = 0
    for (const each of outcome) {
      if (!isBuilt(each.index)) continue
      const built = await addEntries(tx, collection, each.index, records, tx.nowMs)
      if (built instanceof BuildFault) each.index = failed(each.index, built)
      else grown += built
    }
    await takeBytes(tx, grown)
    const indexes = outcome.map(({ index }) =>
      isBuilt(index) && !page.more ? { ...index, state: 'ready' as const } : index,
    )
    const newlyFailed = indexes.filter(
      ({ state }, i) => state === 'failed' && collection.indexes[i]?.state !== state,
    )
    if (newlyFailed.length > 0 || !page.more) {
      writeCollection(tx, payload, {
        ...collection,
        indexes,
        version: collection.version + 1,
        updatedMs: tx.nowMs,
      })
      for (const index of newlyFailed) clearIndex(tx, payload.projectId, collection, index)
    }
    const done = (at?.done ?? 0) + records.length
    const last = records.at(-1)
    if (page.more && last !== undefined && indexes.some(isBuilt)) {
      return { next: { after: recordKey(last.id).toString('hex'), done }, done, total: Math.max(total, done) }
    }
    const error = indexes.find(
      ({ number, state }) => state === 'failed' && payload.numbers.includes(number),
    )?.error
    return error ? { failed: error.detail, done } : { finished: true, done }
  },
})

class BuildFault {
  readonly fault: IndexFault
  readonly record: StoredRecord
  constructor(fault: IndexFault, record: StoredRecord) {
    this.fault = fault
    this.record = record
  }
}

/** @returns the bytes of what was added, or why the index can't be */
async function addEntries(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  index: IndexRecord,
  records: ReadonlyArray<StoredRecord>,
  nowMs: number,
): Promise<number | BuildFault> {
  const entries = tx.space(entrySpace)
  let grown = 0
  for (const record of records) {
    if (!isLive(record, nowMs)) continue
    try {
      const values = indexedValues(index, record.data)
      if (values === undefined) continue
      const own = recordKey(record.id)
      const key = [...indexKey(collection, index), ...values, own]
      // Written by a change of the record since the declaration.
      if ((await entries.get(key)) !== undefined) continue
      if (index.unique) await requireUnique(tx, collection, index, values, own, nowMs)
      entries.set(key, record.expiresMs)
      grown += entryBytes(values)
    } catch (error) {
      if (error instanceof IndexFault) return new BuildFault(error, record)
      throw error
    }
  }
  return grown
}

function failed(index: IndexRecord, { fault, record }: BuildFault): IndexRecord {
  const fields = index.fields.map(({ field }) => field).join(', ')
  const records = [record.id, ...(fault.other === undefined ? [] : [fault.other])]
  const detail =
    fault.code === 'unique_violation'
      ? `Two records have the same ${fields}, which the index does not allow.`
      : `A record's ${fields} ${fault.message}.`
  return { ...index, state: 'failed', error: { code: fault.code, detail, records } }
}
