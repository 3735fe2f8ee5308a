// Requests made from the OpenAPI document alone, so that a new route is attacked without a new line in a test.

export interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  enum?: unknown[]
  const?: unknown
  example?: unknown
  pattern?: string
  minLength?: number
  minimum?: number
  properties?: Record<string, Schema>
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
}

export interface Operation {
  operationId: string
  security?: Array<Record<string, unknown>>
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> }
  parameters?: Array<{ name: string; in: string; required?: boolean; schema: Schema }>
  responses: Record<string, unknown>
}

export interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

/** A body that fits the schema, with every field it may have. */
export function sampleOf(schema: Schema, { components }: Document, name = 'sample'): unknown {
  const inner = (each: Schema, key = name) => sampleOf(each, { paths: {}, components }, key)
  if (schema.$ref !== undefined) return inner(components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  if (schema.example !== undefined) return schema.example
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  const choice = schema.anyOf ?? schema.oneOf
  if (choice !== undefined) return inner(choice[0] ?? {})
  const types = [schema.type ?? 'object'].flat()
  if (types.includes('null')) return null
  switch (types[0]) {
    case 'string':
      return text(schema, name)
    case 'integer':
    case 'number':
      return schema.minimum ?? 1
    case 'boolean':
      // What is enabled goes on by itself, and would be another thing from one look to the next.
      return name !== 'enabled'
    case 'array':
      return [inner(schema.items ?? {})]
    default:
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([key, value]) => [key, inner(value, key)]),
      )
  }
}

/** Some collections hold a URL, or a host, once. */
let made = 0

function text({ format }: Schema, name: string): string {
  if (format === 'email') return 'someone@example.com'
  if (format === 'uri') return `https://example.com/${++made}`
  if (format === 'hostname') return `h${++made}.example`
  if (format === 'date-time') return '2099-01-01T00:00:00.000Z'
  return name === 'region' ? 'us' : `sample-${name.toLowerCase()}`
}

/** The body that an operation takes, or undefined when it takes none. */
export function bodyOf(operation: Operation, document: Document): unknown {
  const schema = operation.requestBody?.content['application/json']?.schema
  return schema === undefined ? undefined : sampleOf(schema, document)
}

export interface Route {
  method: string
  path: string
  operation: Operation
}

export const routesOf = (document: Document): Route[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
