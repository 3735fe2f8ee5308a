// What edges ask for themselves: where a tenant lives (of the control region), and whose tokens it takes (of its home).
import type { ProvidersAnswer, TenantName, TenantPlace } from '../../shared/edge_calls.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { providerSpace, statusSpace } from '../tenancy/records.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import type { Directory } from './directory.ts'

/** No plan allows more. */
const MAX_PROVIDERS = 100

export interface EdgeCalls {
  /** Undefined when there is no such tenant; always, but in the control region. */
  placeOf(name: TenantName): Promise<TenantPlace | undefined>
  providersOf(tenant: TenantNumber): Promise<ProvidersAnswer>
}

export const edgeCalls = (database: RegionDatabase, directory: Directory): EdgeCalls => ({
  async placeOf(name) {
    const number = await numberOf(name, directory)
    const entry = number && (await directory.locate(number))
    return number && entry && { number, region: entry.region }
  },
  providersOf: (tenant) =>
    database.tenant<ProvidersAnswer>(tenant, async (scope) => {
      const [status, page] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        scope.service('identity-providers').space(providerSpace).page({ limit: MAX_PROVIDERS }),
      ])
      if (status?.status === 'moved' && status.movedTo !== undefined) {
        return { value: { outcome: 'moved', region: status.movedTo }, commit: false }
      }
      if (status?.status !== 'active' && status?.status !== 'suspended') {
        return { value: { outcome: 'unknown' }, commit: false }
      }
      const providers = page.entries.map(([, { id, issuer, audience, roleClaim }]) => ({
        id,
        issuer,
        audience,
        roleClaim,
      }))
      return { value: { outcome: 'known', providers }, commit: false }
    }),
})

async function numberOf(name: TenantName, directory: Directory): Promise<TenantNumber | undefined> {
  if ('slug' in name) return directory.ownerOf(name.slug)
  return 'domain' in name ? directory.ownerOfDomain(name.domain) : name.number
}
