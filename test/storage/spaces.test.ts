import { expect, test } from 'vitest'
import { ChunkedSpace, chunkedSpace } from '../../regional/storage/chunked_space.ts'
import { Database, root } from '../../regional/storage/foundationdb.ts'
import { jsonLog, Log } from '../../regional/storage/log_space.ts'
import { type ByteTransaction, jsonSpace, type KeyBounds, Space } from '../../regional/storage/space.ts'
import { generator, seed } from './seed.ts'
import { temporaryEngine } from './temporary.ts'

const SUBSPACE = Buffer.of(0x15, 0x00)
const NEIGHBOURS = [Buffer.of(0x14, 0xff), Buffer.of(0x15, 0x00, 0x02, 0xff), Buffer.of(0x15, 0x01)]

async function transactions() {
  const engine = await temporaryEngine()
  const database = new Database(engine.database(), root)
  const inTransaction = <T>(work: (tn: ByteTransaction) => Promise<T>): Promise<T> => database.doTn(work)
  await inTransaction(async (tn) => {
    for (const key of NEIGHBOURS) tn.set(key, Buffer.from('not ours'))
  })
  return inTransaction
}

type NumberKey = [a: number, b: number]
const numbers = jsonSpace<NumberKey, string>('number')

test(`a page holds exactly the keys within its bounds, in either direction (seed ${seed})`, async () => {
  const random = generator(seed)
  const below = (n: number) => Math.floor(random() * n)
  const inTransaction = await transactions()
  const keys: NumberKey[] = []
  for (let a = 0; a < 8; a++) for (let b = 0; b < 4; b++) keys.push([a, b])
  await inTransaction(async (tn) => {
    for (const key of keys) new Space(tn, SUBSPACE, numbers).set(key, `${key}`)
  })
  const order = (x: ReadonlyArray<number>, y: ReadonlyArray<number>) =>
    (x[0] ?? 0) - (y[0] ?? 0) || (x[1] ?? 0) - (y[1] ?? 0)
  for (let i = 0; i < 150; i++) {
    const maybe = <T>(make: () => T) => (random() < 0.3 ? make() : undefined)
    const bound = (): number[] => (random() < 0.5 ? [below(9)] : [below(9), below(5)])
    const bounds: KeyBounds<NumberKey> = {
      after: maybe((): NumberKey => [below(9), below(5)]),
      from: maybe(bound),
      behind: maybe(bound),
      to: maybe(bound),
      through: maybe(bound),
      reverse: random() < 0.5,
      ...(random() < 0.2 && { under: [below(8)] }),
    }
    const { after, under = [], from, behind, to, through, reverse } = bounds
    // A bound of one item stands before all keys that begin with it, or behind them.
    const before = (key: number[]) => [key[0] ?? 0, key[1] ?? -1]
    const past = (key: number[]) => [key[0] ?? 0, key[1] ?? 99]
    const expected = keys
      .filter((key) => under.length === 0 || key[0] === under[0])
      .filter((key) => from === undefined || order(key, before(from as number[])) >= 0)
      .filter((key) => behind === undefined || order(key, past(behind as number[])) > 0)
      .filter((key) => to === undefined || order(key, before(to as number[])) < 0)
      .filter((key) => through === undefined || order(key, past(through as number[])) <= 0)
      .filter((key) => after === undefined || (reverse ? order(key, after) < 0 : order(key, after) > 0))
    if (reverse) expected.reverse()
    const limit = 1 + below(20)
    const page = await inTransaction((tn) => new Space(tn, SUBSPACE, numbers).page({ limit, ...bounds }))
    expect(page.entries.map(([key]) => key)).toEqual(expected.slice(0, limit))
    expect(page.more).toBe(expected.length > limit)
  }
})

test('a page without a bound is refused', async () => {
  const inTransaction = await transactions()
  for (const limit of [10_001, Number.POSITIVE_INFINITY, Number.NaN]) {
    const page = inTransaction((tn) => new Space(tn, SUBSPACE, numbers).page({ limit }))
    await expect(page).rejects.toThrow('at most 10000 entries')
    const log = inTransaction((tn) => new Log(tn, SUBSPACE, jsonLog<string>('log')).page(limit))
    await expect(log).rejects.toThrow('at most 10000 entries')
  }
})

const documents = chunkedSpace<[name: string]>('document')

test(`values of any size are read as they were last written, one by one and in pages (seed ${seed})`, async () => {
  const random = generator(seed)
  const inTransaction = await transactions()
  const model = new Map<string, Buffer>()
  const sizes = [0, 1, 89_999, 90_000, 90_001, 100_000, 180_000, 250_001]
  for (let i = 0; i < 60; i++) {
    const name = `d${Math.floor(random() * 12)}`
    const size = sizes[Math.floor(random() * sizes.length)] ?? 0
    const value = random() < 0.25 ? undefined : Buffer.alloc(size, i)
    if (value === undefined) model.delete(name)
    else model.set(name, value)
    await inTransaction(async (tn) => {
      const space = new ChunkedSpace(tn, SUBSPACE, documents)
      if (value === undefined) space.clear([name])
      else space.set([name], value)
      // Its own write, before the commit.
      expect(sameBytes(await space.get([name]), value)).toBe(true)
    })
    expect(
      sameBytes(await inTransaction((tn) => new ChunkedSpace(tn, SUBSPACE, documents).get([name])), value),
    ).toBe(true)
  }
  const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
  const limit = 3
  const maxBytes = 300_000
  const seen: Array<[string, Buffer]> = []
  for (let more = true, after: [string] | undefined; more; ) {
    const page = await inTransaction((tn) =>
      new ChunkedSpace(tn, SUBSPACE, documents).page({ limit, maxBytes, after }),
    )
    expect(page.entries.length).toBeLessThanOrEqual(limit)
    const bytes = page.entries.reduce((sum, [, value]) => sum + value.length, 0)
    expect(page.entries.length === 1 || bytes <= maxBytes).toBe(true)
    for (const [[name], value] of page.entries) seen.push([name, value])
    more = page.more
    after = page.entries.at(-1)?.[0]
  }
  expect(seen.map(([name]) => name)).toEqual(expected.map(([name]) => name))
  expect(seen.every(([, value], i) => sameBytes(value, expected[i]?.[1]))).toBe(true)
  await inTransaction(async (tn) => {
    for (const [name] of expected) new ChunkedSpace(tn, SUBSPACE, documents).clear([name])
  })
  // Nothing of a chunk stays behind, and nothing beside the space was touched.
  const rows = await inTransaction((tn) => tn.getRangeAll(Buffer.of(0x01), Buffer.of(0xfe)))
  expect(rows.map(([key]) => key)).toEqual(NEIGHBOURS)
})

/** Quicker than a deep comparison of a quarter of a megabyte. */
const sameBytes = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b)

test('a page of values alone conflicts with a change of one of them, to any of its chunks, and not with a new one', async () => {
  const inTransaction = await transactions()
  const large = Buffer.alloc(250_000, 1)
  await inTransaction(async (tn) => {
    const space = new ChunkedSpace(tn, SUBSPACE, documents)
    for (const name of ['b', 'd', 'f']) space.set([name], large)
  })
  const attemptsWhile = async (change: (space: ChunkedSpace<[name: string]>) => void): Promise<number> => {
    let attempts = 0
    await inTransaction(async (tn) => {
      const page = await new ChunkedSpace(tn, SUBSPACE, documents).page({
        limit: 2,
        maxBytes: 1_000_000,
        onlyValues: true,
      })
      expect(page.entries.map(([[name]]) => name).slice(0, 2)).toContain('d')
      if (attempts++ === 0)
        await inTransaction(async (other) => change(new ChunkedSpace(other, SUBSPACE, documents)))
      new Space(tn, SUBSPACE, numbers).set([attempts, 0], 'built')
    })
    return attempts
  }
  expect(await attemptsWhile((space) => space.set(['e'], large))).toBe(1)
  expect(await attemptsWhile((space) => space.set(['f'], Buffer.alloc(1)))).toBe(1)
  expect(await attemptsWhile((space) => space.set(['d'], Buffer.alloc(1)))).toBe(2)
  expect(await attemptsWhile((space) => space.set(['d'], large))).toBe(2)
  expect(await attemptsWhile((space) => space.set(['a'], large))).toBe(1)
})
