// The pump of one tenant: for as long as it holds the tenant, it reads the feed behind each endpoint's cursor, sends, and
// records what came of it. Reading, sending and recording go on side by side. Nothing is written before an event is
// sent: the feed is durable, and where an endpoint stands in it, so whoever comes after a crash sends again what was in
// flight. Results are recorded together, as many as have come meanwhile, in one commit.
import { randomUUID } from 'node:crypto'
import type { TenantNumber } from '../../shared/tenant.ts'
import { type TakeTurn, WaitEnded } from '../admission/admission.ts'
import { weightOf } from '../admission/weights.ts'
import { standAt } from '../jobs/standing.ts'
import type { Log } from '../log.ts'
import type { Outbound } from '../outbound/client.ts'
import type { LogPosition } from '../storage/log_space.ts'
import { FEED_BEGINNING, feedOf, type TenantEvent } from '../tenancy/events.ts'
import type { Sealer } from '../tenancy/idempotency.ts'
import { weightIn } from '../tenancy/profile.ts'
import { type StatusRecord, statusSpace } from '../tenancy/records.ts'
import type { Bounds, RegionDatabase, TenantScope } from '../tenancy/region_database.ts'
import type { Tails } from '../tenancy/tails.ts'
import { WEBHOOKS } from './call.ts'
import { type Due, Lane, MAX_UNSENT, type Sendable } from './lane.ts'
import { type Recorded, type Result, record } from './recording.ts'
import {
  changedSpace,
  deliveryId,
  deliverySpace,
  dueSpace,
  type EndpointRecord,
  endpointSpace,
  holderSpace,
  type LaneRecord,
  laneSpace,
  SERVICE,
  wants,
} from './records.ts'
import { Sender } from './sender.ts'
import type { SendingSlots } from './slots.ts'

export interface PumpDependencies {
  database: RegionDatabase
  tails: Tails
  outbound: Outbound
  sealer: Sealer
  slots: SendingSlots
  /** What reads or writes has its turn beside what somebody waits for. */
  turn: TakeTurn
  now: () => number
  /** From 0 to 1. */
  random: () => number
  log: Log
}

/** How long a tenant is held without a word: what a crash costs, at most. */
const LEASE_MS = 4_000
/** Held so long without work, so that the next event finds everything ready. */
const LINGER_MS = 2_000
const MAX_ENDPOINTS = 1_000
const FEED_PAGE = 100
const DUE_PAGE = 64
const MAX_BATCH = 64
const RECORD_AGAIN_MS = 100
/** What is in flight has so long when the process stops. */
const STOP_MS = 1_000

/** `left`: nothing to do; `busy`: another one has the tenant; `lost`: it has now; `closed`: the tenant is not active. */
export type Pumped = 'left' | 'busy' | 'lost' | 'closed'

class Over extends Error {
  readonly how: Pumped

  constructor(how: Pumped) {
    super(how)
    this.how = how
  }
}

export class TenantPump {
  private readonly dependencies: PumpDependencies
  private readonly tenant: TenantNumber
  private readonly id = randomUUID()
  private readonly sender: Sender
  private readonly lanes = new Map<string, Lane>()
  private readonly results: Result[] = []
  private readonly underWay = new Set<Promise<void>>()
  private readonly aborting = new AbortController()
  private readonly leaving = new AbortController()
  private recording: Promise<void> | undefined
  /** What endpoints and due deliveries were read at. */
  private changed: string | undefined
  private heldUntilMs = 0
  /** Of the tenant, by plan; as the smallest until that was read. */
  private weight = weightOf(undefined)
  /** Whose lane is the first to send. */
  private first = 0
  private over: Pumped | undefined
  /** Somebody has called since it last looked. */
  private called = true
  /** Something has happened since its last turn. */
  private poked = true
  private wake = () => {}

  constructor(dependencies: PumpDependencies, tenant: TenantNumber) {
    this.dependencies = dependencies
    this.tenant = tenant
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
    const { tails, database, now, log } = this.dependencies
    if (!(await this.take())) return 'busy'
    const unsubscribe = tails.subscribe(this.tenant, {
      changed: () => this.call(),
      stopping: () => this.stop(),
    })
    const renewal = setInterval(() => {
      if (this.heldUntilMs - now() > (LEASE_MS * 2) / 3) return
      // Not in a turn: what waits for one would lose the tenant, and send again what is sent. Behind others all the same,
      // since on a cluster that has no time for it nobody else can take the tenant either.
      const hold = async (scope: TenantScope) => ({ value: await this.hold(scope), commit: true })
      database.tenant(this.tenant, hold, { batch: true }).catch((error: unknown) => this.failed(error))
    }, LEASE_MS / 4)
    try {
      return await this.pump()
    } catch (error) {
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
      if (this.hasToLook) await this.look()
      const nextMs = this.hand()
      if (this.over !== undefined) return this.over
      if (!this.isIdle) idleSinceMs = performance.now()
      const lingerMs = idleSinceMs + LINGER_MS - performance.now()
      if (this.isIdle && lingerMs <= 0 && !this.called && (await this.leave())) return 'left'
      await this.pause(Math.max(1, Math.min(nextMs - this.dependencies.now(), Math.max(lingerMs, 1), 1_000)))
    }
    const cut = setTimeout(() => this.aborting.abort(), STOP_MS)
    await Promise.allSettled([...this.underWay])
    clearTimeout(cut)
    await this.recording
    await this.leave(true)
    return 'left'
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
    const { database, now } = this.dependencies
    const take = async (scope: TenantScope) => {
      const holders = scope.service(SERVICE).space(holderSpace)
      const [status, holder] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        holders.get(['holder']),
      ])
      const isHeld = holder !== undefined && holder.pump !== this.id && holder.untilMs > now()
      if (status?.status !== 'active' || isHeld) return { value: false, commit: false }
      this.heldUntilMs = now() + LEASE_MS
      holders.set(['holder'], { pump: this.id, untilMs: this.heldUntilMs })
      return { value: true, commit: true }
    }
    return this.inTurn('webhooks.take', (bounds) => database.tenant(this.tenant, take, bounds))
  }

  /** Makes sure that the tenant is still in hand and active, and that it stays so. Reads what a loss would change. */
  private async hold(scope: TenantScope): Promise<StatusRecord> {
    const nowMs = this.dependencies.now()
    const holders = scope.service(SERVICE).space(holderSpace)
    const [status, holder] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      holders.get(['holder']),
    ])
    if (status === undefined || (status.status !== 'active' && status.status !== 'suspended')) {
      throw new Over('closed')
    }
    if (holder?.pump !== this.id) throw new Over('lost')
    this.heldUntilMs = nowMs + LEASE_MS
    holders.set(['holder'], { pump: this.id, untilMs: this.heldUntilMs })
    return status
  }

  /** Reads what is new: endpoints, events, deliveries whose time has come. */
  private async look(): Promise<void> {
    for (let again = true; again; ) {
      again = await this.inTurn('webhooks.read', (bounds) => this.lookOnce(bounds))
    }
  }

  /** @returns whether to look again */
  private lookOnce(bounds: Bounds): Promise<boolean> {
    const { database, now } = this.dependencies
    const nowMs = now()
    this.called = false
    for (const lane of this.lanes.values()) {
      if (lane.nextDueMs !== undefined && lane.nextDueMs <= nowMs) lane.dueIsStale = true
    }
    const dueOf = [...this.lanes.values()]
      .filter((lane) => lane.dueIsStale)
      .map((lane) => ({ lane, version: lane.dueVersion }))
    const behind = Map.groupBy(
      [...this.lanes.values()].filter((lane) => lane.hasRoom),
      (lane) => lane.position,
    )
    const read = async (scope: TenantScope) => ({
      value: await this.read(scope, dueOf, behind),
      commit: false,
    })
    return database.tenant(this.tenant, read, bounds)
  }

  /** @returns whether to read again, because the endpoints have changed, or there is more */
  private async read(
    scope: TenantScope,
    dueOf: ReadonlyArray<{ lane: Lane; version: number }>,
    behind: ReadonlyMap<LogPosition, ReadonlyArray<Lane>>,
  ): Promise<boolean> {
    const tx = scope.service(SERVICE)
    const feed = feedOf(scope)
    const nowMs = this.dependencies.now()
    const [weight, status, holder, changed = '', trimmed] = await Promise.all([
      weightIn(scope),
      scope.system('status', statusSpace).get(['status']),
      tx.space(holderSpace).get(['holder']),
      tx.space(changedSpace).get(['changed']),
      feed.trimmed(),
    ])
    if (status?.status !== 'active') throw new Over('closed')
    if (holder?.pump !== this.id) throw new Over('lost')
    this.weight = weight
    if (changed !== this.changed) {
      const [endpoints, lanes] = await Promise.all([
        tx.space(endpointSpace).page({ limit: MAX_ENDPOINTS }),
        tx.space(laneSpace).page({ limit: MAX_ENDPOINTS }),
      ])
      const records = new Map(lanes.entries.map(([[id], lane]) => [id, lane] as const))
      this.reconcile(
        endpoints.entries.map(([, endpoint]) => endpoint),
        records,
      )
      this.changed = changed
      return true
    }
    const [dues, pages] = await Promise.all([
      Promise.all(dueOf.map(async (each) => ({ ...each, ...(await readDue(scope, each.lane, nowMs)) }))),
      Promise.all(
        [...behind].map(async ([position, lanes]) => {
          // What is not kept any more cannot be sent: the reading goes on behind it.
          const from = trimmed !== undefined && trimmed > position ? trimmed : position
          const { events, more } = await feed.page(FEED_PAGE, from)
          const through = events.at(-1)?.sequence ?? from
          return {
            more,
            through,
            lanes: await Promise.all(
              lanes.map(async (lane) => ({ lane, events: await notRecorded(scope, lane, events) })),
            ),
          }
        }),
      ),
    ])
    // From here on nothing can fail any more, so what was read is taken once.
    for (const lane of this.lanes.values()) lane.hasMore ||= !lane.hasRoom
    for (const { lane, version, due, nextDueMs } of dues) lane.addDue(due, nextDueMs, version)
    let again = false
    for (const { lanes, through, more } of pages) {
      for (const { lane, events } of lanes) {
        lane.add(events, through, more)
        again ||= more && lane.hasRoom
      }
    }
    return again
  }

  private reconcile(
    endpoints: ReadonlyArray<EndpointRecord>,
    records: ReadonlyMap<string, LaneRecord>,
  ): void {
    const known = new Set(endpoints.map(({ id }) => id as string))
    for (const id of [...this.lanes.keys()]) if (!known.has(id)) this.lanes.delete(id)
    for (const endpoint of endpoints) {
      const lane = this.lanes.get(endpoint.id)
      const record = records.get(endpoint.id)
      if (lane !== undefined) {
        lane.endpoint = endpoint
      } else if (record !== undefined) {
        this.lanes.set(endpoint.id, new Lane(endpoint, record))
      }
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
    const sending = this.sender
      .send(lane.endpoint, sendable.event)
      .then((called) => {
        if (called === 'aborted') return
        const result: Result = { ...sendable, endpointId: lane.endpoint.id, called, sentMs: now() }
        lane.sent(...judged(result), now())
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
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (this.results.length > 0 && this.over === undefined) {
      try {
        await this.inTurn('webhooks.record', (bounds) => this.recordSome(bounds))
        // At once, whatever is being read meanwhile: an ordered lane has waited for this.
        this.hand()
      } catch (error) {
        if (error instanceof Over) return this.failed(error)
        log.error('what became of deliveries could not be recorded; it is tried again', { error })
        await new Promise((resolve) => setTimeout(resolve, RECORD_AGAIN_MS))
      }
      this.poke()
    }
  }

  /** As many as have come by now. */
  private async recordSome(bounds: Bounds): Promise<void> {
    const { database, now, random } = this.dependencies
    const batch = this.results.slice(0, MAX_BATCH)
    const recording = async (scope: TenantScope) => {
      const held = this.hold(scope)
      const work = { held, nowMs: now(), random }
      const recorded = await record(scope, work, batch, (id, ids) => this.lanes.get(id)?.cursorAfter(ids))
      return { value: recorded, commit: true }
    }
    const recorded = await database.tenant(this.tenant, recording, bounds)
    this.results.splice(0, batch.length)
    this.apply(batch, recorded)
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

  /** Hands the tenant back, in a transaction that has seen that there is nothing to do. @param anyway there may be */
  private leave(anyway = false): Promise<boolean> {
    const { database, now } = this.dependencies
    const leave = async (scope: TenantScope) => {
      await this.hold(scope)
      const tx = scope.service(SERVICE)
      const lanes = [...this.lanes.values()]
      const active = lanes.filter(({ endpoint }) => endpoint.enabled)
      const nowMs = now()
      const open = active.filter((lane) => !lane.isBlocked(nowMs))
      const positions = new Set(open.map(({ position }) => position))
      const [changed = '', pages, heads] = await Promise.all([
        tx.space(changedSpace).get(['changed']),
        Promise.all([...positions].map((position) => feedOf(scope).page(1, position))),
        Promise.all(
          active.map(({ endpoint }) => tx.space(dueSpace).page({ under: [endpoint.id], limit: 1 })),
        ),
      ])
      const times = heads.flatMap(({ entries }) => entries.map(([, { notBeforeMs }]) => notBeforeMs))
      const nextMs = times.length === 0 ? undefined : Math.min(...times)
      const isNew = changed !== this.changed || pages.some(({ events }) => events.length > 0)
      const isDue = nextMs !== undefined && nextMs <= nowMs
      if ((isNew || isDue) && !anyway) {
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
      if (!isNew && !isDue && this.isIdle) await standAt(scope, WEBHOOKS, nextMs)
      tx.space(holderSpace).clear(['holder'])
      return { value: true, commit: true }
    }
    return this.inTurn('webhooks.leave', (bounds) => database.tenant(this.tenant, leave, bounds))
  }
}

/** For the lane: how it went, and how long it is asked to wait. */
function judged({ called }: Result): ['succeeded' | 'failed' | 'throttled', number | undefined] {
  if (called.outcome !== 'answered') return ['failed', undefined]
  const { status, retryAfterMs } = called
  if (status >= 200 && status < 300) return ['succeeded', undefined]
  return [[429, 502, 504].includes(status) ? 'throttled' : 'failed', retryAfterMs]
}

async function readDue(
  scope: TenantScope,
  lane: Lane,
  nowMs: number,
): Promise<{ due: Due[]; nextDueMs: number | undefined }> {
  const tx = scope.service(SERVICE)
  const { enabled, mode } = lane.endpoint
  const isOrdered = mode === 'fifo'
  const { entries } = await tx.space(dueSpace).page({ under: [lane.endpoint.id], limit: DUE_PAGE })
  const isTest = (sequence: LogPosition) => sequence === FEED_BEGINNING
  const waiting = entries.filter(([[, , sequence, id]]) => !lane.isBusy(id) && (enabled || isTest(sequence)))
  const ready = isOrdered ? waiting.slice(0, 1) : waiting.filter(([, due]) => due.notBeforeMs <= nowMs)
  const records = await Promise.all(ready.map(([[, , , id]]) => tx.space(deliverySpace).get([id])))
  const due = ready.flatMap(([, { notBeforeMs }], i) => {
    const record = records[i]
    return record === undefined ? [] : [{ record, notBeforeMs }]
  })
  const next = isOrdered ? undefined : waiting.find(([, { notBeforeMs }]) => notBeforeMs > nowMs)
  return { due, nextDueMs: next?.[1].notBeforeMs }
}

/** Of these events, those that the lane's endpoint wants and that nobody has recorded. */
async function notRecorded(
  scope: TenantScope,
  lane: Lane,
  events: ReadonlyArray<TenantEvent>,
): Promise<TenantEvent[]> {
  const deliveries = scope.service(SERVICE).space(deliverySpace)
  const wanted = events.filter((event) => wants(lane.endpoint, event))
  const known = await Promise.all(
    wanted.map(({ id, sequence }) =>
      sequence <= lane.recordedTo ? deliveries.get([deliveryId(lane.endpoint.id, id)]) : undefined,
    ),
  )
  return wanted.filter((_, i) => known[i] === undefined)
}
