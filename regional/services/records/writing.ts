// What a request does to one record, for the single routes and the batch alike.
import type { Id } from '../../../shared/ids.ts'
import { type FieldError, Problem } from '../../../shared/problems.ts'
import { notFound, requireMatch, type TenantTransaction, versionTag } from '../../tenancy/service.ts'
import { type CollectionRecord, type Place, readSchema } from './collections.ts'
import { type Document, documentFault, isDocument, MAX_DOCUMENT_BYTES } from './document.ts'
import { type ChecksOfRequest, type Schemas, timeUsedUp } from './json_schema.ts'
import { mergePatch } from './merge_patch.ts'
import { findRecord, RecordWriter, type StoredRecord } from './store.ts'

export interface SentContent {
  data: Document
  expiresAt?: string | null | undefined
}
export interface SentChanges {
  data?: Document | undefined
  expiresAt?: string | null | undefined
}

/** Of all documents that one request reads to change or delete them: what it reads, others wait for. */
const MAX_READ_BYTES = 16 * MAX_DOCUMENT_BYTES

/** The writing side of one request in one collection. */
export class RecordWrites {
  private readonly tx: TenantTransaction
  private readonly place: Place
  private readonly collection: CollectionRecord
  private readonly schemas: Schemas
  private readonly writer: RecordWriter
  private readonly checks: ChecksOfRequest = { ms: 0 }
  private readBytes = 0

  constructor(tx: TenantTransaction, place: Place, collection: CollectionRecord, schemas: Schemas) {
    this.tx = tx
    this.place = place
    this.collection = collection
    this.schemas = schemas
    this.writer = new RecordWriter(tx, place, collection, tx.context.nowMs, (data) => this.requireFit(data))
  }

  async create({ data, expiresAt }: SentContent): Promise<StoredRecord> {
    return this.writer.create({ data, expiresMs: this.expiry(expiresAt) })
  }

  async replace(
    id: Id<'rec'>,
    ifMatch: string | undefined,
    { data, expiresAt }: SentContent,
  ): Promise<StoredRecord> {
    const before = await this.read(id, ifMatch)
    return this.writer.replace(before, { data, expiresMs: this.expiry(expiresAt) })
  }

  /** Re-reads the record in the transaction that writes it, so that no other change is lost. */
  async update(
    id: Id<'rec'>,
    ifMatch: string | undefined,
    { data, expiresAt }: SentChanges,
  ): Promise<StoredRecord> {
    const before = await this.read(id, ifMatch)
    const merged = data === undefined ? before.data : mergePatch(before.data, data)
    if (!isDocument(merged)) throw new Error('a patch that is an object makes an object')
    // Two documents may be deeper together than each of them.
    const fault = documentFault(merged)
    if (fault !== undefined) throw unfit([{ ...fault, pointer: `/data${fault.pointer}` }])
    const expiresMs = expiresAt === undefined ? before.expiresMs : this.expiry(expiresAt)
    return this.writer.replace(before, { data: merged, expiresMs })
  }

  async remove(id: Id<'rec'>, ifMatch: string | undefined): Promise<void> {
    await this.writer.remove(await this.read(id, ifMatch))
  }

  settle(): Promise<void> {
    return this.writer.settle()
  }

  private async read(id: Id<'rec'>, ifMatch: string | undefined): Promise<StoredRecord> {
    const record = await findRecord(this.tx, this.collection, id, this.tx.context.nowMs)
    if (record === undefined) throw notFound()
    this.readBytes += record.bytes
    if (this.readBytes > MAX_READ_BYTES) {
      throw new Problem(
        'body_too_large',
        `The documents that the request changes and deletes have more than ${MAX_READ_BYTES} bytes together: send fewer at once.`,
      )
    }
    requireMatch(ifMatch, versionTag(record))
    return record
  }

  private expiry(expiresAt: string | null | undefined): number | null {
    if (expiresAt === undefined || expiresAt === null) return null
    const expiresMs = Date.parse(expiresAt)
    if (expiresMs > this.tx.context.nowMs) return expiresMs
    throw unfit([{ pointer: '/expiresAt', detail: 'is not in the future' }])
  }

  private async requireFit(document: Document): Promise<void> {
    const { uid, schemaVersion: version } = this.collection
    if (version === 0) return
    const owner = { tenant: this.tx.context.tenant, uid, version }
    const verdict = await this.schemas.check(
      owner,
      () => readSchema(this.tx, this.place),
      document,
      this.checks,
    )
    if (verdict.fits === true) return
    if (verdict.fits === false) throw unfit(verdict.errors)
    if (verdict.fits === 'not_now') throw timeUsedUp(verdict.waitS)
    throw unfit([{ pointer: '/data', detail: UNCHECKED[verdict.fits] }])
  }
}

const UNCHECKED = {
  too_slow: 'takes too long to check: the collection’s schema is too complex',
  too_much: 'takes too long to check together with those before it: send fewer at once',
  endless: 'can’t be checked: the collection’s schema refers to itself without end',
}

const unfit = (errors: ReadonlyArray<FieldError>): Problem =>
  new Problem('validation_failed', 'The document can’t be stored like this. `errors` says why.', { errors })
