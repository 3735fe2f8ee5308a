// The tenants that a worker will visit next: first come, first served, each of them once. So every tenant has its turn,
// whatever another has waiting. Bounded: whoever finds no room here still has a pointer, and is found by a later scan.
import type { TenantNumber } from '../../shared/tenant.ts'

export class ReadyTenants {
  private readonly limit: number
  private readonly waiting = new Set<TenantNumber>()
  /** In a worker's hands now; true when it has to come back. */
  private readonly inHand = new Map<TenantNumber, boolean>()
  private readonly takers: Array<(tenant: TenantNumber | undefined) => void> = []
  private closed = false

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.waiting.size
  }

  get room(): number {
    return this.limit - this.waiting.size
  }

  add(tenant: TenantNumber): void {
    if (this.closed) return
    if (this.inHand.has(tenant)) {
      this.inHand.set(tenant, true)
      return
    }
    if (this.waiting.has(tenant) || this.room <= 0) return
    const taker = this.takers.shift()
    if (taker === undefined) this.waiting.add(tenant)
    else {
      this.inHand.set(tenant, false)
      taker(tenant)
    }
  }

  /** The next tenant, as soon as there is one; it is in hand until {@link putBack}. Undefined after {@link close}. */
  async take(): Promise<TenantNumber | undefined> {
    if (this.closed) return undefined
    const [first] = this.waiting
    if (first === undefined) return new Promise((resolve) => this.takers.push(resolve))
    this.waiting.delete(first)
    this.inHand.set(first, false)
    return first
  }

  /** @param again whether there is more to do for it */
  putBack(tenant: TenantNumber, again: boolean): void {
    const called = this.inHand.get(tenant) ?? false
    this.inHand.delete(tenant)
    if (again || called) this.add(tenant)
  }

  close(): void {
    this.closed = true
    this.waiting.clear()
    for (const taker of this.takers.splice(0)) taker(undefined)
  }
}
