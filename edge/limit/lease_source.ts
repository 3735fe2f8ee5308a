// The way to the tenants' Durable Objects: one object a tenant, named by its number.
import type { LeaseSource } from './limiter.ts'
import type { SlotSource } from './slots.ts'
import type { TenantLimiter } from './tenant_limiter.ts'

/** A fresh stub for each call: one that has failed stays broken. */
export const leasesFrom =
  (objects: DurableObjectNamespace<TenantLimiter>): LeaseSource =>
  async (tenant, request) =>
    objects.getByName(String(tenant)).lease(request)

export const slotsFrom = (objects: DurableObjectNamespace<TenantLimiter>): SlotSource => ({
  hold: async (tenant, id, limit) => objects.getByName(String(tenant)).hold(id, limit),
  release: async (tenant, id) => objects.getByName(String(tenant)).release(id),
})
