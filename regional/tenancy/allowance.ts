// Escrow: how a hard limit is kept exactly although nobody counts in one place. A quantity's limit is handed out as
// allowances to shards; a shard that still has some needs to ask nobody. O'Neil, "The Escrow Transactional Method",
// ACM TODS 11 (1986). Pure: no I/O here.

/** `used` never exceeds `allowed`, and all allowances together never exceed the limit. */
export interface Shard {
  used: number
  allowed: number
}

/** A shard that runs dry takes this part of what is free, so that it does not have to ask again at once. */
const SHARE = 8

/**
 * Makes room for `amount` in one shard, from what is free or else from what other shards do not use.
 * @param shards every shard there is, by its number
 * @returns the shards that change, the asking one included; undefined when the limit leaves no room at all.
 */
export function makeRoom(
  shards: ReadonlyMap<number, Shard>,
  asking: number,
  amount: number,
  limit: number,
): Map<number, Shard> | undefined {
  const own = { ...(shards.get(asking) ?? { used: 0, allowed: 0 }) }
  const others = new Map(
    [...shards].filter(([number]) => number !== asking).map(([number, shard]) => [number, { ...shard }]),
  )
  const total = (of: keyof Shard) => own[of] + others.values().reduce((sum, shard) => sum + shard[of], 0)
  if (total('used') + amount > limit) return undefined
  const changed = new Map<number, Shard>([[asking, own]])

  const free = Math.max(0, limit - total('allowed'))
  const missing = () => own.used + amount - own.allowed
  own.allowed += Math.min(free, Math.max(missing(), Math.ceil(free / SHARE)))
  const bySpare = [...others].toSorted(([, a], [, b]) => b.allowed - b.used - (a.allowed - a.used))
  for (const [number, shard] of bySpare) {
    if (missing() <= 0) break
    const spare = shard.allowed - shard.used
    if (spare <= 0) break
    // Half of what it can spare, or all that is missing: it is about to need some itself.
    const given = Math.min(spare, Math.max(missing(), Math.floor(spare / 2)))
    shard.allowed -= given
    own.allowed += given
    changed.set(number, shard)
  }
  own.used += amount
  return own.used <= own.allowed ? changed : undefined
}

/** Takes back every allowance that is not used: what a changed limit calls for. */
export const withdrawn = (shard: Shard): Shard => ({ used: shard.used, allowed: shard.used })
