// Random hostile sequences on every method, natively and through the package, by tenants whose numbers are next
// to each other in every awkward way. `trials` holds the invariants; here what came back is looked at too, and
// compared between quiet neighbours and busy ones: whatever they do, a tenant gets the same answers.
//
// FENCE_FUZZ_RUNS sets the sequences a tenant and kind (60), FENCE_FUZZ_SEED the seed (`random` for a new one).

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Grant, IsolationViolation, prefixRange } from '../../regional/storage/fence.ts'
import {
  type Database,
  type NativeDatabase,
  root,
  Subspace,
  tuple,
} from '../../regional/storage/foundationdb.ts'
import { tenantPrefix } from './fence_fixture.ts'
import { hostileStep, type PackageStep, packageStep, type Step, slyStep } from './fence_hostile.ts'
import { holds, openWorld, pointerKey, type Trial, trials, type World } from './fence_world.ts'

const { FENCE_FUZZ_RUNS = '60', FENCE_FUZZ_SEED = '20261123' } = process.env
const seed = FENCE_FUZZ_SEED === 'random' ? Date.now() & 0x7fffffff : Number(FENCE_FUZZ_SEED)
const runs = { seed, numRuns: Number(FENCE_FUZZ_RUNS) }

const TENANTS: Record<string, bigint> = {
  '0': 0n,
  '41': 41n,
  '0xff': 0xffn,
  '2^32−1': 2n ** 32n - 1n,
  '2^32': 2n ** 32n,
  '0x7fff…ff': 2n ** 63n - 1n,
  '0xffff…fe': 2n ** 64n - 2n,
  '0xffff…ff': 2n ** 64n - 1n,
}

const grantFor = (tenant: bigint): Grant => {
  const pointer = pointerKey(tenant)
  return {
    name: `tenant ${tenant}`,
    readWrite: prefixRange(tenantPrefix(tenant)),
    writeOnly: [{ begin: pointer, end: Buffer.concat([pointer, Buffer.alloc(1)]) }],
  }
}

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world.close())

for (const [name, tenant] of Object.entries(TENANTS)) {
  test(`tenant ${name} gets nothing out and leaves no trace by native calls (seed ${seed})`, async () => {
    const script = fc.array(hostileStep(tenant), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(
        script,
        async (steps) =>
          void (await holdsFor(tenant, steps, (_db, fenced) => runNatively(fenced, tenant, steps))),
      ),
      runs,
    )
  }, 600_000)

  test(`tenant ${name} is refused nothing that stays inside, wherever it tries to go on from there (seed ${seed})`, async () => {
    const script = fc.array(slyStep(tenant), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(script, async (steps) => {
        const { quiet } = await holdsFor(tenant, steps, (_db, fenced) => runNatively(fenced, tenant, steps))
        expect(quiet.violations).toEqual([])
      }),
      runs,
    )
  }, 600_000)

  test(`tenant ${name} gets nothing out and leaves no trace by the package's calls (seed ${seed})`, async () => {
    const script = fc.array(packageStep(tenant), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(
        script,
        async (steps) => void (await holdsFor(tenant, steps, (db) => runByPackage(db, tenant, steps))),
      ),
      runs,
    )
  }, 600_000)
}

type Answer = { method: string; value: unknown } | { method: string; error: unknown }

async function holdsFor(
  tenant: bigint,
  steps: ReadonlyArray<Step>,
  body: (db: Database, fenced: NativeDatabase) => Promise<Answer[]>,
): Promise<{ quiet: Trial<Answer[]>; busy: Trial<Answer[]> }> {
  const { quiet, busy } = await trials(world, tenant, body, grantFor(tenant))
  expect(quiet.error).toBeUndefined()
  expect(busy.error).toBeUndefined()
  for (const { result, violations, calls } of [quiet, busy]) {
    expect(violations.length).toBeLessThanOrEqual(1)
    const refused = (result ?? []).findIndex(
      (answer) => 'error' in answer && answer.error instanceof IsolationViolation,
    )
    expect(refused >= 0).toBe(violations.length > 0)
    // After a refusal the engine hears of this transaction no more.
    if (violations.length > 0) expect(calls.at(-1)?.method).toBe('cancel')
  }
  if (steps.some(({ detached }) => detached)) return { quiet, busy }
  expect(comparable(busy.result)).toEqual(comparable(quiet.result))
  expect(busy.own.map(unstamped)).toEqual(quiet.own.map(unstamped))
  return { quiet, busy }
}

async function runNatively(
  fenced: NativeDatabase,
  tenant: bigint,
  steps: ReadonlyArray<Step>,
): Promise<Answer[]> {
  const tn = fenced.createTransaction()
  const answers: Promise<Answer>[] = []
  for (const step of [...steps, { method: 'commit', args: [], callback: false, detached: false }]) {
    const answer = answered(tn, step, tenant)
    answers.push(answer)
    if (!step.detached) await answer
  }
  return Promise.all(answers)
}

async function runByPackage(
  db: Database,
  tenant: bigint,
  steps: ReadonlyArray<PackageStep>,
): Promise<Answer[]> {
  const answers: Promise<Answer>[] = []
  const last = db.doTn(
    async (tn) => {
      const scopes = {
        own: () => tn,
        root: () => tn.at(root),
        neighbour: () => tn.at(new Subspace(tenantPrefix(BigInt.asUintN(64, tenant + 1n)))),
        empty: () => tn.at(db.at('')),
        tuple: () => tn.at(db.withKeyEncoding(tuple)),
        snapshot: () => tn.snapshot(),
      }
      for (const step of steps) {
        const answer = answered(scopes[step.scope](), step, tenant)
        answers.push(answer)
        if (!step.detached) await answer
      }
      await Promise.all(answers)
    },
    { retry_limit: 2, max_retry_delay: 2 },
  )
  const commit = last.then(
    () => ({ method: 'doTn', value: undefined }),
    (error: unknown) => ({ method: 'doTn', error }),
  )
  await commit
  return Promise.all([...answers, commit])
}

/** Makes the call as a caller would who catches everything, and uses its buffers for something else at once. */
async function answered(target: object, { method, args, callback }: Step, tenant: bigint): Promise<Answer> {
  const given = args.map((arg) => (Buffer.isBuffer(arg) ? Buffer.from(arg) : arg))
  try {
    const answer = call(target, method, given, callback && BY_CALLBACK.has(method))
    for (const arg of given) if (Buffer.isBuffer(arg)) arg.fill(tenantPrefix(BigInt.asUintN(64, tenant + 1n)))
    // A stamp comes with the commit, which only happens afterwards.
    if (method === 'getVersionstamp') return { method, value: Promise.resolve(answer).catch(() => {}) }
    const value: unknown = await soon(answer, method)
    if (target.constructor.name !== 'Transaction') expectKeysInside(tenant, method, value)
    if (method === 'watch') (value as { cancel(): void; promise: Promise<unknown> }).promise.catch(() => {})
    if (method === 'watch') (value as { cancel(): void }).cancel()
    return { method, value }
  } catch (error) {
    return { method, error }
  }
}

async function soon(answer: unknown, method: string): Promise<unknown> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${method} never answers`)), 10_000)
  return Promise.race([answer, promise]).finally(() => clearTimeout(timer))
}

const BY_CALLBACK = new Set([
  'get',
  'getKey',
  'getRange',
  'commit',
  'onError',
  'getReadVersion',
  'getVersionstamp',
])

function call(target: object, method: string, args: unknown[], callback: boolean): unknown {
  const named: unknown = Reflect.get(target, method)
  if (typeof named !== 'function') return expect.unreachable(method)
  if (!callback) return Reflect.apply(named, target, args)
  return new Promise((done, fail) => {
    Reflect.apply(named, target, [
      ...args,
      (error: unknown, value: unknown) => (error ? fail(error) : done(value)),
    ])
  })
}

function expectKeysInside(tenant: bigint, method: string, value: unknown): void {
  const range = prefixRange(tenantPrefix(tenant))
  const keys: Buffer[] = []
  if (method === 'getRange')
    keys.push(...(value as { results: [Buffer, Buffer][] }).results.map(([key]) => key))
  if (method === 'getKey') keys.push(value as Buffer)
  if (method === 'getRangeSplitPoints') keys.push(...(value as Buffer[]))
  for (const key of keys) if (key.length > 0 || method !== 'getKey') expect(holds(range, key)).toBe(true)
}

/** Answers that are the same in every run: no versions, no stamps. */
function comparable(answers: Answer[] | undefined): unknown {
  return answers?.map((answer) => {
    if ('error' in answer)
      return [answer.method, String(answer.error), (answer.error as { code?: unknown })?.code]
    return [answer.method, VERSIONS.has(answer.method) ? undefined : answer.value]
  })
}

const VERSIONS = new Set(['getReadVersion', 'getCommittedVersion', 'getVersionstamp', 'watch'])

function unstamped([key]: [string, string]): number {
  return key.length
}
