// The organisation, as its own people and the operator see it.
import { z } from 'zod'
import { PLAN_NAMES } from '../../../shared/plans.ts'
import { TENANT_STATUSES } from '../../../shared/tenant.ts'
import { idSchema, nameSchema, slugSchema, timeSchema } from '../../schemas.ts'

const color = z
  .string()
  .regex(/^#[0-9a-f]{6}$/, 'is not a colour such as #0b57d0')
  .nullable()
const logo = z
  .string()
  .max(32_768)
  .regex(
    /^(?:https:\/\/[\w.-]+(?::\d+)?\/[\w\-.~%/?=&+]*|data:image\/(?:png|svg\+xml|webp|jpeg);base64,[A-Za-z0-9+/]+=*)$/,
    'is neither an https URL nor a data URL of an image',
  )
  .nullable()

export const Customisation = z
  .object({
    displayName: nameSchema.max(60).nullable().meta({ description: 'Instead of the name, in the console.' }),
    logoUrl: logo.meta({ description: 'https, or a `data:` URL of a PNG, SVG, WebP or JPEG image.' }),
    accentColor: color.meta({ description: '`#rrggbb`; used where it can be read.', example: '#0b57d0' }),
  })
  .meta({ id: 'Customisation' })

export const UpdateOrganisation = z
  .strictObject({
    name: nameSchema.optional(),
    customisation: z
      .strictObject({
        displayName: nameSchema.max(60).nullable().optional(),
        logoUrl: logo.optional(),
        accentColor: color.optional(),
      })
      .optional(),
  })
  .refine((changes) => Object.keys(changes).length > 0, 'says nothing to change')
  .meta({ id: 'UpdateOrganisation' })

export const Tenant = z
  .object({
    id: idSchema('ten'),
    slug: slugSchema,
    name: nameSchema,
    region: z.string(),
    plan: z.enum(PLAN_NAMES),
    status: z.enum(TENANT_STATUSES),
    customisation: Customisation,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'Tenant' })
