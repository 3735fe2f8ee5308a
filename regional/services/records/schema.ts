// Collections and records: what clients send and see.
import { z } from 'zod'
import { changesSomething, idSchema, sentTimeSchema, timeSchema } from '../../schemas.ts'
import { type Document, documentFault, isDocument } from './document.ts'
import { isFieldPath } from './field_path.ts'
import { INDEX_TYPES } from './index_key.ts'
import type { IndexedField } from './query_plan.ts'

export const projectId = idSchema('prj')
export const recordId = idSchema('rec')

export const COLLECTION_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
const MAX_INDEXES = 20
export const MAX_INDEX_FIELDS = 4
/** Of the names of all fields of a collection's indexes: every write of a record reads them. */
const MAX_NAME_BYTES = 8 * 1024
export const MAX_BATCH = 100

/** JSON as it came. No schema of its own parts: that would leave out a field called `__proto__`. */
function documentSchema(description: string) {
  return z
    .custom<Document>(isDocument, 'is not a JSON object')
    .superRefine((value, context) => {
      const fault = documentFault(value)
      if (fault !== undefined)
        context.addIssue({ code: 'custom', path: itemsOf(fault.pointer), message: fault.detail })
    })
    .meta({ type: 'object', additionalProperties: true, description })
}

const itemsOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((item) => item.replaceAll('~1', '/').replaceAll('~0', '~'))

const field = z
  .string()
  .refine(isFieldPath, 'does not name a field, such as address.city')
  .meta({ description: 'A field of the document; dots lead into objects.', example: 'address.city' })
const indexedField = z.strictObject({ field, type: z.enum(INDEX_TYPES) })
const unique = z.boolean().meta({ description: 'No two records may have the same value.' })

export const IndexDeclaration = z
  .union([
    z.strictObject({ ...indexedField.shape, unique: unique.default(false) }),
    z.strictObject({
      fields: z.array(indexedField).min(1).max(MAX_INDEX_FIELDS),
      unique: unique.default(false),
    }),
  ])
  .meta({ id: 'IndexDeclaration' })
export type IndexDeclaration = z.infer<typeof IndexDeclaration>

export const fieldsOf = (index: IndexDeclaration): IndexedField[] =>
  'fields' in index ? index.fields : [{ field: index.field, type: index.type }]

/** The bytes of the names of all fields of these indexes. */
export const nameBytes = (indexes: ReadonlyArray<{ fields: ReadonlyArray<IndexedField> }>): number =>
  indexes.flatMap(({ fields }) => fields).reduce((sum, { field }) => sum + Buffer.byteLength(field), 0)

export const DeclareCollection = z
  .strictObject({
    indexes: z
      .array(IndexDeclaration)
      .max(MAX_INDEXES)
      .refine(
        (indexes) => nameBytes(indexes.map((each) => ({ fields: fieldsOf(each) }))) <= MAX_NAME_BYTES,
        `names fields with more than ${MAX_NAME_BYTES} bytes together`,
      )
      .default([]),
    schema: documentSchema('JSON Schema 2020-12 that every document must fit.')
      .nullable()
      .default(null)
      .meta({ type: ['object', 'null'] }),
  })
  .meta({ id: 'DeclareCollection' })
export type DeclareCollection = z.infer<typeof DeclareCollection>

const Index = z
  .object({
    fields: z.array(z.object({ field: z.string(), type: z.enum(INDEX_TYPES) })),
    unique: z.boolean(),
    state: z
      .enum(['building', 'ready', 'failed'])
      .meta({ description: 'Queries use an index once it is ready.' }),
    job: idSchema('job').nullable().meta({ description: 'What builds it, or built it.' }),
    error: z
      .object({
        code: z.enum(['unique_violation', 'value_too_long', 'quota_exceeded']),
        detail: z.string(),
        records: z.array(recordId),
      })
      .nullable()
      .meta({
        description: 'Why it could not be built; null, too, where its job was cancelled or given up.',
      }),
  })
  .meta({ id: 'Index' })
export type Index = z.infer<typeof Index>

export const Collection = z
  .object({
    name: z.string(),
    indexes: z.array(Index),
    schema: z.record(z.string(), z.unknown()).nullable(),
    records: z.int().meta({ description: 'How many there are.' }),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'Collection' })

const data = documentSchema('The document: any JSON object up to 1 MiB.')
const expiresAt = sentTimeSchema.meta({ description: 'The record is gone from then on. RFC 3339, UTC' })

export const Record = z
  .object({
    id: recordId,
    data: z.record(z.string(), z.unknown()),
    version: z.int(),
    createdAt: timeSchema,
    updatedAt: timeSchema,
    expiresAt: timeSchema.optional(),
  })
  .meta({ id: 'Record' })
export interface ShownRecord {
  id: string
  data: Document
  version: number
  createdAt: string
  updatedAt: string
  expiresAt?: string
}

export const CreateRecord = z
  .strictObject({ data, expiresAt: expiresAt.nullable().optional() })
  .meta({ id: 'CreateRecord' })

/** `data` is merged into the document (RFC 7396), so a null takes its field out. */
const patch = {
  data: documentSchema('Merged into the document: null removes a field (RFC 7396).').optional(),
  expiresAt: expiresAt.nullable().optional(),
}
export const UpdateRecord = z
  .strictObject(patch)
  .refine(...changesSomething)
  .meta({ id: 'UpdateRecord' })

const ifMatch = z.string().max(1000).optional().meta({ description: 'As the header If-Match.' })
export const BatchOperation = z
  .discriminatedUnion('op', [
    z.strictObject({ op: z.literal('create').optional(), ...CreateRecord.shape }),
    z.strictObject({ op: z.literal('replace'), id: recordId, ...CreateRecord.shape, ifMatch }),
    z
      .strictObject({ op: z.literal('update'), id: recordId, ...patch, ifMatch })
      .refine(
        ({ data, expiresAt }) => data !== undefined || expiresAt !== undefined,
        'says nothing to change',
      ),
    z.strictObject({ op: z.literal('delete'), id: recordId, ifMatch }),
  ])
  .meta({ id: 'BatchOperation' })
export type BatchOperation = z.infer<typeof BatchOperation>

export const Batch = z
  .strictObject({ operations: z.array(BatchOperation).min(1).max(MAX_BATCH) })
  .meta({ id: 'Batch' })

export const BatchAnswer = z
  .object({
    results: z.array(
      z.object({
        op: z.enum(['create', 'replace', 'update', 'delete']),
        record: Record.nullable().meta({ description: 'Null for a delete.' }),
      }),
    ),
  })
  .meta({ id: 'BatchAnswer' })
