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
/** Longer than that: who does not come again by then waits no more, or has found another worker. */
const IN_LINE_MS = 2 * NO_ROOM_MS
/** Whoever finds no room in line either still comes again. */
const MAX_IN_LINE = 1_024

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
  /** Who waits for a place, in its order, and when it is waited for no more. */
  private readonly line = new Map<TenantNumber, number>()

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
      // Its place in line is others' now.
      if (this.line.delete(tenant)) this.callWaiting()
      return undefined
    }
    // It may have been lost, or have ended, meanwhile.
    if (before !== undefined && !before.isLost) return before
    if (before?.isOutside) return undefined
    const holding: Holding = new Holding(this.dependencies, tenant, this.stopping, (well) =>
      this.ended(holding, well),
    )
    this.held.set(tenant, holding)
    return holding
  }

  /** Ends a holding whose lease has been handed back, or lost. */
  drop(holding: Holding): void {
    holding.close()
    if (this.held.get(holding.tenant) === holding) this.held.delete(holding.tenant)
  }

  /**
   * Whether work outside of this tenant may begin: whoever was in line before it has a place first. Whoever has a place
   * already ends what it has begun and gets in line, too: nobody keeps a place for as long as its queue lasts.
   */
  hasRoomFor(holding: Holding): boolean {
    const others = [...this.held.values()].filter((each) => each.isOutside && each !== holding)
    const waiting = this.waiting()
    const ahead = waiting.indexOf(holding.tenant)
    return others.length + (ahead === -1 ? waiting.length : ahead) < MAX_OUTSIDE
  }

  /** One that has something to begin has found no room. */
  lineUp({ tenant, isOutside }: Holding): void {
    if (isOutside || (this.line.size >= MAX_IN_LINE && !this.line.has(tenant))) return
    this.line.set(tenant, performance.now() + IN_LINE_MS)
  }

  /** Begins work outside of a tenant that has room. */
  begin(holding: Holding, id: string, kind: string, step: () => Promise<void>): void {
    this.line.delete(holding.tenant)
    holding.begin(id, kind, step)
  }

  /** Once no visit goes on: waits for the end of the work outside, and hands the leases back. */
  async end(): Promise<void> {
    const { database, worker, log } = this.dependencies
    await Promise.all(
      [...this.held].map(async ([tenant, holding]) => {
        await holding.outsideEnded()
        this.drop(holding)
        await returnLease(database, tenant, worker).catch((error: unknown) =>
          log.error('a lease could not be handed back', { error }),
        )
      }),
    )
  }

  private ended(holding: Holding, well: boolean): void {
    if (holding.isLost && !holding.isOutside) this.drop(holding)
    // Otherwise its pointer is still there: a later scan finds it.
    else if (well) this.call(holding.tenant)
    if (!holding.isOutside) this.callWaiting()
  }

  /** Those who have room now: a place has been given up. */
  private callWaiting(): void {
    const places = MAX_OUTSIDE - [...this.held.values()].filter((each) => each.isOutside).length
    for (const tenant of this.waiting().slice(0, places)) this.call(tenant)
  }

  /** Tenants that wait for a place. */
  get inLine(): number {
    return this.waiting().length
  }

  private waiting(): TenantNumber[] {
    const nowMs = performance.now()
    for (const [tenant, untilMs] of this.line) if (untilMs < nowMs) this.line.delete(tenant)
    return [...this.line.keys()]
  }
}

/** An entry of a tenant's queue. */
export type QueuePlace = [dueMs: number, id: string]

export class Holding {
  readonly tenant: TenantNumber
  /** Ends the steps under way: the worker stops, or has lost the tenant. */
  readonly signal: AbortSignal
  /** Where the next look at the queue goes on, behind work outside that waits for what is under way. */
  readOn: QueuePlace | undefined
  /** When looks last came to the end of the queue, and the last of them had found nothing to begin. */
  readThroughAtMs = Number.NEGATIVE_INFINITY
  /** Jobs found behind the head of the queue: when their work outside ends, more of their kind may stand there. */
  readonly behind = new Set<string>()
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
    this.tenant = tenant
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
      if (this.behind.delete(id)) this.readThroughAtMs = Number.NEGATIVE_INFINITY
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
    this.close()
    this.ended(false)
  }

  close(): void {
    clearInterval(this.renewal)
  }
}
