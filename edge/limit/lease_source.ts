// The way to the tenants' Durable Objects: one object a tenant, named by its number.
import type { LeaseSource } from './limiter.ts'
import type { TenantLimiter } from './tenant_limiter.ts'

/** A fresh stub for each call: one that has failed stays broken. */
export const leasesFrom =
  (objects: DurableObjectNamespace<TenantLimiter>): LeaseSource =>
  async (tenant, request) =>
    objects.getByName(String(tenant)).lease(request)
