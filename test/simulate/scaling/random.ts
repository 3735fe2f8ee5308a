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

/** A measured distribution: means of equally likely slices, in order, so that the mean is kept, and most of the tail. */
export type Slices = ReadonlyArray<number>

/** @throws {Error} for no values */
export function slicesOf(values: ReadonlyArray<number>, count: number): number[] {
  if (values.length === 0) throw new Error('nothing was measured')
  const sorted = Float64Array.from(values).sort()
  const many = Math.min(count, sorted.length)
  return Array.from({ length: many }, (_, slice) => {
    const own = sorted.subarray(
      Math.floor((slice * sorted.length) / many),
      Math.floor(((slice + 1) * sorted.length) / many),
    )
    return own.reduce((sum, value) => sum + value, 0) / own.length
  })
}

export const meanOf = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

export function sampler(slices: Slices, random: Random): () => number {
  const table = Float64Array.from(slices)
  return () => table[Math.floor(random() * table.length)] ?? 0
}
