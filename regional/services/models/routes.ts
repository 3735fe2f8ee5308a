// /v1/models: the models that all tenants share. Where they run is the platform's business alone.
import { z } from 'zod'
import { PLAN_NAMES } from '../../../shared/plans.ts'
import { pageOf, pageQuery, pageWithin, type Service, tenantOperation } from '../../tenancy/service.ts'
import type { OfferedModel } from '../agents/models.ts'

const LIST = 'models'

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
      summary: 'List the models that agents may use, by name',
      scope: 'agents:read',
      query: pageQuery,
      answers: { 200: pageOf(Model) },
      async handle(tx, { query }) {
        const [{ plan }, all] = await Promise.all([tx.organisation(), offered()])
        const { data, nextCursor } = pageWithin(LIST, [...all], query)
        const shown = data.map(({ name, inputTokenPrice, outputTokenPrice, plans }) => ({
          name,
          inputTokenPrice,
          outputTokenPrice,
          plans,
          available: plans.includes(plan),
        }))
        return { status: 200, body: { data: shown, nextCursor } }
      },
    }),
  ],
})
