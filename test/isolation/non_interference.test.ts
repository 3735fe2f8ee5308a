// Non-interference: whatever tenant A does, everything that B reads, every outcome of its commits and every byte that
// it keeps is the same as if A were not there. Goguen and Meseguer, "Security Policies and Security Models" (1982).
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prefixRange } from '../../regional/storage/fence.ts'
import type { NativeDatabase, NativeTransaction } from '../../regional/storage/foundationdb.ts'
import { fenceDatabase, grantOf, readAll, tenantPrefix } from './fence_fixture.ts'
import { hostileStep, type Step, slyStep } from './fence_hostile.ts'
import { openWorld, type World } from './fence_world.ts'

const RUNS = Number(process.env.RUNS ?? 200)
const [B, A] = [7n, 8n]

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world.close())

/** One call of B's, in one of its two transactions, and what A does before it. */
interface Turn {
  step: Step
  transaction: 0 | 1
  before: ReadonlyArray<Step>
}

const COMMIT: Step = { method: 'commit', args: [], callback: false, detached: false }

/** Answers that differ with the clock: versions. */
const OF_THE_CLOCK = new Set(['getReadVersion', 'getCommittedVersion', 'getVersionstamp', 'onError', 'watch'])

const turn: fc.Arbitrary<Turn> = fc.record({
  step: slyStep(B).filter(
    ({ method, args }) => !OF_THE_CLOCK.has(method) && !(method === 'atomicOp' && isStamp(args[0])),
  ),
  transaction: fc.constantFrom(0, 1),
  before: fc.array(
    fc.oneof(
      { weight: 4, arbitrary: hostileStep(A) },
      // As if it were B.
      { weight: 2, arbitrary: slyStep(B) },
      // What is not committed is felt by nobody.
      { weight: 2, arbitrary: fc.constant(COMMIT) },
    ),
    { maxLength: 6 },
  ),
})

const isStamp = (operation: unknown): boolean => operation === 14 || operation === 15

/** Runs B's script, with or without A, and gives all that B saw and kept. */
async function lifeOfB(
  native: NativeDatabase,
  turns: ReadonlyArray<Turn>,
  databaseOfA?: NativeDatabase,
): Promise<string[]> {
  await emptied(native)
  const databaseOfB = fenceDatabase(native, grantOf(B), () => {})
  const ofB = await begun(databaseOfB)
  let ofA = databaseOfA?.createTransaction()
  const seen: string[] = []
  for (const { step, transaction, before } of turns) {
    for (const each of before) {
      if (ofA !== undefined && OVER.test(await outcome(ofA, each))) ofA = databaseOfA?.createTransaction()
    }
    seen.push(await outcome(ofB[transaction], step))
  }
  for (const tn of ofB) seen.push(await outcome(tn, COMMIT))
  const { begin, end } = prefixRange(tenantPrefix(B))
  const rows = await readAll(native.createTransaction(), begin, end)
  return [...seen, inspect(rows, { maxArrayLength: null, depth: 5 })]
}

/** After these outcomes a transaction does nothing more. */
const OVER = /^(?:commit|cancel)|IsolationViolation$/

/** Two transactions that read from the same instant, before A has done anything. */
async function begun(database: NativeDatabase): Promise<[NativeTransaction, NativeTransaction]> {
  const both: [NativeTransaction, NativeTransaction] = [
    database.createTransaction(),
    database.createTransaction(),
  ]
  for (const tn of both) await tn.getReadVersion()
  return both
}

async function emptied(native: NativeDatabase): Promise<void> {
  const tn = native.createTransaction()
  tn.clearRange(Buffer.alloc(0), Buffer.of(0xff))
  for (const tenant of [A, B]) {
    for (const key of ['a', 'b', 'projects/1']) {
      tn.set(Buffer.concat([tenantPrefix(tenant), Buffer.from(key)]), Buffer.from(`of ${tenant}`))
    }
  }
  await tn.commit()
}

/** Their answers come with a commit, or never. */
const NEVER_WAITED_FOR = new Set(['getVersionstamp', 'watch'])

async function outcome(tn: NativeTransaction, { method, args }: Step): Promise<string> {
  try {
    const call: unknown = Reflect.get(tn, method)
    if (typeof call !== 'function') return 'no such call'
    const given: unknown = Reflect.apply(call, tn, args)
    if (NEVER_WAITED_FOR.has(method)) {
      const later = method === 'watch' ? (given as { promise: unknown }).promise : given
      void Promise.resolve(later).catch(() => undefined)
      return method
    }
    const answer = await given
    return `${method}: ${inspect(answer, { maxArrayLength: null, depth: 5 })}`
  } catch (error) {
    const { code } = error as { code?: unknown }
    return `${method}: error ${code ?? (error as Error).name}`
  }
}

/** Whether B's life is the same beside such an A. */
const undisturbed = (databaseOfA: () => NativeDatabase) =>
  fc.asyncProperty(fc.array(turn, { maxLength: 25 }), async (turns) => {
    const alone = await lifeOfB(world.native, turns)
    const beside = await lifeOfB(world.native, turns, databaseOfA())
    expect(beside).toEqual(alone)
  })

test(`B’s bytes and the outcomes of B’s commits are the same with and without A (${RUNS} scripts)`, async () => {
  await fc.assert(
    undisturbed(() => fenceDatabase(world.native, grantOf(A), () => {})),
    { numRuns: RUNS },
  )
})

test('and it is the fence that keeps them so: without it they are not', async () => {
  const { failed } = await fc.check(
    undisturbed(() => world.native),
    { numRuns: RUNS, endOnFailure: true },
  )
  expect(failed).toBe(true)
})
