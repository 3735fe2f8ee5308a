// Webhook endpoints and deliveries: what clients send and see. Secrets are seen once; the values of headers never.
import { z } from 'zod'
import { namesEvents } from '../../../shared/event_types.ts'
import { actorsMember, changesSomething, idSchema, sentTimeSchema, timeSchema } from '../../schemas.ts'
import { pageQuery } from '../../tenancy/service.ts'
import { DELIVERY_STATUSES } from '../../webhooks/records.ts'
import { secretBytes } from '../../webhooks/signature.ts'

export const endpointId = idSchema('whe')
export const deliveryIdSchema = idSchema('del')

const TYPE = /^[a-z_]+\.(?:[a-z_]+|\*)$/
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/
/** The platform's own, those of the connection, and what would make another request of it. */
const RESERVED =
  /^(?:webhook-.*|host|content-(?:length|type|encoding)|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|user-agent|proxy-.*)$/i
/** They are kept with the endpoint, which is read whenever it is delivered to; and few receivers take more. */
const MAX_HEADERS = 8 * 1024

const url = z
  .string()
  .max(2_048)
  .meta({ description: 'https, of a public host.', example: 'https://hooks.example.com/coditect' })
const description = z
  .string()
  .max(500)
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'has control characters')
const types = z
  .array(
    z
      .string()
      .max(100)
      .refine(namesEvents, 'is no type of event, nor all of a resource’s, as in `project.*`'),
  )
  .max(50)
  .meta({
    description: 'Of the events that it gets; `project.*` is all of projects, and none are all there are.',
    example: ['project.*'],
  })
const mode = z.enum(['parallel', 'fifo']).meta({
  description:
    '`fifo`: one after the other, in the order of the events; one that fails keeps the rest waiting.',
})
const rate = z.number().min(0.1).max(1_000).meta({ description: 'Deliveries a second, at most.' })
const headers = z
  .record(
    z.string().regex(HEADER_NAME, 'is not a header’s name'),
    z.string().regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,1998}[\x21-\x7e])?$/, 'is visible ASCII, at most 2,000'),
  )
  .refine((given) => Object.keys(given).length <= 20, 'has at most 20 entries')
  .refine(
    (given) => Object.entries(given).flat().join('').length <= MAX_HEADERS,
    'has at most 8 KiB, names and values together',
  )
  .refine(
    (given) => !Object.keys(given).some((name) => RESERVED.test(name)),
    'has a name of the platform’s own or of the connection: webhook-…, content-type, user-agent, host and the like',
  )
  .refine(
    (given) =>
      new Set(Object.keys(given).map((name) => name.toLowerCase())).size === Object.keys(given).length,
    'has a name twice',
  )
  .meta({ description: 'Sent with every delivery. Kept sealed.', example: { 'X-Own': 'value' } })
const secret = z
  .string()
  .refine((text) => secretBytes(text) !== undefined, 'is `whsec_` and 24 to 64 bytes in base64')
  .meta({
    description: 'One that the receiver has already; otherwise a new one is made.',
    example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  })

export const Endpoint = z
  .object({
    id: endpointId,
    url: z.string(),
    description: z.string().nullable(),
    types: z.array(z.string()),
    enabled: z.boolean(),
    disabled: z
      .object({ reason: z.enum(['asked', 'failing', 'gone']), at: timeSchema })
      .nullable()
      .meta({ description: 'While it is disabled its events are held.' }),
    mode,
    rate: z.number().nullable(),
    headers: z.array(z.string()).meta({ description: 'The names; values are not shown.' }),
    publicKey: z
      .string()
      .meta({ description: '`whpk_…`: what `v1a` signatures are checked with (Ed25519).' }),
    failingSince: timeSchema.nullable().meta({
      description: 'The first failure since the last success. After five days it is disabled.',
    }),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'WebhookEndpoint' })
export type Endpoint = z.infer<typeof Endpoint>

export const EndpointWithSecret = Endpoint.extend({
  secret: z
    .string()
    .meta({ description: '`whsec_…`: what `v1` signatures are checked with. Shown this once.' }),
}).meta({ id: 'WebhookEndpointWithSecret' })

export const CreateEndpoint = z
  .strictObject({
    url,
    description: description.nullable().default(null),
    types: types.default([]),
    enabled: z.boolean().default(true),
    mode: mode.default('parallel'),
    rate: rate.nullable().default(null),
    headers: headers.default({}),
    secret: secret.optional(),
  })
  .meta({ id: 'CreateWebhookEndpoint' })

export const UpdateEndpoint = z
  .strictObject({
    url: url.optional(),
    description: description.nullable().optional(),
    types: types.optional(),
    enabled: z
      .boolean()
      .optional()
      .meta({ description: 'Enabled again, it gets at once all that was held for it.' }),
    mode: mode.optional(),
    rate: rate.nullable().optional(),
    headers: headers.optional().meta({
      description:
        'In the place of all that there were. With a `url` of another scheme, host or port they have to be given again, or `{}` for none: 422 otherwise.',
    }),
  })
  .refine(...changesSomething)
  .meta({ id: 'UpdateWebhookEndpoint' })
export type UpdateEndpoint = z.infer<typeof UpdateEndpoint>

export const RotateSecret = z
  .strictObject({
    secret: secret.optional(),
    overlapSeconds: z
      .int()
      .min(0)
      .max(7 * 24 * 60 * 60)
      .default(24 * 60 * 60)
      .meta({ description: 'How long the old secrets still sign, beside the new one.' }),
  })
  .meta({ id: 'RotateWebhookSecret' })

const outcomes = ['unreachable', 'tls_failed', 'connection_lost', 'timed_out', 'not_http'] as const

export const Delivery = z
  .object({
    id: deliveryIdSchema,
    endpointId,
    eventId: idSchema('evt').meta({ description: 'What the receiver sees as `webhook-id`.' }),
    type: z.string(),
    sequence: z.string().meta({ description: 'Of the event: sorts as text in the order of the commits.' }),
    status: z.enum(DELIVERY_STATUSES).meta({ description: '`pending`: waits for its next try.' }),
    test: z.boolean(),
    attempts: z.int(),
    createdAt: timeSchema.meta({ description: 'Of the event.' }),
    attemptedAt: timeSchema.nullable(),
    nextAttemptAt: timeSchema.nullable(),
  })
  .meta({ id: 'WebhookDelivery' })
export type Delivery = z.infer<typeof Delivery>

export const DeliveryWithAttempts = Delivery.omit({ attempts: true })
  .extend({
    attempts: z.array(
      z.object({
        number: z.int(),
        at: timeSchema,
        durationMs: z.int().nullable(),
        status: z.int().nullable().meta({ description: 'Of the answer; null where none came.' }),
        error: z
          .enum(outcomes)
          .nullable()
          .meta({ description: 'Why none came. `unreachable` is one for every reason that there is.' }),
        answer: z
          .string()
          .nullable()
          .meta({ description: 'The beginning of it: 1 KiB at most, and 256 bytes where it was a success.' }),
      }),
    ),
  })
  .meta({ id: 'WebhookDeliveryWithAttempts' })

const since = sentTimeSchema.meta({ description: 'Of the event.', example: '2026-01-01T00:00:00.000Z' })

export const deliveryQuery = pageQuery.extend({
  endpoint: endpointId.optional(),
  type: z
    .string()
    .max(100)
    .regex(TYPE)
    .optional()
    .meta({ description: '`project.created`, or `project.*`.' }),
  status: z.enum(DELIVERY_STATUSES).optional(),
  since: since.optional(),
  until: since.optional().meta({
    description: 'Before this time. A page may be short: go on with its cursor.',
  }),
})
export type DeliveryQuery = z.infer<typeof deliveryQuery>

export const missedQuery = pageQuery.extend({ since: since.optional(), until: since.optional() })

export const Missed = z
  .object({
    eventId: idSchema('evt'),
    type: z.string(),
    at: timeSchema,
    sequence: z.string(),
    why: z.enum(['failed', 'pending', 'held', 'not_sent']).meta({
      description:
        '`failed`: given up. `pending`: waits for its next try. `held`: the endpoint is disabled, or has not come to it. `not_sent`: it was never to have it, as far as is known.',
    }),
    deliveryId: deliveryIdSchema.nullable(),
  })
  .meta({ id: 'MissedWebhook' })
export type Missed = z.infer<typeof Missed>

/** What an endpoint is sent: an event, as Standard Webhooks has payloads. */
export const WebhookPayload = z
  .object({
    type: z.string(),
    timestamp: timeSchema,
    id: idSchema('evt').meta({ description: 'The same as `webhook-id`, with every attempt.' }),
    sequence: z.string().meta({
      description: 'Sorts as text in the order of the commits.',
      example: '00000000000000010000000000a1b2c300000000',
    }),
    data: z
      .looseObject({
        resource: z.string(),
        actor: z.object({ kind: z.string(), id: z.string(), member: actorsMember }),
      })
      .meta({ description: 'What the event says beside that, such as the project that a record lies in.' }),
  })
  .meta({ id: 'WebhookPayload' })

export const Recover = z
  .strictObject({
    since,
    until: since
      .optional()
      .meta({ description: 'Before this time; now without it.', example: '2099-01-01T00:00:00.000Z' }),
  })
  .meta({ id: 'RecoverWebhooks' })
