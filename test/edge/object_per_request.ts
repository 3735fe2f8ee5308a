// The full pipeline, with the limiter as others build one: a call to the tenant's Durable Object for every request.
import { env, waitUntil } from 'cloudflare:workers'
import { readBindings } from '../../edge/env.ts'
import { TenantLimiter } from '../../edge/limit/tenant_limiter.ts'
import { createEdge } from '../../edge/pipeline.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

export { TenantLimiter }

const TENANT = asTenantNumber(4711n)
const objects = env.TENANT_LIMITER as DurableObjectNamespace<TenantLimiter>
const edge = createEdge(await readBindings(env), { waitUntil })

export default {
  async fetch(request) {
    const { admitted } = await objects
      .getByName(String(TENANT))
      .lease(TENANT, { units: 1, ahead: 0, settle: [], limit: known })
    return admitted ? edge.fetch(request) : new Response(null, { status: 429 })
  },
} satisfies ExportedHandler

const known = { epoch: 1, version: 1, limit: { rate: 1e6, burst: 1e6 } }
