// The edge's own entry, but with the tenants' Durable Objects on another continent.
import { env, waitUntil } from 'cloudflare:workers'
import { readBindings } from '../../edge/env.ts'
import { leasesFrom, objectsOf, slotsFrom } from '../../edge/limit/lease_source.ts'
import { TenantLimiter } from '../../edge/limit/tenant_limiter.ts'
import { createEdge } from '../../edge/pipeline.ts'

export { TenantLimiter }

/** As far as from Europe to the American east coast. */
const ROUND_TRIP_MS = 80
const objectOf = objectsOf(env.TENANT_LIMITER as DurableObjectNamespace<TenantLimiter>)
const [leases, slots] = [leasesFrom(objectOf), slotsFrom(objectOf)]

async function far<T>(call: () => Promise<T>): Promise<T> {
  await scheduler.wait(ROUND_TRIP_MS / 2)
  const answer = await call()
  await scheduler.wait(ROUND_TRIP_MS / 2)
  return answer
}

const edge = createEdge(await readBindings(env), {
  leases: (tenant, request) => far(() => leases(tenant, request)),
  slots: {
    hold: (tenant, id, limit) => far(() => slots.hold(tenant, id, limit)),
    release: (tenant, id) => far(() => slots.release(tenant, id)),
  },
  waitUntil,
})

export default { fetch: (request) => edge.fetch(request) } satisfies ExportedHandler
