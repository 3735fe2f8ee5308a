// Collections as they are kept. Everything in one lies under its `uid`, not its name: so one that was deleted and one
// that is made again with its name have nothing in common, and the old one can be cleared in the background.
//
// Every write of a record reads its collection's entry. So declaring an index conflicts with the writes in flight, and
// each write after its commit keeps the index.
import { randomBytes } from 'node:crypto'
import type { Id } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import { counterSpace, jsonSpace, type Page, type TenantTransaction } from '../../tenancy/service.ts'
import type { IndexedField } from './query_plan.ts'
import type { Index } from './schema.ts'
import { COLLECTION_NAME } from './schema.ts'

/** What a request's transaction and a job's both offer. */
export type RecordsTransaction = Pick<
  TenantTransaction,
  'space' | 'chunked' | 'counters' | 'take' | 'emit' | 'enqueue' | 'hasten'
>

/** Where a collection is. */
export interface Place {
  projectId: string
  name: string
}

/** What the audit trail calls a collection: it has no id that anybody knows. */
export const namedInTrail = ({ projectId, name }: Readonly<Record<string, string>>): string =>
  `${projectId}/${name}`

export interface IndexRecord {
  /** Its entries stand under it; never used again in this collection. */
  number: number
  fields: IndexedField[]
  unique: boolean
  state: Index['state']
  job: Id<'job'> | null
  error: Index['error']
}

export interface CollectionRecord {
  /** Sixteen hexadecimal digits. */
  uid: string
  indexes: IndexRecord[]
  nextIndex: number
  /** The collection's version when it got its schema; 0 while there is none. */
  schemaVersion: number
  /** What its schema takes of `storedBytes`. Older ones were charged nothing. */
  schemaBytes?: number
  /** What the names of its indexed fields take of it. Older ones were charged nothing. */
  nameBytes?: number
  version: number
  createdMs: number
  updatedMs: number
}

const MAX_COLLECTIONS = 1_000

const collectionSpace = jsonSpace<[projectId: string, name: string], CollectionRecord>('collection')
const schemaSpace = jsonSpace<[projectId: string, name: string], object>('schema')
/** How many collections a project has. */
const collectionsSpace = counterSpace<[projectId: string]>('collections')
/** How many records a collection has. */
const countSpace = counterSpace<[uid: Buffer]>('count')

export const uidKey = ({ uid }: Pick<CollectionRecord, 'uid'>): Buffer => Buffer.from(uid, 'hex')

export async function findCollection(
  tx: RecordsTransaction,
  { projectId, name }: Place,
): Promise<CollectionRecord | undefined> {
  const kept = await tx.space(collectionSpace).get([projectId, name])
  return kept && withEachIndexOnce(kept)
}

export async function listCollections(
  tx: RecordsTransaction,
  projectId: string,
  limit: number,
  after: string | undefined,
): Promise<Page<[projectId: string, name: string], CollectionRecord>> {
  const { entries, more } = await tx.space(collectionSpace).page({
    under: [projectId],
    limit,
    after: after === undefined ? undefined : [projectId, after],
  })
  return { entries: entries.map(([key, kept]) => [key, withEachIndexOnce(kept)]), more }
}

/** Older ones may hold one index several times, from when it could be declared so. */
const withEachIndexOnce = (kept: CollectionRecord): CollectionRecord => ({
  ...kept,
  indexes: [...new Map(kept.indexes.map((index) => [index.number, index])).values()],
})

export function writeCollection(
  tx: RecordsTransaction,
  { projectId, name }: Place,
  collection: CollectionRecord,
): void {
  tx.space(collectionSpace).set([projectId, name], collection)
}

/**
 * Makes an empty collection, counted, and for the caller to write.
 * @throws {Problem} `malformed_request` for a name that a collection can't have, `quota_exceeded`
 */
export async function newCollection(
  tx: RecordsTransaction,
  { projectId, name }: Place,
  nowMs: number,
): Promise<CollectionRecord> {
  if (!COLLECTION_NAME.test(name)) {
    throw new Problem(
      'malformed_request',
      'A collection’s name has 1 to 64 of the characters a–z, A–Z, 0–9, _ and -, and begins with a letter or digit.',
    )
  }
  if ((await countCollections(tx, projectId)) >= MAX_COLLECTIONS) {
    throw new Problem('quota_exceeded', `A project has at most ${MAX_COLLECTIONS} collections.`)
  }
  tx.counters(collectionsSpace).add([projectId], 1)
  return {
    uid: randomBytes(8).toString('hex'),
    indexes: [],
    nextIndex: 1,
    schemaVersion: 0,
    version: 1,
    createdMs: nowMs,
    updatedMs: nowMs,
  }
}

async function countCollections(tx: RecordsTransaction, projectId: string): Promise<number> {
  const counted = await tx.counters(collectionsSpace).get([projectId])
  if (counted !== undefined) return counted
  // Nobody counted in older versions.
  const { entries } = await listCollections(tx, projectId, MAX_COLLECTIONS, undefined)
  tx.counters(collectionsSpace).set([projectId], entries.length)
  return entries.length
}

/** Of a project that is deleted. */
export const forgetCollections = (tx: RecordsTransaction, projectId: string): void =>
  tx.counters(collectionsSpace).clear([projectId])

/** Forgets a collection; what lies in it is no longer to be found, and for the caller to have cleared. */
export async function forgetCollection(
  tx: RecordsTransaction,
  place: Place,
  collection: CollectionRecord,
): Promise<void> {
  const { nameBytes = 0, schemaBytes = 0 } = collection
  const counts = tx.counters(collectionsSpace)
  if ((await counts.get([place.projectId])) !== undefined) counts.add([place.projectId], -1)
  tx.space(collectionSpace).clear([place.projectId, place.name])
  writeSchema(tx, place, null)
  if (nameBytes + schemaBytes > 0) await tx.take('storedBytes', -nameBytes - schemaBytes)
}

/** Apart from the collection, so that a write whose process knows the schema reads little. */
export const readSchema = (tx: RecordsTransaction, { projectId, name }: Place): Promise<object | undefined> =>
  tx.space(schemaSpace).get([projectId, name])

/**
 * In the place of the one that the collection has.
 * @returns what it counts of `storedBytes`: the difference is for whoever writes it to take
 */
export function writeSchema(
  tx: RecordsTransaction,
  { projectId, name }: Place,
  schema: object | null,
): number {
  if (schema === null) tx.space(schemaSpace).clear([projectId, name])
  else tx.space(schemaSpace).set([projectId, name], schema)
  return schema === null ? 0 : Buffer.byteLength(JSON.stringify(schema))
}

/** Seen by the way: no writer conflicts with whoever reads it. */
export const readCount = async (tx: RecordsTransaction, collection: CollectionRecord): Promise<number> =>
  (await tx.counters(countSpace).peek([uidKey(collection)])) ?? 0

/** Reads nothing, so that writers of one collection do not conflict over it. */
export function addToCount(tx: RecordsTransaction, collection: CollectionRecord, amount: number): void {
  if (amount !== 0) tx.counters(countSpace).add([uidKey(collection)], amount)
}

export const clearCount = (tx: RecordsTransaction, uid: Buffer): void => tx.counters(countSpace).clear([uid])
