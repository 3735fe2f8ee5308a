// /platform/v1/noisy: tenants that ask a busy region for far more than their share, and are isolated for it.
import { z } from 'zod'
import { parseTenantNumber } from '../../shared/tenant.ts'
import { ISOLATION_STAGES } from '../admission/noisy.ts'
import { pageWithin } from '../cursor.ts'
import { pageOf, pageQuery } from '../operation.ts'
import { idSchema, slugSchema, timeSchema } from '../schemas.ts'
import type { Calls } from './calls.ts'
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

/** Of all, and of each region: more are described a hundred at a time, and nobody reads them. */
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
    query: pageQuery,
    answers: {
      200: pageOf(NoisyTenant).extend({
        more: z.boolean().meta({
          description: `Whether there are more than the ${SHOWN} that are listed, which ask for less.`,
        }),
        unreachable: z.array(z.string()).meta({
          description: 'Regions that did not answer: who is isolated there is not among these.',
        }),
      }),
    },
    async handle({ query }) {
      const lists = await Promise.all(
        // A region that does not answer must not hide the others'.
        regions.map((region) => noisyIn(region, callsTo).catch(() => undefined)),
      )
      const noisy = lists
        .flatMap((list) => list?.largest ?? [])
        .map((each) => [keyOf(each), each] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
      const more = noisy.length > SHOWN || lists.some((list) => list?.more)
      const unreachable = regions.filter((_, i) => lists[i] === undefined)
      const page = pageWithin('noisy', noisy.slice(0, SHOWN), query)
      return { status: 200, body: { ...page, more, unreachable } }
    },
  })

/** The largest first, as text is ordered. */
const keyOf = ({ askedUnitsPerSecond, region, tenant }: z.output<typeof NoisyTenant>): string =>
  `${String(Number.MAX_SAFE_INTEGER - askedUnitsPerSecond).padStart(16, '0')} ${region} ${tenant}`

interface NoisyList {
  largest: ReadonlyArray<z.output<typeof NoisyTenant>>
  more: boolean
}

async function noisyIn(region: string, callsTo: (region: string) => Calls): Promise<NoisyList> {
  const noisy = await callsTo(region).noisy({})
  const rows = noisy.slice(0, SHOWN).flatMap(({ number: text, ...row }) => {
    const number = parseTenantNumber(text)
    return number === undefined ? [] : [{ number, ...row }]
  })
  const described = await callsTo(region).describe({ numbers: rows.map(({ number }) => number) })
  const largest = rows.flatMap(({ stage, asked, fair, sinceMs, untilMs }, i) => {
    const tenant = described[i]?.tenant
    if (tenant === undefined) return []
    const since = new Date(sinceMs).toISOString()
    const until = new Date(untilMs).toISOString()
    const units = { askedUnitsPerSecond: asked, fairUnitsPerSecond: fair ?? 0 }
    return [{ tenant: tenant.id, slug: tenant.slug, region, stage, ...units, since, until }]
  })
  return { largest, more: noisy.length > SHOWN }
}
