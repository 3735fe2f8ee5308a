// Domains of an organisation's own: what clients send and see.
import { z } from 'zod'
import { isDomain } from '../../../shared/domain.ts'
import { idSchema, timeSchema } from '../../schemas.ts'

export const domainId = idSchema('dom')

const domain = z
  .string()
  .refine(isDomain, 'is not a domain such as api.example.com (lower case; `xn--` for other letters)')
  .meta({ format: 'hostname', description: 'Such as `api.example.com`, in lower case.' })

/** What the last look at the name's TXT records came to. */
export const CHECKS = ['verified', 'not_found', 'wrong_value', 'lookup_failed', 'taken'] as const
export type Check = (typeof CHECKS)[number]

export const Domain = z
  .object({
    id: domainId,
    domain,
    status: z.enum(['pending', 'verified']),
    record: z
      .object({ type: z.literal('TXT'), name: z.string(), value: z.string() })
      .meta({ description: 'What the domain’s DNS has to say before it is yours.' }),
    lastCheck: z
      .object({ at: timeSchema, outcome: z.enum(CHECKS) })
      .nullable()
      .meta({ description: '`taken`: another organisation has shown it to be theirs.' }),
    createdAt: timeSchema,
    verifiedAt: timeSchema.nullable(),
  })
  .meta({ id: 'Domain' })
export type Domain = z.infer<typeof Domain>

export const CreateDomain = z.strictObject({ domain }).meta({ id: 'CreateDomain' })
