// The organisation, as its own people and the operator see it.
import { z } from 'zod'
import { LIMIT_NAMES, type LimitName, MOST, PLAN_NAMES } from '../../../shared/plans.ts'
import { TENANT_STATUSES } from '../../../shared/tenant.ts'
import { changesSomething, idSchema, nameSchema, slugSchema, timeSchema } from '../../schemas.ts'

const color = z
  .string()
  .regex(/^#[0-9a-fA-F]{6}$/, 'is not a colour such as #0b57d0')
  .toLowerCase()
  .nullable()
const logo = z
  .string()
  .max(32_768)
  .regex(
    /^(?:https:\/\/[\w.-]+(?::\d+)?\/[\w\-.~%/?=&+]*|data:image\/(?:png|svg\+xml|webp|jpeg);base64,[A-Za-z0-9+/]+=*)$/,
    'is neither an https URL nor a data URL of an image',
  )
  .refine((text) => URL.canParse(text), 'has a host or port that there cannot be')
  .nullable()

export const Customisation = z
  .object({
    displayName: nameSchema.max(60).nullable().meta({ description: 'Instead of the name, in the console.' }),
    logoUrl: logo.meta({ description: 'https, or a `data:` URL of a PNG, SVG, WebP or JPEG image.' }),
    accentColor: color.meta({ description: '`#rrggbb`; used where it can be read.', example: '#0b57d0' }),
  })
  .meta({ id: 'Customisation' })

/** Of a page, as a browser says it in `Origin` (RFC 6454). */
const origin = z
  .string()
  .max(253)
  .refine(
    (text) => /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text,
    'is not an origin such as https://app.example',
  )

const corsOrigins = z
  .array(origin)
  .max(20)
  .meta({ description: 'Whose pages may read answers (CORS). None unless you name them.' })

/** Characters of them all. They travel to the edge in one header, and some proxies take no more than 4 KiB of headers. */
const MAX_ORIGINS_LENGTH = 2_048
const fewOrigins = corsOrigins
  .refine(
    (origins) => origins.join('').length <= MAX_ORIGINS_LENGTH,
    `has more than ${MAX_ORIGINS_LENGTH} characters in all`,
  )
  .meta({
    description: `Whose pages may read answers (CORS). At most ${MAX_ORIGINS_LENGTH} characters in all.`,
  })

export const UpdateOrganisation = z
  .strictObject({
    name: nameSchema.optional(),
    corsOrigins: fewOrigins.optional(),
    customisation: z
      .strictObject({
        displayName: nameSchema.max(60).nullable().optional(),
        logoUrl: logo.optional(),
        accentColor: color.optional(),
      })
      .optional(),
  })
  .refine(...changesSomething)
  .meta({ id: 'UpdateOrganisation' })

const perLimit = <T extends z.ZodType>(schema: T) =>
  Object.fromEntries(LIMIT_NAMES.map((name) => [name, schema])) as Record<LimitName, T>

/** What holds: the plan's, or what the operator gave this organisation instead. */
export const EffectiveLimits = z.object(perLimit(z.number())).meta({ id: 'Limits' })

export const UpdateLimits = z
  .strictObject({
    ...perLimit(z.int().min(0).max(Number.MAX_SAFE_INTEGER).nullable().optional()),
    requestsPerSecond: z.int().min(1).max(1_000_000).nullable().optional(),
    burst: z.int().min(1).max(10_000_000).nullable().optional(),
    streams: z.int().min(1).max(100_000).nullable().optional(),
    eventRetentionDays: z.int().min(1).max(36_500).nullable().optional(),
    auditRetentionDays: z.int().min(1).max(36_500).nullable().optional(),
    identityProviders: z.int().min(0).max(MOST.identityProviders).nullable().optional(),
    domains: z.int().min(0).max(MOST.domains).nullable().optional(),
    webhookEndpoints: z.int().min(0).max(MOST.webhookEndpoints).nullable().optional(),
  })
  .meta({ id: 'UpdateLimits', description: 'Null: as the plan has it.' })

export const Tenant = z
  .object({
    id: idSchema('ten'),
    slug: slugSchema,
    name: nameSchema,
    region: z.string(),
    plan: z.enum(PLAN_NAMES),
    status: z.enum(TENANT_STATUSES),
    limits: EffectiveLimits,
    customisation: Customisation,
    corsOrigins,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'Tenant' })
