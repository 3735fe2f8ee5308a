// After data was restored from a backup, a region and the directory know different tenants: some that were erased since are there
// again, and nobody lists them; of some that were made since, a directory that was restored knows nothing. The restoration left a
// pointer to each tenant of the region. What became of it the control region is asked: the ones are erased again, the others
// get their slugs.
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Log } from '../log.ts'
import { numberOfKey } from '../storage/keys.ts'
import type { TenantEraser } from '../tenancy/erasure.ts'
import type { TenantLifecycle } from '../tenancy/lifecycle.ts'
import { restoredPointer } from '../tenancy/pointers.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Calls } from './calls.ts'
import type { Standing } from './directory.ts'

export interface RestoredDependencies {
  region: string
  database: RegionDatabase
  lifecycle: Pick<TenantLifecycle, 'read'>
  eraser: Pick<TenantEraser, 'begin'>
  control: Pick<Calls, 'standingOf' | 'claim'>
  log: Log
}

const PAGE = 100
/** For the operator, in the certificate. */
const OPERATOR = 'restoration'

/** Goes through all pointers. Broken off, it goes on with those that are left. */
export async function settleRestored(dependencies: RestoredDependencies): Promise<void> {
  while (await settleSome(dependencies));
}

/** @returns whether there are more */
async function settleSome(dependencies: RestoredDependencies): Promise<boolean> {
  const { region, database, control } = dependencies
  const { entries, more } = await database.region(async (scope) => ({
    value: await scope.space(restoredPointer).page({ limit: PAGE }),
    commit: false,
  }))
  if (entries.length === 0) return false
  const numbers = entries.map(([[key]]) => numberOfKey(key))
  const standings = await control.standingOf({ region, numbers })
  for (const [i, number] of numbers.entries()) await settle(dependencies, number, standings[i])
  await database.region(async (scope) => {
    for (const [key] of entries) scope.space(restoredPointer).clear(key)
    return { value: undefined, commit: true }
  })
  return more
}

async function settle(
  { region, lifecycle, eraser, control, log }: RestoredDependencies,
  number: TenantNumber,
  standing: Standing | undefined,
): Promise<void> {
  if (standing !== 'erased' && standing !== 'unknown') return
  // One in the making is finished, or given up, as any other; of one that is being erased nothing is to stay.
  const tenant = (await lifecycle.read(number))?.tenant
  if (tenant === undefined || tenant.status === 'erasing') return
  const which = { tenant: String(number) }
  if (standing === 'erased') {
    await eraser.begin(number, tenant.id, { operatorId: OPERATOR, requestId: newId('req') }, undefined)
    log.info('a tenant that was erased is erased again after a restore', which)
  } else if (await control.claim({ number, slug: tenant.slug, region })) {
    log.info('a tenant that the directory did not know is in it again', which)
  } else {
    log.error('a tenant that the directory did not know has a slug that is another’s by now', which)
  }
}
