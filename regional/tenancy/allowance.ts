// Escrow: how a hard limit is kept exactly although nobody counts in one place. A quantity's limit is handed out as
// allowances to shards; a shard that still has some needs to ask nobody. O'Neil, "The Escrow Transactional Method",
// ACM TODS 11 (1986). Pure: no I/O here.

/**
 * `used` never exceeds `allowed`, and all allowances together never exceed the limit; where a smaller limit finds more
 * in use than it allows, they are what is in use.
 */
export interface Shard {
  used: number
  allowed: number
  /** What this shard gives back is no longer allowed to it, so that it has to ask before it takes again. */
  asks?: true
  /** How often limits had been lowered when this was allowed. Where they have been since, it is allowed no more. */
  lowered?: number | undefined
}

/** @returns the shard with `amount` more in use; undefined when its allowance is too small and it has to ask. */
export const takeFrom = (shard: Shard | undefined, amount: number): Shard | undefined =>
  shard !== undefined && shard.used + amount <= shard.allowed
    ? { ...shard, used: shard.used + amount }
    : undefined

/** @returns the shard with `amount` less in use. It can always give back, even what another shard took. */
export function giveBack(shard: Shard = { used: 0, allowed: 0, asks: true }, amount: number): Shard {
  return {
    ...shard,
    used: shard.used - amount,
    allowed: shard.asks === true ? shard.allowed - amount : shard.allowed,
  }
}

/** Shards of one quantity. A process's concurrent writers of a tenant never share one, up to this many. */
export const SHARDS = 64

/** A lone writer takes this part of what is free. */
const ALONE = 8
/** Several share what is free in this many rounds, as if all shards had writers: more of them may be about to come. */
const ROUNDS = 2

/** Shards get differing shares, from half to one and a half: writers that began together do not run dry together. */
const shareOf = (shard: number, free: number, isAlone: boolean): number =>
  Math.ceil(isAlone ? free / ALONE : (free / (ROUNDS * SHARDS)) * (0.5 + shard / SHARDS))

/**
 * Makes room for `amount` in one shard, from what is free or else from what other shards do not use. Shards in use
 * that have nothing left get something too: otherwise each of them would soon ask as well, and conflict with the rest.
 * @param shards every shard there is, by its number
 * @param ready shards that have writers now, or may soon: none but the asking one where that has the only writer
 * @returns the shards that change, the asking one included; undefined when the limit leaves no room at all.
 */
export function makeRoom(
  shards: ReadonlyMap<number, Shard>,
  asking: number,
  amount: number,
  limit: number,
  ready: ReadonlyArray<number> = [asking],
): Map<number, Shard> | undefined {
  const all = new Map([...shards].map(([number, shard]) => [number, { ...shard }]))
  const total = (of: 'used' | 'allowed') => all.values().reduce((sum, shard) => sum + shard[of], 0)
  if (total('used') + amount > limit) return undefined
  const changed = new Map<number, Shard>()
  const change = (number: number): Shard => {
    const { used, allowed } = all.get(number) ?? { used: 0, allowed: 0 }
    const shard = changed.get(number) ?? { used, allowed }
    all.set(number, shard)
    changed.set(number, shard)
    return shard
  }

  const own = change(asking)
  let free = Math.max(0, limit - total('allowed'))
  const toShare = free
  const give = (shard: Shard, given: number) => {
    shard.allowed += given
    free -= given
  }
  const isAlone = ready.length <= 1
  give(own, Math.min(free, Math.max(own.used + amount - own.allowed, shareOf(asking, toShare, isAlone))))
  for (const number of isAlone ? [] : ready) {
    if (free === 0) break
    const shard = all.get(number) ?? { used: 0, allowed: 0 }
    if (shard.allowed <= shard.used) give(change(number), Math.min(free, shareOf(number, toShare, isAlone)))
  }

  const bySpare = [...all].toSorted(([, a], [, b]) => b.allowed - b.used - (a.allowed - a.used))
  for (const [number, { used, allowed }] of bySpare) {
    const missing = own.used + amount - own.allowed
    if (missing <= 0) break
    if (number === asking || allowed <= used) continue
    // Half of what it can spare, or all that is missing: it is about to need some itself.
    const given = Math.min(allowed - used, Math.max(missing, Math.floor((allowed - used) / 2)))
    change(number).allowed -= given
    own.allowed += given
  }
  own.used += amount
  return own.used <= own.allowed ? changed : undefined
}

/**
 * What a shard is by now, when limits have been lowered so often. Where that was since it was allowed what it has, what it
 * does not use of that is taken back, and from then on it asks: nothing is taken while more is in use than a smaller limit
 * allows.
 */
export const presentShard = (shard: Shard, lowered: number | undefined): Shard =>
  shard.lowered === lowered ? shard : { used: shard.used, allowed: shard.used, asks: true }
