// /v1/projects/{projectId}/collections
import { z } from 'zod'
import { idSchema } from '../../schemas.ts'
import {
  type Key,
  notFound,
  type Page,
  pageBody,
  pageOf,
  pageQuery,
  type Reply,
  readCursor,
  requireMatch,
  type TenantOperation,
  type TenantTransaction,
  tenantOperation,
} from '../../tenancy/service.ts'
import { presentIndexes } from './build.ts'
import { dropCollection } from './clear.ts'
import {
  type CollectionRecord,
  findCollection,
  listCollections,
  namedInTrail,
  type Place,
  readCount,
  readSchema,
} from './collections.ts'
import { declareCollection } from './declare.ts'
import type { Schemas } from './json_schema.ts'
import { Collection, DeclareCollection, projectId } from './schema.ts'

const LIST = 'collections'
const MAX_PAGE_BYTES = 4 * 1024 * 1024
const below = z.object({ projectId })
const one = z.object({ projectId, name: z.string().max(200) })

const etagOf = ({ uid, version }: CollectionRecord): string => `"${uid}-${version}"`

async function shown(
  tx: TenantTransaction,
  { name }: Pick<Place, 'name'>,
  collection: CollectionRecord,
  schema: object | null,
) {
  const indexes = await presentIndexes(tx, collection.indexes)
  return {
    name,
    indexes: indexes.map(({ fields, unique, state, job, error }) => ({
      fields,
      unique,
      state,
      job,
      error,
    })),
    schema,
    records: await readCount(tx, collection),
    createdAt: new Date(collection.createdMs).toISOString(),
    updatedAt: new Date(collection.updatedMs).toISOString(),
  }
}

async function reply(
  tx: TenantTransaction,
  status: number,
  place: Place,
  collection: CollectionRecord,
  schema: object | null,
): Promise<Reply> {
  return {
    status,
    body: await shown(tx, place, collection, schema),
    headers: { etag: etagOf(collection) },
  }
}

/** A page that ends early where it would be too large; one entry it has in any case. */
function fitting<K extends Key, V>({ entries, more }: Page<K, V>): Page<K, V> {
  let bytes = 0
  const end = entries.findIndex(([, value], i) => {
    bytes += Buffer.byteLength(JSON.stringify(value))
    return i > 0 && bytes > MAX_PAGE_BYTES
  })
  return end < 0 ? { entries, more } : { entries: entries.slice(0, end), more: true }
}

const schemaOf = async (tx: TenantTransaction, place: Place, { schemaVersion }: CollectionRecord) =>
  schemaVersion === 0 ? null : ((await readSchema(tx, place)) ?? null)

export const collectionOperations = (schemas: Schemas): TenantOperation[] => [
  tenantOperation({
    name: 'declare-collection',
    method: 'put',
    path: '/v1/projects/{projectId}/collections/{name}',
    tag: 'Collections',
    summary: 'Declare a collection: its indexes and its schema',
    scope: 'collections:write',
    params: one,
    target: namedInTrail,
    body: DeclareCollection,
    answers: { 200: Collection, 201: Collection },
    problems: ['malformed_request', 'precondition_failed', 'project_archived', 'quota_exceeded'],
    async handle(tx, { params, body, ifMatch }) {
      await tx.project(params.projectId, 'write')
      const before = await findCollection(tx, params)
      requireMatch(ifMatch, before && etagOf(before))
      const { collection, schema } = await declareCollection(tx, params, before, body, schemas)
      return reply(tx, before === undefined ? 201 : 200, params, collection, schema)
    },
  }),
  tenantOperation({
    name: 'list-collections',
    method: 'get',
    path: '/v1/projects/{projectId}/collections',
    tag: 'Collections',
    summary: 'List collections, by name',
    scope: 'collections:read',
    params: below,
    query: pageQuery,
    answers: { 200: pageOf(Collection) },
    async handle(tx, { params, query }) {
      await tx.project(params.projectId, 'read')
      const list = `${LIST} ${params.projectId}`
      const [after] = readCursor(list, query.cursor) ?? []
      const { entries, more } = await listCollections(tx, params.projectId, query.limit, after)
      const bodies = await Promise.all(
        entries.map(async ([[, name], collection]) => {
          const schema = await schemaOf(tx, { ...params, name }, collection)
          return [[name], await shown(tx, { name }, collection, schema)] as const
        }),
      )
      return { status: 200, body: pageBody(list, fitting({ entries: bodies, more }), (each) => each) }
    },
  }),
  tenantOperation({
    name: 'read-collection',
    method: 'get',
    path: '/v1/projects/{projectId}/collections/{name}',
    tag: 'Collections',
    summary: 'Read a collection: its indexes and how far they are built',
    scope: 'collections:read',
    params: one,
    answers: { 200: Collection },
    async handle(tx, { params }) {
      await tx.project(params.projectId, 'read')
      const collection = await findCollection(tx, params)
      if (collection === undefined) throw notFound()
      return reply(tx, 200, params, collection, await schemaOf(tx, params, collection))
    },
  }),
  tenantOperation({
    name: 'delete-collection',
    method: 'delete',
    path: '/v1/projects/{projectId}/collections/{name}',
    tag: 'Collections',
    summary: 'Delete a collection with all its records',
    scope: 'collections:write',
    params: one,
    target: namedInTrail,
    answers: { 202: z.object({ job: idSchema('job') }).meta({ id: 'CollectionDeletion' }) },
    problems: ['precondition_failed', 'project_archived'],
    async handle(tx, { params, ifMatch }) {
      await tx.project(params.projectId, 'write')
      const collection = await findCollection(tx, params)
      if (collection === undefined) throw notFound()
      requireMatch(ifMatch, etagOf(collection))
      const job = await dropCollection(tx, params, collection)
      return { status: 202, body: { job }, headers: { location: `/v1/jobs/${job}` } }
    },
  }),
]
