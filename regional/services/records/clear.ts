// Clearing what is no longer to be found: a deleted collection, a dropped index, everything below a deleted project. What
// is to be cleared is written down first, in the commit that makes it unfindable; a job then clears it some at a time.
import type { Id } from '../../../shared/ids.ts'
import { jobKind, type Step, UNTIL_DONE } from '../../jobs/kind.ts'
import { jsonSpace, type Key } from '../../tenancy/service.ts'
import {
  type CollectionRecord,
  clearCount,
  forgetCollection,
  forgetCollections,
  type IndexRecord,
  listCollections,
  type Place,
  type RecordsTransaction,
  readCount,
  uidKey,
} from './collections.ts'
import { bytesIn, entryBytes, entrySpace, keyBytes } from './entries.ts'
import { forgetExpiry } from './expiry.ts'
import { decodeRecord, recordBytes, recordSpace } from './store.ts'

const STEP_RECORDS = 200
const STEP_BYTES = 1024 * 1024
const STEP_ENTRIES = 1_000
/** Of the keys that one step clears, each of which is some four times in a transaction (10 MB). */
const STEP_KEY_BYTES = 1024 * 1024
const STEP_COLLECTIONS = 50
/** In place of an index's number: the collection with all that it has. */
const WHOLE = 0

type Dropped = [projectId: string, uid: Buffer, index: number]
/** The value is how many records there are to be cleared, where that is known. */
const droppedSpace = jsonSpace<Dropped, number>('dropped')

export const clearDropped = jobKind<{ projectId: string; uid: string; index: number }, { done: number }>({
  kind: 'records.clear',
  service: 'records',
  promised: true,
  retry: UNTIL_DONE,
  async step(tx, { payload: { projectId, uid, index }, place: at = { done: 0 } }) {
    const dropped: Dropped = [projectId, Buffer.from(uid, 'hex'), index]
    const total = await tx.space(droppedSpace).get(dropped)
    // The project was deleted meanwhile, and this with it.
    if (total === undefined) return { finished: true, done: at.done }
    const { cleared, more } = await clearSome(tx, dropped)
    const done = at.done + cleared
    return more
      ? { next: { done }, done, ...(total > 0 && { total: Math.max(total, done) }) }
      : { finished: true, done }
  },
})

/** Makes a collection unfindable at once. @returns the job that clears it */
export async function dropCollection(
  tx: RecordsTransaction,
  place: Place,
  collection: CollectionRecord,
): Promise<Id<'job'>> {
  await forget(tx, place, collection)
  tx.emit('collection.deleted', place.name, { project: place.projectId })
  return tx.enqueue(clearDropped, { projectId: place.projectId, uid: collection.uid, index: WHOLE })
}

/** Has the entries of an index cleared that is not one of the collection's any more. */
export function clearIndex(
  tx: RecordsTransaction,
  projectId: string,
  collection: CollectionRecord,
  { number }: IndexRecord,
): void {
  tx.space(droppedSpace).set([projectId, uidKey(collection), number], 0)
  tx.enqueue(clearDropped, { projectId, uid: collection.uid, index: number })
}

/** Part of deleting a project: one step of removing everything that it has here. */
export async function clearProject(
  tx: RecordsTransaction,
  projectId: string,
  /** As its last step left it. */
  done = 0,
): Promise<Step<number>> {
  const { entries } = await listCollections(tx, projectId, STEP_COLLECTIONS, undefined)
  for (const [[, name], collection] of entries) await forget(tx, { projectId, name }, collection)
  if (entries.length > 0) return { next: done, done }
  const { entries: waiting } = await tx.space(droppedSpace).page({ under: [projectId], limit: 1 })
  const [first] = waiting
  if (first === undefined) {
    forgetCollections(tx, projectId)
    return { finished: true, done }
  }
  const { cleared } = await clearSome(tx, first[0])
  return { next: done + cleared, done: done + cleared }
}

async function forget(tx: RecordsTransaction, place: Place, collection: CollectionRecord): Promise<void> {
  tx.space(droppedSpace).set([place.projectId, uidKey(collection), WHOLE], await readCount(tx, collection))
  await forgetCollection(tx, place, collection)
}

async function clearSome(
  tx: RecordsTransaction,
  dropped: Dropped,
): Promise<{ cleared: number; more: boolean }> {
  const [, uid, index] = dropped
  const records = index === WHOLE ? await clearRecords(tx, uid) : { cleared: 0, bytes: 0, more: false }
  const entries = records.more
    ? { bytes: 0, more: true }
    : await clearEntries(tx, index === WHOLE ? [uid] : [uid, index])
  const freed = records.bytes + entries.bytes
  if (freed > 0) await tx.take('storedBytes', -freed)
  const more = records.more || entries.more
  if (!more) {
    tx.space(droppedSpace).clear(dropped)
    if (index === WHOLE) clearCount(tx, uid)
  }
  return { cleared: records.cleared, more }
}

async function clearRecords(
  tx: RecordsTransaction,
  uid: Buffer,
): Promise<{ cleared: number; bytes: number; more: boolean }> {
  const space = tx.chunked(recordSpace)
  const page = await space.page({ under: [uid], limit: STEP_RECORDS, maxBytes: STEP_BYTES })
  let bytes = 0
  for (const [key, value] of page.entries) {
    const record = decodeRecord(key[1], value)
    if (record.expiresMs !== null) forgetExpiry(tx, { uid: uid.toString('hex') }, record.id, record.expiresMs)
    bytes += recordBytes(record)
    space.clear(key)
  }
  return { cleared: page.entries.length, bytes, more: page.more }
}

async function clearEntries(tx: RecordsTransaction, under: Key): Promise<{ bytes: number; more: boolean }> {
  const space = tx.space(entrySpace)
  const page = await space.page({ under, limit: STEP_ENTRIES })
  let bytes = 0
  let cleared = 0
  for (const [key] of page.entries) {
    if (cleared > STEP_KEY_BYTES) return { bytes, more: true }
    // Between the collection and the index, and the record.
    const values = bytesIn(key.slice(2, -1))
    bytes += entryBytes(values)
    cleared += keyBytes(values)
    space.clear(key)
  }
  return { bytes, more: page.more }
}
