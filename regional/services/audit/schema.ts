// The audit trail, as a tenant reads it.
import { z } from 'zod'
import { actorsMember, sentTimeSchema, timeSchema } from '../../schemas.ts'
import { ACTOR_KINDS } from '../../tenancy/audit.ts'
import { pageQuery } from '../../tenancy/service.ts'

export const AuditEntry = z
  .object({
    id: z.string().meta({ description: 'The entry’s place in the trail.' }),
    at: timeSchema,
    actor: z.object({
      kind: z.enum(ACTOR_KINDS),
      id: z.string().meta({ description: 'For a signed URL: the key that signed it.' }),
      member: actorsMember,
    }),
    action: z.string().meta({ description: '`<service>.<operation>`', example: 'projects.create' }),
    target: z.string().nullable().meta({
      description:
        'What it was done to, where that is one thing: its id; of a collection `prj_…/name`, of a signed URL its method and path.',
    }),
    changed: z
      .array(z.string())
      .optional()
      .meta({
        description:
          'With `tenants.update`, an operator’s change: the fields that are others since, by name.',
        example: ['plan', 'limits.projects', 'status'],
      }),
    ip: z.string().nullable(),
    requestId: z.string(),
    outcome: z.enum(['done', 'refused']),
    code: z.string().optional().meta({ description: 'Why it was refused: a problem code.' }),
    count: z.int().optional().meta({ description: 'How many like it, where refusals are told together.' }),
  })
  .meta({ id: 'AuditEntry' })
export type AuditEntry = z.infer<typeof AuditEntry>

const word = z.string().min(1).max(200)

export const AuditQuery = pageQuery.extend({
  actor: word
    .optional()
    .meta({ description: 'Only what this one did, by its id; for a member, in their sessions, too.' }),
  action: word.optional().meta({ description: 'Such as `projects.create`, or `projects` for all of them.' }),
  target: word.optional().meta({ description: 'Only what was done to this, as entries say it.' }),
  outcome: z.enum(['done', 'refused']).optional(),
  since: sentTimeSchema.optional(),
  until: sentTimeSchema
    .optional()
    .meta({ description: 'Before this time. A page may be short: go on with its cursor.' }),
})
export type AuditQuery = z.infer<typeof AuditQuery>
