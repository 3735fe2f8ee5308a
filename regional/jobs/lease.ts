// Leases: one worker at a time has a tenant in hand. They only keep workers out of each other's way. What keeps a step
// from taking effect twice is its own transaction, so a lease that runs out too early, or a clock that is off, costs
// work and harms nothing.
import type { TenantNumber } from '../../shared/tenant.ts'
import { CLOCKS_MS } from '../tenancy/events.ts'
import { leaseSpace, pointerKey } from '../tenancy/pointers.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'

export const LEASE_MS = 4_000

/** @returns false when another worker has the tenant */
export function takeLease(
  database: RegionDatabase,
  tenant: TenantNumber,
  worker: string,
  nowMs: number,
): Promise<boolean> {
  return database.region(async (scope) => {
    const leases = scope.space(leaseSpace)
    const key = pointerKey(tenant)
    const held = await leases.get(key)
    const leftMs = held === undefined ? 0 : held.untilMs - nowMs
    // A longer one is of a clock that was set back meanwhile.
    if (held?.worker !== worker && leftMs > 0 && leftMs <= LEASE_MS + CLOCKS_MS) {
      return { value: false, commit: false }
    }
    leases.set(key, { worker, untilMs: nowMs + LEASE_MS })
    return { value: true, commit: true }
  })
}

/** @returns false when the lease is gone, or another worker's: the visit is to end. */
export function renewLease(
  database: RegionDatabase,
  tenant: TenantNumber,
  worker: string,
  nowMs: number,
): Promise<boolean> {
  return database.region(async (scope) => {
    const leases = scope.space(leaseSpace)
    const held = await leases.get(pointerKey(tenant))
    if (held?.worker !== worker) return { value: false, commit: false }
    leases.set(pointerKey(tenant), { worker, untilMs: nowMs + LEASE_MS })
    return { value: true, commit: true }
  })
}

/** Hands a tenant back; what another worker holds by now stays its own. */
export function returnLease(database: RegionDatabase, tenant: TenantNumber, worker: string): Promise<void> {
  return database.region(async (scope) => {
    const leases = scope.space(leaseSpace)
    const held = await leases.get(pointerKey(tenant))
    if (held?.worker !== worker) return { value: undefined, commit: false }
    leases.clear(pointerKey(tenant))
    return { value: undefined, commit: true }
  })
}
