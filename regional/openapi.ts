// The OpenAPI 3.1 document, made from the very declarations that the routes run by.
import { OpenAPIRegistry, OpenApiGeneratorV31, type ResponseConfig } from '@asteasolutions/zod-to-openapi'
import { z } from 'zod'
import { EVENT_TYPES } from '../shared/event_types.ts'
import { PROBLEMS, type ProblemCode } from '../shared/problems.ts'
import { SIGNATURE } from '../shared/signed_url.ts'
import { addExamples, problemExample } from './openapi_examples.ts'
import { type Declaration, mayLackBody, showsOne } from './operation.ts'
import { requireUniqueIds } from './schema_ids.ts'
import { ProblemSchema } from './schemas.ts'
import { WebhookPayload } from './services/webhook-endpoints/schema.ts'

export interface DescribedOperation {
  declaration: Declaration
  security: 'apiKey' | 'person' | 'operator'
  /** The scope or role that it needs. */
  needs: string
  /** Whether a signed URL reaches it. */
  signable: boolean
  /** The status under which it answers as a stream too, when a client asks for one. */
  streamsAs?: number | undefined
  /** Whether its work outlives its transaction: then its answer begins before it is over. */
  outside?: boolean
}

/** Problems that any operation may answer with. */
const COMMON: ReadonlyArray<ProblemCode> = [
  'malformed_request',
  'conflicting_credentials',
  'credential_missing',
  'credential_invalid',
  'insufficient_scope',
  'too_many_failures',
  'request_head_too_large',
  'internal',
  'region_unavailable',
  'deadline_exceeded',
  'contention',
]
const OF_TENANTS: ReadonlyArray<ProblemCode> = [
  'api_key_revoked',
  'api_key_expired',
  'signed_url_expired',
  'tenant_suspended',
  'tenant_erased',
  'tenant_mismatch',
  'not_a_member',
  'identity_provider_unavailable',
  'rate_limited',
  'limiter_unavailable',
  'overloaded',
]
const OF_BODIES: ReadonlyArray<ProblemCode> = [
  'malformed_json',
  'body_too_large',
  'body_too_slow',
  'unsupported_media_type',
  'validation_failed',
]

/** Where none is taken. */
const OF_NO_BODY: ReadonlyArray<ProblemCode> = [
  'malformed_json',
  'body_too_large',
  'body_too_slow',
  'validation_failed',
]

const DESCRIPTION = `Every path goes through the edge. Whatever is refused is a problem document (RFC 9457), told apart by its
\`code\`. Every answer has \`X-Request-Id\`, and of an organisation's requests \`RateLimit\` and \`RateLimit-Policy\`; single resources
have an \`ETag\`; 429 and 503, but for \`no_model_configured\`, say in \`Retry-After\` how many seconds to wait.`

const Headers = {
  idempotencyKey: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .optional()
    .meta({
      description:
        'The same request with the same key again has one effect, and is answered as it first was, for 24 hours.',
      example: '6f1c2d0e-8a7b-4f5e-9c3d-2b1a0f9e8d7c',
    }),
  ifMatch: z.string().optional().meta({
    description: 'The `ETag` of the resource as you know it: 412 when it has changed since.',
    example: '"1"',
  }),
  ifNoneMatch: z.string().optional().meta({
    description: 'The `ETag` of the resource as you have it: 304 while it is still so.',
    example: '"1"',
  }),
  ifNoneThere: z.string().optional().meta({
    description: '`*`: only if there is nothing yet, otherwise 412.',
    example: '*',
  }),
  lastEventId: z.string().optional().meta({
    description: 'Of a stream: the id of the last event that you have. It goes on behind that one.',
  }),
  tenant: z.string().optional().meta({
    description: 'The id or slug of the organisation, where the credential does not say it (a JWT).',
    example: 'northwind',
  }),
}

/** Of answers. Each stands once, and is named where it is answered. */
const ANSWER_HEADERS = {
  'X-Request-Id': 'Names this request. Quote it when you report a problem.',
  ETag: 'The version of the resource, for `If-Match` and `If-None-Match`.',
  Location: 'Where what was made, or begun, is read.',
  RateLimit: 'What is left of the most restrictive limit (draft-ietf-httpapi-ratelimit-headers).',
  'RateLimit-Policy': 'The limits that hold (draft-ietf-httpapi-ratelimit-headers).',
  'Retry-After': 'How many seconds to wait before it is sent again.',
  'Idempotency-Replayed': '`true` where the same request was carried out, and answered so, before.',
} as const
type AnswerHeader = keyof typeof ANSWER_HEADERS

const named = (headers: ReadonlyArray<AnswerHeader>) =>
  Object.fromEntries(headers.map((name) => [name, { $ref: `#/components/headers/${name}` }]))

/** OpenAPI 3.1 has no words for the events of a stream: it is text. */
const SERVER_SENT_EVENTS = {
  type: 'string' as const,
  description: 'Server-sent events, for a request with `Accept: text/event-stream`.',
}

/** @throws {RangeError} when two schemas have one id */
export function openApiDocument(operations: ReadonlyArray<DescribedOperation>): object {
  const schemas = operations.flatMap(({ declaration: { params, query, body, answers } }) => [
    ...[params, query, body],
    ...Object.values(answers),
  ])
  requireUniqueIds([ProblemSchema, WebhookPayload, ...schemas])
  const registry = new OpenAPIRegistry()
  registry.registerComponent('securitySchemes', 'apiKey', {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key, `ck_…`. `X-Api-Key` carries it as well.',
  })
  registry.registerComponent('securitySchemes', 'signedUrl', {
    type: 'apiKey',
    in: 'query',
    name: SIGNATURE,
    description: 'Part of a URL that `POST /v1/signed-urls` answered: for that method, path and query alone.',
  })
  registry.registerComponent('securitySchemes', 'jwt', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'A token of one of the organisation’s identity providers (`/v1/identity-providers`).',
  })
  registry.registerComponent('securitySchemes', 'operator', {
    type: 'http',
    scheme: 'bearer',
    description: 'An operator token, `co_…`.',
  })
  for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
    registry.registerComponent('examples', code, { value: problemExample(code) })
  }
  for (const [name, description] of Object.entries(ANSWER_HEADERS)) {
    registry.registerComponent('headers', name, { description, schema: { type: 'string' } })
  }
  for (const operation of operations) register(registry, operation)
  for (const [type, says] of Object.entries(EVENT_TYPES)) registerWebhook(registry, type, says)
  const document = new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: { title: 'Coditect', version: '1', description: DESCRIPTION.replaceAll('\n', ' ') },
  })
  addExamples(document as unknown as Parameters<typeof addExamples>[0])
  return document
}

/** What endpoints are sent (`/v1/webhook-endpoints`). */
function registerWebhook(registry: OpenAPIRegistry, type: string, says: string): void {
  registry.registerWebhook({
    method: 'post',
    path: type,
    summary: says,
    tags: ['Webhooks out'],
    description:
      'Signed as Standard Webhooks has it: `webhook-id`, `webhook-timestamp` and `webhook-signature` (`v1` and `v1a`).',
    request: { body: { content: { 'application/json': { schema: WebhookPayload } } } },
    responses: { '2XX': { description: 'Taken. Anything else is tried again.' } },
  })
}

function register(registry: OpenAPIRegistry, operation: DescribedOperation): void {
  const { declaration, security, needs, signable, streamsAs } = operation
  const { method, path, summary, tag, params, query, body } = declaration
  registry.registerPath({
    method,
    path,
    summary,
    tags: [tag],
    operationId: `${method} ${path}`.replace(/[^a-z0-9]+/gi, '_').replace(/_$/, ''),
    description:
      security === 'apiKey'
        ? `Needs the scope \`${needs}\`.`
        : security === 'person'
          ? 'For a person, with a token of their own; they need not be a member yet.'
          : `Needs the operator role \`${needs}\`.`,
    security:
      security === 'apiKey'
        ? [{ apiKey: [] }, { jwt: [] }, ...(signable ? [{ signedUrl: [] }] : [])]
        : [security === 'person' ? { jwt: [] } : { operator: [] }],
    // The registry's types ask for object schemas; declarations hold any schema, and all of ours are objects.
    request: {
      ...(params && { params: params as never }),
      ...(query && { query: query as never }),
      headers: headersOf(declaration, security, streamsAs),
      ...(body && { body: { required: !mayLackBody(declaration), content: contentOf(method, body) } }),
    },
    responses: responsesOf(operation),
  })
}

/** A change that is merged may say so by its content type (RFC 7396). */
const contentOf = (method: Declaration['method'], schema: z.ZodType) => ({
  'application/json': { schema },
  ...(method === 'patch' && { 'application/merge-patch+json': { schema } }),
})

function headersOf(
  { method, path, problems = [] }: Declaration,
  security: DescribedOperation['security'],
  streamsAs: number | undefined,
): z.ZodObject {
  return z.object({
    ...(method !== 'get' && { 'Idempotency-Key': Headers.idempotencyKey }),
    ...(problems.includes('precondition_failed') &&
      !path.endsWith(':batch') && { 'If-Match': Headers.ifMatch }),
    ...(showsOne({ method, path }) && { 'If-None-Match': Headers.ifNoneMatch }),
    ...(method === 'put' && { 'If-None-Match': Headers.ifNoneThere }),
    ...(streamsAs !== undefined && method === 'get' && { 'Last-Event-ID': Headers.lastEventId }),
    ...(security !== 'operator' && { 'X-Tenant': Headers.tenant }),
  })
}

/** What others have begun, which ends by itself. */
const OVER_IN_TIME: ReadonlySet<ProblemCode> = new Set(['request_in_progress', 'index_building'])

const DONE = 'Done.'
const BEGUN =
  'Done, or begun: the head of the answer goes out at once. What goes wrong afterwards is a problem document in place of the body, told by its `type`, or an event `error`.'

function responsesOf({
  declaration,
  security,
  streamsAs,
  outside = false,
}: DescribedOperation): Record<string, ResponseConfig> {
  const responses: Record<string, ResponseConfig> = {}
  const { method } = declaration
  const always: AnswerHeader[] = [
    'X-Request-Id',
    ...(security === 'operator' ? [] : (['RateLimit', 'RateLimit-Policy'] as const)),
  ]
  const hasTag = showsOne(declaration) || (!outside && ['post', 'put', 'patch'].includes(method))
  const ofSuccess: AnswerHeader[] = [
    ...always,
    ...(hasTag ? (['ETag'] as const) : []),
    ...(method === 'get' ? [] : (['Idempotency-Replayed'] as const)),
  ]
  for (const [status, schema] of Object.entries(declaration.answers)) {
    responses[status] = {
      description: outside ? BEGUN : DONE,
      headers: named(status === '201' || status === '202' ? [...ofSuccess, 'Location'] : ofSuccess),
      ...(schema && {
        content: {
          'application/json': { schema },
          ...(Number(status) === streamsAs && { 'text/event-stream': { schema: SERVER_SENT_EVENTS } }),
        },
      }),
    }
  }
  if (showsOne(declaration))
    responses[304] = { description: 'It is still as `If-None-Match` says.', headers: named(ofSuccess) }
  const codes = new Set<ProblemCode>([
    ...COMMON,
    ...(security === 'operator' ? [] : OF_TENANTS),
    ...(declaration.method === 'get' ? [] : (['idempotency_key_reuse', 'conflict'] as const)),
    ...(declaration.method === 'get' ? [] : declaration.body === undefined ? OF_NO_BODY : OF_BODIES),
    ...(declaration.params === undefined ? [] : (['not_found'] as const)),
    ...(declaration.query === undefined ? [] : (['invalid_cursor'] as const)),
    ...(streamsAs === undefined && !outside ? [] : (['too_many_streams'] as const)),
    ...(outside ? (['request_in_progress'] as const) : []),
    // Where a region holds no tails; a run is over by itself.
    ...(streamsAs === undefined || declaration.method !== 'get' ? [] : (['not_acceptable'] as const)),
    ...(declaration.problems ?? []),
  ])
  for (const [status, ofStatus] of Map.groupBy(codes, (code) => PROBLEMS[code].status)) {
    const passes = status === 429 || status === 503 || ofStatus.some((code) => OVER_IN_TIME.has(code))
    const waits = passes ? (['Retry-After'] as const) : []
    responses[status] = {
      headers: named([...always, ...waits]),
      description: ofStatus.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(' '),
      content: {
        'application/problem+json': {
          schema: ProblemSchema,
          examples: Object.fromEntries(
            ofStatus.map((code) => [code, { $ref: `#/components/examples/${code}` }]),
          ),
        },
      },
    }
  }
  return responses
}
