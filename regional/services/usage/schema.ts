// What the organisation has and did, and what its limits are.
import { z } from 'zod'
import { QUANTITIES, type Quantity } from '../../../shared/plans.ts'
import { ISOLATION_STAGES } from '../../admission/noisy.ts'
import { sentTimeSchema, timeSchema } from '../../schemas.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
/** Unless the client says otherwise. */
const USUAL_MS = { hour: DAY_MS, day: 30 * DAY_MS }
/** So that one answer stays small, and one read short. */
const MAX_MS = { hour: 7 * DAY_MS, day: 92 * DAY_MS }

const Quota = z.object({ used: z.int(), limit: z.int() }).meta({ id: 'Quota' })

export const Usage = z
  .object({
    quotas: z.object(
      Object.fromEntries(QUANTITIES.map((each) => [each, Quota])) as Record<Quantity, typeof Quota>,
    ),
    isolation: z
      .object({ stage: z.enum(ISOLATION_STAGES), since: timeSchema, until: timeSchema })
      .meta({ id: 'Isolation' })
      .nullable()
      .meta({
        description:
          'Of an organisation that asks a busy region for far more than its share: `slowed` has less of each turn, `limited` a quarter of its rate limit too. It ends by itself.',
      }),
    history: z
      .array(
        z
          .object({
            start: timeSchema,
            reads: z.int(),
            writes: z.int(),
            errors: z.int().meta({ description: 'Requests that were refused or failed.' }),
            milliseconds: z.int().meta({ description: 'Time that the region spent on all of them.' }),
            units: z.int().meta({ description: 'What they cost: 1 for a read, 5 for a change.' }),
          })
          .meta({ id: 'UsagePeriod' }),
      )
      .meta({ description: 'Hours or days (UTC) that had any requests, oldest first.' }),
  })
  .meta({ id: 'Usage' })

export const usageQuery = z.strictObject({
  by: z.enum(['hour', 'day']).default('hour'),
  from: sentTimeSchema.optional(),
  to: sentTimeSchema.optional(),
})

/** @returns the window that a client asked for, of whole days where it is by the day, or what is wrong with it. */
export function windowOf(
  { by, from, to }: z.output<typeof usageQuery>,
  nowMs: number,
): { by: 'hour' | 'day'; fromMs: number; toMs: number } | string {
  const toMs = to === undefined ? nowMs : Date.parse(to)
  const askedMs = from === undefined ? toMs - USUAL_MS[by] : Date.parse(from)
  if (askedMs >= toMs) return '`from` has to be before `to`.'
  if (toMs - askedMs > MAX_MS[by])
    return `By the ${by} there are at most ${MAX_MS[by] / DAY_MS} days at a time.`
  if (by === 'hour') return { by, fromMs: askedMs, toMs }
  // What is told as a day is all of it. The usual days are as many as there should be, the present one among them.
  const day = from === undefined ? Math.ceil(askedMs / DAY_MS) : Math.floor(askedMs / DAY_MS)
  return { by, fromMs: day * DAY_MS, toMs }
}
