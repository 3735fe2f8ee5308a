// What the records' service decides without a database.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { documentFault, type Json } from '../../regional/services/records/document.ts'
import { behindPrefix, type IndexType, keyOf, keyOfText } from '../../regional/services/records/index_key.ts'
import { mergePatch } from '../../regional/services/records/merge_patch.ts'
import { multipleOf } from '../../regional/services/records/multiple_of.ts'
import {
  type IndexShape,
  neededFields,
  planQuery,
  readQuery,
} from '../../regional/services/records/query_plan.ts'
import { seed } from '../storage/seed.ts'

const key = (type: 'string' | 'number' | 'boolean' | 'time', value: Json): Buffer => {
  const bytes = keyOf(type, value)
  if (bytes === undefined) throw new Error(`${JSON.stringify(value)} has no key`)
  return bytes
}
const sign = (n: number) => Math.sign(n)

describe(`keys sort as their values do (seed ${seed})`, () => {
  test('numbers', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true })
    fc.assert(
      fc.property(number, number, (a, b) => {
        expect(sign(key('number', a).compare(key('number', b)))).toBe(a < b ? -1 : a > b ? 1 : 0)
        expect(keyOfText('number', JSON.stringify(a))?.equals(key('number', a))).toBe(true)
      }),
      { seed, numRuns: 2_000 },
    )
  })

  test('times, whatever their offsets, to the nanosecond', () => {
    const instant = fc.record({
      // From the year 1 to the last one.
      ms: fc.integer({ min: -62_135_596_800_000 + 86_400_000, max: 253_402_300_799_000 - 86_400_000 }),
      nanos: fc.nat(999_999),
      offset: fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }),
    })
    const two = (n: number) => String(n).padStart(2, '0')
    const text = ({ ms, nanos, offset }: { ms: number; nanos: number; offset: number }) => {
      const local = new Date(ms + offset * 60_000).toISOString().slice(0, -1)
      const minutes = Math.abs(offset)
      const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
      return `${local}${String(nanos).padStart(6, '0')}${offset === 0 ? 'Z' : zone}`
    }
    fc.assert(
      fc.property(instant, instant, fc.boolean(), (a, other, near) => {
        const b = near ? { ...other, ms: a.ms } : other
        const difference = a.ms - b.ms || a.nanos - b.nanos
        expect(sign(key('time', text(a)).compare(key('time', text(b))))).toBe(sign(difference))
      }),
      { seed, numRuns: 2_000 },
    )
  })

  test('text by code point, and its prefixes enclose it', () => {
    const text = fc.string({ unit: 'binary' }).filter((each) => each.isWellFormed())
    const points = (each: string) => Array.from(each, (character) => character.codePointAt(0) ?? 0)
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [x, y] = [points(a), points(b)]
        const at = x.findIndex((point, i) => point !== y[i])
        const expected = at < 0 || at >= y.length ? x.length - y.length : (x[at] ?? 0) - (y[at] ?? 0)
        expect(sign(key('string', a).compare(key('string', b)))).toBe(sign(expected))
        const end = behindPrefix(key('string', a))
        const within =
          key('string', b).compare(key('string', a)) >= 0 && (!end || key('string', b).compare(end) < 0)
        expect(within).toBe(b.startsWith(a))
      }),
      { seed, numRuns: 2_000 },
    )
  })

  test('equal values have one key', () => {
    const same: Array<[Parameters<typeof key>[0], Json, Json]> = [
      ['number', 0, -0],
      ['time', '2026-01-01T00:00:00Z', '2025-12-31t19:00:00.000-05:00'],
      ['time', '2016-12-31T23:59:60Z', '2017-01-01T00:00:00Z'],
      ['time', '0000-01-01T00:00:00+23:59', '0000-01-01T00:00:00.0+23:59'],
    ]
    for (const [type, a, b] of same) expect(key(type, a).equals(key(type, b))).toBe(true)
  })

  test('what is no value of the type has none', () => {
    const none = [
      '2026-02-30T00:00:00Z',
      '2026-01-01T24:00:00Z',
      '2026-01-01',
      '2026-01-01T00:00:00',
      '2026-13-01T00:00:00Z',
      '',
      'x',
    ]
    for (const text of none) expect(keyOf('time', text), text).toBeUndefined()
    for (const text of ['1_0', ' 1', '+1', '01', '.5', '1.', 'NaN', '1e999', '']) {
      expect(keyOfText('number', text), text).toBeUndefined()
    }
    for (const value of [null, [], {}, '1', true]) expect(keyOf('number', value)).toBeUndefined()
  })
})

// RFC 7396, appendix A.
test.each<[Json, Json, Json]>([
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
])('merging: %j with %j is %j', (target, patch, result) => {
  expect(mergePatch(target, patch)).toEqual(result)
})

test('a merge changes neither of the two, and a field called __proto__ is one like any other', () => {
  const target = JSON.parse('{"__proto__":{"a":1},"b":{"c":1}}')
  const merged = mergePatch(target, JSON.parse('{"__proto__":{"x":2},"b":{"d":2}}'))
  expect(JSON.stringify(merged)).toBe('{"__proto__":{"a":1,"x":2},"b":{"c":1,"d":2}}')
  expect(JSON.stringify(target)).toBe('{"__proto__":{"a":1},"b":{"c":1}}')
  expect(Object.getPrototypeOf(merged)).toBe(Object.prototype)
})

test(`any JSON that was parsed is a document’s part, or a pointer says where not (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 10 }), (text) => {
      expect(documentFault(JSON.parse(text))).toBeUndefined()
    }),
    { seed, numRuns: 300 },
  )
})

test(`an index is used for a query exactly when it has the query’s fields, the one with a range or order last (seed ${seed})`, () => {
  const names = ['a', 'b', 'c', 'd']
  const index = fc.shuffledSubarray(names, { minLength: 1 }).map((fields) => ({
    fields: fields.map((field) => ({ field, type: 'string' as const })),
  }))
  const query = fc.record({
    equal: fc.subarray(names),
    last: fc.option(fc.constantFrom(...names), { nil: undefined }),
    by: fc.constantFrom('gt', 'prefix', 'order'),
  })
  fc.assert(
    fc.property(fc.array(index, { maxLength: 6 }), query, (indexes, { equal, last, by }) => {
      if (last !== undefined && by !== 'order' && equal.includes(last)) return
      const asked = readQuery({
        ...Object.fromEntries(equal.map((field) => [`where[${field}]`, 'x'])),
        ...(last !== undefined && (by === 'order' ? { order: last } : { [`where[${last}][${by}]`]: 'x' })),
      })
      if (asked === undefined) return
      const behind = last !== undefined && !equal.includes(last) ? [last] : []
      const fits = indexes.find(
        ({ fields }) =>
          fields.length === equal.length + behind.length &&
          fields.every(({ field }, i) => (i < equal.length ? equal.includes(field) : field === last)),
      )
      expect(new Set(neededFields(asked))).toEqual(new Set([...equal, ...behind]))
      expect(planQuery(asked, indexes)?.index).toBe(fits)
    }),
    { seed, numRuns: 1_000 },
  )
})

test('an index that names a field twice, as could once be declared, answers for no other field', () => {
  const twice: IndexShape = {
    fields: [
      { field: 'a', type: 'string' },
      { field: 'a', type: 'string' },
    ],
  }
  const query = readQuery({ 'where[a]': 'x', 'where[b]': 'y' })
  expect(query && planQuery(query, [twice])).toBeUndefined()
})

test('of two indexes on one field, the one is used whose type takes the value, and text is the last resort', () => {
  const index = (...types: IndexType[]) => ({
    fields: types.map((type, i) => ({ field: 'ab'.charAt(i), type })),
  })
  const [text, number, boolean, time] = [index('string'), index('number'), index('boolean'), index('time')]
  const chosen = (parameters: Record<string, string>, indexes: ReadonlyArray<IndexShape>) => {
    const query = readQuery(parameters)
    return query && planQuery(query, indexes)?.index
  }
  for (const [parameters, best] of [
    [{ 'where[a]': 'abc' }, text],
    [{ 'where[a]': '5' }, number],
    [{ 'where[a]': 'true' }, boolean],
    [{ 'where[a]': '2026-11-23T10:15:00Z' }, time],
    [{ 'where[a][gt]': '5', 'where[a][lt]': '7' }, number],
    [{ 'where[a][gt]': '5', 'where[a][lt]': 'x' }, text],
    [{ 'where[a][prefix]': '5' }, text],
  ] as const) {
    for (const others of [
      [text, number, boolean, time],
      [time, boolean, number, text],
    ]) {
      expect(chosen(parameters, others), JSON.stringify(parameters)).toBe(best)
    }
  }
  for (const first of [text, number]) {
    const second = first === text ? number : text
    expect(chosen({ order: 'a' }, [first, second])).toBe(first)
  }
  expect(() => chosen({ 'where[a]': 'abc' }, [number, boolean])).toThrow('is not a number')
  const mixed = [index('string', 'string'), index('string', 'number'), index('number', 'string')]
  expect(chosen({ 'where[a]': 'x', 'where[b]': '5' }, mixed)).toBe(mixed[1])
  // Of the two that take one of them for a number, the first; what has no value counts for neither.
  expect(chosen({ 'where[a]': '1', 'where[b]': '5' }, mixed)).toBe(mixed[1])
  expect(chosen({ 'where[a]': '1', order: 'b' }, mixed)).toBe(mixed[2])
})

describe('a multiple is one by the decimals that were written', () => {
  test.each([
    [0.01, [0, 0.07, 0.3, 19.99, -19.99, 1e-2, 123456789012.34, 90071992547409.91, 1e23, 1e300]],
    [0.1, [0.3, 0.7, 1.1, 1e10]],
    [1e-8, [0.00000001, 1e-7, 0.12345678, 1]],
    [7, [0, 7, -21, 7e20]],
    [2.5, [5, 7.5, 1e308]],
  ])('of %d', (divisor, multiples) => {
    expect(multiples.filter((each) => !multipleOf(divisor)(each))).toEqual([])
  })

  test.each([
    [0.01, [19.995, 0.001, 1e-9, 5e-324, 123456789012.345]],
    [0.1, [0.35, 1e-7]],
    [1e-8, [1e-9, 0.123456789, 1.5e-8]],
    [7, [1, 7.5, 7.0000001, 1e20]],
    [0.123456789, [1e308]],
  ])('not of %d', (divisor, others) => {
    expect(others.filter(multipleOf(divisor))).toEqual([])
  })
})
