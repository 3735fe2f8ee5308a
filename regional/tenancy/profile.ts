// The organisation as its people know it.
import { weightOf } from '../admission/weights.ts'
import { type Organisation, profileSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

export async function organisationOf(scope: TenantScope): Promise<Organisation> {
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  if (profile === undefined) throw new Error('a tenant has a profile')
  return profile
}

/** The weight of the tenant's plan beside others. */
export async function weightIn(scope: TenantScope): Promise<number> {
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  return weightOf(profile?.plan)
}
