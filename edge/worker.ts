// The edge's entry: reads this isolate's bindings once, so that a wrong one stops the start and no request waits.
import { env, waitUntil } from 'cloudflare:workers'
import { readBindings } from './env.ts'
import { leasesFrom, objectsOf, slotsFrom } from './limit/lease_source.ts'
import { slotsHere } from './limit/slots_here.ts'
import { leaseHere, TenantLimiter } from './limit/tenant_limiter.ts'
import { createEdge } from './pipeline.ts'

export { TenantLimiter }

declare global {
  namespace Cloudflare {
    interface Env {
      /** The tenants' rate limits. */
      TENANT_LIMITER: DurableObjectNamespace<TenantLimiter>
    }
  }
}

const config = await readBindings(env, waitUntil)
const objectOf = env.LIMITS === 'off' ? undefined : objectsOf(env.TENANT_LIMITER, config.limiterObjects)
/** A workerd of one's own, where this isolate is the only one. */
const isOwn = config.limiterObjects !== undefined
const edge = createEdge(config, {
  leases: objectOf && leasesFrom(objectOf),
  nearLeases: isOwn ? leaseHere : undefined,
  slots: objectOf && (isOwn ? slotsHere() : slotsFrom(objectOf)),
  waitUntil,
})

export default { fetch: (request) => edge.fetch(request) } satisfies ExportedHandler
