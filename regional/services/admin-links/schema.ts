// Admin links: what clients send and see. The URL is the secret; it is seen once, in the answer that made it.
import { z } from 'zod'
import { DEFAULT_LINK_SECONDS, MAX_LINK_SECONDS, MIN_LINK_SECONDS } from '../../../shared/admin_link.ts'
import { ROLES } from '../../../shared/roles.ts'
import { idSchema, timeSchema } from '../../schemas.ts'

export const linkId = idSchema('lnk')

/** A path inside the console. No host can hide in it: one slash first, and no backslash. */
const returnPath = z
  .string()
  .max(500)
  .regex(/^\/(?!\/)[\w\-.~/%?=&:@+,]*$/, 'is not a path of the console')
  .refine((path) => !/(?:^|\/)\.{1,2}(?:\/|\?|$)|%2e/i.test(path), 'has a step up in it')
  .meta({
    description: 'Where in the console the link leads, such as `/api-keys`.',
    example: '/api-keys',
  })

const role = z.enum(ROLES)

export const CreateAdminLink = z
  .strictObject({
    role: role.optional().meta({
      description:
        'At most what the one who asks may do. Left out, it is the member’s, where there is a `memberId`, otherwise `admin`.',
    }),
    memberId: idSchema('mem').optional().meta({
      description:
        'The member whose session it begins: it is never more than they are, and ends with the membership. Without one, the session is nobody’s in particular.',
    }),
    expiresIn: z
      .int()
      .min(MIN_LINK_SECONDS)
      .max(MAX_LINK_SECONDS)
      .default(DEFAULT_LINK_SECONDS)
      .meta({ description: 'Seconds; at most seven days.', example: 900 }),
    email: z.email().max(254).nullable().default(null).meta({
      description: 'Whom it is for, a member’s own unless said. To show; it opens nothing.',
    }),
    returnPath: returnPath.default('/'),
  })
  .meta({ id: 'CreateAdminLink', example: { role: 'admin', expiresIn: 900, email: 'ada@example.com' } })
export type CreateAdminLink = z.infer<typeof CreateAdminLink>

export const AdminLink = z
  .object({
    id: linkId,
    role,
    email: z.string().nullable(),
    member: idSchema('mem')
      .nullable()
      .meta({ description: 'Whose session it begins; null for nobody’s in particular.' }),
    returnPath: z.string(),
    issuer: z.object({ kind: z.enum(['api_key', 'member', 'operator']), id: z.string() }).meta({
      description: 'Who stands behind it. The link, and every session that comes of it, ends with them.',
    }),
    createdAt: timeSchema,
    expiresAt: timeSchema,
    status: z.enum(['open', 'used', 'revoked', 'expired']).meta({
      description: '`revoked`: taken back, or whoever stands behind it may not give the role any more.',
    }),
  })
  .meta({ id: 'AdminLink' })
export type AdminLink = z.infer<typeof AdminLink>

export const CreatedAdminLink = AdminLink.extend({
  url: z.url().meta({ description: 'The secret: whoever uses it first is in. Shown this once.' }),
}).meta({ id: 'CreatedAdminLink' })
