// The organisation, as its own people and the operator see it.
import { z } from 'zod'
import { PLAN_NAMES } from '../../../shared/plans.ts'
import { TENANT_STATUSES } from '../../../shared/tenant.ts'
import { idSchema, nameSchema, slugSchema, timeSchema } from '../../schemas.ts'

export const Tenant = z
  .object({
    id: idSchema('ten'),
    slug: slugSchema,
    name: nameSchema,
    region: z.string(),
    plan: z.enum(PLAN_NAMES),
    status: z.enum(TENANT_STATUSES),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'Tenant' })
