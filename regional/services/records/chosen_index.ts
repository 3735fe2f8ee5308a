// Which of a collection's indexes answers a query, and what the client is told when none does, or none yet.
import { Problem } from '../../../shared/problems.ts'
import type { TenantTransaction } from '../../tenancy/service.ts'
import { presentIndexes } from './build.ts'
import type { CollectionRecord, IndexRecord, Place } from './collections.ts'
import { type Plan, planQuery, type Query, suggestion } from './query_plan.ts'

/** @throws {Problem} `index_required`, `index_building`, `malformed_request` */
export async function requirePlan(
  tx: Pick<TenantTransaction, 'jobs'>,
  collection: CollectionRecord,
  place: Place,
  query: Query,
): Promise<Plan<IndexRecord>> {
  const { indexes } = collection
  let unfit: unknown
  try {
    const ready = planQuery(
      query,
      indexes.filter(({ state }) => state === 'ready'),
    )
    if (ready !== undefined) return ready
  } catch (error) {
    // A value is of none of their types; one that is being built may take it.
    unfit = error
  }
  const present = await presentIndexes(tx, indexes)
  const building = planQuery(
    query,
    present.filter(({ state }) => state === 'building'),
  )
  if (building !== undefined) {
    const { job } = building.index
    throw new Problem(
      'index_building',
      `The index is being built by ${job}; GET /v1/jobs/${job} shows how far it is.`,
      {
        headers: { 'retry-after': '1' },
      },
    )
  }
  if (unfit !== undefined) throw unfit
  throw indexRequired(place, query, { ...collection, indexes: present })
}

const KEEP = ' PUT states the whole declaration: send along the indexes and the schema that are to stay.'

/** @param collection with its indexes as they are by now */
export function indexRequired(
  place: Place,
  query: Query,
  { indexes, schemaVersion }: Pick<CollectionRecord, 'indexes' | 'schemaVersion'>,
): Problem {
  const known = indexes.flatMap(({ fields }) => fields)
  const failed = planQuery(
    query,
    indexes.filter(({ state }) => state === 'failed'),
  )?.index
  if (failed === undefined) {
    const declaration = suggestion(query, known)
    const path = `/v1/projects/${place.projectId}/collections/${place.name}`
    return new Problem(
      'index_required',
      `Declare the index ${declaration} with PUT ${path}. Its types are a guess from what you asked for.${
        indexes.length > 0 || schemaVersion > 0 ? KEEP : ''
      }`,
    )
  }
  const { error } = failed
  return new Problem(
    'index_required',
    error === null
      ? 'The job that was to build the index has ended: send the collection’s declaration again.'
      : `The index could not be built: ${error.detail} Mend that, and send the collection’s declaration again.`,
  )
}
