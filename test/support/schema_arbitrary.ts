// Values that fit a JSON Schema, at random: what the OpenAPI document says of a body or parameter, and nothing beside it.
import fc from 'fast-check'
import type { Document, Schema } from '../isolation/samples.ts'

interface Bounded extends Schema {
  default?: unknown
  maxLength?: number
  maximum?: number
  exclusiveMinimum?: number
  minItems?: number
  maxItems?: number
  required?: string[]
  additionalProperties?: boolean | Schema
}

const LONGEST = 20
const DEEPEST = 4

export function arbitraryOf(
  schema: Bounded,
  document: Document,
  name = '',
  depth = 0,
): fc.Arbitrary<unknown> {
  const inner = (each: Schema, key = name) => arbitraryOf(each, document, key, depth + 1)
  if (schema.$ref !== undefined) {
    return inner(document.components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  }
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  const choices = schema.anyOf ?? schema.oneOf
  if (choices !== undefined) return fc.oneof(...choices.map((each) => inner(each)))
  // What is enabled goes on by itself: nothing is to be sent to anybody from here.
  if (name === 'enabled') return fc.constant(false)
  return fc.oneof(...[schema.type ?? 'object'].flat().map((type) => ofType(type, schema, inner, depth)))
}

function ofType(
  type: string,
  schema: Bounded,
  inner: (schema: Schema, key?: string) => fc.Arbitrary<unknown>,
  depth: number,
): fc.Arbitrary<unknown> {
  switch (type) {
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'integer':
      return fc.integer({ min: lowest(schema), max: Math.min(schema.maximum ?? 2 ** 31, 2 ** 31 - 1) })
    case 'number':
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true })
    case 'string':
      return text(schema)
    case 'array': {
      const { minItems: minLength = 0, maxItems = LONGEST } = schema
      return fc.array(inner(schema.items ?? {}), {
        minLength,
        maxLength: Math.max(minLength, Math.min(maxItems, 3)),
      })
    }
    default:
      return object(schema, inner, depth)
  }
}

const lowest = ({ minimum, exclusiveMinimum }: Bounded): number =>
  Math.max(minimum ?? -(2 ** 31), exclusiveMinimum === undefined ? -(2 ** 31) : exclusiveMinimum + 1)

function text({ format, pattern, minLength = 0, maxLength }: Bounded): fc.Arbitrary<string> {
  const number = fc.nat({ max: 1e9 })
  if (format === 'date-time') {
    const range = { min: new Date('1970-01-01'), max: new Date('2099-12-31'), noInvalidDate: true }
    return fc.date(range).map((date) => date.toISOString())
  }
  if (format === 'email') return number.map((n) => `p${n}@example.com`)
  if (format === 'uri') return number.map((n) => `https://example.com/${n}`)
  if (format === 'hostname') return number.map((n) => `h${n}.example`)
  if (pattern !== undefined) {
    // fast-check makes no texts for a look-ahead: those that it refuses are thrown away instead.
    const free = new RegExp(pattern.replaceAll(/\(\?[!=](?:[^()]|\([^()]*\))*\)/g, ''), 'u')
    const whole = new RegExp(pattern, 'u')
    return fc.stringMatching(free, { size: 'xsmall' }).filter((each) => whole.test(each))
  }
  return fc.string({
    unit: 'grapheme',
    minLength,
    maxLength: Math.max(minLength, Math.min(maxLength ?? LONGEST, LONGEST)),
  })
}

function object(
  { properties, required = [], additionalProperties }: Bounded,
  inner: (schema: Schema, key?: string) => fc.Arbitrary<unknown>,
  depth: number,
): fc.Arbitrary<unknown> {
  if (properties === undefined) {
    if (typeof additionalProperties === 'object') {
      return fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), inner(additionalProperties), {
        maxKeys: 3,
      })
    }
    return depth > DEEPEST
      ? fc.constant({})
      : fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue(), { maxKeys: 3 })
  }
  const fields = Object.fromEntries(Object.entries(properties).map(([key, each]) => [key, inner(each, key)]))
  return fc.record(fields, { requiredKeys: required })
}
