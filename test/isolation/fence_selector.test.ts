// Selectors under the fence: they count as FoundationDB's do, but only over the keys inside.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { prefixRange } from '../../regional/storage/fence.ts'
import { resolve, resolveBound, type Selector } from '../../regional/storage/fence_selector.ts'
import { fencedFake, grantOf, type Row, readAll, tenantPrefix, violationOf } from './fence_fixture.ts'
import { fakeTransaction, keysOf } from './fence_recorder.ts'

const prefix = tenantPrefix(41n)
const range = prefixRange(prefix)
const own = (...bytes: number[]) => Buffer.from([...prefix, ...bytes])
const value = Buffer.from('v')
const neighbours: Row[] = [
  [Buffer.from([...tenantPrefix(40n), 0xff]), Buffer.from('left')],
  [tenantPrefix(42n), Buffer.from('right')],
]
const row = (...bytes: number[]): Row => [own(...bytes), value]
const rows = [row(), row(2), row(4), row(4, 0), row(6)]

test.each([
  ['the first key at or after', own(), false, 1, own()],
  ['the first key after', own(), true, 1, own(2)],
  ['the first key after, counted on', own(2), true, 2, own(4, 0)],
  ['the last key before', own(4), false, 0, own(2)],
  ['the last key at or before', own(4), true, 0, own(4)],
  ['the last key before the end', range.end, false, 0, own(6)],
  ['counted back', range.end, false, -2, own(4)],
  ['counted back to the first', range.end, false, -4, own()],
  ['the last key before the first', own(), false, 0, undefined],
  ['counted back past the first', range.end, false, -5, undefined],
  ['the first key after the last', own(6), true, 1, undefined],
  ['the first key from the end', range.end, false, 1, undefined],
  ['counted on past the last', own(), false, 6, undefined],
  ['an absurd offset', own(), false, 2 ** 31 - 1, undefined],
  ['an absurd offset back', own(4), false, -(2 ** 31 - 1), undefined],
])('getKey of %s', async (_name, key, orEqual, offset, expected) => {
  for (const isSnapshot of [false, true]) {
    const { tn, calls } = fencedFake(grantOf(41n), [...neighbours, ...rows])
    expect(await tn.getKey(key, orEqual, offset, isSnapshot)).toEqual(expected ?? Buffer.alloc(0))
    expect(calls).toHaveLength(1)
    for (const call of calls) {
      expect(call.method).toBe('getRange')
      expect([call.args[2], call.args[5], call.args[10]]).toEqual([1, 1, isSnapshot])
      for (const bytes of keysOf(call)) expect(inside(bytes)).toBe(true)
    }
  }
})

test.each([1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, -(2 ** 31), '1' as unknown as number])(
  'an offset of %s is no offset',
  async (offset) => {
    const { tn, methods } = fencedFake(grantOf(41n))
    await violationOf(() => tn.getKey(own(), false, offset, false))
    expect(methods()).toEqual(['cancel'])
  },
)

test('a range read between plain keys goes straight to the engine, once', async () => {
  for (const [startOrEqual, endOrEqual] of [
    [false, false],
    [true, true],
  ] as const) {
    const { tn, calls } = fencedFake(grantOf(41n), rows)
    await tn.getRange(own(), startOrEqual, 1, own(6), endOrEqual, 1, 7, 8, -1, 9, true, true)
    expect(calls).toEqual([
      { method: 'getRange', args: [own(), startOrEqual, 1, own(6), endOrEqual, 1, 7, 8, -1, 9, true, true] },
    ])
  }
})

test('a range read between selectors ends at the border, and asks the engine for nothing beyond', async () => {
  const cases: Array<[Selector, Selector, Buffer[]]> = [
    [at(own(), false, 2), at(range.end, false, 1), [own(2), own(4), own(4, 0), own(6)]],
    [at(own(4), true, -1), at(own(4, 0), true, 1), [own(2), own(4), own(4, 0)]],
    [at(own(), false, 0), at(own(), false, 99), rows.map(([key]) => key)],
    [at(own(), false, -9), at(range.end, false, 0), [own(), own(2), own(4), own(4, 0)]],
    [at(own(), true, 1), at(own(2), false, 3), [own(2), own(4)]],
    [at(own(6), false, 9), at(own(), false, -9), []],
    [at(own(2), true, 2), at(own(4), true, 1), []],
    [at(own(), true, 1), at(range.end, false, -1), [own(2), own(4)]],
  ]
  for (const reverse of [false, true]) {
    for (const [first, last, expected] of cases) {
      const { tn, calls } = fencedFake(grantOf(41n), [...neighbours, ...rows])
      const list = await tn.getRange(
        ...([first.key, first.orEqual, first.offset, last.key, last.orEqual, last.offset] as const),
        ...([0, 0, -2, 1, false, reverse] as const),
      )
      expect(list.results.map(([key]) => key)).toEqual(reverse ? expected.toReversed() : expected)
      for (const call of calls) for (const bytes of keysOf(call)) expect(inside(bytes)).toBe(true)
    }
  }
})

test('a range read between selectors keeps its limit, its mode and its being a snapshot', async () => {
  const { tn, calls } = fencedFake(grantOf(41n), rows)
  const list = await tn.getRange(own(), false, 2, range.end, false, 0, 2, 8, -1, 9, true, true)
  expect(list).toMatchObject({ results: [row(4, 0), row(4)], more: true })
  expect(calls.map(({ args }) => args[10])).toEqual([true, true, true])
  expect(calls.at(-1)?.args).toEqual([own(2), false, 1, own(6), false, 1, 2, 8, -1, 9, true, true])
})

test('a long way is counted in pages, and answers as one step would', async () => {
  const many = Array.from({ length: 3_000 }, (_, i): Row => row(i >> 8, i & 0xff))
  const { tn, calls } = fencedFake(grantOf(41n), many)
  expect(await tn.getKey(own(), false, 2_500, false)).toEqual(many[2_499]?.[0])
  expect(await tn.getKey(range.end, false, -2_499, false)).toEqual(many[500]?.[0])
  expect(await tn.getKey(own(), false, 1_000, false)).toEqual(many[999]?.[0])
  for (const { args } of calls) expect(args[6]).toBeLessThanOrEqual(1_000)
  expect(calls).toHaveLength(7)
})

test('a selector counts on in the pages an engine chooses, and stops at an empty one', async () => {
  const fake = fakeTransaction(rows)
  const stingy = (begin: Buffer, end: Buffer, _limit: number, reverse: boolean) =>
    fake.getRange(begin, false, 1, end, false, 1, 1, 0, 4, 1, false, reverse)
  expect(await resolve(range, at(own(), false, 4), stingy)).toEqual(own(4, 0))
  expect(await resolve(range, at(range.end, false, -3), stingy)).toEqual(own(2))
  const empty = async () => ({ results: [], more: true })
  expect(await resolve(range, at(own(), false, 4), empty)).toBeUndefined()
  expect(await resolveBound(range, at(own(), false, 4), empty)).toEqual(range.end)
  expect(await resolveBound(range, at(own(), false, 0), empty)).toEqual(range.begin)
})

test('a transaction that ended while a selector was being resolved reads no further', async () => {
  const many = Array.from({ length: 1_500 }, (_, i): Row => row(i >> 8, i & 0xff))
  const { tn, methods } = fencedFake(grantOf(41n), many)
  const far = tn.getKey(own(), false, 1_400, false)
  const violation = await violationOf(() => tn.set(tenantPrefix(42n), value))
  await expect(far).rejects.toBe(violation)
  expect(methods()).toEqual(['getRange', 'cancel'])
})

test('any selector finds the key that counting the keys inside finds', async () => {
  const byte = fc.nat(7)
  const key = fc.array(byte, { maxLength: 3 }).map((bytes) => own(...bytes))
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(key, { maxLength: 8, selector: (bytes) => bytes.toString('hex') }),
      fc.oneof(key, fc.constant(range.end)),
      fc.boolean(),
      fc.integer({ min: -9, max: 9 }),
      async (keys, from, orEqual, offset) => {
        fc.pre(!orEqual || from !== range.end)
        const sorted = keys.toSorted(Buffer.compare)
        const before = sorted.filter((at) => (orEqual ? at.compare(from) <= 0 : at.compare(from) < 0)).length
        const { tn } = fencedFake(grantOf(41n), [...neighbours, ...keys.map((at): Row => [at, value])])
        const expected = sorted[before - 1 + offset] ?? Buffer.alloc(0)
        expect(await tn.getKey(from, orEqual, offset, false)).toEqual(expected)
      },
    ),
    { numRuns: 300 },
  )
})

test('a whole range can be read up to its border', async () => {
  const { tn } = fencedFake(grantOf(41n), [...neighbours, ...rows])
  expect((await readAll(tn, range.begin, range.end)).results).toEqual(rows)
  expect((await readAll(tn, range.begin, range.end, true)).results).toEqual(rows.toReversed())
})

function inside(bytes: Buffer): boolean {
  return Buffer.compare(range.begin, bytes) <= 0 && Buffer.compare(bytes, range.end) <= 0
}

function at(key: Buffer, orEqual: boolean, offset: number): Selector {
  return { key, orEqual, offset }
}
