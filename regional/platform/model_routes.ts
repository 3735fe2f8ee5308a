// /platform/v1/models: the operator's catalogue of models that all tenants share.
import { z } from 'zod'
import { PLAN_NAMES } from '../../shared/plans.ts'
import type { OperatorPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { pageWithin } from '../cursor.ts'
import {
  type IsFirst,
  type ListedModel,
  MAX_MODELS,
  type ModelStore,
  type NotAdded,
} from '../models/catalogue.ts'
import { MODEL_NAME, type Model } from '../models/model.ts'
import { notFound, pageOf, pageQuery, type Reply, requireMatch, tagOf } from '../operation.ts'
import { changesSomething, timeSchema } from '../schemas.ts'
import type { Verified } from '../tenancy/verify.ts'
import { REPLAYED } from '../tenancy/write_once.ts'
import { type OperatorOperation, operatorOperation } from './operation.ts'
import { type OperatorRequests, requestOf } from './operator_requests.ts'

const LIST = 'platform models'

const name = z.string().regex(MODEL_NAME, 'is letters, digits, dots, - and _, at most 63')
const one = z.object({ name })
const price = z.number().min(0).max(1e6).meta({ description: 'US dollars for a million tokens.' })

/** What is behind a ? or # would swallow the path of each call, and a password would be shown: that is what `apiKey` is for. */
const isBare = (url: string): boolean => {
  const parsed = URL.parse(url)
  return !/[?#]/.test(url) && !parsed?.username && !parsed?.password
}

const fields = (development: boolean) => ({
  baseUrl: z
    .url(
      development
        ? { protocol: /^https?$/, error: 'is an http or https URL' }
        : { protocol: /^https$/, error: 'is an https URL' },
    )
    .max(2_048)
    .refine(isBare, 'has no user, no password, no ? and no #')
    .meta({ description: 'Of an OpenAI-compatible server, such as https://api.openai.com/v1' }),
  apiKey: z
    .string()
    .regex(/^[\x21-\x7e]{1,1024}$/, 'is visible ASCII characters')
    .nullable()
    .meta({ description: 'Of the upstream. Kept sealed, and never shown.' }),
  upstreamModel: z.string().min(1).max(256),
  inputTokenPrice: price,
  outputTokenPrice: price,
  plans: z.array(z.enum(PLAN_NAMES)).min(1),
  enabled: z.boolean(),
  maxConcurrent: z
    .int()
    .min(1)
    .max(10_000)
    .meta({ description: 'Calls at the same time, of each region’s process.' }),
})

const PlatformModel = z
  .object({
    name,
    baseUrl: z.url(),
    hasApiKey: z.boolean(),
    upstreamModel: z.string(),
    inputTokenPrice: price,
    outputTokenPrice: price,
    plans: z.array(z.enum(PLAN_NAMES)),
    enabled: z.boolean(),
    maxConcurrent: z.int(),
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: 'PlatformModel' })

const shown = ({ apiKey, keyLost: _, ...model }: ListedModel): z.output<typeof PlatformModel> => ({
  ...model,
  plans: [...model.plans],
  hasApiKey: apiKey !== null,
})

const reply = (status: number, model: ListedModel, headers?: Reply['headers']): Reply => {
  const body = shown(model)
  return { status, body, headers: { etag: tagOf(body), ...headers } }
}

const NOT_ADDED: Readonly<Record<NotAdded, (name: string) => string>> = {
  exists: (name) => `There is a model ${name} already.`,
  full: () => `There are ${MAX_MODELS} models already, and that is the most. Take one away first.`,
  gone: (name) => `This request was already carried out, and the model ${name} was taken away since.`,
}

/** @throws {Problem} `precondition_failed` for a model that is not as its operator knew it */
const agreeing =
  (ifMatch: string | undefined) =>
  (model: ListedModel): void =>
    requireMatch(ifMatch, tagOf(shown(model)))

/**
 * The key that is kept goes to nobody else: whoever may change a model is not to read it so.
 * @throws {Problem} `validation_failed`
 */
function requireSameUpstream(model: ListedModel, { baseUrl, apiKey }: Partial<Model>): void {
  const hasKey = model.apiKey !== null || model.keyLost === true
  if (baseUrl === undefined || apiKey !== undefined || !hasKey) return
  if (new URL(baseUrl).origin === new URL(model.baseUrl).origin) return
  throw new Problem('validation_failed', 'The body does not fit its schema. `errors` says where.', {
    errors: [
      { pointer: '/apiKey', detail: 'is to be given again, or null, where `baseUrl` leads to another host' },
    ],
  })
}

export interface ModelRoutes {
  models: ModelStore
  requests: OperatorRequests
  /** Has this region know of a change at once. */
  changed: () => Promise<void>
  /** Whether upstreams may be of this machine, over http. */
  development: boolean
}

export function modelOperations({
  models,
  requests,
  changed,
  development,
}: ModelRoutes): ReadonlyArray<OperatorOperation> {
  const { apiKey, inputTokenPrice, outputTokenPrice, plans, enabled, maxConcurrent, upstreamModel, baseUrl } =
    fields(development)
  const CreateModel = z
    .strictObject({
      name,
      baseUrl,
      apiKey: apiKey.default(null),
      upstreamModel: upstreamModel.optional().meta({ description: 'The name, unless you say otherwise.' }),
      inputTokenPrice: inputTokenPrice.default(0),
      outputTokenPrice: outputTokenPrice.default(0),
      plans: plans.default([...PLAN_NAMES]),
      enabled: enabled.default(true),
      maxConcurrent: maxConcurrent.default(32),
    })
    .meta({ id: 'CreateModel' })
  const UpdateModel = z
    .strictObject(fields(development))
    .partial()
    .refine(...changesSomething)
    .meta({ id: 'UpdateModel' })

  /** With the headers that say so of one that was made before. */
  function once(
    operator: Verified<OperatorPrincipal>,
    idempotencyKey: string | undefined,
    route: string,
    content: unknown,
  ): { isFirst: IsFirst; headers(): NonNullable<Reply['headers']> } {
    let replayed = false
    return {
      async isFirst(scope) {
        const asked = { ...requestOf(operator), idempotencyKey, route, content }
        replayed = (await requests.before(scope, asked)) !== undefined
        return !replayed
      },
      headers: () => (replayed ? REPLAYED : {}),
    }
  }

  return [
    operatorOperation({
      method: 'post',
      path: '/platform/v1/models',
      tag: 'Models',
      summary: 'Add a model that tenants share',
      role: 'admin',
      body: CreateModel,
      answers: { 201: PlatformModel },
      problems: ['conflict'],
      async handle({ body, idempotencyKey }, operator) {
        const model = { ...body, upstreamModel: body.upstreamModel ?? body.name }
        const request = once(operator, idempotencyKey, 'post /platform/v1/models', body)
        const added = await models.add(model, request.isFirst)
        if (added.outcome !== 'added') throw new Problem('conflict', NOT_ADDED[added.outcome](body.name))
        await changed()
        const location = `/platform/v1/models/${body.name}`
        return reply(201, added.model, { location, ...request.headers() })
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/models',
      tag: 'Models',
      summary: 'List the models, by name',
      role: 'read',
      query: pageQuery,
      answers: { 200: pageOf(PlatformModel) },
      async handle({ query }) {
        const all = (await models.list()).map((model) => [model.name, shown(model)] as const)
        return { status: 200, body: pageWithin(LIST, all, query) }
      },
    }),
    operatorOperation({
      method: 'get',
      path: '/platform/v1/models/{name}',
      tag: 'Models',
      summary: 'Read a model',
      role: 'read',
      params: one,
      answers: { 200: PlatformModel },
      async handle({ params }) {
        const model = await models.read(params.name)
        if (model === undefined) throw notFound()
        return reply(200, model)
      },
    }),
    operatorOperation({
      method: 'patch',
      path: '/platform/v1/models/{name}',
      tag: 'Models',
      summary: 'Change a model; all regions know within seconds',
      role: 'admin',
      params: one,
      body: UpdateModel,
      answers: { 200: PlatformModel },
      problems: ['precondition_failed'],
      async handle({ params: { name }, body, idempotencyKey, ifMatch }, operator) {
        const changes: Partial<Model> = Object.fromEntries(
          Object.entries(body).filter(([, value]) => value !== undefined),
        )
        const request = once(operator, idempotencyKey, `patch /platform/v1/models/${name}`, body)
        const model = await models.change(name, changes, request.isFirst, (before) => {
          agreeing(ifMatch)(before)
          requireSameUpstream(before, changes)
        })
        if (model === undefined) throw notFound()
        if (model === 'gone') throw new Problem('conflict', NOT_ADDED.gone(name))
        await changed()
        return reply(200, model, request.headers())
      },
    }),
    operatorOperation({
      method: 'delete',
      path: '/platform/v1/models/{name}',
      tag: 'Models',
      summary: 'Take a model away; runs that go on end as they would',
      role: 'admin',
      params: one,
      answers: { 204: null },
      problems: ['precondition_failed'],
      async handle({ params: { name }, idempotencyKey, ifMatch }, operator) {
        const request = once(operator, idempotencyKey, `delete /platform/v1/models/${name}`, null)
        if (!(await models.remove(name, request.isFirst, agreeing(ifMatch)))) throw notFound()
        await changed()
        return { status: 204, headers: request.headers() }
      },
    }),
  ]
}
