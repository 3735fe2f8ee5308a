// Every decision of a fault test comes from one generator, so that its seed says which faults were drawn.
// sfc32, from Doty-Humphrey's PractRand: 128 bits of state, quick, and good enough to fuzz with.

export class Random {
  readonly seed: number
  private a = 0
  private b = 0
  private c: number
  private d = 1

  constructor(seed: number) {
    this.seed = seed
    this.c = seed | 0
    for (let i = 0; i < 12; i++) this.next()
  }

  /** From 0 up to, but not, 1. */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = ((this.c << 21) | (this.c >>> 11)) + t
    this.c |= 0
    return (t >>> 0) / 2 ** 32
  }

  /** From 0 up to, but not, `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** @throws {RangeError} for nothing to pick from */
  pick<T>(items: ReadonlyArray<T>): T {
    const index = this.below(items.length)
    if (index >= items.length) throw new RangeError('nothing to pick from')
    return items[index] as T
  }
}

/** `FUZZ_SEED` where it is set, so that a failure can be run again; a fixed one otherwise. */
export const seedOf = (fixed: number): number => Number(process.env.FUZZ_SEED ?? fixed)
