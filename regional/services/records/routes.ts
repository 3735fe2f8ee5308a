// Collections of JSON documents in a project, with declared indexes.
import type { Service } from '../../tenancy/service.ts'
import { buildIndexes } from './build.ts'
import { clearDropped, clearProject } from './clear.ts'
import { collectionOperations } from './collection_routes.ts'
import { expireMinute, sweepRecords } from './expiry.ts'
import { Schemas } from './json_schema.ts'
import { recordOperations } from './record_routes.ts'

/** @param now milliseconds since 1970 */
export function records(now: () => number): Service {
  const schemas = new Schemas(now)
  return {
    name: 'records',
    jobKinds: [buildIndexes, clearDropped, sweepRecords, expireMinute],
    operations: [...collectionOperations(schemas), ...recordOperations(schemas)],
    belowProject: (tx, projectId, place) => clearProject(tx, projectId, place as number | undefined),
  }
}
