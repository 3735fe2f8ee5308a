import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FDBError, type NativeTransaction } from '../../regional/storage/foundationdb.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { CALM, ChaosDatabase, type ChaosPlan } from './chaos_database.ts'
import { readFaults, readVersionFaults, refusedCommits, unknownResults } from './chaos_transaction.ts'
import { Random } from './random.ts'

let folder: string
let engine: Engine
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coditect-chaos-'))
  engine = await openEngine({ dataDir: folder })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true })
})

const chaosOf = (plan: Partial<ChaosPlan>, seed = 7) =>
  new ChaosDatabase(engine.native, new Random(seed), { ...CALM, ...plan })
const codeOf = (work: Promise<unknown>): Promise<number> =>
  work.then(
    () => 0,
    (error: unknown) => (error instanceof FDBError ? error.code : -1),
  )
const stored = async (key: string) => (await engine.native.createTransaction().get(key, false))?.toString()

/** Writes `key`, which it also reads, as every transaction of ours does. */
async function writing(tn: NativeTransaction, key: string, value: string): Promise<number> {
  await tn.get(key, false)
  tn.set(key, value)
  return codeOf(tn.commit())
}

test('without a plan it is the engine', async () => {
  const chaos = chaosOf({})
  expect(await writing(chaos.createTransaction(), 'calm', 'a')).toBe(0)
  expect(await stored('calm')).toBe('a')
})

test('reads, read versions and commits meet every fault of theirs', async () => {
  const chaos = chaosOf({ read: 1, readVersion: 1, refused: 1 })
  const seen = { read: new Set<number>(), version: new Set<number>(), commit: new Set<number>() }
  for (let i = 0; i < 60; i++) {
    const tn = chaos.createTransaction()
    seen.read.add(await codeOf(tn.get('a', false)))
    seen.read.add(await codeOf(tn.getRange('a', false, 1, 'b', false, 1, 10, 0, -1, 1, false, false)))
    seen.version.add(await codeOf(tn.getReadVersion()))
    tn.set('refused', 'x')
    seen.commit.add(await codeOf(tn.commit()))
  }
  expect(seen.read).toEqual(new Set([...readFaults, ...readVersionFaults]))
  expect(seen.version).toEqual(new Set(readVersionFaults))
  expect(seen.commit).toEqual(new Set(refusedCommits))
  expect(await stored('refused')).toBeUndefined()
})

test('one seed gives the same faults again', async () => {
  const faults = async () => {
    const chaos = chaosOf({ read: 0.5 }, 99)
    const tn = chaos.createTransaction()
    const codes: number[] = []
    for (let i = 0; i < 40; i++) codes.push(await codeOf(tn.get('a', false)))
    return codes
  }
  expect(await faults()).toEqual(await faults())
})

describe('a commit of unknown outcome', () => {
  test('landed, was lost, or lands later, under each of its codes', async () => {
    const chaos = chaosOf({ unknown: 1, lateCalls: 1_000_000 })
    const codes = new Set<number>()
    for (let i = 0; i < 60; i++) codes.add(await writing(chaos.createTransaction(), `unknown ${i}`, 'x'))
    expect(codes).toEqual(new Set(unknownResults))
    const { landed, lost, late } = chaos.counts
    expect([landed + lost + late, landed > 0, lost > 0, late > 0]).toEqual([60, true, true, true])
    const there = async () => {
      const found = await Promise.all(Array.from({ length: 60 }, (_, i) => stored(`unknown ${i}`)))
      return found.filter((value) => value !== undefined).length
    }
    expect(await there()).toBe(landed)
    await chaos.settle()
    expect(chaos.counts.lateLanded).toBe(late)
    expect(await there()).toBe(landed + late)
  })

  /** A transaction whose first commit is a late one, with what it was answered. */
  async function late(key: string, code: number) {
    for (let seed = 0; ; seed++) {
      const chaos = chaosOf({ unknown: 1, lateCalls: 1 }, seed)
      const tn = chaos.createTransaction()
      const answered = await writing(tn, `${key} ${seed}`, 'first')
      if (answered === code && chaos.counts.late === 1) {
        chaos.plan = CALM
        return { chaos, tn, key: `${key} ${seed}` }
      }
    }
  }

  test('lands after the retry has begun, which then has to conflict', async () => {
    const { chaos, tn, key } = await late('during', 1021)
    await tn.onError(1021)
    // This read makes the late commit due, and does not see it.
    expect(await tn.get(key, false)).toBeUndefined()
    await chaos.settle()
    expect(await stored(key)).toBe('first')
    tn.set(key, 'second')
    expect(await codeOf(tn.commit())).toBe(1020)
  })

  test('lands no more once the retry has committed', async () => {
    const { chaos, tn, key } = await late('after', 1039)
    await tn.onError(1039)
    const other = engine.native.createTransaction()
    expect(await writing(other, key, 'second')).toBe(0)
    await chaos.settle()
    expect([chaos.counts.lateLanded, await stored(key)]).toEqual([0, 'second'])
  })

  test('that timed out leaves a transaction that is of no use until it is reset', async () => {
    const { tn } = await late('timed out', 1031)
    expect(await codeOf(tn.get('a', false))).toBe(1031)
    expect(await codeOf(tn.onError(1031))).toBe(1031)
    expect(await codeOf(tn.commit())).toBe(1031)
    tn.reset()
    expect(await writing(tn, 'reset', 'x')).toBe(0)
  })
})
