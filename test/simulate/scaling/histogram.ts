// How long many took, in little memory: buckets that are 2 % wide, so that a percentile is at most 1 % wrong.
const WIDTH = Math.log(1.02)
/** Milliseconds that the first bucket begins with; shorter ones are in it, too. */
const LEAST = 0.01
const BUCKETS = 1_024

export class Histogram {
  count = 0
  private readonly buckets = new Uint32Array(BUCKETS)

  add(ms: number): void {
    const bucket = ms <= LEAST ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log(ms / LEAST) / WIDTH))
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1
    this.count++
  }

  addAll(other: Histogram): void {
    for (let i = 0; i < BUCKETS; i++) this.buckets[i] = (this.buckets[i] ?? 0) + (other.buckets[i] ?? 0)
    this.count += other.count
  }

  clear(): void {
    this.buckets.fill(0)
    this.count = 0
  }

  /** By nearest rank, in milliseconds; NaN when there is nothing. */
  percentile(percent: number): number {
    if (this.count === 0) return Number.NaN
    let left = Math.max(1, Math.ceil((percent / 100) * this.count))
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.buckets[i] ?? 0
      if (left <= 0) return LEAST * Math.exp((i + 0.5) * WIDTH)
    }
    return Number.NaN
  }
}
