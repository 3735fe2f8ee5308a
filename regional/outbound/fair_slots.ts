// Slots: how many calls outwards are under way at a time, shared by all tenants of an instance. A tenant may take another one as long
// as it has fewer than are free (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
// Switches", 1998). So one with a hundred thousand slow receivers gets half, two get a third each, and whoever comes
// next always finds some.
import type { TenantNumber } from '../../shared/tenant.ts'

export class FairSlots {
  private readonly total: number
  private used = 0
  private readonly held = new Map<TenantNumber, number>()
  /** In the order in which they came. */
  private readonly waiting = new Map<TenantNumber, () => void>()

  constructor(total: number) {
    this.total = total
  }

  /**
   * @param whenFree is called once, when it is worth while to ask again; without it nobody waits
   * @returns whether a slot was taken
   */
  take(tenant: TenantNumber, whenFree?: () => void): boolean {
    const held = this.held.get(tenant) ?? 0
    if (held >= this.total - this.used) {
      if (whenFree !== undefined) this.waiting.set(tenant, whenFree)
      return false
    }
    this.used++
    this.held.set(tenant, held + 1)
    return true
  }

  release(tenant: TenantNumber): void {
    const held = (this.held.get(tenant) ?? 0) - 1
    this.used--
    if (held > 0) this.held.set(tenant, held)
    else this.held.delete(tenant)
    this.callNext()
  }

  /** Whoever has least; where that one may not take another, nobody may. */
  private callNext(): void {
    let next: { tenant: TenantNumber; held: number; whenFree: () => void } | undefined
    for (const [tenant, whenFree] of this.waiting) {
      const held = this.held.get(tenant) ?? 0
      if (next === undefined || held < next.held) next = { tenant, held, whenFree }
    }
    if (next === undefined) return
    this.waiting.delete(next.tenant)
    next.whenFree()
  }
}
