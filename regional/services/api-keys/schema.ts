// API keys: what clients send and see. The key itself is seen once, in the answer that made it.
import { z } from 'zod'
import { SCOPES } from '../../../shared/scopes.ts'
import { idSchema, nameSchema, timeSchema } from '../../schemas.ts'

export const keyId = idSchema('key')

const scopes = z.array(z.enum(SCOPES)).min(1).max(50)

export const ApiKey = z
  .object({
    id: keyId,
    name: nameSchema,
    scopes: z.array(z.string()),
    createdAt: timeSchema,
    createdBy: z
      .object({ kind: z.enum(['api_key', 'member', 'operator']), id: z.string() })
      .nullable()
      .meta({
        description:
          'Who made it, or stood behind the session that did; a rotated key keeps its maker. The key goes on without them. Null for keys of before.',
      }),
    expiresAt: timeSchema.nullable(),
    lastUsedAt: timeSchema.nullable().meta({
      description:
        'By a request, or by a URL that it signed. To the minute, and a minute late; null if never.',
    }),
  })
  .meta({ id: 'ApiKey' })
export type ApiKey = z.infer<typeof ApiKey>

export const CreatedApiKey = ApiKey.extend({
  key: z.string().meta({ description: 'The secret. Shown this once and not kept.' }),
}).meta({ id: 'CreatedApiKey' })

export const CreateApiKey = z
  .strictObject({
    name: nameSchema,
    scopes: scopes.meta({ description: 'At most what the key that asks has itself.' }),
    expiresAt: timeSchema
      .refine((time) => !(Date.parse(time) <= Date.now()), 'lies in the past')
      .nullable()
      .default(null),
  })
  .meta({ id: 'CreateApiKey' })

export const RotateApiKey = z
  .strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(30 * 24 * 60 * 60)
      .default(24 * 60 * 60)
      .meta({ description: 'How long the old key still holds: at most 30 days; 0 revokes it at once.' }),
  })
  .meta({ id: 'RotateApiKey' })
