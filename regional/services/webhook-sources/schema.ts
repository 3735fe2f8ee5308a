// Sources of webhooks, and what they sent: what clients send and see.
import { z } from 'zod'
import { changesSomething, idSchema, nameSchema, timeSchema } from '../../schemas.ts'
import { PROVIDERS, type Provider, standardSecret } from './providers.ts'

export const sourceId = idSchema('whs')
export const receivedId = idSchema('del')

const provider = z.enum(PROVIDERS)
const secret = z
  .string()
  .min(1)
  .max(512)
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'has control characters')
  .meta({ description: 'What the provider signs with. Kept sealed, and never shown.' })

/** What is never made by anybody but the provider itself: another text is one that was copied wrongly. */
const MADE_BY_PROVIDER = /^[\x21-\x7e]{8,}$/

/** What a provider's signatures cannot be checked with: nobody could, or anybody could make them. */
export function wrongSecret(provider: Provider, given: string): string | undefined {
  // Of these it is their user's choice, any text.
  if (provider === 'github' || provider === 'hmac') return undefined
  if (provider !== 'standard') {
    return MADE_BY_PROVIDER.test(given) ? undefined : 'is at least 8 visible ASCII characters'
  }
  const bytes = standardSecret(given)
  // What has other letters is another secret than its provider has. Some leave out the padding.
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(given.replace(/^whsec_/, ''))
  return isBase64 && bytes.length >= 24 ? undefined : 'is `whsec_` and at least 24 bytes in base64'
}

/** From the provider's types to your own; `*` for all others. */
const eventTypes = z
  .record(
    z.string().min(1).max(200),
    z
      .string()
      .regex(/^[a-z0-9_]+(?:\.[a-z0-9_]+)*$/, 'is like `order.paid`')
      .max(100),
  )
  .refine((mapping) => Object.keys(mapping).length <= 100, 'has at most 100 entries')
  .meta({ description: 'From the provider’s types to your own, `*` for all others.', example: {} })

const EXAMPLE_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

const agent = z
  .strictObject({ projectId: idSchema('prj'), agentId: idSchema('agt') })
  .nullable()
  .meta({ description: 'The agent that is run with each webhook. Needs the scope `agents:write`.' })

export const Source = z
  .object({
    id: sourceId,
    name: nameSchema,
    provider,
    eventTypes,
    agent,
    formerSecretUntil: timeSchema.nullable().meta({
      description: 'The secret was changed: until then what one of before signs is genuine, too.',
    }),
    received: z.int().meta({ description: 'Genuine ones, each once.' }),
    rejected: z.int().meta({ description: 'With a wrong signature, or one from another time.' }),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'WebhookSource' })
export type Source = z.infer<typeof Source>

export const CreatedSource = Source.extend({
  url: z.url().meta({ description: 'What the provider is to call. Shown this once.' }),
}).meta({ id: 'CreatedWebhookSource' })

export const CreateSource = z
  .strictObject({
    name: nameSchema,
    provider,
    secret: secret.meta({ example: EXAMPLE_SECRET }),
    eventTypes: eventTypes.default({}),
    agent: agent.default(null).meta({ example: null }),
  })
  .superRefine((given, context) => {
    const message = wrongSecret(given.provider, given.secret)
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['secret'], message })
  })
  .meta({ id: 'CreateWebhookSource' })

export const UpdateSource = z
  .strictObject({
    name: nameSchema.optional(),
    secret: secret.optional().meta({ example: EXAMPLE_SECRET }),
    overlapSeconds: z
      .int()
      .min(0)
      .max(7 * 24 * 60 * 60)
      .optional()
      .meta({
        description:
          'With `secret`: how long what the one of before signs is genuine, too. A day without it; 0 ends it at once.',
      }),
    eventTypes: eventTypes.optional(),
    agent: agent.optional().meta({ example: null }),
  })
  .refine(...changesSomething)
  .refine(({ secret, overlapSeconds }) => secret !== undefined || overlapSeconds === undefined, {
    path: ['overlapSeconds'],
    message: 'goes with `secret`',
  })
  .meta({ id: 'UpdateWebhookSource' })

export const ReceivedWebhook = z
  .object({
    id: receivedId,
    sourceId,
    type: z.string().meta({ description: 'Your own name of it, or the provider’s.' }),
    providerType: z.string().nullable(),
    providerEventId: z.string().nullable(),
    bytes: z.int(),
    receivedAt: timeSchema,
  })
  .meta({ id: 'ReceivedWebhook' })
export type ReceivedWebhook = z.infer<typeof ReceivedWebhook>

export const ReceivedWithBody = ReceivedWebhook.extend({
  body: z.string().meta({ description: 'As it was sent, if it is text in UTF-8; otherwise in base64.' }),
  encoding: z.enum(['utf-8', 'base64']),
}).meta({ id: 'ReceivedWebhookWithBody' })
