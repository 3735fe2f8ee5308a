import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { Costs } from '../../regional/tenancy/cost.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { UsageMeter } from '../../regional/tenancy/usage.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { ChaosDatabase, STORMY } from './chaos_database.ts'
import { Random } from './random.ts'

const READS = 40

test('every read is counted once, whatever becomes of the commits that count it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-usage-'))
  const engine = await openEngine({ dataDir: folder })
  const plan = { ...STORMY, unknown: 0.5, doomed: 0.3 }
  const chaos = new ChaosDatabase(engine.native, new Random(3), plan)
  const database = (native: ChaosDatabase | typeof engine.native) =>
    new RegionDatabase(native, keySpace(''), (violation) => {
      throw violation
    })
  const tenant = asTenantNumber(1n)
  const usage = new UsageMeter(database(chaos), Date.now)
  const outcomes = new Set<boolean>()
  const flush = () =>
    usage.flush().then(
      () => true,
      () => false,
    )
  try {
    for (let i = 0; i < READS; i++) {
      usage.count(tenant, 'reads', 1, 0)
      if (i % 4 === 0) outcomes.add(await flush())
    }
    await chaos.settle()
    await usage.flush()
    const { entries } = await database(engine.native).tenant(tenant, async (scope) => ({
      value: await scope.usage().page({ limit: 10 }),
      commit: false,
    }))
    expect(entries.map(([, count]) => count)).toEqual([READS])
    expect(outcomes, 'some flushes came through and some did not').toEqual(new Set([true, false]))
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
})

test('a ranking that failed is made anew, and so is one that a clock set back would keep', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-usage-'))
  const engine = await openEngine({ dataDir: folder })
  try {
    const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
      throw violation
    })
    let nowMs = Date.parse('2026-11-23T10:15:00Z')
    const clock = () => nowMs
    const [usage, costs] = [new UsageMeter(database, clock), new Costs(database, clock)]
    const ranking = async () => (await costs.ranking(10, undefined)).map(({ units }) => units)
    const ask = async () => {
      usage.count(asTenantNumber(1n), 'reads', 1, nowMs)
      await usage.flush()
    }
    await ask()
    const begin = engine.native.createTransaction
    engine.native.createTransaction = () => {
      throw new Error('the database is away')
    }
    await expect(ranking()).rejects.toThrow('the database is away')
    engine.native.createTransaction = begin
    expect(await ranking()).toEqual([1])
    await ask()
    nowMs -= 60_000
    expect(await ranking()).toEqual([2])
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
})

test('while all that many tenants cost is read, others have their turn', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-usage-'))
  const engine = await openEngine({ dataDir: folder })
  try {
    const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
      throw violation
    })
    const usage = new UsageMeter(database, Date.now)
    const nowMs = Date.now()
    for (let n = 1n; n <= 3_000n; n++) usage.count(asTenantNumber(n), 'reads', 1, nowMs)
    await usage.flush()
    let [rounds, over] = [0, false]
    const round = () => {
      rounds++
      if (!over) setImmediate(round)
    }
    setImmediate(round)
    const ranking = await new Costs(database, Date.now).ranking(10, undefined)
    over = true
    expect(ranking).toHaveLength(10)
    expect(rounds).toBeGreaterThanOrEqual(2)
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
})
