// Identity providers: OpenID issuers whose tokens the organisation takes, and what it makes of them.
import { z } from 'zod'
import { isIssuer, MAX_ISSUER_LENGTH } from '../../../shared/issuer.ts'
import { MAX_ROLE_VALUE_LENGTH } from '../../../shared/person.ts'
import { ROLES } from '../../../shared/roles.ts'
import { changesSomething, idSchema, nameSchema, timeSchema } from '../../schemas.ts'

export const providerId = idSchema('idp')

const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((value) => value.isWellFormed() && !/\p{Cc}/u.test(value), 'has control characters')

const domain = z
  .string()
  .max(253)
  .regex(
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/,
    'is not a domain in lower case',
  )

const audience = text(256).meta({
  description:
    'What tokens must say in `aud`. One that begins with `coditect:` must be the organisation’s own.',
})
const roleClaim = text(200).nullable().meta({
  description:
    'The claim that holds what roles are mapped from: a text, or a list of them. A name with dots that is no claim is a path, such as `realm_access.roles`.',
})
const roleMapping = z
  .record(text(MAX_ROLE_VALUE_LENGTH), z.enum(ROLES))
  .refine((mapping) => Object.keys(mapping).length <= 100, 'has more than 100 entries')
  .meta({ description: 'Value of the role claim → role. Who has several gets the one that allows most.' })
const defaultRole = z
  .union([z.literal('viewer'), z.null()])
  .meta({ description: 'For whom nothing is mapped.' })
const allowedEmailDomains = z.array(domain).min(1).max(50).nullable().meta({
  description: 'Only whoever has a verified e-mail address in one of these is let in.',
})
const createMembers = z
  .boolean()
  .meta({ description: 'Whether someone new who has a role becomes a member with their first request.' })

const clientId = text(256).nullable().meta({
  description: 'As which client of the issuer your people sign in to the console. Null: they can’t.',
})
const clientSecret = z
  .string()
  .regex(/^[\x20-\x7e]{1,512}$/, 'is visible ASCII')
  .nullable()
  .meta({ description: 'Of that client, where it has one. Kept sealed, and never shown.', example: null })

/** What a client secret is sealed for. */
export const clientSecretBound = (provider: string): string => `client secret ${provider}`

export const IdentityProvider = z
  .object({
    id: providerId,
    name: nameSchema,
    issuer: z.string(),
    audience,
    roleClaim,
    roleMapping: z.record(z.string(), z.enum(ROLES)),
    defaultRole,
    allowedEmailDomains,
    createMembers,
    clientId,
    hasClientSecret: z.boolean(),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'IdentityProvider' })
export type IdentityProvider = z.infer<typeof IdentityProvider>

/** @param development also http issuers of this machine */
export const createIdentityProvider = (development: boolean) =>
  z
    .strictObject({
      name: nameSchema,
      issuer: z
        .string()
        .max(MAX_ISSUER_LENGTH)
        .refine(
          (issuer) => isIssuer(issuer, development),
          'is not an https URL of a public host, without a query',
        )
        .meta({
          format: 'uri',
          description: 'As tokens say it in `iss`, letter by letter. It can’t be changed.',
        }),
      audience: audience.optional(),
      roleClaim: roleClaim.default(null),
      roleMapping: roleMapping.default({}),
      defaultRole: defaultRole.default(null),
      allowedEmailDomains: allowedEmailDomains.default(null),
      createMembers: createMembers.default(false),
      clientId: clientId.default(null),
      clientSecret: clientSecret.default(null),
    })
    .meta({ id: 'CreateIdentityProvider' })
export type CreateIdentityProvider = z.infer<ReturnType<typeof createIdentityProvider>>

export const UpdateIdentityProvider = z
  .strictObject({
    name: nameSchema.optional(),
    audience: audience.optional(),
    roleClaim: roleClaim.optional(),
    roleMapping: roleMapping.optional(),
    defaultRole: defaultRole.optional(),
    allowedEmailDomains: allowedEmailDomains.optional(),
    createMembers: createMembers.optional(),
    clientId: clientId.optional(),
    clientSecret: clientSecret.optional(),
  })
  .refine(...changesSomething)
  .meta({ id: 'UpdateIdentityProvider' })
export type UpdateIdentityProvider = z.infer<typeof UpdateIdentityProvider>
