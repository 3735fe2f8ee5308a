// An event of the feed, as a tenant reads it.
import { z } from 'zod'
import { namesEvents } from '../../../shared/event_types.ts'
import { actorsMember, idSchema, timeSchema } from '../../schemas.ts'
import { ACTOR_KINDS } from '../../tenancy/audit.ts'
import { pageLimit } from '../../tenancy/service.ts'

export const Event = z
  .object({
    id: idSchema('evt'),
    type: z.string().meta({ description: '`<resource>.<what happened>`', example: 'project.created' }),
    at: timeSchema,
    resource: z.string().meta({ description: 'The id or name of what changed.' }),
    actor: z.object({
      kind: z.enum(ACTOR_KINDS),
      id: z.string(),
      member: actorsMember,
    }),
    sequence: z.string().meta({
      description: 'Where it stands in the feed: sorts as text, and `after` takes it.',
    }),
    data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
  })
  .meta({ id: 'Event' })

const MAX_TYPES = 20

export const eventQuery = z.strictObject({
  after: z.string().max(2048).optional().meta({
    description:
      'The `id` or `sequence` of an event, a `nextCursor`, or a `through`. Without it, from the oldest one on; a stream begins now.',
  }),
  types: z
    .string()
    .max(1000)
    .refine((text) => text.split(',').length <= MAX_TYPES, `At most ${MAX_TYPES} types.`)
    .refine(
      (text) => text.split(',').every(namesEvents),
      'Each is a type of event, or all of a resource’s: such as project.created,api_key.*',
    )
    .optional()
    .meta({ description: 'Only these, separated by commas; `project.*` is every event of projects.' }),
  limit: pageLimit,
  cursor: z
    .string()
    .max(2048)
    .optional()
    .meta({ description: 'The same as `after`, as every list takes it. Of both, this one is heeded.' }),
})

/** Whether an event of a type was asked for. */
export function typeFilter(types: string | undefined): (type: string) => boolean {
  if (types === undefined) return () => true
  const wanted = new Set(types.split(','))
  return (type) => wanted.has(type) || wanted.has(`${type.split('.')[0]}.*`)
}
