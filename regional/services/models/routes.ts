// /v1/models: the models that all tenants share. Where they run is the platform's business alone.
import { z } from 'zod'
import { PLAN_NAMES } from '../../../shared/plans.ts'
import { type Service, tenantOperation } from '../../tenancy/service.ts'
import type { OfferedModel } from '../agents/models.ts'

const Model = z
  .object({
    name: z.string(),
    inputTokenPrice: z.number().meta({ description: 'US dollars for a million tokens.' }),
    outputTokenPrice: z.number().meta({ description: 'US dollars for a million tokens.' }),
    plans: z.array(z.enum(PLAN_NAMES)),
    available: z.boolean().meta({ description: 'Whether your plan may use it.' }),
  })
  .meta({ id: 'Model' })

export const models = (offered: () => Promise<ReadonlyMap<string, OfferedModel>>): Service => ({
  name: 'models',
  operations: [
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/models',
      tag: 'Agents',
      summary: 'List the models that agents may use',
      scope: 'agents:read',
      answers: { 200: z.object({ data: z.array(Model), nextCursor: z.null() }) },
      async handle(tx) {
        const [{ plan }, all] = await Promise.all([tx.organisation(), offered()])
        const data = [...all.values()].map(({ name, inputTokenPrice, outputTokenPrice, plans }) => ({
          name,
          inputTokenPrice,
          outputTokenPrice,
          plans,
          available: plans.includes(plan),
        }))
        return { status: 200, body: { data, nextCursor: null } }
      },
    }),
  ],
})
