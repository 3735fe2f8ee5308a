// /platform/v1/plans and /platform/v1/regions: what can be had, what runs, and how loaded it is.
import { z } from 'zod'
import { PLAN_NAMES, PLANS } from '../../shared/plans.ts'
import { pageWithin } from '../cursor.ts'
import { pageOf, pageQuery } from '../operation.ts'
import { timeSchema } from '../schemas.ts'
import { EffectiveLimits } from '../services/tenant/schema.ts'
import type { Calls } from './calls.ts'
import { type OperatorOperation, operatorOperation } from './operation.ts'

const Plan = z.object({ name: z.enum(PLAN_NAMES), limits: EffectiveLimits }).meta({ id: 'Plan' })

const Region = z
  .object({
    name: z.string(),
    status: z.enum(['up', 'unreachable']),
    load: z
      .object({
        startedAt: timeSchema,
        instances: z
          .int()
          .meta({ description: 'In that process (REGION_INSTANCES), however many processes there are.' }),
        readiness: z
          .enum(['ready', 'draining', 'overloaded', 'no_database'])
          .meta({ description: 'As its `/readyz` says.' }),
        utilisation: z.number().meta({
          description:
            'The busier of the event loop and the concurrency limit, from 0 to 1, in the last second.',
        }),
        memoryBytes: z.int(),
      })
      .nullable()
      .meta({
        description: 'Of the one process of the region that answered; null when none does.',
      }),
  })
  .meta({ id: 'Region' })

/** As they are listed where they are configured, which is no order of text. */
const inOrder = <T>(values: ReadonlyArray<T>) =>
  values.map((value, place) => [String(place).padStart(4, '0'), value] as const)

export function capacityOperations(
  regions: ReadonlyArray<string>,
  callsTo: (region: string) => Calls,
): ReadonlyArray<OperatorOperation> {
  async function describe(name: string): Promise<z.output<typeof Region>> {
    const load = await callsTo(name)
      .load({})
      .catch(() => null)
    return { name, status: load === null ? 'unreachable' : 'up', load }
  }

  return [
    operatorOperation({
      method: 'get',
      path: '/platform/v1/plans',
      tag: 'Platform',
      summary: 'List the plans and their limits',
      role: 'read',
      query: pageQuery,
      answers: { 200: pageOf(Plan) },
      async handle({ query }) {
        const plans = PLAN_NAMES.map((name) => ({ name, limits: PLANS[name] }))
        return { status: 200, body: pageWithin('plans', inOrder(plans), query) }
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/regions',
      tag: 'Platform',
      summary: 'List the regions and how loaded they are',
      role: 'read',
      query: pageQuery,
      answers: { 200: pageOf(Region) },
      async handle({ query }) {
        const { data, nextCursor } = pageWithin('regions', inOrder(regions), query)
        return { status: 200, body: { data: await Promise.all(data.map(describe)), nextCursor } }
      },
    }),
  ]
}
