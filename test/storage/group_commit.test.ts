import { expect, test } from 'vitest'
import type { NativeDatabase } from '../../regional/storage/foundationdb.ts'
import { generator, seed } from './seed.ts'
import { temporaryEngine } from './temporary.ts'

const CLIENTS = 40
const COMMITS = 40
const ACCOUNTS = 12
const NOT_COMMITTED = 1020

interface Done {
  version: bigint
  read: Map<string, number>
  wrote: Map<string, number>
  added: string
}

const number = (value: Buffer | undefined): number => value?.readUInt32LE(0) ?? 0

function bytes(n: number): Buffer {
  const value = Buffer.alloc(4)
  value.writeUInt32LE(n)
  return value
}

/** One transaction: reads some accounts, writes others, adds blindly to one, appends to the log. */
async function transact(db: NativeDatabase, random: () => number): Promise<Done | undefined> {
  const account = (): string => `account/${Math.floor(random() * ACCOUNTS)}`
  const tn = db.createTransaction()
  const read = new Map<string, number>()
  for (let i = 0; i < 2; i++) {
    const name = account()
    read.set(name, number(await tn.get(name, false)))
  }
  const wrote = new Map<string, number>()
  const sum = [...read.values()].reduce((a, b) => a + b, 1)
  const target = account()
  wrote.set(target, sum % 1_000_000)
  tn.set(target, bytes(sum % 1_000_000))
  const added = `sum/${Math.floor(random() * 3)}`
  tn.atomicOp(2, added, bytes(1))
  const entry = Buffer.concat([Buffer.from('log/'), Buffer.alloc(10), bytes(4)])
  tn.atomicOp(14, entry, '')
  const error = await tn.commit().then(
    () => undefined,
    (reason: { code: number }) => reason,
  )
  if (!error) return { version: tn.getCommittedVersion().readBigInt64BE(), read, wrote, added }
  expect(error.code).toBe(NOT_COMMITTED)
  return undefined
}

test(`concurrent commits are serialisable in the order of their versions, and answered in it (seed ${seed})`, async () => {
  const engine = await temporaryEngine({ thresholds: { foldEntries: 50 } })
  const db = engine.database()
  const done: Done[] = []
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const random = generator(seed + client)
      for (let n = 0; n < COMMITS; n++) {
        const committed = await transact(db, random)
        if (committed) done.push(committed)
      }
    }),
  )
  expect(done.length).toBeGreaterThan(CLIENTS)
  const versions = done.map(({ version }) => version)
  expect(versions).toEqual(versions.toSorted((a, b) => (a < b ? -1 : 1)))
  expect(new Set(versions).size).toBe(versions.length)

  const state = new Map<string, number>()
  for (const { read, wrote, added } of done) {
    for (const [name, seen] of read) expect(seen).toBe(state.get(name) ?? 0)
    for (const [name, value] of wrote) state.set(name, value)
    state.set(added, (state.get(added) ?? 0) + 1)
  }
  const tn = db.createTransaction()
  for (const [name, value] of state) expect(number(await tn.get(name, true))).toBe(value)
  const log: bigint[] = []
  for (let from = Buffer.from('log/'), more = true; more; ) {
    const page = await tn.getRange(from, false, 1, 'log0', false, 1, 0, 0, -2, 1, true, false)
    for (const [key] of page.results) log.push(key.readBigInt64BE(4))
    more = page.more
    from = Buffer.concat([page.results.at(-1)?.[0] ?? from, Buffer.alloc(1)])
  }
  expect(log).toEqual(versions)
})

test('a commit that was not waited for is not readable before it is durable', async () => {
  const engine = await temporaryEngine()
  const db = engine.database()
  const tn = db.createTransaction()
  tn.set('k', 'v')
  const committed = tn.commit()
  // Resolved and on its way to the writer: a read version taken now lies below it.
  expect(await db.createTransaction().get('k', false)).toBeUndefined()
  await committed
  expect(await db.createTransaction().get('k', false)).toEqual(Buffer.from('v'))
})
