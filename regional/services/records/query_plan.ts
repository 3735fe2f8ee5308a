// What a query asks, and which index answers it. Pure. An index answers a query that names exactly its fields: with `=`
// all but the last in any order, and the last with `=`, a range or the order. So an answer never needs a scan beyond
// what it shows, and never leaves out a record for a field that the query does not name.
import { Problem } from '../../../shared/problems.ts'
import { jsonPointer } from '../../tenancy/service.ts'
import { isFieldPath } from './field_path.ts'
import { behindPrefix, type IndexType, keyOfText } from './index_key.ts'
import { MAX_INDEX_FIELDS } from './schema.ts'

export interface IndexedField {
  field: string
  type: IndexType
}

export interface IndexShape {
  fields: ReadonlyArray<IndexedField>
}

const OPERATORS = ['gt', 'gte', 'lt', 'lte', 'prefix'] as const
type Operator = (typeof OPERATORS)[number]

export interface Query {
  equal: ReadonlyMap<string, string>
  /** The one field that has a range. */
  range: { field: string; by: ReadonlyMap<Operator, string> } | undefined
  order: { field: string; descending: boolean } | undefined
}

/** Bounds of an index's keys behind the values that are equal. */
export interface Plan<I extends IndexShape> {
  index: I
  equal: Buffer[]
  from?: Buffer
  behind?: Buffer
  to?: Buffer
  through?: Buffer
  descending: boolean
}

const WHERE = /^where\[([^[\]]*)\](?:\[([^[\]]*)\])?$/

/**
 * @param parameters of the list, but for `limit` and `cursor`
 * @returns undefined for the plain list
 * @throws {Problem} `malformed_request`
 */
export function readQuery(parameters: Readonly<Record<string, string | undefined>>): Query | undefined {
  const equal = new Map<string, string>()
  const ranges = new Map<string, Map<Operator, string>>()
  let order: Query['order']
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue
    if (name === 'order') {
      const descending = value.startsWith('-')
      order = { field: requirePath(name, descending ? value.slice(1) : value), descending }
      continue
    }
    const [, path, operator] = WHERE.exec(name) ?? []
    if (path === undefined) throw unreadable(name, 'is no parameter of this list')
    const field = requirePath(name, path)
    if (operator === undefined) {
      equal.set(field, value)
    } else {
      const known = OPERATORS.find((each) => each === operator)
      if (known === undefined) throw unreadable(name, `compares by one of ${OPERATORS.join(', ')}`)
      ranges.set(field, (ranges.get(field) ?? new Map()).set(known, value))
    }
  }
  const named = new Set([...equal.keys(), ...ranges.keys(), ...(order ? [order.field] : [])])
  if (named.size > MAX_INDEX_FIELDS) {
    throw unreadable('where', `and order name more than ${MAX_INDEX_FIELDS} fields, and no index has so many`)
  }
  const [range, another] = ranges
  if (another !== undefined) throw unreadable(`where[${another[0]}]`, 'is a second field with a range')
  if (range === undefined)
    return equal.size === 0 && order === undefined ? undefined : { equal, range, order }
  const [field, by] = range
  const twice = (...names: Operator[]) => names.filter((each) => by.has(each)).length > 1
  if (equal.has(field) || twice('gt', 'gte') || twice('lt', 'lte') || (by.has('prefix') && by.size > 1)) {
    throw unreadable(`where[${field}]`, 'has comparisons that do not go together')
  }
  if (order !== undefined && order.field !== field && !equal.has(order.field)) {
    throw unreadable('order', `is by another field than the range, which is on ${field}`)
  }
  return { equal, range: { field, by }, order }
}

/** The fields that an index must have for this query, in the order in which it is best declared. */
export function neededFields({ equal, range, order }: Query): string[] {
  const last = range?.field ?? order?.field
  return last === undefined || equal.has(last) ? [...equal.keys()] : [...equal.keys(), last]
}

/** The values that the query gives for a field. */
const textsOf = ({ equal, range }: Query, field: string): string[] => [
  ...[equal.get(field)].filter((text) => text !== undefined),
  ...(range?.field === field ? range.by.values() : []),
]

const takesAll = ({ fields }: IndexShape, query: Query): boolean =>
  fields.every(({ field, type }) =>
    textsOf(query, field).every((text) => keyOfText(type, text) !== undefined),
  )

/** How many of them it takes for mere text, which each of them is. */
const asText = ({ fields }: IndexShape, query: Query): number =>
  fields.filter(({ field, type }) => type === 'string' && textsOf(query, field).length > 0).length

/**
 * Where several indexes fit, one whose types take all of the query's values, as few of them for text as can be, and the
 * first of those.
 * @returns undefined when no index fits
 * @throws {Problem} `malformed_request` for a value that is not of the field's type
 */
export function planQuery<I extends IndexShape>(
  query: Query,
  indexes: ReadonlyArray<I>,
): Plan<I> | undefined {
  const needed = neededFields(query)
  const { equal, range, order } = query
  const last = needed.find((field) => !equal.has(field))
  const fitting = indexes.filter(
    ({ fields }) =>
      fields.length === needed.length &&
      needed.every((each) => fields.some(({ field }) => field === each)) &&
      (last === undefined || fields.at(-1)?.field === last) &&
      (!range?.by.has('prefix') || fields.at(-1)?.type === 'string'),
  )
  const [first] = fitting
  if (first === undefined) return undefined
  const taking = fitting.filter((each) => takesAll(each, query))
  const [index = first] = taking.sort((a, b) => asText(a, query) - asText(b, query))
  const plan: Plan<I> = {
    index,
    equal: index.fields.flatMap(({ field, type }) => {
      const text = equal.get(field)
      return text === undefined ? [] : [keyFor(`where[${field}]`, type, text)]
    }),
    descending: order?.descending === true && order.field === last,
  }
  const type = index.fields.at(-1)?.type
  if (range === undefined || type === undefined) return plan
  for (const [operator, text] of range.by) {
    const key = keyFor(`where[${range.field}][${operator}]`, type, text)
    if (operator === 'gt') plan.behind = key
    else if (operator === 'gte') plan.from = key
    else if (operator === 'lt') plan.to = key
    else if (operator === 'lte') plan.through = key
    else {
      const end = behindPrefix(key)
      plan.from = key
      if (end !== undefined) plan.to = end
    }
  }
  return plan
}

/** An index as one would declare it for this query, as JSON. The types are a guess from the values asked for. */
export function suggestion(query: Query, known: ReadonlyArray<IndexedField>): string {
  const fields = neededFields(query).map((field) => ({ field, type: typeFor(field, query, known) }))
  return JSON.stringify(fields.length === 1 ? fields[0] : { fields })
}

function typeFor(field: string, query: Query, known: ReadonlyArray<IndexedField>): IndexType {
  const { range } = query
  const declared = known.find((each) => each.field === field)
  if (declared !== undefined) return declared.type
  const [text] = textsOf(query, field)
  if (text === undefined || (range?.field === field && range.by.has('prefix'))) return 'string'
  const types = ['number', 'boolean', 'time'] as const
  return types.find((type) => keyOfText(type, text) !== undefined) ?? 'string'
}

function keyFor(parameter: string, type: IndexType, text: string): Buffer {
  const key = keyOfText(type, text)
  if (key !== undefined) return key
  throw unreadable(parameter, `is not a ${type}${type === 'time' ? ' as RFC 3339 writes it' : ''}`)
}

function requirePath(parameter: string, path: string): string {
  if (isFieldPath(path)) return path
  throw unreadable(parameter, 'does not name a field, such as address.city')
}

const unreadable = (parameter: string, detail: string): Problem =>
  new Problem('malformed_request', `The query does not fit: ${parameter} ${detail}.`, {
    errors: [{ pointer: jsonPointer([parameter]), detail }],
  })
