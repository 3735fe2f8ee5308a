// Quotas: hard limits of a tenant, kept exactly under concurrency, without making its writes queue for one counter.
import { limitsOf, MONTHLY, type Quantity } from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { jsonSpace, type Space } from '../storage/space.ts'
import { giveBack, makeRoom, SHARDS, type Shard, takeFrom, withdrawn } from './allowance.ts'
import { profileSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** A quantity; of a monthly one, that of one month: `tokens@2026-11`. */
type Account = string

const shardSpace = jsonSpace<[account: Account, shard: number], Shard>('shard')

/**
 * Read and written by whoever hands allowances out or takes them back, so that this happens one after the other. It
 * stands for all shards: they are read by snapshot then, and their writers go on.
 */
const roundSpace = jsonSpace<[account: Account], number>('round')

/** How long a month's shards are kept after it: what was taken in it may be given back that much later. */
const MONTH_KEPT_MS = 32 * 24 * 60 * 60 * 1000

const accountOf = (quantity: Quantity, atMs: number): Account =>
  MONTHLY.has(quantity) ? `${quantity}@${new Date(atMs).toISOString().slice(0, 7)}` : quantity

function endOfMonth(atMs: number): number {
  const at = new Date(atMs)
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1)
}

/** One writer's shard, lent to it for as long as its transaction and its retries take. */
export interface ShardLoan {
  readonly shard: number
  /** Shards below this number may have writers of this process right now. */
  inUse(): number
}

/**
 * Which shard each writer of this process uses. A shard is lent to one writer at a time, the lowest free one first:
 * so writers do not conflict with each other, and a tenant with few writers keeps few shards.
 */
export class ShardLoans {
  private readonly lent = new Map<TenantNumber, Set<number>>()

  async borrow<T>(tenant: TenantNumber, use: (loan: ShardLoan) => Promise<T>): Promise<T> {
    const lent = this.lent.get(tenant) ?? new Set()
    this.lent.set(tenant, lent)
    let shard = 0
    while (shard < SHARDS && lent.has(shard)) shard++
    const inUse = () => Math.max(...lent) + 1
    // More writers than shards share at random; a conflict between them is retried like any other.
    if (shard === SHARDS) return use({ shard: Math.floor(Math.random() * SHARDS), inUse })
    lent.add(shard)
    try {
      return await use({ shard, inUse })
    } finally {
      lent.delete(shard)
      if (lent.size === 0) this.lent.delete(tenant)
    }
  }
}

/** For a transaction that is the only writer of its tenant, such as the one that makes it. */
export const ONLY_WRITER: ShardLoan = { shard: 0, inUse: () => 1 }

const shardsOf = (scope: TenantScope): Space<[account: Account, shard: number], Shard> =>
  scope.system('quotas', shardSpace)

async function everyShard(
  shards: ReturnType<typeof shardsOf>,
  account: Account,
): Promise<Map<number, Shard>> {
  const { entries } = await shards.page({ under: [account], limit: SHARDS })
  return new Map(entries.map(([[, number], shard]) => [number, shard]))
}

/**
 * Takes `amount` of a quantity, or gives it back when it is negative.
 * @param atMs of a monthly quantity: a time in the month that it is of
 * @throws {Problem} `quota_exceeded`, only after every shard was read
 */
export async function take(
  scope: TenantScope,
  { shard, inUse }: ShardLoan,
  quantity: Quantity,
  amount: number,
  atMs: number,
): Promise<void> {
  const account = accountOf(quantity, atMs)
  const shards = shardsOf(scope)
  const own = await shards.get([account, shard])
  if (own === undefined && account !== quantity) {
    await expireAt(scope, endOfMonth(atMs) + MONTH_KEPT_MS, 'quota', account, atMs)
  }
  const left = amount < 0 ? giveBack(own, -amount) : takeFrom(own, amount)
  if (left !== undefined) {
    shards.set([account, shard], left)
    return
  }
  const rounds = scope.system('quotas', roundSpace)
  const [round, all, limit] = await Promise.all([
    rounds.get([account]),
    everyShard(scope.snapshot('quotas', shardSpace), account),
    limitOf(scope, quantity),
  ])
  const changed = makeRoom(all, shard, amount, limit, inUse())
  if (changed === undefined) {
    throw new Problem('quota_exceeded', `The plan allows ${limit} ${quantity}, and they are all used.`)
  }
  rounds.set([account], (round ?? 0) + 1)
  // What changes was seen by snapshot: reading it again makes another's change to it a conflict.
  await Promise.all([...changed.keys()].map((number) => shards.get([account, number])))
  for (const [number, value] of changed) shards.set([account, number], value)
}

/** What is used of a quantity, and what the tenant's limit is. */
export async function readQuota(
  scope: TenantScope,
  quantity: Quantity,
  atMs: number,
): Promise<{ used: number; limit: number }> {
  const [all, limit] = await Promise.all([
    everyShard(shardsOf(scope), accountOf(quantity, atMs)),
    limitOf(scope, quantity),
  ])
  return { used: [...all.values()].reduce((sum, { used }) => sum + used, 0), limit }
}

/** To be called in the transaction that changes a tenant's limits: what was handed out under the old ones ends there. */
export async function withdrawAllowances(
  scope: TenantScope,
  quantities: ReadonlyArray<Quantity>,
  atMs: number,
): Promise<void> {
  const shards = shardsOf(scope)
  const rounds = scope.system('quotas', roundSpace)
  for (const account of quantities.map((quantity) => accountOf(quantity, atMs))) {
    rounds.set([account], ((await rounds.get([account])) ?? 0) + 1)
    for (const [number, shard] of await everyShard(shards, account)) {
      shards.set([account, number], withdrawn(shard))
    }
  }
}

/** Forgets a month that is long over. */
export async function forgetAccount(scope: TenantScope, account: Account): Promise<void> {
  const shards = shardsOf(scope)
  for (const number of (await everyShard(shards, account)).keys()) shards.clear([account, number])
  scope.system('quotas', roundSpace).clear([account])
}

async function limitOf(scope: TenantScope, quantity: Quantity): Promise<number> {
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  return profile === undefined ? 0 : limitsOf(profile.plan, profile.overrides)[quantity]
}
