// What edges ask for themselves: where a tenant lives (of the control region), whose tokens it takes, how much it may ask, and
// how far its erasure is (of its home).
import type {
  ErasureShown,
  ProvidersAnswer,
  SnapshotAnswer,
  TenantName,
  TenantPlace,
} from '../../shared/edge_calls.ts'
import { MOST } from '../../shared/plans.ts'
import { type SnapshotVersion, writeSnapshot } from '../../shared/snapshot.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { TenantEraser } from '../tenancy/erasure.ts'
import { providerSpace, type StatusRecord, statusSpace } from '../tenancy/records.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import { newerSnapshot } from '../tenancy/snapshot.ts'
import type { Directory } from './directory.ts'
import { erasureState, shownErasure } from './erasure.ts'

export interface EdgeCalls {
  /** Undefined when there is no such tenant; always, but in the control region. */
  placeOf(name: TenantName): Promise<TenantPlace | undefined>
  providersOf(tenant: TenantNumber): Promise<ProvidersAnswer>
  snapshotOf(tenant: TenantNumber, held: SnapshotVersion | undefined): Promise<SnapshotAnswer>
  /** Undefined where there is none, or the job is another. */
  erasureOf(tenant: TenantNumber, job: string): Promise<ErasureShown | undefined>
}

export const edgeCalls = (
  database: RegionDatabase,
  directory: Directory,
  eraser: TenantEraser,
): EdgeCalls => ({
  async erasureOf(tenant, job) {
    const erasure = await eraser.readJob(tenant, job)
    if (erasure === undefined) return undefined
    const { done, total, secondsLeft, certificate } = shownErasure(erasure)
    return { state: erasureState(erasure), done, total, secondsLeft, certificate }
  },
  async placeOf(name) {
    const number = await numberOf(name, directory)
    const entry = number && (await directory.locate(number))
    return number && entry && { number, region: entry.region }
  },
  providersOf: (tenant) =>
    database.tenant<ProvidersAnswer>(tenant, async (scope) => {
      const [status, page] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        scope.service('identity-providers').space(providerSpace).page({ limit: MOST.identityProviders }),
      ])
      if (status?.status === 'moved' && status.movedTo !== undefined) {
        return { value: { outcome: 'moved', region: status.movedTo }, commit: false }
      }
      if (!isHere(status)) return { value: { outcome: 'unknown' }, commit: false }
      const providers = page.entries.map(([, { id, issuer, audience, roleClaim }]) => ({
        id,
        issuer,
        audience,
        roleClaim,
      }))
      return { value: { outcome: 'known', providers }, commit: false }
    }),
  snapshotOf: (tenant, held) =>
    database.tenant<SnapshotAnswer>(tenant, async (scope) => {
      const status = await scope.system('status', statusSpace).get(['status'])
      if (status?.status === 'moved' && status.movedTo !== undefined) {
        return { value: { snapshot: null, movedTo: status.movedTo }, commit: false }
      }
      const newer = isHere(status)
        ? await newerSnapshot(scope, { epoch: status.epoch, version: status.version }, held)
        : undefined
      return { value: { snapshot: newer === undefined ? null : writeSnapshot(newer) }, commit: false }
    }),
})

const isHere = (status: StatusRecord | undefined): status is StatusRecord =>
  status?.status === 'active' || status?.status === 'suspended'

async function numberOf(name: TenantName, directory: Directory): Promise<TenantNumber | undefined> {
  if ('slug' in name) return directory.ownerOf(name.slug)
  return 'domain' in name ? directory.ownerOfDomain(name.domain) : name.number
}
