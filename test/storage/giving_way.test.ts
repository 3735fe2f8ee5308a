// Long chains of reads on the embedded engine, which has each answer at once: others get their turn meanwhile.
import { expect, test } from 'vitest'
import { Database, root } from '../../regional/storage/foundationdb.ts'
import { metered } from '../../regional/storage/metered.ts'
import { type ByteTransaction, jsonSpace, Space } from '../../regional/storage/space.ts'
import { temporaryEngine } from './temporary.ts'

const SUBSPACE = Buffer.of(0x15)
const numbers = jsonSpace<[n: number], number | string>('number')
/** The key of a value of 90 kB. */
const LARGE = 1_000
const meter = { read() {}, rows() {}, write() {}, commit() {} }

type Chain = (space: Space<[n: number], number | string>, read: () => void) => Promise<void>

const keys: Chain = async (space, read) => {
  for (let n = 0; n < 300; n++) {
    await space.get([n])
    read()
  }
}
const smallPages: Chain = async (space, read) => {
  for (let n = 0; n < 300; n++) {
    await space.page({ limit: 1, after: [n] })
    read()
  }
}
const largePages: Chain = async (space, read) => {
  for (let n = 0; n < 10; n++) {
    await space.page({ limit: 500 })
    read()
  }
}
const largeValues: Chain = async (space, read) => {
  for (let n = 0; n < 12; n++) {
    await space.get([LARGE])
    read()
  }
}
const sideBySide: Chain = async (space, read) => {
  for (let n = 0; n < 10; n++) {
    await Promise.all(Array.from({ length: 50 }, (_, i) => space.get([n * 50 + i])))
    read()
  }
}

async function engine() {
  const native = (await temporaryEngine()).database()
  const begin = native.createTransaction.bind(native)
  const database = new Database(native, root)
  await database.doTn(async (tn: ByteTransaction) => {
    for (let n = 0; n < 500; n++) new Space(tn, SUBSPACE, numbers).set([n], n)
    new Space(tn, SUBSPACE, numbers).set([LARGE], 'x'.repeat(90_000))
  })
  native.createTransaction = () => metered(begin(), meter)
  return (chain: Chain, read: () => void) => {
    const tn = database.rawCreateTransaction()
    return chain(new Space(tn, SUBSPACE, numbers), read)
  }
}

/** A round of the event loop, in which whatever has come in gets its turn. */
const round = () => new Promise((resolve) => setImmediate(resolve))

test.each(Object.entries({ keys, smallPages, largePages, largeValues, sideBySide }))(
  'a long chain of reads lets others have their turn before it ends: %s',
  async (_, chain) => {
    const run = await engine()
    let read = 0
    const running = run(chain, () => read++)
    await round()
    const atFirst = read
    await running
    expect(atFirst).toBeLessThan(read / 2)
  },
)

test('of several chains one goes on a round', async () => {
  const run = await engine()
  const reads: string[] = []
  let over = false
  const names = ['a', 'b', 'c', 'd']
  const running = Promise.all(names.map((name) => run(keys, () => reads.push(name)))).then(
    () => (over = true),
  )
  await round()
  while (!over) {
    const before = reads.length
    await round()
    expect(new Set(reads.slice(before)).size).toBeLessThanOrEqual(1)
  }
  await running
  for (const name of names) expect(reads.filter((by) => by === name).length).toBe(300)
})

test('a short transaction waits for no round', async () => {
  const run = await engine()
  let rounds = 0
  setImmediate(() => rounds++)
  await run(
    async (space) => {
      for (let n = 0; n < 20; n++) await space.get([n])
    },
    () => {},
  )
  expect(rounds).toBe(0)
})
