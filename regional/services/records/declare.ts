// Declaring a collection: which indexes it has, and which schema. What is new and has records to be found is built in the
// background; what is no longer named is cleared there.
import { Problem } from '../../../shared/problems.ts'
import type { TenantTransaction } from '../../tenancy/service.ts'
import { buildIndexes, isBeingBuilt } from './build.ts'
import { clearIndex } from './clear.ts'
import {
  type CollectionRecord,
  findCollection,
  type IndexRecord,
  newCollection,
  type Place,
  readSchema,
  uidKey,
  writeCollection,
  writeSchema,
} from './collections.ts'
import type { Schemas } from './json_schema.ts'
import type { IndexedField } from './query_plan.ts'
import { type DeclareCollection, fieldsOf, type IndexDeclaration, nameBytes } from './schema.ts'
import { recordSpace } from './store.ts'

export interface Declared {
  collection: CollectionRecord
  schema: object | null
}

interface Wanted {
  fields: IndexedField[]
  unique: boolean
}

const wantedIndex = (index: IndexDeclaration): Wanted => ({ fields: fieldsOf(index), unique: index.unique })

const nameOf = ({ fields, unique }: Wanted): string =>
  JSON.stringify([fields.map(({ field, type }) => [field, type]), unique])

/** The places in a list of what stands before it already. */
const repeated = (names: ReadonlyArray<string>): number[] =>
  [...names.keys()].filter((i) => names.indexOf(names[i] ?? '') < i)

/**
 * @throws {Problem} `validation_failed` where an index is named twice, which would share its entries, or a field twice in
 * one, which no query asks for
 */
function requireDistinct(wanted: ReadonlyArray<Wanted>): void {
  const twiceIn = ({ fields }: Wanted, i: number) =>
    repeated(fields.map(({ field }) => field)).map((j) => ({
      pointer: `/indexes/${i}/fields/${j}/field`,
      detail: `names ${fields[j]?.field} a second time`,
    }))
  const errors = [
    ...repeated(wanted.map(nameOf)).map((i) => ({ pointer: `/indexes/${i}`, detail: 'is declared twice' })),
    ...wanted.flatMap(twiceIn),
  ]
  if (errors.length === 0) return
  const detail = 'A collection has each of its indexes once, and an index each of its fields.'
  throw new Problem('validation_failed', detail, { errors })
}

/**
 * @param before as it was read in this transaction
 * @throws {Problem} `validation_failed`, `malformed_request`, `quota_exceeded`
 */
export async function declareCollection(
  tx: TenantTransaction,
  place: Place,
  before: CollectionRecord | undefined,
  { indexes, schema }: DeclareCollection,
  schemas: Schemas,
): Promise<Declared> {
  const { nowMs } = tx.context
  const schemaBefore = before === undefined ? undefined : await readSchema(tx, place)
  const sameSchema = JSON.stringify(schemaBefore ?? null) === JSON.stringify(schema)
  // One that it has was taken before, and is not compiled for nothing.
  if (schema !== null && !sameSchema) schemas.accept(tx.context.tenant, schema)
  const wanted = indexes.map(wantedIndex)
  requireDistinct(wanted)
  const collection = before ?? (await newCollection(tx, place, nowMs))
  const kept = new Map<string, IndexRecord>()
  for (const index of collection.indexes) {
    // Not one that failed, or whose builder has ended: declaring those again is to try again.
    if (index.state === 'ready' || (await isBeingBuilt(tx, index))) kept.set(nameOf(index), index)
  }
  const isEmpty = before === undefined || (await hasNoRecords(tx, collection))
  let { nextIndex } = collection
  const after = wanted.map((index): IndexRecord => {
    const known = kept.get(nameOf(index))
    if (known !== undefined) return known
    const state = isEmpty ? ('ready' as const) : ('building' as const)
    return { number: nextIndex++, ...index, state, job: null, error: null }
  })
  const fresh = after.filter(({ state, job }) => state === 'building' && job === null)
  if (fresh.length > 0) {
    const numbers = fresh.map(({ number }) => number)
    const job = tx.enqueue(buildIndexes, { ...place, uid: collection.uid, numbers })
    for (const index of fresh) index.job = job
  }
  for (const index of collection.indexes) {
    if (!after.includes(index)) clearIndex(tx, place.projectId, collection, index)
  }
  const unchanged = before !== undefined && sameSchema && isSame(before.indexes, after)
  if (unchanged) return { collection: before, schema }
  const schemaBytes = sameSchema ? collection.schemaBytes : writeSchema(tx, place, schema)
  const names = nameBytes(after)
  const { nameBytes: namesBefore = 0, schemaBytes: bytesBefore = 0 } = collection
  // At once: where one shrinks by more than the other grows, a full quota is in nobody's way.
  const grown = names - namesBefore + (schemaBytes ?? 0) - bytesBefore
  if (grown !== 0) await tx.take('storedBytes', grown)
  const version = before === undefined ? 1 : before.version + 1
  const schemaVersion = sameSchema ? collection.schemaVersion : schema === null ? 0 : version
  const declared = {
    ...collection,
    indexes: after,
    nextIndex,
    nameBytes: names,
    schemaVersion,
    ...(schemaBytes !== undefined && { schemaBytes }),
    version,
    updatedMs: nowMs,
  }
  writeCollection(tx, place, declared)
  tx.emit(before === undefined ? 'collection.created' : 'collection.updated', place.name, {
    project: place.projectId,
  })
  return { collection: declared, schema }
}

/** The collection, made if need be: the first record makes it. */
export async function collectionFor(tx: TenantTransaction, place: Place): Promise<CollectionRecord> {
  const found = await findCollection(tx, place)
  if (found !== undefined) return found
  const collection = await newCollection(tx, place, tx.context.nowMs)
  writeCollection(tx, place, collection)
  tx.emit('collection.created', place.name, { project: place.projectId })
  return collection
}

/** What is written meanwhile conflicts with this reading, or comes after it. */
async function hasNoRecords(tx: TenantTransaction, collection: CollectionRecord): Promise<boolean> {
  const under = [uidKey(collection)]
  const { entries } = await tx.chunked(recordSpace).page({ under, limit: 1, maxBytes: 1 })
  return entries.length === 0
}

const isSame = (before: ReadonlyArray<IndexRecord>, after: ReadonlyArray<IndexRecord>): boolean =>
  before.length === after.length && before.every((index, i) => index === after[i])
