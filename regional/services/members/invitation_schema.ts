// Invitations: what clients send and see. The token is the secret.
import { z } from 'zod'
import { INVITATION_TOKEN } from '../../../shared/credentials/invitation_token.ts'
import { ROLES } from '../../../shared/roles.ts'
import { idSchema, timeSchema } from '../../schemas.ts'

export const invitationId = idSchema('inv')

const DAY_SECONDS = 24 * 60 * 60
const email = z.email().max(254)

export const CreateInvitation = z
  .strictObject({
    email: email.meta({
      description: 'Where it is sent. It does not decide who may accept: the token does.',
    }),
    role: z.enum(ROLES).meta({ description: 'At most what the one who asks may do.' }),
    expiresIn: z
      .int()
      .min(60)
      .max(30 * DAY_SECONDS)
      .default(7 * DAY_SECONDS)
      .meta({ description: 'Seconds; seven days unless said.' }),
  })
  .meta({ id: 'CreateInvitation' })

export const Invitation = z
  .object({
    id: invitationId,
    email: z.string(),
    role: z.enum(ROLES),
    status: z.enum(['open', 'accepted', 'revoked', 'expired']).meta({
      description: '`revoked`: taken back, or whoever stands behind it may not give the role any more.',
    }),
    invitedBy: z.object({ kind: z.string(), id: z.string() }).meta({
      description:
        'Who stands behind it, an API key or a member: it can be accepted as long as they may give the role.',
    }),
    delivery: z.enum(['link', 'sending', 'sent', 'refused', 'not_sent']).meta({
      description:
        '`link`: the inviter passes it on, where no mail is sent, or three letters went to that mailbox within the hour. Otherwise it goes by mail; `refused` by the mail server; `not_sent` where none took it for a day, or the invitation ended first.',
    }),
    member: idSchema('mem').nullable().meta({ description: 'Who accepted it.' }),
    createdAt: timeSchema,
    expiresAt: timeSchema,
  })
  .meta({ id: 'Invitation' })
export type Invitation = z.infer<typeof Invitation>

export const CreatedInvitation = Invitation.extend({
  url: z.url().nullable().meta({
    description: 'The secret, to pass on: shown this once, and only where it does not go by mail.',
  }),
}).meta({ id: 'CreatedInvitation' })

export const AcceptInvitation = z
  .strictObject({ token: z.string().regex(INVITATION_TOKEN, 'is not the token of an invitation') })
  .meta({ id: 'AcceptInvitation', example: { token: `ci_${'0'.repeat(90)}` } })

/** What an invitation says of itself to whoever holds it. */
export const OpenedInvitation = z.object({
  organisation: z.object({ slug: z.string(), name: z.string() }),
  email: z.string(),
  role: z.enum(ROLES),
  expiresAt: timeSchema,
})
