// /v1/usage: what the organisation has and did, and what its plan allows.
import { z } from 'zod'
import { QUANTITIES, type Quantity } from '../../../shared/plans.ts'
import { type Service, tenantOperation } from '../../tenancy/service.ts'

const Quota = z.object({ used: z.int(), limit: z.int() }).meta({ id: 'Quota' })

const Usage = z
  .object({
    quotas: z.object(
      Object.fromEntries(QUANTITIES.map((each) => [each, Quota])) as Record<Quantity, typeof Quota>,
    ),
    hours: z
      .array(
        z.object({
          hour: z.string().meta({ description: 'UTC', example: '2026-11-23T10' }),
          reads: z.int(),
          writes: z.int(),
        }),
      )
      .meta({ description: 'Requests of the last 24 hours that had any, oldest first.' }),
  })
  .meta({ id: 'Usage' })

export const usage: Service = {
  name: 'usage',
  operations: [
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/usage',
      tag: 'Usage',
      summary: 'Read quotas and requests',
      scope: 'usage:read',
      answers: { 200: Usage },
      handle: async (tx) => ({ status: 200, body: await tx.usage() }),
    }),
  ],
}
