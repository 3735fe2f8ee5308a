// Pointers: the region's list of tenants with something left to do. A pointer says only which tenant; what is to be
// done lies behind the tenant's own prefix. They are sharded, so that writing them makes no hot spot, and written
// blindly with one same value, so that a tenant's writers never conflict over theirs.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { KeyRange } from '../storage/fence.ts'
import { numberKey } from '../storage/keys.ts'
import { jsonSpace, type Key, keyIn, type SpaceDefinition } from '../storage/space.ts'
import type { Erasure } from './erasure.ts'

/** Tenants whose making has begun and is not finished: since when. */
export const provisioningPointer = jsonSpace<[tenant: Buffer], { since: string }>('provisioning')

export const POINTER_SHARDS = 16
const shardOf = (tenant: TenantNumber): number => Number(tenant % BigInt(POINTER_SHARDS))

/** Tenants whose queue is to be looked into now. */
export const jobPointer = jsonSpace<[shard: number, tenant: Buffer], 1>('job')

/** Tenants whose queue has nothing to do before that time. A tenant has at most one of these. */
export const laterPointer = jsonSpace<[shard: number, atMs: number, tenant: Buffer], 1>('later')

/** Which worker has a tenant in hand, and until when. */
export const leaseSpace = jsonSpace<[shard: number, tenant: Buffer], { worker: string; untilMs: number }>(
  'lease',
)

/** Tenants that a backup has brought back, which may have been erased since. */
export const restoredPointer = jsonSpace<[tenant: Buffer], 1>('restored')

/** What an erasure has cleared: all that remains of a tenant, for good. */
export const certificateSpace = jsonSpace<[tenant: Buffer], Erasure>('certificate')

/** An entry that carries a tenant's number, and the key that it may have. */
export const pointerKey = (tenant: TenantNumber): [shard: number, tenant: Buffer] => [
  shardOf(tenant),
  numberKey(tenant),
]

export const laterKey = (
  tenant: TenantNumber,
  atMs: number,
): [shard: number, atMs: number, tenant: Buffer] => [shardOf(tenant), atMs, numberKey(tenant)]

/** What every transaction of a tenant may write of the region's own. */
export const pointersOf = (region: Buffer, tenant: TenantNumber): KeyRange[] => [
  single(region, provisioningPointer, [numberKey(tenant)]),
  single(region, jobPointer, pointerKey(tenant)),
]

/**
 * What else a worker may write that has the tenant in hand.
 * @param laterMs the times at which its later pointer is, or will be
 */
export const upkeepOf = (
  region: Buffer,
  tenant: TenantNumber,
  laterMs: ReadonlyArray<number>,
): KeyRange[] => [
  ...pointersOf(region, tenant),
  single(region, leaseSpace, pointerKey(tenant)),
  ...laterMs.map((atMs) => single(region, laterPointer, laterKey(tenant, atMs))),
]

/** The range that holds this key alone. */
export function single<K extends Key, V>(region: Buffer, space: SpaceDefinition<K, V>, key: K): KeyRange {
  const begin = keyIn(region, space, key)
  return { begin, end: Buffer.concat([begin, Buffer.of(0)]) }
}
