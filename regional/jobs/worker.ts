// A worker: finds tenants with work and visits them, several at a time. A commit of this process wakes it at once; what
// other processes enqueue, what comes due and what a crash left is found by a scan every second.
import { randomUUID } from 'node:crypto'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import { Holdings } from './holding.ts'
import { ReadyTenants } from './ready.ts'
import { PointerScan } from './scan.ts'
import { type VisitDependencies, visit } from './visit.ts'

/** Hands: tenants visited at a time. */
const HANDS = 16
/** Tenants known to have work, waiting for a visit. */
const MAX_READY = 4_096
const SCAN_EVERY_MS = 1_000

export interface WorkerDependencies extends Omit<VisitDependencies, 'worker'> {
  database: RegionDatabase
  scanEveryMs?: number
}

export class JobWorker {
  private readonly dependencies: VisitDependencies
  private readonly ready = new ReadyTenants(MAX_READY)
  private readonly stopping = new AbortController()
  private readonly holdings: Holdings
  private readonly scan: PointerScan
  private readonly unsubscribe: () => void
  private readonly hands: Promise<unknown>
  private readonly timer: NodeJS.Timeout
  private scanning: Promise<void> | undefined

  /** Starts at once. */
  constructor(dependencies: WorkerDependencies) {
    const { database, now, random, scanEveryMs = SCAN_EVERY_MS } = dependencies
    this.dependencies = { ...dependencies, worker: randomUUID() }
    this.holdings = new Holdings(this.dependencies, this.stopping.signal, (tenant) => this.ready.add(tenant))
    this.scan = new PointerScan(database, now, random)
    this.unsubscribe = database.onWake((tenant) => this.ready.add(tenant))
    this.hands = Promise.all(Array.from({ length: HANDS }, () => this.visitOneAfterAnother()))
    void this.look()
    // A little apart from the other workers, so that they do not all scan in the same instant.
    this.timer = setInterval(() => void this.look(), scanEveryMs * (0.9 + random() / 5))
  }

  /** Scans now, if no scan is under way. */
  look(): Promise<void> {
    this.scanning ??= this.lookOnce().finally(() => {
      this.scanning = undefined
    })
    return this.scanning
  }

  /** Tenants that wait for a visit, or for a place to work outside. */
  get waiting(): number {
    return this.ready.size + this.holdings.inLine
  }

  /** Ends the steps under way, hands the leases back, and takes nothing new. */
  async stop(): Promise<void> {
    this.unsubscribe()
    clearInterval(this.timer)
    this.stopping.abort()
    this.ready.close()
    await Promise.all([this.hands, this.scanning])
    await this.holdings.end()
  }

  private async lookOnce(): Promise<void> {
    if (this.ready.room <= 0) return
    try {
      for (const tenant of await this.scan.round()) this.ready.add(tenant)
    } catch (error) {
      this.dependencies.log.error('a scan for work failed', { error })
    }
  }

  private async visitOneAfterAnother(): Promise<void> {
    for (let tenant = await this.ready.take(); tenant !== undefined; tenant = await this.ready.take()) {
      this.ready.putBack(tenant, await this.visit(tenant))
    }
  }

  /** @returns whether there is more to do at once */
  private async visit(tenant: TenantNumber): Promise<boolean> {
    try {
      return (await visit(this.dependencies, this.holdings, tenant)) === 'more'
    } catch (error) {
      // Its pointer is still there: a later scan finds it.
      this.dependencies.log.error('a visit ended early', { error })
      return false
    }
  }
}
