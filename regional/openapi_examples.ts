// Examples for the OpenAPI document: one for each JSON body and answer, made from its schema. A schema's own example comes
// first, then what its form asks for, then a word that suits the field's name.
import {
  PROBLEMS,
  Problem,
  type ProblemCode,
  type ProblemDetails,
  problemDetails,
} from '../shared/problems.ts'

interface Schema {
  $ref?: string
  type?: string | ReadonlyArray<string>
  format?: string
  pattern?: string
  enum?: ReadonlyArray<unknown>
  const?: unknown
  example?: unknown
  default?: unknown
  minimum?: number
  properties?: Readonly<Record<string, Schema>>
  items?: Schema
  anyOf?: ReadonlyArray<Schema>
  oneOf?: ReadonlyArray<Schema>
  allOf?: ReadonlyArray<Schema>
}

interface MediaType {
  schema?: Schema
  example?: unknown
}

interface WithContent {
  content?: Readonly<Record<string, MediaType>>
}

interface Described {
  requestBody?: WithContent
  responses: Readonly<Record<string, WithContent>>
}

interface Document {
  paths?: Readonly<Record<string, Readonly<Record<string, Described>>>>
  webhooks?: Readonly<Record<string, Readonly<Record<string, Described>>>>
  components?: { schemas?: Readonly<Record<string, Schema>> }
}

const TIME = '2026-11-23T20:00:00.000Z'
const ID_TAIL = '01jd2x4m8qe8y9v7k3n5t6r0ac'
/** By field, where the form alone would say little. */
const WORDS: Readonly<Record<string, unknown>> = {
  name: 'Northwind',
  slug: 'northwind',
  description: 'Orders and customers',
  region: 'us',
  email: 'ada@example.com',
  role: 'member',
  type: 'project.created',
  action: 'projects.create',
  requestId: `req_${ID_TAIL}`,
  resource: `prj_${ID_TAIL}`,
  target: `prj_${ID_TAIL}`,
  nextCursor: null,
  version: 1,
  hostname: 'app.example.com',
  domain: 'app.example.com',
  ip: '192.0.2.1',
  accentColor: '#0b6e4f',
  displayName: 'Northwind',
  logoUrl: 'https://example.com/logo.svg',
  corsOrigins: 'https://app.example.com',
  allowedEmailDomains: 'example.com',
  issuer: 'https://login.example.com',
  audience: 'coditect',
  roleClaim: 'groups',
  secret: 'shown-once-and-kept-by-you',
  key: 'ck_live_…',
  url: 'https://example.com/',
  field: '/customer/email',
  pointer: '/name',
  text: 'Hello',
  content: 'Hello',
  detail: 'What was sent does not fit.',
}

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/
/** Problems have examples of their own, by code. */
const SUCCESS = /^2/

/** A problem of this kind, as it is answered. */
export const problemExample = (code: ProblemCode): ProblemDetails =>
  problemDetails(new Problem(code, `${PROBLEMS[code].title}.`), `req_${ID_TAIL}`)

/** Gives every JSON body and success answer of a document its example; a webhook's is of its own type. */
export function addExamples({ paths = {}, webhooks = {}, components }: Document): void {
  const { schemas = {} } = components ?? {}
  const add = ({ requestBody, responses }: Described, own: object = {}) => {
    const answers = Object.entries(responses).filter(([status]) => SUCCESS.test(status))
    for (const { content = {} } of [requestBody ?? {}, ...answers.map(([, answer]) => answer)]) {
      for (const [mediaType, media] of Object.entries(content)) {
        if (!JSON_TYPE.test(mediaType) || media.schema === undefined) continue
        const example = exampleOf(media.schema, schemas)
        media.example = Object.keys(own).length === 0 ? example : Object.assign({}, example, own)
      }
    }
  }
  for (const methods of Object.values(paths)) for (const each of Object.values(methods)) add(each)
  for (const [type, methods] of Object.entries(webhooks)) {
    for (const each of Object.values(methods)) add(each, { type })
  }
}

function exampleOf(
  schema: Schema,
  schemas: Readonly<Record<string, Schema>>,
  field = '',
  depth = 0,
): unknown {
  const inner = (each: Schema, name = field) => exampleOf(each, schemas, name, depth + 1)
  if (schema.$ref !== undefined) return inner(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  if (schema.example !== undefined) return schema.example
  if (schema.const !== undefined) return schema.const
  if (schema.default !== undefined) return schema.default
  if (schema.enum !== undefined) return schema.enum.includes(WORDS[field]) ? WORDS[field] : schema.enum[0]
  if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map((each) => inner(each)))
  const choice = (schema.anyOf ?? schema.oneOf)?.find(({ type }) => type !== 'null')
  if (choice !== undefined) return inner(choice)
  const types = [schema.type ?? 'object'].flat()
  if (field in WORDS && types.includes(WORDS[field] === null ? 'null' : typeof WORDS[field])) {
    if (!refuses(schema, WORDS[field])) return WORDS[field]
  }
  switch (types.find((type) => type !== 'null')) {
    case 'string':
      return textOf(schema, field)
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 1, 1)
    case 'boolean':
      return true
    case 'array':
      return schema.items === undefined || depth > 8 ? [] : [inner(schema.items)]
    default:
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([name, each]) => [name, inner(each, name)]),
      )
  }
}

const refuses = ({ pattern }: Schema, word: unknown): boolean =>
  pattern !== undefined && typeof word === 'string' && !new RegExp(pattern, 'u').test(word)

function textOf({ format, pattern }: Schema, field: string): string {
  if (format === 'date-time') return TIME
  if (format === 'date') return TIME.slice(0, 10)
  if (format === 'email') return 'ada@example.com'
  if (format === 'uri') return 'https://example.com/hooks'
  if (format === 'hostname') return 'app.example.com'
  const prefix = /^\^(\w+)_\[/.exec(pattern ?? '')?.[1]
  if (prefix !== undefined) return `${prefix}_${ID_TAIL}`
  return `${field === '' ? 'text' : field}`
}
