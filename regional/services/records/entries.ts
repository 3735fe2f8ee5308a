// The entries of indexes: a key for each record in each index, (collection, index, values…, record). They change in the
// commit of the record itself. A unique index is one whose values are looked up before each entry is written; two
// writers of the same value conflict over that reading.
import { type Id, idBytes, idFromBytes } from '../../../shared/ids.ts'
import { type FieldError, Problem } from '../../../shared/problems.ts'
import { jsonPointer, jsonSpace, type Key } from '../../tenancy/service.ts'
import { type CollectionRecord, type IndexRecord, type RecordsTransaction, uidKey } from './collections.ts'
import type { Document } from './document.ts'
import { valueAt } from './field_path.ts'
import { keyOf, MAX_INDEXED_BYTES } from './index_key.ts'

/** What of a record an index knows. */
export interface Indexed {
  id: Id<'rec'>
  data: Document
  expiresMs: number | null
}

/** The value is when the record expires, so that a query need not read those that have. */
export const entrySpace = jsonSpace<Key, number | null>('entry')

/** What an entry's key costs beside its values. */
const ENTRY_OVERHEAD_BYTES = 100
const UNIQUE_PAGE = 100

export const entryBytes = (values: ReadonlyArray<Buffer>): number =>
  values.reduce((sum, { length }) => sum + length, ENTRY_OVERHEAD_BYTES)

/** The bytes of an entry's key as it is stored, in which each zero of a value is two (tuple layer). */
export const keyBytes = (values: ReadonlyArray<Buffer>): number =>
  values.reduce((sum, value) => sum + value.filter((byte) => byte === 0).length, entryBytes(values))

export const recordKey = (id: string): Buffer => {
  const bytes = idBytes('rec', id)
  if (bytes === undefined) throw new RangeError(`not a record’s id: ${id}`)
  return Buffer.from(bytes)
}

/** The values and ids of a key: all of it that is bytes. */
export const bytesIn = (key: Key): Buffer[] => key.filter((item): item is Buffer => Buffer.isBuffer(item))

export const indexKey = (collection: CollectionRecord, { number }: IndexRecord): Key => [
  uidKey(collection),
  number,
]

/** Something of a record that an index can't hold, as the tenant is told. */
export class IndexFault extends Error {
  readonly code: 'unique_violation' | 'value_too_long'
  readonly faults: ReadonlyArray<FieldError>
  /** The record whose value it is already. */
  readonly other: Id<'rec'> | undefined

  constructor(code: IndexFault['code'], { fields }: IndexRecord, detail: string, other?: Id<'rec'>) {
    super(detail)
    this.code = code
    this.faults = fields.map(({ field }) => ({ pointer: jsonPointer(['data', ...field.split('.')]), detail }))
    this.other = other
  }

  get problem(): Problem {
    const code = this.code === 'unique_violation' ? 'unique_violation' : 'validation_failed'
    return new Problem(code, `An index does not allow this: ${this.message}.`, { errors: this.faults })
  }
}

/**
 * The values of a record in an index; undefined when it lacks one, or has one of another type.
 * @throws {IndexFault} when they are too long
 */
export function indexedValues(index: IndexRecord, data: Document): Buffer[] | undefined {
  const values: Buffer[] = []
  for (const { field, type } of index.fields) {
    const key = keyOf(type, valueAt(data, field))
    if (key === undefined) return undefined
    values.push(key)
  }
  const bytes = values.reduce((sum, { length }) => sum + length, 0)
  if (bytes > MAX_INDEXED_BYTES) {
    throw new IndexFault('value_too_long', index, `has more than ${MAX_INDEXED_BYTES} bytes, and is indexed`)
  }
  return values
}

/** @throws {IndexFault} when another record that lives has the same values */
export async function requireUnique(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  index: IndexRecord,
  values: ReadonlyArray<Buffer>,
  own: Buffer,
  nowMs: number,
): Promise<void> {
  const under = [...indexKey(collection, index), ...values]
  for (let after: Key | undefined, more = true; more; ) {
    const page = await tx.space(entrySpace).page({ under, limit: UNIQUE_PAGE, after })
    for (const [key, expiresMs] of page.entries) {
      const id = key.at(-1)
      if (!(id instanceof Buffer) || id.equals(own) || (expiresMs !== null && expiresMs <= nowMs)) continue
      throw new IndexFault(
        'unique_violation',
        index,
        'is the value of another record',
        idFromBytes('rec', id),
      )
    }
    more = page.more
    after = page.entries.at(-1)?.[0]
  }
}

/**
 * Brings the entries of one record up to date.
 * @returns by how many bytes they grew
 * @throws {IndexFault}
 */
export async function updateEntries(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  before: Indexed | undefined,
  after: Indexed | undefined,
  nowMs: number,
): Promise<number> {
  const id = after?.id ?? before?.id
  if (id === undefined) return 0
  const own = recordKey(id)
  const entries = tx.space(entrySpace)
  const cleared: Key[] = []
  const written: Key[] = []
  let grown = 0
  for (const index of collection.indexes) {
    // Of one that failed, everything is cleared in the background.
    if (index.state === 'failed') continue
    const old = before && indexedOrTooLong(index, before.data)
    const fresh = after && indexedValues(index, after.data)
    const at = (values: ReadonlyArray<Buffer>): Key => [...indexKey(collection, index), ...values, own]
    const same = old !== undefined && fresh !== undefined && old.every((value, i) => fresh[i]?.equals(value))
    if (same && index.state === 'ready' && before?.expiresMs === after?.expiresMs) continue
    if (old !== undefined) {
      // While it is being built, nobody knows whether the builder has been here.
      const isThere = index.state === 'ready' || (await entries.get(at(old))) !== undefined
      if (isThere) {
        cleared.push(at(old))
        grown -= entryBytes(old)
      }
    }
    if (fresh !== undefined && after !== undefined) {
      if (index.unique) await requireUnique(tx, collection, index, fresh, own, nowMs)
      written.push(at(fresh))
      grown += entryBytes(fresh)
    }
  }
  // Once all indexes allow it: of what one refuses, nothing is in the way of what else a batch has to say.
  for (const key of cleared) entries.clear(key)
  if (after !== undefined) for (const key of written) entries.set(key, after.expiresMs)
  return grown
}

/** Of a record that is there already: where its values are too long, a builder that is under way will say so. */
export function indexedOrTooLong(index: IndexRecord, data: Document): Buffer[] | undefined {
  try {
    return indexedValues(index, data)
  } catch (error) {
    if (error instanceof IndexFault) return undefined
    throw error
  }
}
