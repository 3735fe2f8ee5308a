// The way to the Durable Object that keeps a tenant's limits. On Cloudflare each tenant has one, named by its number: it lies
// near the tenant, and thousands of them cost nothing while they are idle. In a workerd of one's own all objects share one
// thread and one disk, and each costs a database of three files to open and to close; there, tenants share a few of them.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { LeaseSource } from './limiter.ts'
import type { SlotSource } from './slots.ts'
import type { TenantLimiter } from './tenant_limiter.ts'

/** A fresh stub for each call: one that has failed stays broken. */
export type ObjectOf = (tenant: TenantNumber) => DurableObjectStub<TenantLimiter>

/** @param shared how many objects the tenants share; undefined: each has its own */
export const objectsOf =
  (objects: DurableObjectNamespace<TenantLimiter>, shared?: number): ObjectOf =>
  (tenant) =>
    objects.getByName(shared === undefined ? String(tenant) : `share-${tenant % BigInt(shared)}`)

export const leasesFrom =
  (objectOf: ObjectOf): LeaseSource =>
  async (tenant, request) =>
    objectOf(tenant).lease(tenant, request)

export const slotsFrom = (objectOf: ObjectOf): SlotSource => ({
  hold: async (tenant, id, limit) => objectOf(tenant).hold(tenant, id, limit),
  release: async (tenant, id) => objectOf(tenant).release(tenant, id),
})
