// /v1/projects/{projectId}/collections/{name}/records
import { z } from 'zod'
import type { Id } from '../../../shared/ids.ts'
import {
  notFound,
  pageLimit,
  pageOf,
  type Reply,
  type TenantOperation,
  type TenantTransaction,
  tenantOperation,
  versionTag,
} from '../../tenancy/service.ts'
import { runBatch } from './batch.ts'
import { indexRequired, requirePlan } from './chosen_index.ts'
import { findCollection, namedInTrail, type Place } from './collections.ts'
import { collectionFor } from './declare.ts'
import type { Schemas } from './json_schema.ts'
import { type Query, readQuery } from './query_plan.ts'
import { cursorAt, listName, positionOf, type RecordPage, readAll, readPlanned } from './reading.ts'
import {
  Batch,
  BatchAnswer,
  COLLECTION_NAME,
  CreateRecord,
  projectId,
  Record,
  recordId,
  UpdateRecord,
} from './schema.ts'
import { findRecord, type StoredRecord, shownRecord } from './store.ts'
import { RecordWrites } from './writing.ts'

const PATH = '/v1/projects/{projectId}/collections/{name}/records'
const all = z.object({ projectId, name: z.string().max(200) })
const one = all.extend({ id: recordId })

const listQuery = z
  .object({
    where: z
      .never()
      .optional()
      .meta({
        description:
          'where[field]=value, or where[field][gt]=value and so on with gte, lt, lte, prefix. Needs an index on the field.',
        param: { style: 'deepObject', explode: true },
        type: 'object',
        additionalProperties: true,
      }),
    limit: pageLimit,
    cursor: z.string().max(4096).optional(),
    order: z.string().max(300).optional().meta({ description: 'A field, or -field for the last one first.' }),
  })
  .catchall(z.string().max(4096))

const reply = (status: number, record: StoredRecord, headers: { [name: string]: string } = {}): Reply => ({
  status,
  body: shownRecord(record),
  headers: { etag: versionTag(record), ...headers },
})

const OF_WRITES = ['quota_exceeded', 'project_archived', 'unique_violation'] as const

export function recordOperations(schemas: Schemas): TenantOperation[] {
  /** The record's collection is made by its first record, and by nothing else here. */
  async function writesIn(tx: TenantTransaction, place: Place, makes: boolean): Promise<RecordWrites> {
    await tx.project(place.projectId, 'write')
    const collection = makes ? await collectionFor(tx, place) : await findCollection(tx, place)
    if (collection === undefined) throw notFound()
    return new RecordWrites(tx, place, collection, schemas)
  }

  return [
    tenantOperation({
      name: 'create',
      method: 'post',
      path: PATH,
      tag: 'Records',
      summary: 'Create a record; the first one makes its collection',
      scope: 'records:write',
      params: all,
      body: CreateRecord,
      answers: { 201: Record },
      problems: ['malformed_request', ...OF_WRITES],
      async handle(tx, { params, body }) {
        const writes = await writesIn(tx, params, true)
        const record = await writes.create(body)
        await writes.settle()
        const location = `/v1/projects/${params.projectId}/collections/${params.name}/records/${record.id}`
        return { ...reply(201, record, { location }), made: [record.id] }
      },
    }),
    tenantOperation({
      name: 'list',
      method: 'get',
      path: PATH,
      tag: 'Records',
      summary:
        'List or query records: where[field]=, [gt], [gte], [lt], [lte], [prefix], and order, by an index',
      scope: 'records:read',
      params: all,
      query: listQuery,
      answers: { 200: pageOf(Record) },
      problems: ['index_required', 'index_building'],
      async handle(tx, { params, query: { limit, cursor, ...parameters } }) {
        await tx.project(params.projectId, 'read')
        const collection = await findCollection(tx, params)
        const query = readQuery(parameters)
        if (collection === undefined) return emptyList(params, query)
        const plan = query && (await requirePlan(tx, collection, params, query))
        const list = listName(collection, query, plan?.index)
        const after = positionOf(list, cursor, (plan?.index.fields.length ?? 0) + 1)
        const wanted = { limit, after, nowMs: tx.context.nowMs }
        const page = plan
          ? await readPlanned(tx, collection, plan, wanted)
          : await readAll(tx, collection, wanted)
        return { status: 200, body: shownPage(list, page) }
      },
    }),
    tenantOperation({
      name: 'batch',
      method: 'post',
      path: `${PATH}:batch`,
      tag: 'Records',
      summary: 'Change up to 100 records, all or none',
      scope: 'records:write',
      params: all,
      target: namedInTrail,
      body: Batch,
      answers: { 200: BatchAnswer },
      problems: ['malformed_request', 'precondition_failed', ...OF_WRITES],
      async handle(tx, { params, body: { operations } }) {
        const writes = await writesIn(
          tx,
          params,
          operations.some(({ op = 'create' }) => op === 'create'),
        )
        const results = await runBatch(writes, operations)
        return {
          status: 200,
          body: { results: results.map(({ op, record }) => ({ op, record: record && shownRecord(record) })) },
          made: results.flatMap(({ op, record }) => (op === 'create' && record !== null ? record.id : [])),
        }
      },
    }),
    tenantOperation({
      name: 'read',
      method: 'get',
      path: `${PATH}/{id}`,
      tag: 'Records',
      summary: 'Read a record',
      scope: 'records:read',
      params: one,
      answers: { 200: Record },
      async handle(tx, { params }) {
        await tx.project(params.projectId, 'read')
        const collection = await findCollection(tx, params)
        const record = collection && (await findRecord(tx, collection, params.id, tx.context.nowMs))
        if (record === undefined) throw notFound()
        return reply(200, record)
      },
    }),
    tenantOperation({
      name: 'replace',
      method: 'put',
      path: `${PATH}/{id}`,
      tag: 'Records',
      summary: 'Replace a record’s document and expiry',
      scope: 'records:write',
      params: one,
      body: CreateRecord,
      answers: { 200: Record },
      problems: ['precondition_failed', ...OF_WRITES],
      handle: (tx, { params, body, ifMatch }) =>
        changing(tx, params, (writes) => writes.replace(params.id, ifMatch, body)),
    }),
    tenantOperation({
      name: 'update',
      method: 'patch',
      path: `${PATH}/{id}`,
      tag: 'Records',
      summary: 'Merge changes into a record (RFC 7396)',
      scope: 'records:write',
      params: one,
      body: UpdateRecord,
      answers: { 200: Record },
      problems: ['precondition_failed', ...OF_WRITES],
      handle: (tx, { params, body, ifMatch }) =>
        changing(tx, params, (writes) => writes.update(params.id, ifMatch, body)),
    }),
    tenantOperation({
      name: 'delete',
      method: 'delete',
      path: `${PATH}/{id}`,
      tag: 'Records',
      summary: 'Delete a record',
      scope: 'records:write',
      params: one,
      answers: { 204: null },
      problems: ['precondition_failed', 'project_archived'],
      async handle(tx, { params, ifMatch }) {
        const writes = await writesIn(tx, params, false)
        await writes.remove(params.id, ifMatch)
        await writes.settle()
        return { status: 204 }
      },
    }),
  ]

  async function changing(
    tx: TenantTransaction,
    place: Place & { id: Id<'rec'> },
    change: (writes: RecordWrites) => Promise<StoredRecord>,
  ): Promise<Reply> {
    const writes = await writesIn(tx, place, false)
    const record = await change(writes)
    await writes.settle()
    return reply(200, record)
  }
}

/** A collection that nobody has made yet has no records; and no indexes either. */
function emptyList({ name, ...place }: Place, query: Query | undefined): Reply {
  if (!COLLECTION_NAME.test(name)) throw notFound()
  if (query !== undefined) {
    throw indexRequired({ ...place, name }, query, { indexes: [], schemaVersion: 0 })
  }
  return { status: 200, body: { data: [], nextCursor: null } }
}

const shownPage = (list: string, { records, next }: RecordPage) => ({
  data: records.map(shownRecord),
  nextCursor: next === undefined ? null : cursorAt(list, next),
})
