// Signed URLs: what clients send and get. The URL itself is the secret, and it is kept nowhere.
import { z } from 'zod'
import { canonicalTarget, MAX_SECONDS, MAX_TARGET_LENGTH, MIN_SECONDS } from '../../../shared/signed_url.ts'
import { timeSchema } from '../../schemas.ts'

const DEFAULT_SECONDS = 3_600

/** In the spelling that is signed. */
const target = z
  .string()
  .max(MAX_TARGET_LENGTH)
  .regex(/^\/v1\//, 'is not a path under /v1/')
  .transform((text, context) => {
    const canonical = canonicalTarget(text)
    if (canonical !== undefined) return canonical
    context.addIssue({ code: 'custom', message: 'is not in normal form, or has a parameter twice' })
    return z.NEVER
  })
  .meta({
    description: 'Path and query, percent-encoded as they will be sent.',
    example: '/v1/projects?limit=5',
  })

export const CreateSignedUrl = z
  .strictObject({
    method: z.enum(['GET', 'POST', 'PATCH', 'PUT', 'DELETE']),
    path: target,
    expiresIn: z
      .int()
      .min(MIN_SECONDS)
      .max(MAX_SECONDS)
      .default(DEFAULT_SECONDS)
      .meta({ description: 'Seconds; at most seven days.' }),
  })
  .meta({ id: 'CreateSignedUrl' })

export const SignedUrl = z
  .object({
    url: z.url().meta({ description: 'Whoever has it may do this one thing. Its query may not be changed.' }),
    expiresAt: timeSchema,
  })
  .meta({ id: 'SignedUrl' })
