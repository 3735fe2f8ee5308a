// How fast a tenant's units are asked for in this isolate, so that a lease is as large as what will be spent of it: an
// exponentially weighted rate, corrected for the time before it began (as Adam's estimates are: Kingma and Ba, 2015).

/** Old demand fades to a third in this time. */
const TIME_CONSTANT_MS = 1_000
/** The first requests of a flood count as if they had come in this part of the time constant. */
const LEAST_WEIGHT = 0.1
/** Below this, what comes next is a new beginning. */
const FORGOTTEN_PER_SECOND = 0.1

export class Demand {
  private perSecond = 0
  private sinceMs: number
  private atMs: number

  constructor(nowMs: number) {
    this.sinceMs = nowMs
    this.atMs = nowMs
  }

  add(units: number, nowMs: number): void {
    const faded = this.faded(nowMs)
    if (faded < FORGOTTEN_PER_SECOND) this.sinceMs = nowMs
    this.perSecond = faded + (units * 1_000) / TIME_CONSTANT_MS
    this.atMs = nowMs
  }

  /** Units a second. */
  rate(nowMs: number): number {
    const weight = 1 - Math.exp(-Math.max(0, nowMs - this.sinceMs) / TIME_CONSTANT_MS)
    return this.faded(nowMs) / Math.max(LEAST_WEIGHT, weight)
  }

  private faded(nowMs: number): number {
    return this.perSecond * Math.exp(-Math.max(0, nowMs - this.atMs) / TIME_CONSTANT_MS)
  }
}
