// /platform/v1/noisy: tenants that ask a busy region for far more than their share, and are isolated for it.
import { z } from 'zod'
import { parseTenantNumber } from '../../shared/tenant.ts'
import { ISOLATION_STAGES } from '../admission/noisy.ts'
import { idSchema, slugSchema, timeSchema } from '../schemas.ts'
import type { Calls } from './calls.ts'
import { describeAll } from './describe.ts'
import { type OperatorOperation, operatorOperation } from './operation.ts'

const NoisyTenant = z
  .object({
    tenant: idSchema('ten'),
    slug: slugSchema,
    region: z.string(),
    stage: z.enum(ISOLATION_STAGES).meta({
      description: '`slowed`: a smaller weight. `limited`: also a quarter of its rate limit at the edge.',
    }),
    askedUnitsPerSecond: z.int(),
    fairUnitsPerSecond: z.int().meta({ description: 'Its share, when that was last looked at.' }),
    since: timeSchema,
    until: timeSchema.meta({ description: 'Then it ends, unless the region finds it noisy still.' }),
  })
  .meta({ id: 'NoisyTenant' })

/** More than these are described a hundred at a time, and nobody reads them. */
const SHOWN = 100

export const noisyOperation = (
  regions: ReadonlyArray<string>,
  callsTo: (region: string) => Calls,
): OperatorOperation =>
  operatorOperation({
    method: 'get',
    path: '/platform/v1/noisy',
    tag: 'Platform',
    summary: 'List the tenants that are isolated because they ask for far more than their share',
    role: 'read',
    answers: { 200: z.object({ data: z.array(NoisyTenant), nextCursor: z.null() }) },
    async handle() {
      const found = await Promise.all(
        regions.map(async (region) => {
          // A region that does not answer must not hide the others'.
          const noisy = await callsTo(region)
            .noisy({})
            .catch(() => [])
          return noisy.flatMap(({ number: text, ...row }) => {
            const number = parseTenantNumber(text)
            return number === undefined ? [] : [{ number, region, ...row }]
          })
        }),
      )
      const rows = found
        .flat()
        .toSorted((a, b) => b.asked - a.asked)
        .slice(0, SHOWN)
      const described = await describeAll(rows, callsTo)
      const data = rows.flatMap(({ region, stage, asked, fair, sinceMs, untilMs }, i) => {
        const tenant = described[i]?.tenant
        if (tenant === undefined) return []
        const since = new Date(sinceMs).toISOString()
        const until = new Date(untilMs).toISOString()
        const units = { askedUnitsPerSecond: asked, fairUnitsPerSecond: fair }
        return [{ tenant: tenant.id, slug: tenant.slug, region, stage, ...units, since, until }]
      })
      return { status: 200, body: { data, nextCursor: null } }
    },
  })
