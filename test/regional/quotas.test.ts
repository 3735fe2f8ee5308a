import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keySpace } from '../../regional/storage/keys.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { Sealer } from '../../regional/tenancy/idempotency.ts'
import { type TenantChanges, TenantLifecycle } from '../../regional/tenancy/lifecycle.ts'
import { forgetAccount, readQuota, type ShardLoan, ShardLoans, take } from '../../regional/tenancy/quotas.ts'
import { type ProfileRecord, profileSpace, statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase, type TenantScope } from '../../regional/tenancy/region_database.ts'
import { newId } from '../../shared/ids.ts'
import type { PlanName } from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'

const NOW = Date.now()
let folder: string
let engine: Engine
let database: RegionDatabase
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coditect-quotas-'))
  engine = await openEngine({ dataDir: folder })
  database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
})
afterAll(async () => {
  await engine.close()
  await rm(folder, { recursive: true })
})

/** A shard of another process each: none of them knows of the others. */
const loan = (shard: number): ShardLoan => ({ shardIn: () => shard, ready: () => [shard] })

let tenants = 0n
async function newTenant(): Promise<TenantNumber> {
  const tenant = asTenantNumber(++tenants)
  await change(tenant, async (scope) => {
    scope.system('status', statusSpace).set(['status'], { status: 'active', epoch: 1, version: 1 })
    setPlan(scope, 'free')
  })
  return tenant
}

const ID = newId('ten')

function setPlan(scope: TenantScope, plan: PlanName): void {
  const at = new Date().toISOString()
  const profile: ProfileRecord = {
    id: ID,
    slug: 'q',
    name: 'q',
    plan,
    region: 'us',
    createdAt: at,
    updatedAt: at,
    version: 1,
  }
  scope.system('profile', profileSpace).set(['profile'], profile)
}

const change = (tenant: TenantNumber, work: (scope: TenantScope, attempt: number) => Promise<void>) =>
  database.tenant(tenant, async (scope, attempt) => {
    await work(scope, attempt)
    return { value: undefined, commit: true }
  })

const usedBy = (tenant: TenantNumber) =>
  database.tenant(tenant, async (scope) => ({
    value: await readQuota(scope, 'projects', NOW),
    commit: false,
  }))

const none = () => Promise.reject(new Error('nothing is made here'))

/** An operator's change. @param meanwhile happens between each attempt's work and its commit @returns how many there were */
async function operate(
  tenant: TenantNumber,
  changes: TenantChanges,
  meanwhile = async () => {},
): Promise<number> {
  let attempts = 0
  const interrupted = Object.create(database, {
    tenant: {
      value: ((number, body, bounds) =>
        database.tenant(
          number,
          async (scope, attempt) => {
            attempts++
            const outcome = await body(scope, attempt)
            await meanwhile()
            return outcome
          },
          bounds,
        )) satisfies RegionDatabase['tenant'],
    },
  }) as RegionDatabase
  const sealer = new Sealer(randomBytes(32))
  const parts = { database: interrupted, region: 'us', mint: none, linkAdmin: none, sealer }
  const by = { operatorId: 'test', requestId: newId('req') }
  await new TenantLifecycle({ ...parts, now: () => NOW }).change(tenant, ID, changes, undefined, by)
  return attempts
}

/** Both have done their work before either commits; answers what became of each. */
async function together(
  tenant: TenantNumber,
  works: ReadonlyArray<(scope: TenantScope) => Promise<void>>,
): Promise<string[]> {
  const arrived = works.map(() => Promise.withResolvers<void>())
  return Promise.all(
    works.map((work, i) =>
      change(tenant, async (scope, attempt) => {
        await work(scope)
        arrived[i]?.resolve()
        if (attempt === 0) await Promise.all(arrived.map(({ promise }) => promise))
      }).then(
        () => 'done',
        (error: unknown) => (error instanceof Problem ? error.code : String(error)),
      ),
    ),
  )
}

test('of two that take the last one at the same time, in shards of their own, one is refused', async () => {
  const tenant = await newTenant()
  await change(tenant, (scope) => take(scope, loan(0), 'projects', 99, NOW))
  const outcomes = await together(tenant, [
    (scope) => take(scope, loan(1), 'projects', 1, NOW),
    (scope) => take(scope, loan(2), 'projects', 1, NOW),
  ])
  expect(outcomes.toSorted()).toEqual(['done', 'quota_exceeded'])
  expect(await usedBy(tenant)).toEqual({ used: 100, limit: 100 })
})

test('and so is one who takes what another shard is just using up itself', async () => {
  const tenant = await newTenant()
  await change(tenant, (scope) => take(scope, loan(0), 'projects', 100, NOW))
  await change(tenant, (scope) => take(scope, loan(0), 'projects', -1, NOW))
  const outcomes = await together(tenant, [
    (scope) => take(scope, loan(0), 'projects', 1, NOW),
    (scope) => take(scope, loan(1), 'projects', 1, NOW),
  ])
  expect(outcomes.toSorted()).toEqual(['done', 'quota_exceeded'])
  expect((await usedBy(tenant)).used).toBe(100)
})

test('or who takes under a plan that is being lowered', async () => {
  const tenant = await newTenant()
  await change(tenant, async (scope) => setPlan(scope, 'team'))
  await change(tenant, (scope) => take(scope, loan(0), 'projects', 100, NOW))
  const taking = change(tenant, async (scope, attempt) => {
    await take(scope, loan(0), 'projects', 1, NOW)
    if (attempt === 0) await operate(tenant, { plan: 'free' })
  })
  await expect(taking).rejects.toThrow('quota_exceeded')
  expect(await usedBy(tenant)).toEqual({ used: 100, limit: 100 })
  await change(tenant, (scope) => take(scope, loan(0), 'projects', -1, NOW))
  await change(tenant, (scope) => take(scope, loan(3), 'projects', 1, NOW))
  await expect(change(tenant, (scope) => take(scope, loan(0), 'projects', 1, NOW))).rejects.toThrow(
    'quota_exceeded',
  )
})

test('limits are raised and lowered at the first attempt, however busily the tenant writes', async () => {
  const tenant = await newTenant()
  const write = () => change(tenant, (scope) => take(scope, loan(0), 'projects', 1, NOW))
  await write()
  expect(await operate(tenant, { limits: { projects: 200 } }, write)).toBe(1)
  await write()
  expect(await operate(tenant, { limits: { projects: 3 } }, write)).toBe(1)
  expect(await usedBy(tenant)).toEqual({ used: 4, limit: 3 })
  await expect(write()).rejects.toThrow('quota_exceeded')
  expect(await operate(tenant, { limits: { projects: 5 } })).toBe(1)
  await write()
  await expect(write()).rejects.toThrow('quota_exceeded')
})

/** A process whose own start is its `nth`: the first number that it draws says so. */
const processOf = (nth: number): ShardLoans => {
  const drawn = [nth / 16][Symbol.iterator]()
  return new ShardLoans(() => drawn.next().value ?? Math.random())
}

/** Every attempt of the slow one meets a commit of the quick one. @returns in how many the slow one was done */
async function whileOneKeepsWriting(quick: ShardLoans, slow: ShardLoans): Promise<number> {
  const tenant = await newTenant()
  const one = (loans: ShardLoans, meanwhile: () => Promise<unknown>) => {
    let attempts = 0
    return loans.borrow(tenant, async (loan) => {
      await change(tenant, async (scope) => {
        attempts++
        await take(scope, loan, 'projects', 1, NOW)
        await meanwhile()
      })
      return attempts
    })
  }
  const nothing = async () => {}
  for (const loans of [quick, slow]) await one(loans, nothing)
  const attempts = await one(slow, () => one(quick, nothing))
  expect((await usedBy(tenant)).used).toBe(3 + attempts)
  return attempts
}

test('two processes that write for one tenant do not conflict', async () => {
  expect(await whileOneKeepsWriting(processOf(3), processOf(4))).toBe(1)
})

test('and where they have begun at the same shard, the one that loses goes on in another', async () => {
  expect(await whileOneKeepsWriting(processOf(3), processOf(3))).toBe(2)
})

test('writers of one process use shards of their own, and a lone one the same shard each time', async () => {
  const tenant = await newTenant()
  const loans = processOf(15)
  const scopes = { first: {} as TenantScope, second: {} as TenantScope }
  const lone = () => loans.borrow(tenant, async (loan) => [loan.shardIn(scopes.first), ...loan.ready()])
  expect(await lone()).toEqual([60, 60])
  const nested = await loans.borrow(tenant, (one) =>
    loans.borrow(tenant, async (two) => [
      one.shardIn(scopes.first),
      two.shardIn(scopes.second),
      ...two.ready(),
    ]),
  )
  expect(nested).toEqual([60, 61, 60, 61, 62, 63])
  expect(await lone()).toEqual([60, 60])
})

test('however many processes come and go, a tenant with few writers has few shards', async () => {
  const tenant = await newTenant()
  const firsts = new Set<number>()
  for (let i = 0; i < 1_000; i++) {
    await new ShardLoans().borrow(tenant, async (loan) => firsts.add(loan.shardIn({} as TenantScope)))
  }
  expect(firsts.size).toBeLessThanOrEqual(16)
})

test('giving back makes room, in whatever shard it was taken', async () => {
  const tenant = await newTenant()
  await change(tenant, (scope) => take(scope, loan(0), 'projects', 100, NOW))
  await change(tenant, (scope) => take(scope, loan(5), 'projects', -2, NOW))
  const outcomes = await together(tenant, [
    (scope) => take(scope, loan(1), 'projects', 1, NOW),
    (scope) => take(scope, loan(2), 'projects', 1, NOW),
  ])
  expect(outcomes).toEqual(['done', 'done'])
  expect((await usedBy(tenant)).used).toBe(100)
})

test('a monthly quantity begins again with its month, and what is given back belongs to the month it was taken in', async () => {
  const tenant = await newTenant()
  const january = Date.UTC(2027, 0, 31, 23)
  const february = Date.UTC(2027, 1, 1)
  const usedIn = async (atMs: number) =>
    (
      await database.tenant(tenant, async (scope) => ({
        value: await readQuota(scope, 'tokens', atMs),
        commit: false,
      }))
    ).used
  await change(tenant, (scope) => take(scope, loan(0), 'tokens', 100_000, january))
  await expect(change(tenant, (scope) => take(scope, loan(1), 'tokens', 1, january))).rejects.toThrow(
    'quota_exceeded',
  )
  await change(tenant, (scope) => take(scope, loan(2), 'tokens', 100_000, february))
  await change(tenant, (scope) => take(scope, loan(1), 'tokens', -400, january))
  expect([await usedIn(january), await usedIn(february)]).toEqual([99_600, 100_000])
  await change(tenant, (scope) => forgetAccount(scope, 'tokens@2027-01'))
  expect([await usedIn(january), await usedIn(february)]).toEqual([0, 100_000])
})

test('what was never taken is not given back: it would raise the limit', async () => {
  const tenant = await newTenant()
  await change(tenant, (scope) => take(scope, loan(0), 'projects', -5, NOW))
  expect((await usedBy(tenant)).used).toBe(0)
  await change(tenant, (scope) => take(scope, loan(0), 'projects', 2, NOW))
  await change(tenant, async (scope) => {
    await take(scope, loan(0), 'projects', 1, NOW)
    await take(scope, loan(1), 'projects', -5, NOW)
  })
  const { used, limit } = await usedBy(tenant)
  expect(used).toBe(0)
  const tooMany = change(tenant, (scope) => take(scope, loan(2), 'projects', limit + 1, NOW))
  await expect(tooMany).rejects.toThrow(Problem)
  await change(tenant, (scope) => take(scope, loan(2), 'projects', limit, NOW))
})
