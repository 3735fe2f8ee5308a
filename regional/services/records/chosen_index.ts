// Which of a collection's indexes answers a query, and what the client is told when none does, or none yet.
import { Problem } from '../../../shared/problems.ts'
import type { CollectionRecord, IndexRecord, Place } from './collections.ts'
import { type Plan, planQuery, type Query, suggestion } from './query_plan.ts'

/** @throws {Problem} `index_required`, `index_building`, `malformed_request` */
export function requirePlan(collection: CollectionRecord, place: Place, query: Query): Plan<IndexRecord> {
  const { indexes } = collection
  const ready = planQuery(
    query,
    indexes.filter(({ state }) => state === 'ready'),
  )
  if (ready !== undefined) return ready
  const building = planQuery(
    query,
    indexes.filter(({ state }) => state === 'building'),
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
  throw indexRequired(place, query, indexes)
}

export function indexRequired(place: Place, query: Query, indexes: ReadonlyArray<IndexRecord>): Problem {
  const known = indexes.flatMap(({ fields }) => fields)
  const failed = planQuery(
    query,
    indexes.filter(({ state }) => state === 'failed'),
  )?.index.error
  return new Problem(
    'index_required',
    failed
      ? `The index could not be built: ${failed.detail} Mend that, and declare the index again.`
      : `Declare the index ${suggestion(query, known)} with PUT /v1/projects/${place.projectId}/collections/${place.name}. Its types are a guess from what you asked for.`,
  )
}
