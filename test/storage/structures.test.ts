import fc from 'fast-check'
import { expect, test } from 'vitest'
import { applyAtomicOp, Op } from '../../regional/storage/embedded/atomic_ops.ts'
import type { Range } from '../../regional/storage/embedded/conflict_ranges.ts'
import { KeptValues } from '../../regional/storage/embedded/kept_values.ts'
import { LazyIndex } from '../../regional/storage/embedded/lazy_index.ts'
import { READ_LIFE_VERSIONS } from '../../regional/storage/embedded/limits.ts'
import { cleared, Memtable } from '../../regional/storage/embedded/memtable.ts'
import {
  Change,
  decode,
  type Effect,
  encode,
  encodedSize,
} from '../../regional/storage/embedded/mutation_codec.ts'
import { OrderedMap } from '../../regional/storage/embedded/ordered_map.ts'
import { ReadVersions } from '../../regional/storage/embedded/read_versions.ts'
import { Resolver } from '../../regional/storage/embedded/resolver.ts'
import { VersionClock } from '../../regional/storage/embedded/version_clock.ts'
import { seed } from './seed.ts'

const named = (promise: string): string => `${promise} (seed ${seed})`
const holds = (property: fc.IProperty<never> | fc.IProperty<unknown>, numRuns = 300): void =>
  fc.assert(property as fc.IProperty<unknown>, { seed, numRuns })

const key = fc.string({ unit: fc.constantFrom('a', 'b', '\0', '\xfe'), maxLength: 3 })
const range = fc.tuple(key, key).map(([a, b]): Range => (a < b ? [a, b] : [b, a]))

test(named('the ordered map is a sorted array of its entries'), () => {
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('set' as const), at: fc.integer({ min: 0, max: 900 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('delete' as const), at: fc.integer({ min: 0, max: 900 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('cut' as const),
        at: fc.integer({ min: 0, max: 900 }),
        to: fc.integer({ min: 0, max: 900 }),
      }),
    },
  )
  const name = (n: number): string => String(n).padStart(4, '0')
  holds(
    fc.property(fc.array(action, { minLength: 300, maxLength: 900, size: 'max' }), (actions) => {
      const map = new OrderedMap<number>()
      const model = new Map<string, number>()
      for (const [i, act] of actions.entries()) {
        if (act.do === 'set') {
          map.set(name(act.at), i)
          model.set(name(act.at), i)
        } else if (act.do === 'delete') {
          map.delete(name(act.at))
          model.delete(name(act.at))
        } else {
          map.deleteRange(name(act.at), name(act.to))
          for (const known of model.keys())
            if (known >= name(act.at) && known < name(act.to)) model.delete(known)
        }
      }
      const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
      const found: [string, number][] = []
      map.scan('', '~', (k, v) => {
        found.push([k, v])
        return true
      })
      expect(found).toEqual(sorted)
      for (const [from, to] of [
        ['', '~'],
        ['0300', '0600'],
        ['0600', '0600'],
      ] as const) {
        const back: [string, number][] = []
        map.scanBack(from, to, (k, v) => back.push([k, v]) < 200)
        const within = sorted.filter(([k]) => k >= from && k < to).reverse()
        expect(back).toEqual(within.slice(0, 200))
      }
      expect(map.size).toBe(sorted.length)
      const at = { chunk: 0, index: 0 }
      for (let n = 0; n <= 900; n += 37) {
        const floor = sorted.findLast(([k]) => k <= name(n))
        const ceiling = sorted.find(([k]) => k >= name(n))
        expect(map.seekFloor(at, name(n)) ? map.keyAt(at) : undefined).toBe(floor?.[0])
        expect(map.seekCeiling(at, name(n)) ? map.keyAt(at) : undefined).toBe(ceiling?.[0])
      }
    }),
    20,
  )
})

test(named('the memtable answers every version as a copy of the database at that version would'), () => {
  const change = fc.oneof(
    fc.record({ do: fc.constant('set' as const), key, value: fc.nat({ max: 255 }) }),
    fc.record({ do: fc.constant('clear' as const), key }),
    fc.record({ do: fc.constant('range' as const), range }),
  )
  holds(
    fc.property(
      fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 12 }),
      fc.nat(),
      fc.array(key),
      (commits, foldAt, probes) => {
        const base = new Map(
          [
            ['a', 1],
            ['ab', 2],
            ['b', 3],
            ['ba', 4],
          ].map(([k, v]) => [k as string, v as number]),
        )
        const memtable = new Memtable()
        const states = [base]
        for (const [i, changes] of commits.entries()) {
          const next = new Map(states[i])
          for (const one of changes) {
            if (one.do === 'set') {
              memtable.set(i + 1, one.key, Buffer.from([one.value]))
              next.set(one.key, one.value)
            } else if (one.do === 'clear') {
              memtable.clear(i + 1, one.key)
              next.delete(one.key)
            } else {
              const [begin, end] = one.range
              if (begin >= end) continue
              memtable.clearRange(i + 1, begin, end)
              for (const k of next.keys()) if (k >= begin && k < end) next.delete(k)
            }
          }
          states.push(next)
        }
        const folded = foldAt % states.length
        memtable.foldUpTo(folded)
        const below = states[folded] as Map<string, number>
        const names = new Set([...probes, ...states.flatMap((state) => [...state.keys()])])
        for (let version = folded; version < states.length; version++)
          for (const name of names) {
            const found = memtable.get(name, version)
            const got = found === cleared ? undefined : found === undefined ? below.get(name) : found[0]
            expect(got).toBe(states[version]?.get(name))
            // Reading by range: what is visible, then the clears, then the snapshot below.
            const [visible] = memtable.visible(name, `${name}\0`, version)
            const byRange = visible
              ? visible.value?.[0]
              : memtable.isCleared(name, version)
                ? undefined
                : below.get(name)
            expect(byRange).toBe(got)
            if (got !== below.get(name)) expect(memtable.touches(name, `${name}\0`)).toBe(true)
          }
      },
    ),
  )
})

test(named('a commit conflicts exactly when something it read was written after its read version'), () => {
  holds(
    fc.property(
      fc.array(
        fc.record({
          writes: fc.array(range, { maxLength: 3 }),
          reads: fc.array(range, { maxLength: 3 }),
          back: fc.nat({ max: 5 }),
          life: fc.nat({ max: 5 }),
        }),
        { maxLength: 25 },
      ),
      (commits) => {
        const resolver = new Resolver()
        const history: Range[][] = []
        let oldest = 0
        for (const { writes, reads, back, life } of commits) {
          const version = history.length + 1
          oldest = Math.max(oldest, version - 1 - life)
          const readVersion = Math.max(oldest, version - 1 - back)
          const written = history.slice(readVersion).flat()
          const expected = reads.some(([a, b]) => a < b && written.some(([c, d]) => c < d && a < d && c < b))
          expect(resolver.conflicts(reads, readVersion)).toBe(expected)
          const isKey = ([a, b]: Range): boolean => b === `${a}\0`
          const keys = writes.filter(isKey).map(([name]) => name)
          resolver.add(
            writes.filter((one) => !isKey(one)),
            keys,
            version,
            oldest,
          )
          history.push(writes)
        }
      },
    ),
  )
})

test('an index that nobody asks for a range holds no more than its keys', () => {
  const index = new LazyIndex<number>()
  for (let n = 0; n < 50_000; n++) {
    index.set(`k${n}`, n)
    if (n >= 100) index.delete(`k${n - 100}`)
    if (n === 40_000) expect(index.hasWithin('k399', 'k4')).toBe(true)
  }
  const found: number[] = []
  index.scan('k4999', 'l', (_, value) => {
    found.push(value)
    return true
  })
  expect(found).toEqual(Array.from({ length: 10 }, (_, i) => 49_990 + i))
})

test('values are kept to be read again where they and their keys are short', () => {
  const kept = new KeptValues()
  const isKept = (keyBytes: number, valueBytes: number): boolean => {
    const key = 'k'.repeat(keyBytes)
    kept.keep(key, Buffer.alloc(valueBytes))
    return kept.get(key) !== undefined
  }
  expect([isKept(40, 500), isKept(41, 2_000), isKept(9_000, 8)]).toEqual([true, false, false])
})

test('a value that is kept is the one that was committed last, in memory of its own', () => {
  const kept = new KeptValues()
  const of = (text: string) => Buffer.from(text)
  for (const key of ['a', 'b', 'c', 'd']) kept.keep(key, of(`${key}1`))
  // Both generations: so many others are kept that these are old, but one that was read since.
  for (let i = 0; i < 4_096; i++) kept.keep(`other ${i}`, of('1'))
  kept.get('a')
  kept.replace('a', of('a2'))
  kept.replace('b', of('b2'))
  kept.replace('c', undefined)
  kept.replace('d', Buffer.alloc(2_000))
  kept.replace('e', of('e2'))
  expect(['a', 'b', 'c', 'd', 'e'].map((key) => kept.get(key)?.toString())).toEqual([
    'a2',
    'b2',
    ...[undefined, undefined, undefined],
  ])
  expect(kept.get('b')?.buffer.byteLength).toBe(2)
})

test('the conflict history forgets what no read version is old enough for', () => {
  const resolver = new Resolver()
  for (let n = 1; n <= 20_000; n++) {
    const version = n * 10_000
    resolver.add([[`r${n}`, `r${n}z`]], [`k${n}`], version, version - READ_LIFE_VERSIONS)
  }
  expect(resolver.size).toBeLessThan(8_000)
  expect(resolver.conflicts([['k20000', 'k20000\0']], 199_990_000)).toBe(true)
  expect(resolver.conflicts([['r19990a', 'r19990b']], 199_800_000)).toBe(true)
})

test('the conflict history forgets as fast as large commits add to it', () => {
  const resolver = new Resolver()
  for (let n = 1; n <= 60; n++) {
    const keys = Array.from({ length: 3_000 }, (_, i) => `k${n}-${i}`)
    // Ten of them count.
    resolver.add([], keys, n, n - 10)
  }
  expect(resolver.size).toBeLessThan(35_000)
})

test(named('arithmetic on values is that of little-endian numbers as wide as the operand'), () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 9 }).map((b) => Buffer.from(b))
  const big = (b: Buffer): bigint => b.toReversed().reduce((n, byte) => n * 256n + BigInt(byte), 0n)
  holds(
    fc.property(bytes, bytes, (existing, operand) => {
      const mask = (1n << BigInt(8 * operand.length)) - 1n
      const [a, b] = [big(existing) & mask, big(operand)]
      const result = (op: Op): bigint => big(applyAtomicOp(op, existing, operand) as Buffer)
      expect(result(Op.Add)).toBe((a + b) & mask)
      expect(result(Op.And)).toBe(a & b)
      expect(result(Op.Or)).toBe(a | b)
      expect(result(Op.Xor)).toBe(a ^ b)
      expect(result(Op.Max)).toBe(a > b ? a : b)
      expect(result(Op.Min)).toBe(a < b ? a : b)
      for (const op of [Op.Add, Op.And, Op.Or, Op.Xor, Op.Max, Op.Min])
        expect(applyAtomicOp(op, existing, operand)?.length).toBe(operand.length)
      const larger = existing.compare(operand) > 0 ? existing : operand
      expect(applyAtomicOp(Op.ByteMax, existing, operand)).toEqual(larger)
      expect(applyAtomicOp(Op.ByteMin, existing, operand)).toEqual(larger === existing ? operand : existing)
      for (const op of [
        Op.Add,
        Op.And,
        Op.Or,
        Op.Xor,
        Op.Max,
        Op.Min,
        Op.ByteMax,
        Op.ByteMin,
        Op.AppendIfFits,
      ])
        expect(applyAtomicOp(op, undefined, operand)).toEqual(operand)
    }),
    1000,
  )
})

test(named('what the writer decodes is what was encoded'), () => {
  const name = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((n) => String.fromCharCode(n)),
    maxLength: 12,
  })
  const effect: fc.Arbitrary<Effect> = fc.oneof(
    fc.record({
      kind: fc.constant(Change.Set),
      key: name,
      value: fc.uint8Array().map((b) => Buffer.from(b)),
    }),
    fc.record({ kind: fc.constant(Change.Clear), key: name }),
    fc.record({ kind: fc.constant(Change.ClearRange), begin: name, end: name }),
  )
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
  holds(
    fc.property(fc.array(effect), (effects) => {
      const memory = Buffer.alloc(encodedSize(effects))
      expect(encode(effects, memory, 0)).toBe(memory.length)
      const got: Effect[] = []
      decode(memory, {
        set: (k, value) => got.push({ kind: Change.Set, key: text(k), value: Buffer.from(value) }),
        clear: (k) => got.push({ kind: Change.Clear, key: text(k) }),
        clearRange: (begin, end) => got.push({ kind: Change.ClearRange, begin: text(begin), end: text(end) }),
      })
      expect(got).toEqual(effects)
    }),
  )
})

test('versions follow the clock at a million a second and never repeat', () => {
  let nowMs = 0
  const clock = new VersionClock(500, () => nowMs)
  const start = clock.now()
  expect(start).toBeGreaterThan(500)
  expect(clock.next()).toBeGreaterThan(start)
  expect(clock.next()).toBe(start + 2)
  nowMs += 1_000
  expect(clock.now()).toBe(start + 1_000_000)
  nowMs -= 5_000
  const pinned = clock.now() + 10
  clock.pin(pinned)
  expect(clock.next()).toBeGreaterThan(pinned)
})

test('the oldest read version in use is known, and one that was dropped counts only until it is too old', () => {
  const versions = new ReadVersions()
  const [first, second] = [versions.acquire(100), versions.acquire(200)]
  expect(versions.oldest(0)).toBe(100)
  const older = versions.acquire(50)
  expect(versions.oldest(50)).toBe(50)
  versions.release(older)
  versions.release(first)
  expect(versions.oldest(200)).toBe(200)
  expect(versions.oldest(201)).toBeUndefined()
  versions.release(second)
})
