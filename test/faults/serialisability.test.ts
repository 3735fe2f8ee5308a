import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { ChaosDatabase } from './chaos_database.ts'
import type { History, Operation, RecordedTransaction } from './history.ts'
import { runListAppend, type Workload } from './list_append.ts'
import { Random, seedOf } from './random.ts'
import { serialisabilityAnomalies } from './serialisability.ts'

const append = (key: string, value: number): Operation => ({ kind: 'append', key, value })
const read = (key: string, ...values: number[]): Operation => ({ kind: 'read', key, values })

/** All at the same time, unless told otherwise. */
const done = (id: number, operations: Operation[], more: Partial<RecordedTransaction> = {}) => ({
  id,
  operations,
  outcome: 'committed' as const,
  begunAt: 1,
  endedAt: 2,
  ...more,
})
const history = (final: Record<string, number[]>, ...transactions: RecordedTransaction[]): History => ({
  transactions,
  final: new Map(Object.entries(final)),
})

describe('the checker', () => {
  test('finds nothing in a history that could have been one after the other', () => {
    const fine = history(
      { x: [1, 3], y: [2] },
      done(1, [append('x', 1), read('x', 1), append('y', 2)], { begunAt: 1, endedAt: 2 }),
      done(2, [read('x', 1), append('x', 3), read('x', 1, 3)], { begunAt: 3, endedAt: 4 }),
      done(3, [read('y', 2), read('x', 1, 3)], { begunAt: 5, endedAt: 6 }),
      done(4, [append('x', 9)], { outcome: 'aborted' }),
      done(5, [append('y', 8)], { outcome: 'unknown', endedAt: Number.POSITIVE_INFINITY }),
    )
    expect(serialisabilityAnomalies(fine)).toEqual([])
  })

  const planted: Array<[name: string, expected: string, history: History]> = [
    [
      'a lost update: two read the same, both append',
      'G-single',
      history({ x: [1, 2] }, done(1, [read('x'), append('x', 1)]), done(2, [read('x'), append('x', 2)])),
    ],
    [
      'write skew: each reads what the other appends to',
      'G2',
      history({ x: [1], y: [2] }, done(1, [read('y'), append('x', 1)]), done(2, [read('x'), append('y', 2)])),
    ],
    [
      'a dirty write: two orders of two transactions',
      'G0',
      history(
        { x: [1, 3], y: [4, 2] },
        done(1, [append('x', 1), append('y', 2)]),
        done(2, [append('x', 3), append('y', 4)]),
      ),
    ],
    [
      'a circle of information: each reads the other',
      'G1c',
      history(
        { x: [1], y: [2] },
        done(1, [append('x', 1), read('y', 2)]),
        done(2, [append('y', 2), read('x', 1)]),
      ),
    ],
    [
      'a read of an aborted append',
      'G1a',
      history({ x: [] }, done(1, [append('x', 1)], { outcome: 'aborted' }), done(2, [read('x', 1)])),
    ],
    [
      'a read in the middle of a transaction',
      'G1b',
      history({ x: [1, 2] }, done(1, [append('x', 1), append('x', 2)]), done(2, [read('x', 1)])),
    ],
    [
      'a torn read: one of two appends of one commit',
      'G-single',
      history(
        { x: [1], y: [2] },
        done(1, [append('x', 1), append('y', 2)]),
        done(2, [read('x', 1), read('y')]),
      ),
    ],
    ['a lost append', 'is lost', history({ x: [] }, done(1, [append('x', 1)]))],
    ['an append applied twice', 'more than once', history({ x: [1, 1] }, done(1, [append('x', 1)]))],
    [
      'an aborted transaction that is there',
      'aborted and is there',
      history({ x: [1] }, done(1, [append('x', 1)], { outcome: 'aborted' })),
    ],
    [
      'half of an unknown transaction',
      'in part',
      history({ x: [1], y: [] }, done(1, [append('x', 1), append('y', 2)], { outcome: 'unknown' })),
    ],
    [
      'lists that contradict each other',
      'as it never was',
      history({ x: [1, 2] }, done(1, [append('x', 1)]), done(2, [append('x', 2)]), done(3, [read('x', 2)])),
    ],
    [
      'a transaction that does not see itself',
      'itself',
      history({ x: [1] }, done(1, [append('x', 1), read('x')])),
    ],
    [
      'a stale read, long after the append',
      'real time',
      history(
        { x: [1] },
        done(1, [append('x', 1)], { begunAt: 1, endedAt: 2 }),
        done(2, [read('x')], { begunAt: 3, endedAt: 4 }),
      ),
    ],
  ]
  test.each(planted)('finds %s', (_, expected, planted) => {
    expect(serialisabilityAnomalies(planted).join()).toContain(expected)
  })
})

describe('transactions over a failing database', () => {
  let folder: string
  let engine: Engine
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coditect-lists-'))
    engine = await openEngine({ dataDir: folder })
  })
  afterAll(async () => {
    await engine.close()
    await rm(folder, { recursive: true })
  })

  async function anomaliesOf(seed: number, workload: Workload) {
    const chaos = new ChaosDatabase(engine.native, new Random(seed))
    const recorded = await runListAppend(chaos, engine.native, chaos.random, workload)
    return { chaos, recorded, anomalies: serialisabilityAnomalies(recorded) }
  }

  test('are strictly serialisable, and every append is there once', async () => {
    const seed = seedOf(1)
    const { chaos, recorded, anomalies } = await anomaliesOf(seed, {
      name: 'sound',
      transactions: 10_000,
      clients: 16,
    })
    expect(anomalies, `to run it again: FUZZ_SEED=${seed}`).toEqual([])
    expect(recorded.transactions).toHaveLength(10_000)
    const { landed, lost, lateLanded } = chaos.counts
    for (const count of [landed, lost, lateLanded]) expect(count).toBeGreaterThan(20)
    const outcomes = new Set(recorded.transactions.map(({ outcome }) => outcome))
    // On a quick machine none may stay unknown to the end: the counts above show that commits were.
    expect([...outcomes]).toEqual(expect.arrayContaining(['committed', 'aborted']))
  }, 120_000)

  test('are found out when they read by snapshot', async () => {
    const { anomalies } = await anomaliesOf(2, {
      name: 'a',
      transactions: 2_000,
      clients: 16,
      broken: 'snapshot reads',
    })
    expect(anomalies.join()).toMatch(/G-single|G2/)
  })

  test('are found out when they do not know their own earlier attempt', async () => {
    const { anomalies } = await anomaliesOf(3, {
      name: 'b',
      transactions: 1_000,
      clients: 16,
      broken: 'no marker',
    })
    expect(anomalies.join()).toContain('applied more than once')
  })
})
