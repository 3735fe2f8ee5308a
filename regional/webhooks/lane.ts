// A lane: one endpoint's deliveries in the memory of whoever delivers. It says what may be sent next, and when. What is
// durable is the lane's record and the deliveries'; all of this can be read from those again.
import type { LogPosition } from '../storage/log_space.ts'
import type { TenantEvent } from '../tenancy/events.ts'
import {
  type DeliveryRecord,
  deliveryId,
  type EndpointRecord,
  isNewStart,
  type LaneRecord,
  newDelivery,
  type Pace,
  wants,
} from './records.ts'

/** Deliveries to one endpoint at the same time, where order does not matter. */
const MAX_SENDING = 16
/** Events that were read and not sent yet. */
export const MAX_UNSENT = 200
/** After so many failures in a row, one is sent at a time, and then more and more seldom. */
const FAILURES_IN_ROW = 5
const PAUSE_MS = { first: 100, most: 5_000 }
/** Where the receiver asks for less (429, 502, 504). */
const THROTTLE_MS = { first: 1_000, most: 60_000 }
/**
 * As inexact as timers are: one that is so late makes none late behind it. Its rate is kept so much lower for it that in no
 * second there are more than the rate and one.
 */
const LATE_MS = 10

export interface Due {
  record: DeliveryRecord
  notBeforeMs: number
}

/** What was read of the deliveries that wait, in their order. */
export interface DuePage {
  due: ReadonlyArray<Due>
  /** The next one that is not due yet. */
  nextDueMs: number | undefined
  /** Others may be due behind those that were looked at. */
  more: boolean
}

/** To be sent now. */
export interface Sendable {
  record: DeliveryRecord
  event: TenantEvent
}

/** `throttled`: its receiver asks for less; `elsewhere`: it went to a URL that the endpoint does not have any more. */
export type Sent = 'succeeded' | 'failed' | 'throttled' | 'elsewhere'

export class Lane {
  private current: EndpointRecord
  /** Events up to this one were read. */
  position: LogPosition
  /** Of those up to this one, some may have been recorded by whoever delivered before. */
  readonly recordedTo: LogPosition
  /** What is due has to be read again. */
  dueIsStale = true
  /** Grows with what is recorded about it: what was read before that is not so any more. */
  dueVersion = 0
  /** The feed goes on behind the position, as far as is known. */
  hasMore = false
  /** The next one that is not due yet. */
  nextDueMs: number | undefined
  /** What was read and is not recorded, in its order; and where the cursor stands as long as that is so. */
  private readonly fresh = new Map<string, LogPosition>()
  private readonly unsent: TenantEvent[] = []
  private due: Due[] = []
  /** Behind those that are due, and those that are busy, may be others. */
  private hasMoreDue = false
  /** Being sent, or sent and not recorded. */
  private readonly busy = new Set<string>()
  private sending = 0
  private failuresInRow = 0
  private throttles = 0
  private pausedUntilMs = 0
  /** Of GCRA: when the next one would be on time. */
  private onTimeMs = 0
  private dueNext = false

  constructor(endpoint: EndpointRecord, { cursor, highest, pace }: LaneRecord) {
    this.current = endpoint
    this.position = cursor
    this.recordedTo = highest
    this.pausedUntilMs = pace?.pausedUntilMs ?? 0
    this.onTimeMs = pace?.onTimeMs ?? 0
    this.failuresInRow = pace?.failuresInRow ?? 0
    this.throttles = pace?.throttles ?? 0
  }

  get endpoint(): EndpointRecord {
    return this.current
  }

  /** The endpoint, or what is due for it, may have changed. */
  set endpoint(after: EndpointRecord) {
    this.dueIsStale = true
    // Read before what was recorded meanwhile: that has disabled it, perhaps.
    if (after.version < this.current.version) return
    if (isNewStart(this.current, after)) {
      this.pausedUntilMs = 0
      this.failuresInRow = 0
      this.throttles = 0
    }
    this.current = after
    // What it does not want any more is not sent, even if it was read when it did.
    for (const event of this.unsent.splice(0)) {
      if (wants(after, event)) this.unsent.push(event)
      else this.fresh.delete(deliveryId(after.id, event.id))
    }
    if (!after.enabled) this.due = this.due.filter(({ record }) => record.test)
  }

  /** What is to be kept of its pace when nobody has it in hand; undefined when nothing hangs on it. */
  paceAt(nowMs: number): Pace | undefined {
    this.beOnTime(nowMs)
    const { pausedUntilMs, onTimeMs, failuresInRow, throttles } = this
    const isWellAndFree = failuresInRow === 0 && Math.max(pausedUntilMs, onTimeMs) <= nowMs
    return isWellAndFree ? undefined : { pausedUntilMs, onTimeMs, failuresInRow, throttles }
  }

  /** Until then its receiver is spared, whatever there is to send: it fails, asks for less, or has a rate. */
  sparedUntilMs(nowMs: number): number {
    this.beOnTime(nowMs)
    return Math.max(this.pausedUntilMs, this.endpoint.rate === null ? 0 : this.onTimeMs - LATE_MS)
  }

  /** Whether something that was read was not sent yet. */
  get hasUnsent(): boolean {
    return this.unsent.length > 0
  }

  /** Whether there is room for more events. */
  get hasRoom(): boolean {
    return this.endpoint.enabled && this.unsent.length < MAX_UNSENT
  }

  /** Whether the first of an ordered lane waits for its next try, and all others for it. */
  isBlocked(nowMs: number): boolean {
    const [first] = this.due
    return this.endpoint.mode === 'fifo' && first !== undefined && first.notBeforeMs > nowMs
  }

  /** Whether there is nothing to do for it before some later time. */
  isIdle(nowMs: number): boolean {
    if (this.busy.size > 0) return false
    if (!this.endpoint.enabled) return this.due.length === 0
    return this.isBlocked(nowMs) || (this.unsent.length === 0 && this.due.length === 0)
  }

  /** Whether nothing is sent at present: there is nothing to do, or its receiver is spared. */
  rests(nowMs: number): boolean {
    if (this.isIdle(nowMs)) return true
    if (this.busy.size > 0 || this.dueIsStale || this.due[0]?.record.test) return false
    return this.endpoint.enabled && this.sparedUntilMs(nowMs) > nowMs
  }

  isBusy(id: string): boolean {
    return this.busy.has(id)
  }

  /** Whether something is to be read for it, even if nobody has called. */
  isToBeRead(nowMs: number): boolean {
    const isDue = this.nextDueMs !== undefined && this.nextDueMs <= nowMs
    return this.dueIsStale || (this.endpoint.enabled && (isDue || (this.hasMore && this.hasRoom)))
  }

  /** Takes events of the feed, in their order. @param through where the feed was read to */
  add(events: ReadonlyArray<TenantEvent>, through: LogPosition, hasMore: boolean): void {
    for (const event of events) {
      this.fresh.set(deliveryId(this.endpoint.id, event.id), this.position)
      this.unsent.push(event)
      this.position = event.sequence
    }
    this.position = through
    this.hasMore = hasMore
  }

  /** @param version at which it was read */
  addDue({ due, nextDueMs, more }: DuePage, version: number): void {
    if (version !== this.dueVersion) return
    this.dueIsStale = false
    this.due = due.filter(({ record }) => !this.busy.has(record.id))
    this.nextDueMs = nextDueMs
    this.hasMoreDue = more
  }

  /** Every event up to there is done with, as far as these are recorded as well. */
  cursorAfter(recorded: ReadonlySet<string>): LogPosition {
    for (const [id, before] of this.fresh) if (!recorded.has(id)) return before
    return this.position
  }

  /** @returns what may be sent now, or when to ask again; undefined when something else has to happen first */
  next(nowMs: number): Sendable | { notBeforeMs: number } | undefined {
    const { enabled, mode } = this.endpoint
    // Somebody tries the endpoint out, before it is enabled perhaps: that waits for nothing.
    if (this.due[0]?.record.test) return this.takeDue()
    if (!enabled || (this.unsent.length === 0 && this.due.length === 0)) return undefined
    if (mode === 'fifo' ? this.busy.size > 0 : this.sending >= this.mostAtOnce) return undefined
    const notBeforeMs = this.sparedUntilMs(nowMs)
    if (notBeforeMs > nowMs) return { notBeforeMs }
    // What has been tried already is in front of all that has not; and one waiting keeps the others waiting.
    if (mode === 'fifo' && this.dueIsStale) return undefined
    const [due] = this.due
    if (mode === 'fifo' && due !== undefined) {
      return due.notBeforeMs > nowMs ? { notBeforeMs: due.notBeforeMs } : this.takeDue()
    }
    if (mode === 'fifo' && this.nextDueMs !== undefined) return { notBeforeMs: this.nextDueMs }
    this.dueNext = !this.dueNext
    return (this.dueNext ? this.takeDue() : this.takeFresh()) ?? this.takeDue() ?? this.takeFresh()
  }

  /** @param record what next() gave */
  begin({ record }: Sendable, nowMs: number): void {
    this.busy.add(record.id)
    this.sending++
    // A test waits for nothing, and nothing waits for it.
    if (!record.test) this.onTimeMs = Math.max(this.onTimeMs, nowMs) + this.intervalMs
  }

  /** Its sending is over; it is not recorded yet. */
  sent(outcome: Sent, askedMs: number | undefined, nowMs: number): void {
    this.sending--
    if (outcome === 'elsewhere') return
    this.beOnTime(nowMs)
    if (outcome === 'succeeded') {
      this.failuresInRow = 0
      this.throttles = 0
      return
    }
    // What was on its way when it began to be spared says nothing new: a pause grows from one to the next.
    const isSpared = nowMs < this.pausedUntilMs
    if (!isSpared) this.failuresInRow++
    let pauseMs = 0
    if (outcome === 'throttled') {
      const ownMs = isSpared ? 0 : THROTTLE_MS.first * 2 ** this.throttles++
      pauseMs = Math.min(THROTTLE_MS.most, Math.max(ownMs, askedMs ?? 0))
    } else if (!isSpared && this.failuresInRow > FAILURES_IN_ROW) {
      const ownMs = PAUSE_MS.first * 2 ** (this.failuresInRow - FAILURES_IN_ROW - 1)
      pauseMs = Math.min(PAUSE_MS.most, ownMs)
    }
    this.pausedUntilMs = Math.max(this.pausedUntilMs, nowMs + pauseMs)
  }

  /** It is recorded. @param again when it is tried again, if it is */
  recorded({ id, dueAt }: DeliveryRecord, again: number | undefined): void {
    this.busy.delete(id)
    if (dueAt !== null || again !== undefined) this.dueVersion++
    // One less that keeps those behind it from being read.
    if (dueAt !== null && this.hasMoreDue && this.due.length === 0) this.dueIsStale = true
    this.fresh.delete(id)
    if (again !== undefined) {
      this.nextDueMs = Math.min(this.nextDueMs ?? again, again)
      if (this.endpoint.mode === 'fifo') this.dueIsStale = true
    }
  }

  /** From one to the next. */
  private get intervalMs(): number {
    const { rate } = this.endpoint
    return rate === null ? 0 : (1_000 + LATE_MS) / rate
  }

  /** A clock that was set back spares nobody for longer than any pause, or any rate, does. */
  private beOnTime(nowMs: number): void {
    this.pausedUntilMs = Math.min(this.pausedUntilMs, nowMs + THROTTLE_MS.most)
    this.onTimeMs = Math.min(this.onTimeMs, nowMs + LATE_MS + this.intervalMs)
  }

  private get mostAtOnce(): number {
    return this.throttles > 0 || this.failuresInRow >= FAILURES_IN_ROW ? 1 : MAX_SENDING
  }

  private takeFresh(): Sendable | undefined {
    const event = this.unsent.shift()
    return event && { record: newDelivery(this.endpoint.id, event), event }
  }

  private takeDue(): Sendable | undefined {
    const due = this.due.shift()
    if (due === undefined) return undefined
    // The page that was read is used up, and there may be more.
    if (this.due.length === 0) this.dueIsStale = true
    const { record } = due
    return record.event === undefined ? this.takeDue() : { record, event: record.event }
  }
}
