// Quotas: hard limits of a tenant, kept exactly under concurrency, without making its writes queue for one counter.
import { PLANS, type Quantity } from '../../shared/plans.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { jsonSpace, type Space } from '../storage/space.ts'
import { giveBack, makeRoom, SHARDS, type Shard, takeFrom, withdrawn } from './allowance.ts'
import { profileSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

const shardSpace = jsonSpace<[quantity: Quantity, shard: number], Shard>('shard')

/**
 * Read and written by whoever hands allowances out or takes them back, so that this happens one after the other. It
 * stands for all shards: they are read by snapshot then, and their writers go on.
 */
const roundSpace = jsonSpace<[quantity: Quantity], number>('round')

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

const shardsOf = (scope: TenantScope): Space<[quantity: Quantity, shard: number], Shard> =>
  scope.system('quotas', shardSpace)

async function everyShard(
  shards: ReturnType<typeof shardsOf>,
  quantity: Quantity,
): Promise<Map<number, Shard>> {
  const { entries } = await shards.page({ under: [quantity], limit: SHARDS })
  return new Map(entries.map(([[, number], shard]) => [number, shard]))
}

/**
 * Takes `amount` of a quantity, or gives it back when it is negative.
 * @throws {Problem} `quota_exceeded`, only after every shard was read
 */
export async function take(
  scope: TenantScope,
  { shard, inUse }: ShardLoan,
  quantity: Quantity,
  amount: number,
): Promise<void> {
  const shards = shardsOf(scope)
  const own = await shards.get([quantity, shard])
  const left = amount < 0 ? giveBack(own, -amount) : takeFrom(own, amount)
  if (left !== undefined) {
    shards.set([quantity, shard], left)
    return
  }
  const rounds = scope.system('quotas', roundSpace)
  const [round, all, limit] = await Promise.all([
    rounds.get([quantity]),
    everyShard(scope.snapshot('quotas', shardSpace), quantity),
    limitOf(scope, quantity),
  ])
  const changed = makeRoom(all, shard, amount, limit, inUse())
  if (changed === undefined) {
    throw new Problem('quota_exceeded', `The plan allows ${limit} ${quantity}, and they are all used.`)
  }
  rounds.set([quantity], (round ?? 0) + 1)
  // What changes was seen by snapshot: reading it again makes another's change to it a conflict.
  await Promise.all([...changed.keys()].map((number) => shards.get([quantity, number])))
  for (const [number, value] of changed) shards.set([quantity, number], value)
}

/** What is used of a quantity, and what the plan allows. */
export async function readQuota(
  scope: TenantScope,
  quantity: Quantity,
): Promise<{ used: number; limit: number }> {
  const [all, limit] = await Promise.all([everyShard(shardsOf(scope), quantity), limitOf(scope, quantity)])
  return { used: [...all.values()].reduce((sum, { used }) => sum + used, 0), limit }
}

/** To be called in the transaction that changes a tenant's plan: what was handed out under the old one ends there. */
export async function withdrawAllowances(
  scope: TenantScope,
  quantities: ReadonlyArray<Quantity>,
): Promise<void> {
  const shards = shardsOf(scope)
  const rounds = scope.system('quotas', roundSpace)
  for (const quantity of quantities) {
    rounds.set([quantity], ((await rounds.get([quantity])) ?? 0) + 1)
    for (const [number, shard] of await everyShard(shards, quantity)) {
      shards.set([quantity, number], withdrawn(shard))
    }
  }
}

async function limitOf(scope: TenantScope, quantity: Quantity): Promise<number> {
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  return profile === undefined ? 0 : PLANS[profile.plan][quantity]
}
