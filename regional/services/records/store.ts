// Records as they are kept, and the writer that everything goes through which changes them: document, index entries,
// expiry, quota, count and event change in one commit.
import { type Id, idFromBytes } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import { chunkedSpace } from '../../tenancy/service.ts'
import {
  addToCount,
  type CollectionRecord,
  type Place,
  type RecordsTransaction,
  uidKey,
} from './collections.ts'
import { type Document, MAX_DOCUMENT_BYTES } from './document.ts'
import { type Indexed, IndexFault, recordKey, updateEntries } from './entries.ts'
import { forgetExpiry, noteExpiry } from './expiry.ts'
import { idsInOrder } from './ids_in_order.ts'
import type { ShownRecord } from './schema.ts'

export interface StoredRecord extends Indexed {
  version: number
  createdMs: number
  updatedMs: number
  /** As it is stored. */
  bytes: number
}

/** A document, and when it is to be gone. */
export interface Content {
  data: Document
  expiresMs: number | null
}

export const recordSpace = chunkedSpace<[uid: Buffer, id: Buffer]>('record')

/** What a record costs beside its document. */
const RECORD_OVERHEAD_BYTES = 150
/** Of all documents that one transaction writes. The database takes 10 MB; their index entries come on top. */
const MAX_WRITTEN_BYTES = 4 * MAX_DOCUMENT_BYTES

export const recordBytes = ({ bytes }: Pick<StoredRecord, 'bytes'>): number => bytes + RECORD_OVERHEAD_BYTES

/** As stored: the head, then the document. */
type Stored = [
  version: number,
  createdMs: number,
  updatedMs: number,
  expiresMs: number | null,
  data: Document,
]

export function decodeRecord(id: Buffer, bytes: Buffer): StoredRecord {
  const [version, createdMs, updatedMs, expiresMs, data] = JSON.parse(bytes.toString()) as Stored
  return { id: idFromBytes('rec', id), version, createdMs, updatedMs, expiresMs, data, bytes: bytes.length }
}

/** What comes before the document is shorter, and the comma behind the times is the fourth. */
const HEAD_BYTES = 100

/** When a stored record expires; its document is not read for it. */
export function expiryIn(bytes: Buffer): number | null {
  const [, , , expiresMs] = bytes.toString('latin1', 0, HEAD_BYTES).split(',', 4)
  return expiresMs === 'null' ? null : Number(expiresMs)
}

export const isLive = ({ expiresMs }: Pick<StoredRecord, 'expiresMs'>, nowMs: number): boolean =>
  expiresMs === null || expiresMs > nowMs

/** @returns undefined when there is none, or it has expired */
export async function findRecord(
  tx: RecordsTransaction,
  collection: CollectionRecord,
  id: string,
  nowMs: number,
): Promise<StoredRecord | undefined> {
  const key = recordKey(id)
  const bytes = await tx.chunked(recordSpace).get([uidKey(collection), key])
  const record = bytes && decodeRecord(key, bytes)
  return record && isLive(record, nowMs) ? record : undefined
}

export const shownRecord = ({
  id,
  data,
  version,
  createdMs,
  updatedMs,
  expiresMs,
}: StoredRecord): ShownRecord => ({
  id,
  data,
  version,
  createdAt: new Date(createdMs).toISOString(),
  updatedAt: new Date(updatedMs).toISOString(),
  ...(expiresMs !== null && { expiresAt: new Date(expiresMs).toISOString() }),
})

/** Changes records of one collection in one transaction. {@link settle} must come last. */
export class RecordWriter {
  private readonly tx: RecordsTransaction
  private readonly place: Place
  private readonly collection: CollectionRecord
  private readonly nowMs: number
  private readonly check: (document: Document) => Promise<void>
  private readonly newId: () => Id<'rec'>
  private grownBytes = 0
  private grownRecords = 0
  private writtenBytes = 0

  /** @param check throws for a document that may not be written, once it is known not to be too large */
  constructor(
    tx: RecordsTransaction,
    place: Place,
    collection: CollectionRecord,
    nowMs: number,
    check: (document: Document) => Promise<void> = async () => undefined,
  ) {
    this.check = check
    this.tx = tx
    this.place = place
    this.collection = collection
    this.nowMs = nowMs
    this.newId = idsInOrder(nowMs)
  }

  async create(content: Content): Promise<StoredRecord> {
    const { nowMs } = this
    const head = { id: this.newId(), version: 1, createdMs: nowMs, updatedMs: nowMs }
    const record = await this.write(undefined, { ...head, ...content })
    this.grownRecords++
    this.tell('created', record)
    return record
  }

  async replace(before: StoredRecord, content: Content): Promise<StoredRecord> {
    const { id, createdMs, version } = before
    const head = { id, version: version + 1, createdMs, updatedMs: this.nowMs }
    const record = await this.write(before, { ...head, ...content })
    this.tell('updated', record)
    return record
  }

  async remove(before: StoredRecord): Promise<void> {
    this.grownBytes += await updateEntries(this.tx, this.collection, before, undefined, this.nowMs)
    this.tx.chunked(recordSpace).clear([uidKey(this.collection), recordKey(before.id)])
    if (before.expiresMs !== null) forgetExpiry(this.tx, this.collection, before.id, before.expiresMs)
    this.grownBytes -= recordBytes(before)
    this.grownRecords--
    this.tell('deleted', before)
  }

  /** @throws {Problem} `quota_exceeded` */
  async settle(): Promise<void> {
    addToCount(this.tx, this.collection, this.grownRecords)
    if (this.grownBytes !== 0) await this.tx.take('storedBytes', this.grownBytes)
  }

  private async write(
    before: StoredRecord | undefined,
    record: Omit<StoredRecord, 'bytes'>,
  ): Promise<StoredRecord> {
    const { id, version, createdMs, updatedMs, expiresMs, data } = record
    const text = JSON.stringify(data)
    this.requireSize(Buffer.byteLength(text))
    await this.check(data)
    const value = Buffer.from(`[${version},${createdMs},${updatedMs},${expiresMs},${text}]`)
    const after = { ...record, bytes: value.length }
    this.grownBytes += await updateEntries(this.tx, this.collection, before, after, this.nowMs).catch(
      explained,
    )
    this.tx.chunked(recordSpace).set([uidKey(this.collection), recordKey(id)], value)
    if (before?.expiresMs !== expiresMs) {
      if (before !== undefined && before.expiresMs !== null) {
        forgetExpiry(this.tx, this.collection, id, before.expiresMs)
      }
      if (expiresMs !== null) await noteExpiry(this.tx, this.place, this.collection, id, expiresMs)
    }
    this.grownBytes += recordBytes(after) - (before === undefined ? 0 : recordBytes(before))
    return after
  }

  /** Where the record is and which version it has: the document itself is for those to read who may. */
  private tell(what: 'created' | 'updated' | 'deleted', { id, version }: StoredRecord): void {
    const { projectId, name } = this.place
    this.tx.emit(`record.${what}`, id, { project: projectId, collection: name, version })
  }

  private requireSize(bytes: number): void {
    if (bytes > MAX_DOCUMENT_BYTES) {
      throw new Problem(
        'body_too_large',
        `The document has ${bytes} bytes; ${MAX_DOCUMENT_BYTES} are allowed.`,
      )
    }
    this.writtenBytes += bytes
    if (this.writtenBytes > MAX_WRITTEN_BYTES) {
      throw new Problem(
        'body_too_large',
        `The documents that the request writes have more than ${MAX_WRITTEN_BYTES} bytes together.`,
      )
    }
  }
}

const explained = (error: unknown): never => {
  throw error instanceof IndexFault ? error.problem : error
}
