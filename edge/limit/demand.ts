// How fast a tenant's units are asked for in this isolate: an exponentially weighted rate, so that a lease is as large as
// what will be spent of it.

/** Old demand fades to a third in this time. */
const TIME_CONSTANT_MS = 1_000

export class Demand {
  private perSecond = 0
  private atMs: number

  constructor(nowMs: number) {
    this.atMs = nowMs
  }

  add(units: number, nowMs: number): void {
    this.perSecond = this.rate(nowMs) + (units * 1_000) / TIME_CONSTANT_MS
    this.atMs = nowMs
  }

  /** Units a second. */
  rate(nowMs: number): number {
    return this.perSecond * Math.exp(-Math.max(0, nowMs - this.atMs) / TIME_CONSTANT_MS)
  }
}
