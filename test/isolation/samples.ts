// Requests made from the OpenAPI document alone, so that a new route is attacked without a new line in a test.

import { type IdPrefix, newId } from '../../shared/ids.ts'

export interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  enum?: unknown[]
  const?: unknown
  example?: unknown
  default?: unknown
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

/** The id to name of what begins with this prefix; undefined where there is none. */
export type IdOf = (prefix: string) => string | undefined

interface Filling {
  idOf: IdOf
  /** Also where null would do, or the example names nothing. */
  always: boolean
}

/** A body that fits the schema, with every field it may have. */
function sampleOf(schema: Schema, { components }: Document, filling: Filling, name = 'sample'): unknown {
  const inner = (each: Schema, key = name) => sampleOf(each, { paths: {}, components }, filling, key)
  if (schema.$ref !== undefined) return inner(components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  const isToName = filling.always && namesIds(schema)
  if (schema.example !== undefined && !isToName) return schema.example
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  const choice = schema.anyOf ?? schema.oneOf
  if (choice !== undefined) return inner(choice[0] ?? {})
  const types = [schema.type ?? 'object'].flat()
  if (types.includes('null') && !isToName) return null
  switch (types[0]) {
    case 'string':
      return text(schema, name, filling)
    case 'integer':
    case 'number':
      // Before the least, which for a time to live may be over before the test is.
      return schema.default ?? schema.minimum ?? 1
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

/** As `idSchema` of regional/schemas.ts writes it. */
const idPrefix = (pattern = ''): string | undefined => /^\^([a-z]{3})_\[0-7\]/.exec(pattern)?.[1]

/** Whether it is an id, or what lies in it is one. */
const namesIds = (schema: Schema): boolean => /"pattern":"\^[a-z]{3}_\[0-7\]/.test(JSON.stringify(schema))

/** Some collections hold a URL, or a host, once. */
let made = 0

function text({ format, pattern }: Schema, name: string, { idOf }: Filling): string {
  const prefix = idPrefix(pattern)
  if (prefix !== undefined) return idOf(prefix) ?? nobodysId(prefix)
  if (format === 'email') return 'someone@example.com'
  if (format === 'uri') return `https://example.com/${++made}`
  if (format === 'hostname') return `h${++made}.example`
  if (format === 'date-time') return '2099-01-01T00:00:00.000Z'
  return name === 'region' ? 'us' : `sample-${name.toLowerCase()}`
}

/** An id of this kind, of nothing. */
export const nobodysId = (prefix: string): string => newId(prefix as IdPrefix)

/** The body that an operation takes, or undefined when it takes none. What it has to name is named by `idOf`. */
export const bodyOf = (operation: Operation, document: Document, idOf: IdOf = () => undefined): unknown =>
  filled(operation, document, { idOf, always: false })

/** The same, with an id in every place that takes one. */
export const namingBodyOf = (operation: Operation, document: Document, idOf: IdOf): unknown =>
  filled(operation, document, { idOf, always: true })

function filled(operation: Operation, document: Document, filling: Filling): unknown {
  const schema = operation.requestBody?.content['application/json']?.schema
  return schema === undefined ? undefined : sampleOf(schema, document, filling)
}

/** The kinds of id that `body` asks for, such as `prj`. */
export function kindsNamed(body: (idOf: IdOf) => unknown): ReadonlyArray<string> {
  const kinds = new Set<string>()
  body((prefix) => {
    kinds.add(prefix)
    return undefined
  })
  return [...kinds]
}

/** The kinds of id that a query parameter takes. */
export const kindOf = ({ pattern }: Schema): string | undefined => idPrefix(pattern)

/**
 * Makes one thing after another, each when what its body names is there, and what it lies below. What names things that nobody
 * makes comes last.
 */
export async function inTurn(
  routes: ReadonlyArray<Route>,
  document: Document,
  idOf: IdOf,
  make: (route: Route) => Promise<void>,
): Promise<void> {
  const waiting = routes.map((route) => ({
    route,
    kinds: kindsNamed((of) => bodyOf(route.operation, document, of)),
  }))
  const isReady = ({ route, kinds }: (typeof waiting)[number]) =>
    kinds.every((kind) => idOf(kind) !== undefined) &&
    !waiting.some((other) => route.path.startsWith(`${other.route.path}/{`))
  while (waiting.length > 0) {
    const at = Math.max(waiting.findIndex(isReady), 0)
    for (const { route } of waiting.splice(at, 1)) await make(route)
  }
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
