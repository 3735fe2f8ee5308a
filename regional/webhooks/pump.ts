// The pump of one tenant: for as long as it holds the tenant, it reads the feed behind each endpoint's cursor, sends, and
// records what came of it. Reading, sending and recording go on side by side. Nothing is written before an event is
// sent: the feed is durable, and where an endpoint stands in it, so whoever comes after a crash sends again what was in
// flight. Results are recorded together, as many as have come meanwhile, in one commit.
import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import type { TenantNumber } from '../../shared/tenant.ts'
import { type TakeTurn, WaitEnded } from '../admission/admission.ts'
import { weightOf } from '../admission/weights.ts'
import { standAt } from '../jobs/standing.ts'
import type { Log } from '../log.ts'
import type { Outbound } from '../outbound/client.ts'
import type { FairSlots } from '../outbound/fair_slots.ts'
import { feedOf } from '../tenancy/events.ts'
import type { Sealer } from '../tenancy/idempotency.ts'
import type { Bounds, RegionDatabase, TenantScope } from '../tenancy/region_database.ts'
import type { Tails } from '../tenancy/tails.ts'
import { WEBHOOKS } from './call.ts'
import { Hold, LEASE_MS, Over, type Pumped } from './hold.ts'
import { Lane, MAX_UNSENT, type Sendable, type Sent } from './lane.ts'
import { type ReadEndpoints, type ReadWork, readNext } from './reading.ts'
import { type Recorded, type Result, record, recordCursors } from './recording.ts'
import { changedSpace, dueSpace, type EndpointRecord, laneSpace, SERVICE } from './records.ts'
import { Sender } from './sender.ts'

export interface PumpDependencies {
  database: RegionDatabase
  tails: Tails
  outbound: Outbound
  sealer: Sealer
  slots: FairSlots
  /** Told what came of each attempt. */
  attempted?: (came: Sent) => void
  /** What reads or writes has its turn beside what somebody waits for. */
  turn: TakeTurn
  now: () => number
  /** From 0 to 1. */
  random: () => number
  log: Log
}

/** Held so long without work, so that the next event finds everything ready. */
const LINGER_MS = 2_000
const MAX_BATCH = 64
const RECORD_AGAIN_MS = 100
/** How far an endpoint is of which nothing is recorded is written down so often, with something else. */
const CURSORS_EVERY_MS = 10_000
/** What is in flight has so long when the process stops, or the tenant is suspended. */
const STOP_MS = 1_000

export class TenantPump {
  private readonly dependencies: PumpDependencies
  private readonly tenant: TenantNumber
  private readonly hold: Hold
  private readonly sender: Sender
  private readonly lanes = new Map<string, Lane>()
  private readonly results: Result[] = []
  private readonly underWay = new Set<Promise<void>>()
  private readonly aborting = new AbortController()
  private readonly leaving = new AbortController()
  private recording: Promise<void> | undefined
  /** What endpoints and due deliveries were read at. */
  private changed: string | undefined
  /** Of the tenant, by plan; as the smallest until that was read. */
  private weight = weightOf(undefined)
  /** Whose lane is the first to send. */
  private first = 0
  /** When it was last written down how far all of them are. */
  private cursorsMs: number
  private over: Pumped | undefined
  /** Somebody waits for its place. */
  private makesWay = false
  /** Somebody has called since it last looked. */
  private called = true
  /** Something has happened since its last turn. */
  private poked = true
  private wake = () => {}

  constructor(dependencies: PumpDependencies, tenant: TenantNumber) {
    this.dependencies = dependencies
    this.tenant = tenant
    this.hold = new Hold(dependencies.now)
    this.cursorsMs = dependencies.now()
    this.sender = new Sender(dependencies, tenant, this.aborting.signal)
  }

  /** There may be something to read. */
  call(): void {
    this.called = true
    this.poke()
  }

  get wasCalled(): boolean {
    return this.called
  }

  /** Somebody waits for its place. @returns whether it leaves: not as long as it sends */
  makeWay(): boolean {
    this.makesWay = this.rests
    if (this.makesWay) this.poke()
    return this.makesWay
  }

  private poke(): void {
    this.poked = true
    this.wake()
  }

  /** Ends it: what is in flight has a moment, and what it came to is recorded. */
  stop(): void {
    this.leaving.abort()
    this.poke()
  }

  private get stopping(): boolean {
    return this.leaving.signal.aborted
  }

  async run(): Promise<Pumped> {
    const { tails, log } = this.dependencies
    if (!(await this.take())) return 'busy'
    const unsubscribe = tails.subscribe(this.tenant, {
      changed: () => this.call(),
      stopping: () => this.stop(),
    })
    const renewal = setInterval(() => {
      if (!this.hold.isRunningOut) return
      // Not in a turn: what waits for one would lose the tenant, and send again what is sent. Behind others all the same,
      // since on a cluster that has no time for it nobody else can take the tenant either.
      const keep = (scope: TenantScope) => this.hold.keep(scope)
      this.write(keep, [], { batch: true }).catch((error: unknown) => this.failed(error))
    }, LEASE_MS / 4)
    try {
      return await this.pump()
    } catch (error) {
      // Suspended, or not to be read at present: neither is a reason to send again what is arriving just now.
      await this.settle()
      if (error instanceof Over) return error.how
      log.error('deliveries of a tenant ended early', { error })
      return 'lost'
    } finally {
      unsubscribe()
      clearInterval(renewal)
      this.aborting.abort()
      await Promise.allSettled([...this.underWay, this.recording])
    }
  }

  private async pump(): Promise<Pumped> {
    let idleSinceMs = performance.now()
    while (!this.stopping) {
      this.poked = false
      if (this.hasToLook) await this.inTurn('webhooks.read', (bounds) => this.look(bounds))
      const nextMs = this.hand()
      if (this.over !== undefined) return this.over
      if (!this.isIdle) idleSinceMs = performance.now()
      const lingerMs = idleSinceMs + LINGER_MS - performance.now()
      this.makesWay &&= this.rests
      const isDone = this.makesWay || (this.isIdle && lingerMs <= 0)
      if (isDone && !this.hasToLook && (await this.leave())) return 'left'
      await this.pause(Math.max(1, Math.min(nextMs - this.dependencies.now(), Math.max(lingerMs, 1), 1_000)))
    }
    await this.settle()
    await this.leave(true)
    return 'left'
  }

  /** Nothing more is sent: what is in flight has a moment, and what it came to is recorded. */
  private async settle(): Promise<void> {
    this.leaving.abort()
    const cut = setTimeout(() => this.aborting.abort(), STOP_MS)
    await Promise.allSettled([...this.underWay])
    clearTimeout(cut)
    await this.recording
  }

  private get hasToLook(): boolean {
    const nowMs = this.dependencies.now()
    return this.called || [...this.lanes.values()].some((lane) => lane.isToBeRead(nowMs))
  }

  private get isIdle(): boolean {
    return (
      this.results.length === 0 &&
      [...this.lanes.values()].every((lane) => lane.isIdle(this.dependencies.now()))
    )
  }

  private get rests(): boolean {
    const nowMs = this.dependencies.now()
    return this.results.length === 0 && [...this.lanes.values()].every((lane) => lane.rests(nowMs))
  }

  private pause(ms: number): Promise<void> {
    if (this.poked) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  private failed(error: unknown): void {
    if (error instanceof Over) this.over = error.how
    else this.dependencies.log.error('deliveries of a tenant could not go on', { error })
    this.poke()
  }

  /**
   * Runs one transaction when it is its turn. Nothing in a turn waits for another one.
   * Whoever stops waits no more: what is left to do is little, and new requests go to other processes.
   */
  private async inTurn<T>(operation: string, work: (bounds: Bounds) => Promise<T>): Promise<T> {
    const { tenant, weight } = this
    try {
      return await this.dependencies.turn({ tenant, weight, operation, asker: this.leaving }, (meter) =>
        work({ batch: true, meter }),
      )
    } catch (error) {
      if (!(error instanceof WaitEnded)) throw error
      return work({ batch: true })
    }
  }

  /** Takes the tenant in hand. */
  private take(): Promise<boolean> {
    const take = async (scope: TenantScope) => {
      const isTaken = await this.hold.take(scope)
      return { value: isTaken, commit: isTaken }
    }
    return this.inTurn('webhooks.take', (bounds) =>
      this.dependencies.database.tenant(this.tenant, take, bounds),
    )
  }

  /**
   * Reads what is new: either endpoints, or events and deliveries whose time has come. What there is more of is read after
   * what came now has been handed out.
   */
  private async look(bounds: Bounds): Promise<void> {
    const { database, now } = this.dependencies
    const nowMs = now()
    this.called = false
    const lanes = [...this.lanes.values()]
    for (const lane of lanes) {
      if (lane.nextDueMs !== undefined && lane.nextDueMs <= nowMs) lane.dueIsStale = true
      // What it was called for is not read now: it may have room by the time that this has been read.
      lane.hasMore ||= !lane.hasRoom
    }
    const wanted = {
      changed: this.changed,
      dueOf: lanes.filter(({ dueIsStale }) => dueIsStale).map((lane) => ({ lane, version: lane.dueVersion })),
      behind: Map.groupBy(
        lanes.filter(({ hasRoom }) => hasRoom),
        ({ position }) => position,
      ),
    }
    const next = async (scope: TenantScope) => ({
      value: await readNext(scope, this.hold, wanted, nowMs),
      commit: false,
    })
    const { weight, read } = await database.tenant(this.tenant, next, bounds)
    this.weight = weight
    if ('dues' in read) this.takeWork(read)
    else this.reconcile(read)
  }

  private takeWork({ dues, pages }: ReadWork): void {
    for (const { lane, version, ...page } of dues) lane.addDue(page, version)
    for (const { lanes, through, more } of pages) {
      for (const { lane, events } of lanes) lane.add(events, through, more)
    }
  }

  private reconcile({ changed, endpoints, lanes }: ReadEndpoints): void {
    this.changed = changed
    const known = new Set<string>(endpoints.map(({ id }) => id))
    for (const id of [...this.lanes.keys()]) if (!known.has(id)) this.lanes.delete(id)
    for (const endpoint of endpoints) {
      const lane = this.lanes.get(endpoint.id)
      const record = lanes.get(endpoint.id)
      // What it did not want then it is not to get by what it wants now, whoever reads on from where it stands.
      if (lane !== undefined && String(lane.endpoint.types) !== String(endpoint.types)) this.cursorsMs = 0
      if (lane !== undefined) lane.endpoint = endpoint
      else if (record !== undefined) this.lanes.set(endpoint.id, new Lane(endpoint, record))
    }
  }

  /** Sends what may be sent. @returns when there may be more, in milliseconds since 1970 */
  private hand(): number {
    const { now, slots } = this.dependencies
    let nextMs = Number.POSITIVE_INFINITY
    // Another one first each time, so that where slots are few every endpoint has its turn.
    const lanes = [...this.lanes.values()]
    const first = this.first++ % Math.max(1, lanes.length)
    for (const lane of [...lanes.slice(first), ...lanes.slice(0, first)]) {
      for (;;) {
        if (this.results.length >= MAX_UNSENT || this.stopping || this.over !== undefined) return nextMs
        const next = slots.take(this.tenant, () => this.poke()) ? lane.next(now()) : 'full'
        if (next === 'full') return nextMs
        if (next !== undefined && 'record' in next) {
          this.send(lane, next)
          continue
        }
        slots.release(this.tenant)
        if (next !== undefined) nextMs = Math.min(nextMs, next.notBeforeMs)
        if (lane.endpoint.enabled && lane.nextDueMs !== undefined) nextMs = Math.min(nextMs, lane.nextDueMs)
        break
      }
      if (lane.isToBeRead(now())) this.poked = true
    }
    return nextMs
  }

  private send(lane: Lane, sendable: Sendable): void {
    const { now, slots } = this.dependencies
    lane.begin(sendable, now())
    const { endpoint } = lane
    const sending = this.sender
      .send(endpoint, sendable.event)
      .then((called) => {
        if (called === 'aborted') return
        const { id: endpointId, url } = endpoint
        const result: Result = { ...sendable, endpointId, url, called, sentMs: now() }
        const [came, waitMs] = judged(result, lane.endpoint)
        this.dependencies.attempted?.(came)
        lane.sent(came, waitMs, now())
        this.results.push(result)
        this.recordSoon()
      })
      .catch((error: unknown) => this.failed(error))
      .finally(() => {
        slots.release(this.tenant)
        this.underWay.delete(sending)
        this.poke()
      })
    this.underWay.add(sending)
  }

  private recordSoon(): void {
    this.recording ??= this.recordAll().finally(() => {
      this.recording = undefined
    })
  }

  private async recordAll(): Promise<void> {
    const { log } = this.dependencies
    // What else comes at the same time goes along.
    await setImmediate()
    while (this.results.length > 0 && this.over === undefined) {
      try {
        await this.inTurn('webhooks.record', (bounds) => this.recordSome(bounds))
        // At once, whatever is being read meanwhile: an ordered lane has waited for this.
        this.hand()
      } catch (error) {
        if (error instanceof Over) return this.failed(error)
        log.error('what became of deliveries could not be recorded; it is tried again', { error })
        await delay(RECORD_AGAIN_MS)
      }
      this.poke()
    }
  }

  /** As many as have come by now. */
  private async recordSome(bounds: Bounds): Promise<void> {
    const { now, random } = this.dependencies
    const batch = this.results.slice(0, MAX_BATCH)
    const recording = (scope: TenantScope) => {
      const held = this.hold.keep(scope)
      const work = { held, nowMs: now(), random }
      return record(scope, work, batch, (id, ids) => this.lanes.get(id)?.cursorAfter(ids))
    }
    const recorded = await this.write(recording, batch, bounds)
    this.results.splice(0, batch.length)
    this.apply(batch, recorded)
  }

  /** Commits this; and with it, now and then, how far those lanes are of which there are no results in it. */
  private write<T>(
    work: (scope: TenantScope) => Promise<T>,
    results: ReadonlyArray<Result>,
    bounds: Bounds,
  ): Promise<T> {
    const nowMs = this.dependencies.now()
    const isTime = nowMs - this.cursorsMs >= CURSORS_EVERY_MS
    if (isTime) this.cursorsMs = nowMs
    const recorded = new Set<string>(results.map(({ endpointId }) => endpointId))
    const lanes = isTime ? [...this.lanes.values()].filter(({ endpoint }) => !recorded.has(endpoint.id)) : []
    const writing = async (scope: TenantScope) => {
      const [value] = await Promise.all([work(scope), recordCursors(scope, lanes)])
      return { value, commit: true }
    }
    return this.dependencies.database.tenant(this.tenant, writing, bounds)
  }

  private apply(batch: ReadonlyArray<Result>, { again, disabled }: Recorded): void {
    for (const { endpointId, record } of batch) {
      this.lanes.get(endpointId)?.recorded(record, again.get(record.id))
    }
    for (const endpoint of disabled) {
      const lane = this.lanes.get(endpoint.id)
      if (lane !== undefined) lane.endpoint = endpoint
    }
  }

  /** Hands the tenant back, in a transaction that has seen that nothing can be done now. @param anyway something may */
  private leave(anyway = false): Promise<boolean> {
    const { database, now } = this.dependencies
    const leave = async (scope: TenantScope) => {
      await this.hold.keep(scope)
      const tx = scope.service(SERVICE)
      const lanes = [...this.lanes.values()]
      const active = lanes.filter(({ endpoint }) => endpoint.enabled)
      const nowMs = now()
      const open = active.filter((lane) => !lane.isBlocked(nowMs))
      const lanesAt = Map.groupBy(open, ({ position }) => position)
      const [changed = '', fresh, due] = await Promise.all([
        tx.space(changedSpace).get(['changed']),
        Promise.all(
          [...lanesAt].map(async ([position, at]) => {
            const { events } = await feedOf(scope).page(1, position)
            return at.filter(({ hasUnsent }) => hasUnsent || events.length > 0)
          }),
        ),
        Promise.all(
          active.map(async (lane) => {
            const { entries } = await tx.space(dueSpace).page({ under: [lane.endpoint.id], limit: 1 })
            return entries.map(([, { notBeforeMs }]) => Math.max(notBeforeMs, lane.sparedUntilMs(nowMs)))
          }),
        ),
      ])
      const times = [...fresh.flat().map((lane) => lane.sparedUntilMs(nowMs)), ...due.flat()]
      const nextMs = times.length === 0 ? undefined : Math.min(...times)
      const isToGoOn = changed !== this.changed || (nextMs !== undefined && nextMs <= nowMs)
      if (isToGoOn && !anyway) {
        this.called = true
        for (const lane of active) lane.dueIsStale = true
        return { value: false, commit: false }
      }
      await Promise.all(
        lanes.map(async (lane) => {
          const before = await tx.space(laneSpace).get([lane.endpoint.id])
          if (before === undefined) return
          const { pace: _, ...rest } = before
          const [cursor, pace] = [lane.cursorAfter(new Set()), lane.paceAt(nowMs)]
          if (cursor === before.cursor && pace === undefined && before.pace === undefined) return
          tx.space(laneSpace).set([lane.endpoint.id], { ...rest, cursor, ...(pace && { pace }) })
        }),
      )
      // As long as somebody is to be called, the entry stays.
      if (!isToGoOn && this.rests) await standAt(scope, WEBHOOKS, nextMs)
      this.hold.give(scope)
      return { value: true, commit: true }
    }
    return this.inTurn('webhooks.leave', (bounds) => database.tenant(this.tenant, leave, bounds))
  }
}

/** For the lane: how it went, and how long it is asked to wait. */
function judged({ called, url }: Result, endpoint: EndpointRecord): [Sent, number | undefined] {
  if (url !== endpoint.url) return ['elsewhere', undefined]
  if (called.outcome !== 'answered') return ['failed', undefined]
  const { status, retryAfterMs } = called
  if (status >= 200 && status < 300) return ['succeeded', undefined]
  return [[429, 502, 504].includes(status) ? 'throttled' : 'failed', retryAfterMs]
}
