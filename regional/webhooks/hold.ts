// One pump's hold on its tenant: a lease in the tenant's own space, so that of all the processes of a region one delivers.
import { randomUUID } from 'node:crypto'
import { CLOCKS_MS } from '../tenancy/events.ts'
import { type StatusRecord, statusSpace } from '../tenancy/records.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import { holderSpace, SERVICE } from './records.ts'

/** How long a tenant is held without a word: what a crash costs, at most. */
export const LEASE_MS = 4_000

/** `left`: nothing to do; `busy`: another one has the tenant; `lost`: it has now; `closed`: the tenant is not active. */
export type Pumped = 'left' | 'busy' | 'lost' | 'closed'

/** The pump must not go on. */
export class Over extends Error {
  readonly how: Pumped

  constructor(how: Pumped) {
    super(how)
    this.how = how
  }
}

export class Hold {
  private readonly now: () => number
  private readonly pump = randomUUID()
  private untilMs = 0

  constructor(now: () => number) {
    this.now = now
  }

  /** So little of it is left that it has to be kept for itself: nothing else that would keep it has come. */
  get isRunningOut(): boolean {
    const leftMs = this.untilMs - this.now()
    return leftMs <= (LEASE_MS * 2) / 3 || leftMs > LEASE_MS
  }

  /** @returns whether the tenant is active and nobody else's, and so is held once this is committed */
  async take(scope: TenantScope): Promise<boolean> {
    const { status, holder } = await this.read(scope)
    const leftMs = holder === undefined ? 0 : holder.untilMs - this.now()
    // A longer one is of a clock that was set back meanwhile: it would keep the tenant from everybody for as long.
    const isHeld = holder?.pump !== this.pump && leftMs > 0 && leftMs <= LEASE_MS + CLOCKS_MS
    if (status?.status !== 'active' || isHeld) return false
    this.extend(scope)
    return true
  }

  /**
   * Makes sure that the tenant is still in hand, and that it stays so. Reads what a loss would change.
   * @throws {Over}
   */
  async keep(scope: TenantScope): Promise<StatusRecord> {
    const { status, holder } = await this.read(scope)
    if (status === undefined || (status.status !== 'active' && status.status !== 'suspended')) {
      throw new Over('closed')
    }
    if (holder?.pump !== this.pump) throw new Over('lost')
    this.extend(scope)
    return status
  }

  /**
   * Before more is sent: a suspended tenant's is not.
   * @throws {Over}
   */
  async check(scope: TenantScope): Promise<void> {
    const { status, holder } = await this.read(scope)
    if (status?.status !== 'active') throw new Over('closed')
    if (holder?.pump !== this.pump) throw new Over('lost')
  }

  give(scope: TenantScope): void {
    scope.service(SERVICE).space(holderSpace).clear(['holder'])
  }

  private async read(scope: TenantScope) {
    const [status, holder] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      scope.service(SERVICE).space(holderSpace).get(['holder']),
    ])
    return { status, holder }
  }

  private extend(scope: TenantScope): void {
    this.untilMs = this.now() + LEASE_MS
    const holder = { pump: this.pump, untilMs: this.untilMs }
    scope.service(SERVICE).space(holderSpace).set(['holder'], holder)
  }
}
