// Members: what clients send and see.
import { z } from 'zod'
import { MAX_ISSUER_LENGTH, MAX_SUBJECT_LENGTH } from '../../../shared/issuer.ts'
import { ROLES } from '../../../shared/roles.ts'
import { changesSomething, idSchema, timeSchema } from '../../schemas.ts'

export const memberId = idSchema('mem')

/** OpenID Connect Core 1.0 section 2: printable ASCII; some issuers use more of it than they should. */
const visible = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine(
      (text) => text.isWellFormed() && !/[\p{Cc}\s]/u.test(text),
      'has white space or control characters',
    )

export const Identity = z
  .strictObject({
    issuer: visible(MAX_ISSUER_LENGTH).meta({ description: 'As tokens say it in `iss`, letter by letter.' }),
    subject: visible(MAX_SUBJECT_LENGTH).meta({ description: 'As tokens say it in `sub`.' }),
  })
  .meta({ id: 'Identity' })

const role = z.enum(ROLES).meta({ description: 'At most what the one who asks may do.' })

export const Member = z
  .object({
    id: memberId,
    email: z.string().nullable().meta({ description: 'To show and to write to. It opens nothing.' }),
    role: z.enum(ROLES),
    decidedBy: z.enum(['provider', 'organisation']).meta({
      description:
        '`provider`: the identity provider’s rules hold for each token, and `role` is what the newest one (by `iat`) came with that signed in or changed something. `organisation`: this record alone decides.',
    }),
    identity: Identity.nullable().meta({ description: 'Who it is. Without one nobody can sign in as them.' }),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'Member' })
export type Member = z.infer<typeof Member>

export const CreateMember = z
  .strictObject({ identity: Identity, role, email: z.email().max(254).nullable().default(null) })
  .meta({ id: 'CreateMember' })

export const UpdateMember = z
  .strictObject({
    role: role.optional(),
    identity: Identity.optional().meta({ description: 'Only for a member who has none yet.' }),
  })
  .refine(...changesSomething)
  .meta({ id: 'UpdateMember' })
