// The edge's entry: reads this isolate's bindings once, so that a wrong one stops the start and no request waits.
import { env, waitUntil } from 'cloudflare:workers'
import { readBindings } from './env.ts'
import { leasesFrom, slotsFrom } from './limit/lease_source.ts'
import { TenantLimiter } from './limit/tenant_limiter.ts'
import { createEdge } from './pipeline.ts'

export { TenantLimiter }

declare global {
  namespace Cloudflare {
    interface Env {
      /** The tenants' rate limits, an object each. */
      TENANT_LIMITER: DurableObjectNamespace<TenantLimiter>
    }
  }
}

const leases = env.LIMITS === 'off' ? undefined : leasesFrom(env.TENANT_LIMITER)
const slots = env.LIMITS === 'off' ? undefined : slotsFrom(env.TENANT_LIMITER)
const edge = createEdge(await readBindings(env), { leases, slots, waitUntil })

export default { fetch: (request) => edge.fetch(request) } satisfies ExportedHandler
