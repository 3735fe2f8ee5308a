// Deliveries of one instance: a pump for each tenant that has some, begun when somebody calls and let go when there is
// nothing to do. Several instances work side by side: a tenant is in one's hands at a time.

import type { TenantNumber } from '../../shared/tenant.ts'
import type { StandingKind } from '../jobs/kind.ts'
import { FairSlots } from '../outbound/fair_slots.ts'
import { WEBHOOKS } from './call.ts'
import { type PumpDependencies, TenantPump } from './pump.ts'

/** Deliveries of all tenants at the same time. */
const SLOTS = 512
/** Tenants in hand, and as many that wait for a place. Whoever finds none is called for again by its queue. */
const MAX_TENANTS = 1_000
/** A tenant that is in another's hands is left alone for so long. */
const BUSY_MS = 500

export class WebhookDeliveries implements StandingKind {
  readonly kind = WEBHOOKS
  private readonly dependencies: PumpDependencies
  private readonly maxTenants: number
  /** In the order in which they were taken in hand. */
  private readonly pumps = new Map<TenantNumber, { pump: TenantPump; ended: Promise<void> }>()
  /** In the order in which they came. */
  private readonly waiting = new Set<TenantNumber>()
  private readonly busy = new Set<TenantNumber>()
  private readonly uncalled: () => void
  private stopping = false

  constructor(dependencies: Omit<PumpDependencies, 'slots'>, maxTenants = MAX_TENANTS) {
    this.maxTenants = maxTenants
    this.dependencies = { ...dependencies, slots: new FairSlots(SLOTS) }
    this.uncalled = dependencies.database.onCall((tenant) => this.call(tenant))
  }

  call(tenant: TenantNumber): void {
    const present = this.pumps.get(tenant)
    if (present !== undefined) {
      present.pump.call()
      return
    }
    if (this.stopping || this.busy.has(tenant)) return
    if (this.pumps.size < this.maxTenants) {
      const pump = new TenantPump(this.dependencies, tenant)
      this.pumps.set(tenant, { pump, ended: this.run(tenant, pump) })
      return
    }
    if (this.waiting.size < this.maxTenants) this.waiting.add(tenant)
    this.makeRoom()
  }

  /** Tenants that wait to be taken in hand. */
  get inLine(): number {
    return this.waiting.size
  }

  async stop(): Promise<void> {
    this.stopping = true
    this.uncalled()
    for (const { pump } of this.pumps.values()) pump.stop()
    await Promise.all([...this.pumps.values()].map(({ ended }) => ended))
  }

  /**
   * As many make way as wait: of those that send nothing at present, whoever was taken in hand first. Otherwise a thousand
   * whose receivers never answer, and who always have something left, would keep everybody else's from being sent.
   */
  private makeRoom(): void {
    let room = 0
    for (const { pump } of this.pumps.values()) {
      if (room >= this.waiting.size) return
      if (pump.makeWay()) room++
    }
  }

  private async run(tenant: TenantNumber, pump: TenantPump): Promise<void> {
    let ended: Awaited<ReturnType<TenantPump['run']>> = 'lost'
    try {
      ended = await pump.run()
    } catch (error) {
      this.dependencies.log.error('a tenant could not be taken in hand', { error })
    }
    this.pumps.delete(tenant)
    for (const next of this.waiting) {
      if (this.pumps.size >= this.maxTenants) break
      this.waiting.delete(next)
      this.call(next)
    }
    if (ended === 'left') {
      // Called while it was leaving.
      if (pump.wasCalled) this.call(tenant)
      return
    }
    this.busy.add(tenant)
    setTimeout(() => this.busy.delete(tenant), BUSY_MS).unref()
  }
}
