// After a region's data was restored from a backup, organisations that were erased since are there again, and nobody lists
// them. The restoration left a pointer to each tenant that it brought back; which of them were erased, the control region
// knows. These are erased again.
import { newId } from '../../shared/ids.ts'
import type { Log } from '../log.ts'
import { numberOfKey } from '../storage/keys.ts'
import type { TenantEraser } from '../tenancy/erasure.ts'
import type { TenantLifecycle } from '../tenancy/lifecycle.ts'
import { restoredPointer } from '../tenancy/pointers.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Calls } from './calls.ts'

export interface RestoredDependencies {
  region: string
  database: RegionDatabase
  lifecycle: Pick<TenantLifecycle, 'read'>
  eraser: Pick<TenantEraser, 'begin'>
  control: Calls
  log: Log
}

const PAGE = 100
/** For the operator, in its certificate. */
const OPERATOR = 'restoration'

/** Goes through all pointers. Broken off, it goes on with those that are left. */
export async function eraseAgain(dependencies: RestoredDependencies): Promise<void> {
  while (await eraseSomeAgain(dependencies));
}

/** @returns whether there are more */
async function eraseSomeAgain({
  region,
  database,
  lifecycle,
  eraser,
  control,
  log,
}: RestoredDependencies): Promise<boolean> {
  const { entries, more } = await database.region(async (scope) => ({
    value: await scope.space(restoredPointer).page({ limit: PAGE }),
    commit: false,
  }))
  if (entries.length === 0) return false
  const numbers = entries.map(([[key]]) => numberOfKey(key))
  const erased = await control.erasedOf({ region, numbers })
  for (const [i, number] of numbers.entries()) {
    // One in the making is given up anyway: the control region takes no slug for it.
    const tenant = erased[i] === true ? await lifecycle.read(number) : undefined
    const by = { operatorId: OPERATOR, requestId: newId('req') }
    if (tenant === undefined) continue
    await eraser.begin(number, tenant.tenant.id, by, undefined)
    log.info('a tenant that was erased is erased again after a restore', { tenant: String(number) })
  }
  await database.region(async (scope) => {
    for (const [key] of entries) scope.space(restoredPointer).clear(key)
    return { value: undefined, commit: true }
  })
  return more
}
