// Random documents, changes and queries against a model that knows nothing of indexes: it filters and sorts a list.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seed } from '../storage/seed.ts'
import { type Collection, startRecords, type Tenant } from './records_support.ts'
import type { Regions } from './support.ts'

let regions: Regions
let tenant: Tenant
beforeAll(async () => {
  const started = await startRecords()
  regions = started.regions
  tenant = await started.newTenant('model')
})
afterAll(() => regions.close())

type Type = 'string' | 'number' | 'boolean' | 'time'
interface Field {
  field: string
  type: Type
}
const FIELDS: Field[] = [
  { field: 's', type: 'string' },
  { field: 'n', type: 'number' },
  { field: 'b', type: 'boolean' },
  { field: 'a.t', type: 'time' },
]
const [S, N, B, T] = FIELDS as [Field, Field, Field, Field]
const INDEXES: Field[][] = [[S], [N], [B], [T], [S, N], [B, T, S]]

/** Few different values, so that many are equal; and such as sort differently as text. */
const values: Record<Type, fc.Arbitrary<unknown>> = {
  string: fc.constantFrom(
    '',
    'a',
    'A',
    'ab',
    'b',
    'é',
    'e\u0301',
    '\u0000',
    '\u0000\u0000',
    'a\u0000',
    '😀',
    '\uffee',
    '10',
    '9',
  ),
  number: fc.oneof(
    fc.constantFrom(0, -0, 1, -1, 0.5, -0.5, 1e300, -1e300, 5e-324, -5e-324, 255, 256, -256, 2 ** 53, 10, 9),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  ),
  boolean: fc.boolean(),
  time: fc.constantFrom(
    '2026-01-01T00:00:00Z',
    '2026-01-01T01:00:00+01:00',
    '2025-12-31T23:59:59.999Z',
    '2026-01-01T00:00:00.001Z',
    '1969-12-31T23:59:59-00:30',
    '0001-01-01T00:00:00Z',
    '9999-12-31T23:59:59Z',
  ),
}
const sometimes = (value: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 8, arbitrary: value }, { weight: 1, arbitrary: fc.constantFrom(null, [1], {}, 'x', 7) })
const present = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 8 })

interface Document {
  [field: string]: unknown
}
const documents: fc.Arbitrary<Document> = fc
  .record({
    s: present(sometimes(values.string)),
    n: present(sometimes(values.number)),
    b: present(sometimes(values.boolean)),
    a: present(fc.record({ t: present(sometimes(values.time)) })),
  })
  .map((document) => JSON.parse(JSON.stringify(document)))

type Change =
  | { op: 'create'; data: Document }
  | { op: 'replace' | 'update'; at: number; data: Document }
  | { op: 'delete'; at: number }
const at = fc.nat(1_000)
const changes: fc.Arbitrary<Change> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('create' as const), data: documents }) },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom('replace' as const, 'update' as const), at, data: documents }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('delete' as const), at }) },
)

interface Asked {
  fields: Field[]
  equal: Map<string, unknown>
  range: Array<[operator: string, value: unknown]>
  order: { field: Field; descending: boolean } | undefined
  limit: number
}
const queries: fc.Arbitrary<Asked> = fc.constantFrom(...INDEXES).chain((fields) => {
  const last = fields.at(-1) as Field
  const ranges: fc.Arbitrary<Array<[string, unknown]>> = fc.oneof(
    fc.constant([] as Array<[string, unknown]>),
    fc
      .tuple(
        fc.constantFrom('gt', 'gte'),
        values[last.type],
        fc.constantFrom('lt', 'lte'),
        values[last.type],
        fc.nat(2),
      )
      .map(([low, from, high, to, which]) =>
        [[low, from] as [string, unknown], [high, to] as [string, unknown]].filter(
          (_, i) => which === 2 || which === i,
        ),
      ),
    ...(last.type === 'string'
      ? [values.string.map((prefix): Array<[string, unknown]> => [['prefix', prefix]])]
      : []),
  )
  return fc
    .record({
      equals: fc.tuple(...fields.map(({ type }) => values[type])),
      range: ranges,
      ordered: fc.boolean(),
      descending: fc.boolean(),
      limit: fc.integer({ min: 1, max: 7 }),
    })
    .map(({ equals, range, ordered, descending, limit }) => ({
      fields,
      equal: new Map(
        fields
          .map(({ field }, i): [string, unknown] => [field, equals[i]])
          .slice(0, range.length > 0 || ordered ? -1 : fields.length),
      ),
      range,
      order: ordered ? { field: last, descending } : undefined,
      limit,
    }))
})

const fieldOf = (document: Document, field: string): unknown =>
  field.split('.').reduce<unknown>((inner, key) => (inner as Document | null | undefined)?.[key], document)

const isOf = (type: Type, value: unknown): boolean =>
  type === 'time'
    ? typeof value === 'string' && !Number.isNaN(Date.parse(value)) && value.includes('T')
    : typeof value === type

function compare(type: Type, a: unknown, b: unknown): number {
  if (type !== 'string') {
    const [x, y] = [a, b].map((value) => (type === 'time' ? Date.parse(value as string) : Number(value))) as [
      number,
      number,
    ]
    return x < y ? -1 : x > y ? 1 : 0
  }
  const [x, y] = [a, b].map((value) =>
    Array.from(value as string, (character) => character.codePointAt(0) ?? 0),
  ) as [number[], number[]]
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return (x[i] ?? 0) - (y[i] ?? 0)
  return x.length - y.length
}

function expected(model: Map<string, Document>, { fields, equal, range, order }: Asked): string[] {
  const last = fields.at(-1) as Field
  const found = [...model].filter(([, document]) =>
    fields.every(({ field, type }) => {
      const value = fieldOf(document, field)
      if (!isOf(type, value)) return false
      if (equal.has(field)) return compare(type, value, equal.get(field)) === 0
      return range.every(([operator, bound]) => {
        if (operator === 'prefix') return (value as string).startsWith(bound as string)
        const difference = compare(type, value, bound)
        return operator === 'gt'
          ? difference > 0
          : operator === 'gte'
            ? difference >= 0
            : operator === 'lt'
              ? difference < 0
              : difference <= 0
      })
    }),
  )
  found.sort(
    ([a, x], [b, y]) =>
      compare(last.type, fieldOf(x, last.field), fieldOf(y, last.field)) || (a < b ? -1 : 1),
  )
  if (order?.descending) found.reverse()
  return found.map(([id]) => id)
}

function queryText({ equal, range, order, fields, limit }: Asked): string {
  const last = fields.at(-1) as Field
  const parameters = [
    `limit=${limit}`,
    ...[...equal].map(([field, value]) => `where[${field}]=${encodeURIComponent(String(value))}`),
    ...range.map(
      ([operator, value]) =>
        `${encodeURIComponent(`where[${last.field}][${operator}]`)}=${encodeURIComponent(String(value))}`,
    ),
    ...(order ? [`order=${order.descending ? '-' : ''}${order.field.field}`] : []),
  ]
  return `?${parameters.join('&')}`
}

const merged = (target: unknown, patch: Document): Document => {
  const base =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...(target as Document) } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete base[key]
    else
      base[key] =
        typeof value === 'object' && !Array.isArray(value) ? merged(base[key], value as Document) : value
  }
  return base
}

interface Operation {
  op: Change['op']
  id?: string
  data?: Document
}

async function apply(collection: Collection, model: Map<string, Document>, batch: Change[]): Promise<void> {
  const ids = [...model.keys()]
  // One change a record: the model does not have to know what a batch makes of several.
  const touched = new Set<string>()
  const operations = batch.flatMap((change): Operation[] => {
    if (change.op === 'create') return [change]
    const id = ids[change.at % Math.max(1, ids.length)]
    if (id === undefined || touched.has(id)) return []
    touched.add(id)
    return [{ op: change.op, id, ...('data' in change && { data: change.data }) }]
  })
  if (operations.length === 0) return
  const { status, body } = await collection.ask('/records:batch', 'POST', { operations })
  expect(status, JSON.stringify(body)).toBe(200)
  for (const [i, operation] of operations.entries()) {
    const record = body.results[i].record
    const id = operation.id ?? record.id
    if (operation.op === 'delete') model.delete(id)
    else if (operation.op === 'update') model.set(id, merged(model.get(id), operation.data ?? {}))
    else model.set(id, operation.data ?? {})
    if (operation.op !== 'delete') expect(record.data).toEqual(model.get(id))
  }
}

test(`every query finds what filtering and sorting everything finds (seed ${seed})`, async () => {
  const indexes = INDEXES.map((fields) => (fields.length === 1 ? fields[0] : { fields }))
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(changes, { minLength: 1, maxLength: 30 }), { minLength: 2, maxLength: 5 }),
      fc.array(queries, { minLength: 12, maxLength: 12 }),
      fc.nat(4),
      async (batches, asked, declaredAfter) => {
        const collection = await tenant.collection('model')
        const model = new Map<string, Document>()
        for (const [i, batch] of batches.entries()) {
          // Some of it is there before the indexes are declared, and some is written while they are built.
          if (i === declaredAfter) expect((await collection.declare({ indexes })).status).toBeLessThan(300)
          await apply(collection, model, batch)
        }
        if (declaredAfter >= batches.length) await collection.declare({ indexes })
        const { body } = await collection.built()
        expect(body.indexes.map(({ state }: { state: string }) => state)).toEqual(INDEXES.map(() => 'ready'))
        expect(body.records).toBe(model.size)
        expect((await collection.all()).map(({ id, data }) => [id, data])).toEqual(
          [...model].sort(([a], [b]) => (a < b ? -1 : 1)),
        )
        for (const each of asked) {
          const found = await collection.all(queryText(each))
          expect(
            found.map(({ id }) => id),
            queryText(each),
          ).toEqual(expected(model, each))
          for (const { id, data } of found) expect(data).toEqual(model.get(id))
        }
      },
    ),
    { seed, numRuns: 15 },
  )
}, 60_000)
