// The tenants that a worker has: each one's lease, renewed for as long as a visit or work outside the database goes on
// there, and that work. What it waits for, a model or a mail server, may not answer for a minute, so no visit waits with
// it: further visits leave out what is under way, and go on with the rest of the queue.
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Log } from '../log.ts'
import type { RegionDatabase } from '../tenancy/region_database.ts'
import { LEASE_MS, renewLease, returnLease, takeLease } from './lease.ts'

/** Tenants that work outside at a time. */
const MAX_OUTSIDE = 64
/** Who found no room comes again after this. */
export const NO_ROOM_MS = 2_000
/** Longer than that: whoever waits is heard of again before it is over. */
const CROWDED_MS = 2 * NO_ROOM_MS

export interface HoldingDependencies {
  database: RegionDatabase
  worker: string
  now: () => number
  log: Log
}

export class Holdings {
  private readonly dependencies: HoldingDependencies
  private readonly stopping: AbortSignal
  private readonly call: (tenant: TenantNumber) => void
  private readonly held = new Map<TenantNumber, Holding>()
  private refusedAtMs = Number.NEGATIVE_INFINITY

  /** @param call has a tenant visited whose work outside has come to an end */
  constructor(
    dependencies: HoldingDependencies,
    stopping: AbortSignal,
    call: (tenant: TenantNumber) => void,
  ) {
    this.dependencies = dependencies
    this.stopping = stopping
    this.call = call
  }

  /** @returns undefined when another worker has the tenant, or had it while work of this one's has not ended yet */
  async take(tenant: TenantNumber): Promise<Holding | undefined> {
    const { database, worker, now } = this.dependencies
    const before = this.held.get(tenant)
    if (before?.isLost && before.isOutside) return undefined
    if (!(await takeLease(database, tenant, worker, now()))) {
      before?.lose()
      if (!before?.isOutside) this.drop(tenant)
      return undefined
    }
    // It may have been lost, or have ended, meanwhile.
    if (before !== undefined && !before.isLost) return before
    if (before?.isOutside) return undefined
    this.drop(tenant)
    const holding: Holding = new Holding(this.dependencies, tenant, this.stopping, (well) =>
      this.ended(tenant, holding, well),
    )
    this.held.set(tenant, holding)
    return holding
  }

  /** Ends a holding whose lease has been handed back, or lost. */
  drop(tenant: TenantNumber): void {
    this.held.get(tenant)?.close()
    this.held.delete(tenant)
  }

  /**
   * Whether work outside of this tenant may begin. Where others found no room a moment ago, whoever has a place ends what
   * it has begun and gets in line: nobody keeps a place for as long as its queue lasts.
   */
  hasRoomFor({ isOutside }: Holding): boolean {
    if (isOutside) return performance.now() - this.refusedAtMs > CROWDED_MS
    return [...this.held.values()].filter((each) => each.isOutside).length < MAX_OUTSIDE
  }

  /** One that waits for a place has found none. */
  refuse({ isOutside }: Holding): void {
    if (!isOutside) this.refusedAtMs = performance.now()
  }

  /** Once no visit goes on: waits for the end of the work outside, and hands the leases back. */
  async end(): Promise<void> {
    const { database, worker, log } = this.dependencies
    await Promise.all(
      [...this.held].map(async ([tenant, holding]) => {
        await holding.outsideEnded()
        this.drop(tenant)
        await returnLease(database, tenant, worker).catch((error: unknown) =>
          log.error('a lease could not be handed back', { error }),
        )
      }),
    )
  }

  private ended(tenant: TenantNumber, holding: Holding, well: boolean): void {
    if (holding.isLost && !holding.isOutside) this.drop(tenant)
    // Otherwise its pointer is still there: a later scan finds it.
    else if (well) this.call(tenant)
  }
}

/** An entry of a tenant's queue. */
export type QueuePlace = [dueMs: number, id: string]

export class Holding {
  /** Ends the steps under way: the worker stops, or has lost the tenant. */
  readonly signal: AbortSignal
  /** Where the next look at the queue goes on, behind work outside that waits for what is under way. */
  readOn: QueuePlace | undefined
  private readonly dependencies: HoldingDependencies
  private readonly ended: (well: boolean) => void
  private readonly lost = new AbortController()
  private readonly renewal: NodeJS.Timeout
  /** By the ids of their jobs. */
  private readonly outside = new Map<string, { kind: string; work: Promise<void> }>()

  constructor(
    dependencies: HoldingDependencies,
    tenant: TenantNumber,
    stopping: AbortSignal,
    ended: (well: boolean) => void,
  ) {
    const { database, worker, now, log } = dependencies
    this.dependencies = dependencies
    this.signal = AbortSignal.any([stopping, this.lost.signal])
    this.ended = ended
    this.renewal = setInterval(() => {
      renewLease(database, tenant, worker, now())
        .then((kept) => kept || this.lose())
        .catch((error: unknown) => log.error('a lease could not be renewed', { error }))
    }, LEASE_MS / 3)
  }

  get isLost(): boolean {
    return this.lost.signal.aborted
  }

  get isOutside(): boolean {
    return this.outside.size > 0
  }

  /** The kinds of the jobs whose work outside is under way, by their ids, as it is now. */
  underWay(): ReadonlyMap<string, string> {
    return new Map([...this.outside].map(([id, { kind }]) => [id, kind]))
  }

  /** Begins work outside. */
  begin(id: string, kind: string, step: () => Promise<void>): void {
    const end = (well: boolean) => {
      this.outside.delete(id)
      this.ended(well)
    }
    const work = step().then(
      () => end(true),
      (error: unknown) => {
        this.dependencies.log.error('work outside ended early', { error })
        end(false)
      },
    )
    this.outside.set(id, { kind, work })
  }

  async outsideEnded(): Promise<void> {
    await Promise.all([...this.outside.values()].map(({ work }) => work))
  }

  lose(): void {
    this.lost.abort()
  }

  close(): void {
    clearInterval(this.renewal)
  }
}
