// How much work may be under way at a time, in units (of a region) or requests (of an edge), found by what it takes: while
// requests take no longer than they should, the limit grows a little (if it was used at all); once more than a tenth of them
// take longer, it shrinks by a part. Additive increase, multiplicative decrease converges to a fair and efficient point (Chiu
// and Jain, "Analysis of the Increase and Decrease Algorithms", Computer Networks 17, 1989); for limits of concurrency it is
// the `AIMDLimit` of
// Netflix's concurrency-limits, whose condition of use is ours too. What an operation usually takes is its own shortest
// time, as in TCP Vegas (Brakmo and Peterson, 1995): an operation that is slow by nature is no sign of congestion.
// Pure: time comes in.

export interface ConcurrencyLimitOptions {
  /** Units under way at a time, at the least, at first, at the most. */
  least: number
  first: number
  most: number
  /** What a request may take in any case, in milliseconds. */
  targetMs: number
}

/** A decision takes at least so many answers, and so much time. */
const WINDOW_ANSWERS = 20
const WINDOW_MS = 50
const LATE_SHARE = 0.1
const GROW_SHARE = 1 / 64
const SHRINK_BY = 0.9
/** An operation that usually takes long may take so many times that. */
const SLOWDOWN = 2
/** An operation's shortest time is forgotten bit by bit, so that it follows when the operation itself gets slower. */
const FORGETTING = 1.000_01
/** Operations are declared in code; whatever else comes here is measured by the target alone. */
const MAX_OPERATIONS = 1_024

export class ConcurrencyLimit {
  private readonly options: ConcurrencyLimitOptions
  private readonly shortestMs = new Map<string, number>()
  private units: number
  private answers = 0
  private late = 0
  private mostUnderWay = 0
  private windowFromMs = 0

  constructor(options: ConcurrencyLimitOptions) {
    this.options = options
    this.units = options.first
  }

  /** Units that may be under way now. */
  get limit(): number {
    return this.units
  }

  /**
   * @param underWay units that were under way when this request began, itself included
   * @param isDone false where it was refused: that may come at once, and says nothing of what the operation takes
   */
  answered(operation: string, tookMs: number, underWay: number, nowMs: number, isDone = true): void {
    this.answers++
    this.mostUnderWay = Math.max(this.mostUnderWay, underWay)
    if (isDone) this.learn(operation, tookMs)
    if (tookMs > this.allowedMs(operation)) this.late++
    // An edge's clock may go back, nobody knows how far.
    const windowMs = Math.abs(nowMs - this.windowFromMs)
    if (this.answers >= WINDOW_ANSWERS && windowMs >= WINDOW_MS) this.decide(nowMs)
  }

  private learn(operation: string, tookMs: number): void {
    const known = this.shortestMs.get(operation)
    if (known === undefined && this.shortestMs.size >= MAX_OPERATIONS) return
    this.shortestMs.set(operation, Math.min(tookMs, (known ?? tookMs) * FORGETTING))
  }

  private allowedMs(operation: string): number {
    return Math.max(this.options.targetMs, (this.shortestMs.get(operation) ?? 0) * SLOWDOWN)
  }

  private decide(nowMs: number): void {
    const { least, most } = this.options
    if (this.late > this.answers * LATE_SHARE) this.units = Math.max(least, this.units * SHRINK_BY)
    else if (this.mostUnderWay * 2 >= this.units) this.units = Math.min(most, this.units + most * GROW_SHARE)
    this.answers = 0
    this.late = 0
    this.mostUnderWay = 0
    this.windowFromMs = nowMs
  }
}
