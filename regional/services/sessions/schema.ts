// Sessions of the console: what the organisation sees of them, and what the console's own pages are told.
import { z } from 'zod'
import { ROLES } from '../../../shared/roles.ts'
import { idSchema, timeSchema } from '../../schemas.ts'
import { Customisation } from '../tenant/schema.ts'

export const sessionId = idSchema('ses')

export const Session = z
  .object({
    id: sessionId,
    role: z.enum(ROLES),
    email: z.string().nullable(),
    member: idSchema('mem').nullable(),
    issuer: z.object({ kind: z.enum(['api_key', 'member', 'operator']), id: z.string() }),
    link: idSchema('lnk')
      .nullable()
      .meta({ description: 'The admin link that it came of; null after a sign-in at an identity provider.' }),
    userAgent: z.string().nullable().meta({ description: 'As the browser says.' }),
    ip: z.string().nullable(),
    createdAt: timeSchema,
    lastUsedAt: timeSchema.meta({ description: 'To the minute, and a minute late.' }),
    expiresAt: timeSchema.meta({
      description: 'Some half an hour after its last use, but never after twelve.',
    }),
  })
  .meta({ id: 'Session' })
export type Session = z.infer<typeof Session>

const Organisation = z.object({
  id: idSchema('ten'),
  slug: z.string(),
  name: z.string(),
  customisation: Customisation,
})

/** What a link says of itself to whoever opens it. */
export const Entry = z.object({
  organisation: Organisation,
  role: z.enum(ROLES),
  email: z.string().nullable(),
  returnPath: z.string(),
  expiresAt: timeSchema,
})
export type Entry = z.infer<typeof Entry>

/** Who is in the console, and what they may do there. */
export const Presence = z.object({
  organisation: Organisation,
  session: Session,
  scopes: z.array(z.string()),
})
export type Presence = z.infer<typeof Presence>
