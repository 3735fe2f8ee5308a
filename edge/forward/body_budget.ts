// How many bytes of bodies an isolate holds at a time. All tenants share its 128 MB, and a place in the bulkhead says nothing
// of what a request brings along, or of how long that takes. A tenant may hold as much as it leaves free, so whoever comes
// next finds some (after Choudhury and Hahne, as in the bulkhead).
import type { Principal } from '../../shared/principal.ts'
import type { TenantNumber } from '../../shared/tenant.ts'

/** The rest is for what the edge remembers, and for answers. */
export const BODY_BYTES = 48 * 2 ** 20
/** Longer than any body may take to arrive and be forwarded: what is held beyond that was forgotten to be given back. */
const LONGEST_MS = 5 * 60_000

/** A tenant, or all together who are of that kind. Undefined for strangers, whose forms are too small to be counted. */
export type BodyOwner = TenantNumber | Principal['kind'] | undefined

export interface HeldBody {
  /** Some bytes more. @returns false when there is no room for them, and when all of it has been given back */
  take(bytes: number): boolean
  /** All of it, once. */
  release(): void
}

interface Holding {
  owner: BodyOwner
  sinceMs: number
  bytes: number
}

export class BodyBudget {
  /** In the order in which they began. */
  private readonly holdings = new Set<Holding>()
  private readonly byOwner = new Map<BodyOwner, number>()
  private held = 0
  private readonly bytes: number

  constructor(bytes = BODY_BYTES) {
    this.bytes = bytes
  }

  begin(owner: BodyOwner, nowMs: number): HeldBody {
    this.forget(nowMs)
    const holding = { owner, sinceMs: nowMs, bytes: 0 }
    this.holdings.add(holding)
    return {
      take: (bytes) => {
        if (!this.holdings.has(holding)) return false
        const own = (this.byOwner.get(owner) ?? 0) + bytes
        if (own > this.bytes - this.held - bytes) return false
        this.add(holding, bytes)
        return true
      },
      release: () => this.release(holding),
    }
  }

  private add(holding: Holding, bytes: number): void {
    const own = (this.byOwner.get(holding.owner) ?? 0) + bytes
    if (own > 0) this.byOwner.set(holding.owner, own)
    else this.byOwner.delete(holding.owner)
    this.held += bytes
    holding.bytes += bytes
  }

  private release(holding: Holding): void {
    if (this.holdings.delete(holding)) this.add(holding, -holding.bytes)
  }

  private forget(nowMs: number): void {
    for (const holding of this.holdings) {
      // Of a clock that went back nobody knows how far.
      if (Math.abs(nowMs - holding.sinceMs) <= LONGEST_MS) return
      this.release(holding)
    }
  }
}
