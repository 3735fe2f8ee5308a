// How many requests an isolate has under way at a time (a bulkhead: M. Nygard, Release It!, 2007). What comes beyond is told
// to come again, at once and before anything was done: an isolate that takes everything answers nobody, because all of it
// waits for the same thread, each with memory and connections of its own. How many that are is found by what answers take, as
// in a region, without the time that the region had them, and that they waited for others before it: who is slow looks after
// himself. A tenant may have at most twice as many as are still free, so whoever comes next finds some. (Choudhury and Hahne,
// "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998.)
import { ConcurrencyLimit, type ConcurrencyLimitOptions } from '../../shared/concurrency_limit.ts'
import type { TenantNumber } from '../../shared/tenant.ts'

export interface BulkheadOptions extends ConcurrencyLimitOptions {
  /** What may come at once, for a moment; as many as `most` where it is not said. */
  burst?: number
}

/**
 * Requests. The fewest keep a processor busy; the most, one with a region on the other side of the earth. A burst is one
 * request of each of a thousand clients, and more.
 */
const UNDER_WAY: BulkheadOptions = { least: 96, first: 192, most: 512, burst: 2_048, targetMs: 100 }
/**
 * A burst may take all places. What stays above the limit for so long is none, and is held to the limit until nobody was
 * refused for a second. (After Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012.)
 */
const BURST_MS = 500
const CALM_MS = 1_000
const SHARE_OF_FREE = 2
/** What takes longer waits for something else, such as a model, and holds up nobody here. */
const LONG_MS = 1_000

/** A place that a request holds. */
export interface Pass {
  tenant: TenantNumber
  /** What is alike in how long it takes: one of few. */
  operation: string
  sinceMs: number
  /** How many were under way when it came, itself included. */
  underWay: number
}

export class Bulkhead {
  private readonly limit: ConcurrencyLimit
  private readonly burst: number
  /** Since when there have been more than the limit; undefined when there are not. */
  private aboveSinceMs: number | undefined
  private isHeld = false
  private refusedAtMs = 0
  /** In the order in which they came. */
  private readonly passes = new Set<Pass>()
  private readonly byTenant = new Map<TenantNumber, number>()

  constructor(options: BulkheadOptions = UNDER_WAY) {
    this.limit = new ConcurrencyLimit(options)
    this.burst = options.burst ?? options.most
  }

  /** @returns undefined when there is no place for this tenant. Every other pass is to be given back. */
  enter(tenant: TenantNumber, operation: string, nowMs: number): Pass | undefined {
    if (!this.hasPlace(tenant, nowMs)) return undefined
    const pass = { tenant, operation, sinceMs: nowMs, underWay: this.passes.size + 1 }
    this.passes.add(pass)
    this.byTenant.set(tenant, (this.byTenant.get(tenant) ?? 0) + 1)
    return pass
  }

  hasPlace(tenant: TenantNumber, nowMs: number): boolean {
    for (const pass of this.passes) {
      // Of a clock that went back nobody knows how far.
      if (Math.abs(nowMs - pass.sinceMs) <= LONG_MS) break
      this.release(pass)
    }
    const free = this.places(nowMs) - this.passes.size
    const isFree = free >= 1 && (this.byTenant.get(tenant) ?? 0) < SHARE_OF_FREE * free
    if (!isFree) this.refusedAtMs = nowMs
    return isFree
  }

  /**
   * @param elsewhereMs how long others had it, of the time since it came; undefined where no region has answered it, which
   *   says nothing of how long answers take
   */
  leave(pass: Pass, nowMs: number, elsewhereMs?: number): void {
    if (!this.release(pass) || elsewhereMs === undefined) return
    const tookMs = Math.max(0, nowMs - pass.sinceMs - elsewhereMs)
    this.limit.answered(pass.operation, tookMs, pass.underWay, nowMs)
  }

  private places(nowMs: number): number {
    const { limit } = this.limit
    if (this.isHeld) this.isHeld = Math.abs(nowMs - this.refusedAtMs) < CALM_MS
    if (this.passes.size < limit / 2) this.aboveSinceMs = undefined
    else if (this.passes.size >= limit) this.aboveSinceMs ??= nowMs
    if (this.aboveSinceMs !== undefined && nowMs - this.aboveSinceMs > BURST_MS) {
      this.isHeld = true
      this.refusedAtMs = nowMs
      this.aboveSinceMs = undefined
    }
    return this.isHeld ? limit : this.burst
  }

  /** @returns whether it was still held */
  private release(pass: Pass): boolean {
    if (!this.passes.delete(pass)) return false
    const own = (this.byTenant.get(pass.tenant) ?? 0) - 1
    if (own > 0) this.byTenant.set(pass.tenant, own)
    else this.byTenant.delete(pass.tenant)
    return true
  }
}
