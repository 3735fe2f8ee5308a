// Whose keys these are. Regions that share a cluster stand under a root prefix each; one that is started under another's
// would take its tenants for its own, so a region writes its name down at its first start and looks at it at every other.
import { StorageError } from '../storage/open.ts'
import { jsonSpace } from '../storage/space.ts'
import type { RegionDatabase } from './region_database.ts'

const nameSpace = jsonSpace<['name'], string>('region')

/**
 * @throws {StorageError} where they are another region's
 * @throws {Problem} where the database does not answer
 */
export async function ownKeys(database: RegionDatabase, region: string): Promise<void> {
  const owner = await database.region(async (scope) => {
    const names = scope.space(nameSpace)
    const known = await names.get(['name'])
    if (known === undefined) names.set(['name'], region)
    return { value: known ?? region, commit: known === undefined }
  })
  if (owner === region) return
  throw new StorageError(
    `This is the data of the region ${owner}, not of ${region}: give each region that shares a cluster a ROOT_PREFIX of its own, or a database of its own.`,
  )
}
