// The client's types, made from the OpenAPI document: a type for each schema, and for each operation what it takes and
// answers. Pure; test/client/types.test.ts holds the file that is checked in against it.

interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean | Schema
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  description?: string
}

interface Content {
  content?: Record<string, { schema: Schema }>
}

interface Operation {
  summary: string
  parameters?: Array<{ name: string; in: string; required?: boolean; schema: Schema }>
  requestBody?: Content & { required?: boolean }
  responses: Record<string, Content>
}

export interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

const HEAD = `// Generated from the OpenAPI document by \`npm run client:types\`: change the routes, not this file.
`

export function typesOf({ paths, components }: Document): string {
  const schemas = Object.entries(components.schemas)
    .toSorted(byName)
    .map(([name, schema]) => `export type ${name} = ${typeOf(schema)}\n`)
  const operations = Object.entries(paths)
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
      ),
    )
    .toSorted(byName)
    .map(([name, operation]) => `  /** ${operation.summary}. */\n  '${name}': ${operationType(operation)}\n`)
  return `${HEAD}\n${schemas.join('\n')}\nexport interface Operations {\n${operations.join('')}}\n`
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)

function operationType({ parameters = [], requestBody, responses }: Operation): string {
  const fields = [
    ...inputOf(
      'params',
      parameters.filter((each) => each.in === 'path'),
    ),
    ...inputOf(
      'query',
      parameters.filter((each) => each.in === 'query'),
    ),
    ...bodyOf(requestBody).map((type) => `body${requestBody?.required ? '' : '?'}: ${type}`),
    `answer: ${answerOf(responses)}`,
    ...(isStreamed(responses) ? ['streams: true'] : []),
  ]
  return `{ ${fields.join('; ')} }`
}

function inputOf(name: string, parameters: NonNullable<Operation['parameters']>): string[] {
  if (parameters.length === 0) return []
  const required = parameters.some((each) => each.required)
  // What stands in a path or a query is text, whatever it is read as.
  const fields = parameters.map(
    (each) => `${key(each.name)}${each.required ? '' : '?'}: ${parameterType(each.schema)}`,
  )
  return [`${name}${required ? '' : '?'}: { ${fields.join('; ')} }`]
}

const parameterType = (schema: Schema): string => {
  const type = typeOf(schema)
  return type === 'unknown' ? 'string | number | boolean' : type
}

const EVENT_STREAM = 'text/event-stream'

const isStreamed = (responses: Operation['responses']): boolean =>
  Object.values(responses).some(({ content }) => content?.[EVENT_STREAM] !== undefined)

/** Of what is sent or answered whole, under whatever JSON type: a stream has functions of its own. */
const bodyOf = (content: Content | undefined): string[] => {
  const types = Object.entries(content?.content ?? {})
    .filter(([mediaType]) => mediaType !== EVENT_STREAM)
    .map(([, { schema }]) => typeOf(schema))
  return [...new Set(types)]
}

function answerOf(responses: Operation['responses']): string {
  const types = Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .flatMap(([, response]) => bodyOf(response))
  return types.length === 0 ? 'undefined' : [...new Set(types)].join(' | ')
}

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1) ?? 'unknown'
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return union(schema.enum.map((value) => JSON.stringify(value)))
  const choice = schema.anyOf ?? schema.oneOf
  if (choice !== undefined) return union(choice.map(typeOf))
  if (schema.allOf !== undefined) return schema.allOf.map((each) => `(${typeOf(each)})`).join(' & ')
  if (Array.isArray(schema.type)) return union(schema.type.map((type) => typeOf({ ...schema, type })))
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type
    case 'integer':
    case 'number':
      return 'number'
    case 'array':
      return `Array<${typeOf(schema.items ?? {})}>`
    default:
      return objectType(schema)
  }
}

function objectType({ properties, required = [], additionalProperties, type }: Schema): string {
  if (properties === undefined) {
    if (typeof additionalProperties === 'object') return `{ [key: string]: ${typeOf(additionalProperties)} }`
    return type === 'object' ? '{ [key: string]: unknown }' : 'unknown'
  }
  const fields = Object.entries(properties).map(
    ([name, schema]) => `${key(name)}${required.includes(name) ? '' : '?'}: ${typeOf(schema)}`,
  )
  return `{ ${fields.join('; ')} }`
}

const union = (types: string[]): string => [...new Set(types)].join(' | ')
const key = (name: string): string => (/^[a-z_]\w*$/i.test(name) ? name : `'${name}'`)
