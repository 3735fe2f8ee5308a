import fc from 'fast-check'
import { expect, test } from 'vitest'
import { tuple } from '../../regional/storage/foundationdb.ts'
import { packTuple } from '../../regional/storage/pack_tuple.ts'
import { seed } from './seed.ts'

const item = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: fc.constantFrom('a', '\0', '\ud800', 'é', '🦊'), maxLength: 20 }),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.maxSafeInteger(),
  fc.maxSafeNat(),
  fc.integer({ min: -3, max: 70_000 }),
  fc.double({ noNaN: true }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }),
)

test(`a key is packed as the library packs it, behind its prefix (seed ${seed})`, () => {
  const prefix = Buffer.from([0x15, 0x00, 0xff])
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 5 }), (key) => {
      expect(packTuple(prefix, key)).toEqual(Buffer.concat([prefix, tuple.pack(key)]))
    }),
    { seed, numRuns: 2_000 },
  )
})

test.each([0, -0, 1, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])(
  'the whole number %d is packed as the library packs it',
  (number) => {
    expect(packTuple(Buffer.of(), [number])).toEqual(tuple.pack([number]))
  },
)

test('a key longer than any database takes is packed all the same, for the database to refuse', () => {
  const key = ['é'.repeat(20_000), Buffer.alloc(40_000, 1), 7]
  expect(packTuple(Buffer.of(1), key)).toEqual(Buffer.concat([Buffer.of(1), tuple.pack(key)]))
})

test('bytes that say they are more take nothing of the key that was packed before', () => {
  packTuple(Buffer.of(1), ['secret of another tenant'])
  const lying = Object.defineProperty(Buffer.from('own'), 'length', { value: 20 })
  expect(packTuple(Buffer.of(2), [lying])).toEqual(packTuple(Buffer.of(2), [Buffer.from('own')]))
})

test('a packed key stays what it was when the next one is packed', () => {
  const first = packTuple(Buffer.of(1), ['first'])
  const copy = Buffer.from(first)
  packTuple(Buffer.of(2), ['second'])
  expect(first).toEqual(copy)
})
