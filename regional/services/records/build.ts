// Building indexes over the records that were there before them. Since the commit of the declaration every write keeps
// the new indexes; the builder adds the others, some at a time, reading each record in the transaction that writes its
// entries. So a record that changes meanwhile conflicts with it, and nothing stale is written; one that is new does not.
import { Problem } from '../../../shared/problems.ts'
import { jobKind } from '../../jobs/kind.ts'
import type { Key, TenantTransaction } from '../../tenancy/service.ts'
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
  indexedOrTooLong,
  indexedValues,
  indexKey,
  keyBytes,
  recordKey,
  requireUnique,
} from './entries.ts'
import { decodeRecord, isLive, recordSpace, type StoredRecord } from './store.ts'

/** One step; small, because any write to one of these records meanwhile makes it start again. */
const STEP_RECORDS = 50
const STEP_BYTES = 1024 * 1024
/** Of the keys of its entries, each of which is some six times in a transaction (10 MB), with the conflict ranges of it. */
const STEP_KEY_BYTES = 512 * 1024

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
      return { cancelled: true }
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
    const found = page.entries.map(([[, id], bytes]) => decodeRecord(id, bytes))
    const records = inOneStep(collection.indexes.filter(isBuilt), found)
    const more = page.more || records.length < found.length
    const indexes: IndexRecord[] = []
    for (const index of collection.indexes) {
      const built = isBuilt(index) ? await addEntries(tx, collection, index, records, tx.nowMs) : index
      indexes.push(isBuilt(built) && !more ? { ...built, state: 'ready' } : built)
    }
    const newlyFailed = indexes.filter(
      ({ state }, i) => state === 'failed' && collection.indexes[i]?.state !== state,
    )
    if (newlyFailed.length > 0 || !more) {
      writeCollection(tx, payload, {
        ...collection,
        indexes,
        version: collection.version + 1,
        updatedMs: tx.nowMs,
      })
      for (const index of newlyFailed) clearIndex(tx, payload.projectId, collection, index)
      for (const [i, { state, fields }] of indexes.entries()) {
        if (state === collection.indexes[i]?.state) continue
        const type = state === 'ready' ? 'collection.index_ready' : 'collection.index_failed'
        const names = fields.map(({ field }) => field).join(',')
        tx.emit(type, payload.name, { project: payload.projectId, fields: names })
      }
    }
    const done = (at?.done ?? 0) + records.length
    const last = records.at(-1)
    if (more && last !== undefined && indexes.some(isBuilt)) {
      return { next: { after: recordKey(last.id).toString('hex'), done }, done, total: Math.max(total, done) }
    }
    const error = indexes.find(
      ({ number, state }) => state === 'failed' && payload.numbers.includes(number),
    )?.error
    return error ? { failed: error.detail, done } : { finished: true, done }
  },
})

/** Whether an index waits for its builder: one that was cancelled, or has failed, builds it no more. */
export async function isBeingBuilt(
  tx: Pick<TenantTransaction, 'jobs'>,
  { state, job }: IndexRecord,
): Promise<boolean> {
  if (state !== 'building' || job === null) return false
  const builder = await tx.jobs.read(job)
  return builder?.state === 'queued' || builder?.state === 'running'
}

/** Indexes as they are by now: one that nobody builds any more has failed. */
export const presentIndexes = (
  tx: Pick<TenantTransaction, 'jobs'>,
  indexes: ReadonlyArray<IndexRecord>,
): Promise<IndexRecord[]> =>
  Promise.all(
    indexes.map(async (index) =>
      index.state !== 'building' || (await isBeingBuilt(tx, index)) ? index : { ...index, state: 'failed' },
    ),
  )

/** The first of them, of which one transaction can write all entries; one in any case. */
function inOneStep(
  indexes: ReadonlyArray<IndexRecord>,
  records: ReadonlyArray<StoredRecord>,
): ReadonlyArray<StoredRecord> {
  let bytes = 0
  const end = records.findIndex(({ data }, i) => {
    for (const index of indexes) bytes += keyBytes(indexedOrTooLong(index, data) ?? [])
    return i > 0 && bytes > STEP_KEY_BYTES
  })
  return end < 0 ? records : records.slice(0, end)
}

/** @returns the index, which has failed where some of the records can't be in it */
async function addEntries(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  index: IndexRecord,
  records: ReadonlyArray<StoredRecord>,
  nowMs: number,
): Promise<IndexRecord> {
  const entries = tx.space(entrySpace)
  const added: Key[] = []
  let grown = 0
  let at: StoredRecord | undefined
  try {
    for (const record of records) {
      at = record
      // What has expired waits to be removed, and need not be mended.
      const values = isLive(record, nowMs)
        ? indexedValues(index, record.data)
        : indexedOrTooLong(index, record.data)
      if (values === undefined) continue
      const own = recordKey(record.id)
      const key = [...indexKey(collection, index), ...values, own]
      // Written by a change of the record since the declaration.
      if ((await entries.get(key)) !== undefined) continue
      // What has expired waits to be removed, with its entries; it is in nobody's way.
      if (index.unique && isLive(record, nowMs)) {
        await requireUnique(tx, collection, index, values, own, nowMs)
      }
      entries.set(key, record.expiresMs)
      added.push(key)
      grown += entryBytes(values)
    }
    if (grown > 0) await tx.take('storedBytes', grown)
    return index
  } catch (error) {
    const fault = buildFault(index, error, at)
    if (fault === undefined) throw error
    // Not charged, so not left for what clears the index and gives back what was.
    for (const key of added) entries.clear(key)
    return { ...index, state: 'failed', error: fault }
  }
}

/** Why an index can't be built, where it is something that the tenant can mend. */
function buildFault(
  { fields }: IndexRecord,
  error: unknown,
  at: StoredRecord | undefined,
): IndexRecord['error'] | undefined {
  if (error instanceof Problem && error.code === 'quota_exceeded') {
    return { code: error.code, detail: error.detail, records: [] }
  }
  if (!(error instanceof IndexFault) || at === undefined) return undefined
  const { code, other, message } = error
  const names = fields.map(({ field }) => field).join(', ')
  const detail =
    code === 'unique_violation'
      ? `Two records have the same ${names}, which the index does not allow.`
      : `A record's ${names} ${message}.`
  return { code, detail, records: other === undefined ? [at.id] : [at.id, other] }
}
