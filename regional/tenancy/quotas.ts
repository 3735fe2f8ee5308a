// Quotas: hard limits of a tenant, kept exactly under concurrency, without making its writes queue for one counter.
import { limitsOf, MONTHLY, type Quantity } from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { jsonSpace, type Space } from '../storage/space.ts'
import { giveBack, makeRoom, presentShard, SHARDS, type Shard, takeFrom } from './allowance.ts'
import { profileSpace, statusSpace } from './records.ts'
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
  /**
   * The shard to use in this transaction. Another one in each attempt: what was lost may have been lost to another
   * process, which has the same shard lent.
   */
  shardIn(scope: TenantScope): number
  /** Shards that have writers of this process right now; where there are several, as many more, for who may come soon. */
  ready(): ReadonlyArray<number>
}

/**
 * Each process lends from one of so many shards on, so that processes seldom conflict with each other. Few of all, so
 * that a tenant with few writers keeps few shards, however many processes come and go.
 */
const STARTS = 16
const BETWEEN_STARTS = SHARDS / STARTS

/**
 * Which shard each writer of this process uses. A shard is lent to one writer at a time, the first free one from the
 * process's own start on: so writers do not conflict with each other, and a tenant with few writers keeps few shards.
 */
export class ShardLoans {
  private readonly lent = new Map<TenantNumber, Set<number>>()
  private readonly random: () => number
  private readonly start: number

  constructor(random: () => number = Math.random) {
    this.random = random
    this.start = this.oneOf(STARTS) * BETWEEN_STARTS
  }

  async borrow<T>(tenant: TenantNumber, use: (loan: ShardLoan) => Promise<T>): Promise<T> {
    const lent = this.lent.get(tenant) ?? new Set()
    this.lent.set(tenant, lent)
    let used: TenantScope | undefined
    let shard = lend(lent, this.start)
    const shardIn = (scope: TenantScope): number => {
      if (used !== undefined && used !== scope && shard !== undefined) {
        lent.delete(shard)
        shard = lend(lent, (shard + (1 + this.oneOf(STARTS - 1)) * BETWEEN_STARTS) % SHARDS)
      }
      used = scope
      // More writers than shards share at random; a conflict between them is retried like any other.
      return shard ?? this.oneOf(SHARDS)
    }
    const ready = () => [...lent, ...freeFrom(this.start, lent).take(lent.size > 1 ? lent.size : 0)]
    try {
      return await use({ shardIn, ready })
    } finally {
      if (shard !== undefined) lent.delete(shard)
      // What a lost attempt has still under way borrows nothing more.
      shard = undefined
      if (lent.size === 0) this.lent.delete(tenant)
    }
  }

  private oneOf(count: number): number {
    return Math.floor(this.random() * count)
  }
}

/** The shards that are not lent, from `start` on. */
function* freeFrom(start: number, lent: ReadonlySet<number>): Generator<number, undefined> {
  for (let i = 0; i < SHARDS; i++) {
    const shard = (start + i) % SHARDS
    if (!lent.has(shard)) yield shard
  }
}

/** @returns undefined when all are lent */
function lend(lent: Set<number>, start: number): number | undefined {
  const shard = freeFrom(start, lent).next().value
  if (shard !== undefined) lent.add(shard)
  return shard
}

/** For a transaction that is the only writer of its tenant, such as the one that makes it. */
export const ONLY_WRITER: ShardLoan = { shardIn: () => 0, ready: () => [0] }

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
 * Takes `amount` of a quantity, or gives it back when it is negative: no more of it than is taken, for that would raise the limit.
 * @param atMs of a monthly quantity: a time in the month that it is of
 * @throws {Problem} `quota_exceeded`, only after every shard was read
 */
export async function take(
  scope: TenantScope,
  loan: ShardLoan,
  quantity: Quantity,
  amount: number,
  atMs: number,
): Promise<void> {
  if (amount === 0) return
  const account = accountOf(quantity, atMs)
  const shards = shardsOf(scope)
  const shard = loan.shardIn(scope)
  const [held, status] = await Promise.all([
    shards.get([account, shard]),
    // Whoever lowers a limit writes here and to no shard: they need not win against the writers of all of them.
    scope.system('status', statusSpace).get(['status']),
  ])
  const lowered = status?.lowered
  const own = held && presentShard(held, lowered)
  if (own === undefined && account !== quantity) {
    await expireAt(scope, endOfMonth(atMs) + MONTH_KEPT_MS, 'quota', account, atMs)
  }
  const left =
    amount < 0
      ? giveBack(own, await returned(scope, account, own?.used ?? 0, -amount))
      : takeFrom(own, amount)
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
  const present = new Map([...all].map(([number, each]) => [number, presentShard(each, lowered)]))
  const changed = makeRoom(present, shard, amount, limit, loan.ready())
  if (changed === undefined) {
    throw new Problem('quota_exceeded', `The plan allows ${limit} ${quantity}, and they are all used.`)
  }
  rounds.set([account], (round ?? 0) + 1)
  // What changes was seen by snapshot: reading it again makes another's change to it a conflict.
  await Promise.all([...changed.keys()].map((number) => shards.get([account, number])))
  for (const [number, value] of changed) shards.set([account, number], { ...value, lowered })
}

/** How much of what is to be given back was taken: a shard gives back what others took, too. Conflicts with none of them. */
async function returned(scope: TenantScope, account: Account, own: number, amount: number): Promise<number> {
  if (own >= amount) return amount
  const all = await everyShard(scope.snapshot('quotas', shardSpace), account)
  return Math.max(0, Math.min(amount, usedIn(all)))
}

const usedIn = (shards: ReadonlyMap<number, Shard>): number =>
  shards.values().reduce((sum, { used }) => sum + used, 0)

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
  return { used: usedIn(all), limit }
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
