// A worker: finds tenants with work and visits them, several at a time. A commit of this process wakes it at once; what
// other processes enqueue, what comes due and what a crash left is found by a scan every second.
import { randomUUID } from 'node:crypto'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import { ReadyTenants } from './ready.ts'
import { PointerScan } from './scan.ts'
import { type VisitDependencies, visit } from './visit.ts'

/** Hands: tenants visited at a time. */
const HANDS = 16
/**
 * Visits that work outside the database, beside those. What they wait for, a model or a mail server, may not answer for a
 * minute, and no other tenant's work waits with them.
 */
const MAX_OUTSIDE = 64
/** Tenants known to have work, waiting for a visit. */
const MAX_READY = 4_096
const SCAN_EVERY_MS = 1_000

export interface WorkerDependencies extends Omit<VisitDependencies, 'worker' | 'leaveHand'> {
  database: RegionDatabase
  scanEveryMs?: number
}

export class JobWorker {
  private readonly dependencies: Omit<VisitDependencies, 'leaveHand'>
  private readonly ready = new ReadyTenants(MAX_READY)
  private readonly stopping = new AbortController()
  private readonly scan: PointerScan
  private readonly unsubscribe: () => void
  private readonly hands: Promise<unknown>
  private readonly visits = new Set<Promise<void>>()
  private outside = 0
  private readonly timer: NodeJS.Timeout
  private scanning: Promise<void> | undefined

  /** Starts at once. */
  constructor(dependencies: WorkerDependencies) {
    const { database, now, random, scanEveryMs = SCAN_EVERY_MS } = dependencies
    this.dependencies = { ...dependencies, worker: randomUUID() }
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

  /** Tenants that wait for a visit. */
  get waiting(): number {
    return this.ready.size
  }

  /** Ends the steps under way, hands the leases back, and takes nothing new. */
  async stop(): Promise<void> {
    this.unsubscribe()
    clearInterval(this.timer)
    this.stopping.abort()
    this.ready.close()
    await Promise.all([this.hands, this.scanning])
    await Promise.all(this.visits)
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
      await this.begin(tenant)
    }
  }

  /** Begins a visit. @returns when the hand is free again: at its end, or as soon as it works outside */
  private begin(tenant: TenantNumber): Promise<void> {
    return new Promise((free) => {
      const visiting = this.visitOne(tenant, free).finally(() => {
        this.visits.delete(visiting)
        free()
      })
      this.visits.add(visiting)
    })
  }

  private async visitOne(tenant: TenantNumber, freeHand: () => void): Promise<void> {
    let again = false
    let isOutside = false
    const leaveHand = () => {
      if (!isOutside && this.outside < MAX_OUTSIDE) {
        isOutside = true
        this.outside++
        freeHand()
      }
      return isOutside
    }
    try {
      again = (await visit({ ...this.dependencies, leaveHand }, tenant, this.stopping.signal)) === 'more'
    } catch (error) {
      // Its pointer is still there: a later scan finds it.
      this.dependencies.log.error('a visit ended early', { error })
    }
    if (isOutside) this.outside--
    this.ready.putBack(tenant, again)
  }
}
