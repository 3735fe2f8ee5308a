// Randomness from a seed, so that every run can be had again. Mulberry32 (Tommy Ettinger, 2017): 32 bits of state, quick,
// and even enough for queues; never for secrets.

/** From 0 to 1, 1 excluded. */
export type Random = () => number

export function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const exponential = (random: Random, mean: number): number => -mean * Math.log(1 - random())

/**
 * A measured distribution: means of equally likely slices, in order, and of the last one each value, equally likely among
 * themselves: a mean would make many short waits of the few times that a process stands still.
 */
export type Slices = ReadonlyArray<number | ReadonlyArray<number>>

/** @throws {Error} for no values */
export function slicesOf(
  values: ReadonlyArray<number>,
  count: number,
): Array<number | ReadonlyArray<number>> {
  if (values.length === 0) throw new Error('nothing was measured')
  const sorted = Float64Array.from(values).sort()
  const many = Math.min(count, sorted.length)
  return Array.from({ length: many }, (_, slice) => {
    const own = sorted.subarray(
      Math.floor((slice * sorted.length) / many),
      Math.floor(((slice + 1) * sorted.length) / many),
    )
    return slice === many - 1 ? [...own] : meanOf(own)
  })
}

export const meanOf = (values: ReadonlyArray<number> | Float64Array): number => {
  let sum = 0
  for (const value of values) sum += value
  return sum / values.length
}

export const meanOfSlices = (slices: Slices): number =>
  meanOf(slices.map((slice) => (typeof slice === 'number' ? slice : meanOf(slice))))

export function sampler(slices: Slices, random: Random): () => number {
  const last = slices.at(-1) ?? 0
  const tail = Float64Array.from(typeof last === 'number' ? [last] : last)
  const table = Float64Array.from(slices.filter((slice) => typeof slice === 'number'))
  const one = (of: Float64Array): number => of[Math.floor(random() * of.length)] ?? 0
  if (table.length === slices.length) return () => one(table)
  return () => table[Math.floor(random() * slices.length)] ?? one(tail)
}
