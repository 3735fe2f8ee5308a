// Admission: who may begin now. A request that has come through the edge is let in at once while there is room; otherwise
// it waits in its tenant's queue, in memory and before its body is read, until it is its turn, or is refused as soon as it
// is plain that it would wait too long. Nothing here looks into the database, and nothing grows with the number of tenants.

import { setTimeout as sleep } from 'node:timers/promises'
import { ConcurrencyLimit } from '../../shared/concurrency_limit.ts'
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { noteUnits, takeBusyMs, timed } from '../observe/request.ts'
import { CostMeter } from './cost.ts'
import { Estimates } from './estimates.ts'
import { FairQueue } from './fair_queue.ts'
import { type Load, LoadMeter, type LoadOfSecond } from './load.ts'
import { BACKGROUND_PART, ISOLATED_PART } from './weights.ts'

/**
 * A tenant's requests are one flow. What has begun already, such as a stream that reads on, is another, so that requests
 * are not refused because many streams wait; and its background work is a third.
 */
export type Flow = TenantNumber | `begun ${TenantNumber}` | `background ${TenantNumber}`

export interface Asking {
  tenant: TenantNumber
  /** Of the tenant's plan. */
  weight: number
  /** Such as `projects.list`: one of those declared. */
  operation: string
  /** When nobody waits for the answer any more, in milliseconds since 1970. */
  deadlineMs?: number | undefined
  /**
   * It has begun already, and is never refused: whoever asks sees to it that there are few, and that its work, once it
   * was `overloaded`, can be done anew.
   */
  begun?: true
  /**
   * Its signal ends the waiting, with {@link WaitEnded}: no client sees it, since nobody waits for an answer. Looked at only
   * while there is a wait, because a request makes its signal when it is asked for.
   */
  asker?: { readonly signal: AbortSignal } | undefined
}

export class WaitEnded extends Error {
  constructor() {
    super('nobody waits for this turn any more')
  }
}

export interface AdmissionOptions {
  /** Milliseconds since 1970. */
  now: () => number
  /** False lets everybody in at once; costs are measured all the same. */
  on?: boolean
  /** Of the event loop since it was last asked, from 0 to 1. */
  busy?: () => number
  /** How far the tenant is isolated, if it is. */
  isolated?: (tenant: TenantNumber) => boolean
  /** Told what was asked for, served or refused, in units: by clients, so not background work, which asks for nothing more than it is given. */
  onUse?: (tenant: TenantNumber, weight: number, units: number, served: boolean) => void
}

/** A tenant may have so many requests waiting. */
const WAITING_PER_TENANT = 128
const WAITING_TOTAL = 4_096
/** Units that weight 1 may spend in one turn: a read or two. */
const QUANTUM = 2
/** Units under way: about what the process does in 6, 25 and 100 ms. A change is 5 units, and commits wait for the disk together. */
const LIMIT = { least: 64, first: 256, most: 1_024, targetMs: 25 }
/** Units of requests that wait for their commits, beyond those under way: what a second brings, during which a disk stands still. */
const ASIDE = 4_096
/** However large a request, it takes no more than this part of the limit, so that another can begin beside it. */
const LARGEST_PART = 1 / 8
/**
 * A tenant may have so many times as much under way as is still free: alone it gets three quarters, and whoever comes
 * next finds room without waiting for any of it to end. (Choudhury and Hahne, "Dynamic Queue Length Thresholds for
 * Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998.)
 */
const SHARE_OF_FREE = 3
const SHARE_OF_FREE_BEHIND = 1 / 2
/**
 * How long a request may wait. A burst may take the longer time; a queue that has not been empty for that long is no
 * burst, and gets the shorter one, so that a standing queue does not make every answer late. (Nichols and Jacobson,
 * "Controlling Queue Delay", ACM Queue 10(5), 2012; with two times as in Maurer, "Fail at Scale", ACM Queue 13(8), 2015.)
 */
const BURST_WAIT_MS = 1_000
const STANDING_WAIT_MS = 200
/** How a queue's rate is known: by so many that were served, in about so much time. */
const ENOUGH_SERVED = 8
const RATE_MEMORY_MS = 1_000
/** Left for the work itself before the deadline. */
const WORK_MS = 50
const SWEEP_EVERY_MS = 25
/** What has begun and is held back by the database has another turn after about so long, for so long. */
const HELD_BACK_PAUSE_MS = 500
const HELD_BACK_MS = 10_000
const MOST_RETRY_AFTER_S = 30

interface Slot {
  flow: Flow
  asking: Asking
  /** In units. */
  estimate: number
  /** What it counts of the limit. */
  taken: number
  underWay: number
  fromMs: number
  /** It came through the queue. */
  waited: boolean
  /** It holds no room while its commit is waited for. */
  isAside: boolean
  /** How long its commits were waited for, all in all. */
  committingMs: number
}

interface Waiter {
  asking: Asking
  sinceMs: number
  untilMs: number
  estimate: number
  admit(slot: Slot): void
  refuse(problem: unknown): void
}

/** A flow that has anything waiting or under way. */
interface Standing {
  readonly tenant: TenantNumber
  /** In units. */
  underWay: number
  /** Of those whose commits are waited for, in units. */
  aside: number
  /** Under way or aside. */
  requests: number
  /** Since when its queue has not been empty; undefined when it is. */
  queuedSinceMs: number | undefined
  /** Of those that waited, so many were served since then: what is long ago counts less. */
  served: number
  servedSinceMs: number
}

export class Admission {
  private readonly options: AdmissionOptions
  private readonly queue = new FairQueue<Flow, Waiter>({
    quantum: QUANTUM,
    perFlow: WAITING_PER_TENANT,
    total: WAITING_TOTAL,
  })
  private readonly concurrency = new ConcurrencyLimit(LIMIT)
  private readonly estimates = new Estimates<Flow>()
  private readonly standings = new Map<Flow, Standing>()
  private readonly meter: LoadMeter
  private underWay = 0
  private aside = 0
  private requests = 0
  private sweeping: NodeJS.Timeout | undefined

  constructor(options: AdmissionOptions) {
    this.options = options
    this.meter = new LoadMeter(options.busy ?? (() => 0))
  }

  /**
   * Runs a request's work when it is its turn, and charges its tenant what it turned out to cost.
   * @throws {Problem} `overloaded`, before anything was done
   */
  run<T>(asking: Asking, work: (meter: CostMeter) => Promise<T>): Promise<T> {
    const { tenant, begun } = asking
    return this.inTurn(begun ? `begun ${tenant}` : tenant, asking, work)
  }

  /** Runs a step of background work when it is its turn: behind requests, and never refused. */
  background<T>(
    asking: Pick<Asking, 'tenant' | 'weight' | 'operation' | 'asker'>,
    work: (meter: CostMeter) => Promise<T>,
  ): Promise<T> {
    const flow: Flow = `background ${asking.tenant}`
    const weight = asking.weight * BACKGROUND_PART
    return this.inTurn(flow, { ...asking, weight, begun: true }, work)
  }

  /** How loaded this process is: what scaling and readiness go by. */
  load(): Load {
    const { limit } = this.concurrency
    return {
      ...this.meter.latest,
      limitUnits: Math.round(limit),
      underWayUnits: Math.round(this.underWay),
      underWay: this.requests,
      waiting: this.queue.waiting,
    }
  }

  /** Adds up the last second. To be called every second. */
  tick(): LoadOfSecond {
    this.meter.tick(this.underWay / this.concurrency.limit)
    return this.meter.latest
  }

  /** Flows of which anything is kept. */
  get known(): number {
    return Math.max(this.queue.known, this.standings.size)
  }

  /** What has begun is not refused by the database either: held back, it waits out of its turn, for others to have theirs. */
  private async inTurn<T>(flow: Flow, asking: Asking, work: (meter: CostMeter) => Promise<T>): Promise<T> {
    const untilMs = performance.now() + HELD_BACK_MS
    for (;;) {
      try {
        return await this.inOneTurn(flow, asking, work)
      } catch (error) {
        const isHeldBack = error instanceof Problem && error.code === 'overloaded'
        if (!isHeldBack || !asking.begun || performance.now() >= untilMs) throw error
        const signal = asking.asker?.signal
        await sleep(HELD_BACK_PAUSE_MS * (0.5 + Math.random()), undefined, signal && { signal }).catch(() => {
          throw new WaitEnded()
        })
      }
    }
  }

  private async inOneTurn<T>(flow: Flow, asking: Asking, work: (meter: CostMeter) => Promise<T>): Promise<T> {
    const entered = this.options.on === false ? undefined : this.enter(flow, asking)
    const slot = entered instanceof Promise ? await timed('queue', () => entered) : entered
    const meter = new CostMeter(slot && ((outcome) => this.committing(slot, outcome)))
    let isDone = false
    try {
      const value = await work(meter)
      isDone = true
      return value
    } finally {
      const units = costOf(meter)
      noteUnits(units)
      if (slot !== undefined) this.leave(slot, units, isDone)
      else this.used(flow, asking, units, true)
    }
  }

  private enter(flow: Flow, asking: Asking): Slot | Promise<Slot> {
    const estimate = this.estimates.of(flow, asking.operation)
    const standing = this.standingOf(flow, asking.tenant)
    if (this.queue.waiting === 0 && this.mayServe(flow)) {
      this.noteWait(flow, standing, 0)
      return this.begin(flow, standing, asking, estimate, false)
    }
    return this.wait(flow, standing, asking, estimate)
  }

  private wait(flow: Flow, standing: Standing, asking: Asking, estimate: number): Promise<Slot> {
    const nowMs = this.options.now()
    const before = this.queue.waitingOf(flow)
    const waitMs = allowedWaitMs(standing, asking, nowMs)
    const expectedMs = expectedWaitMs(standing, before, nowMs)
    const { promise, resolve, reject } = Promise.withResolvers<Slot>()
    const waiter: Waiter = {
      asking,
      sinceMs: nowMs,
      untilMs: nowMs + waitMs,
      estimate,
      admit: resolve,
      refuse: reject,
    }
    const isTooLong = waitMs <= 0 || (before > 0 && expectedMs > waitMs)
    const offer = isTooLong
      ? { outcome: 'full' as const }
      : this.queue.offer(flow, this.weightOf(asking), estimate, waiter, !asking.begun)
    if (offer.outcome === 'full') {
      this.refuse(flow, waiter, expectedMs)
      return promise
    }
    if (standing.queuedSinceMs === undefined) {
      standing.queuedSinceMs = nowMs
      standing.servedSinceMs = nowMs
      standing.served = 0
    }
    if ('instead' in offer) this.refuse(offer.instead.flow, offer.instead.item, expectedMs)
    this.sweeping ??= setInterval(() => this.dropOver(), SWEEP_EVERY_MS)
    this.admitNext()
    return promise
  }

  private begin(flow: Flow, standing: Standing, asking: Asking, estimate: number, waited: boolean): Slot {
    const taken = Math.min(estimate, this.concurrency.limit * LARGEST_PART)
    this.underWay += taken
    this.requests++
    standing.underWay += taken
    standing.requests++
    const fromMs = performance.now()
    return {
      flow,
      asking,
      estimate,
      taken,
      underWay: this.underWay,
      fromMs,
      waited,
      isAside: false,
      committingMs: 0,
    }
  }

  /** A request whose changes wait for the disk takes nothing of the process: its room is others' until then. */
  private committing(slot: Slot, outcome: Promise<void>): void {
    const fromMs = performance.now()
    this.stepAside(slot)
    const over = () => {
      slot.committingMs += performance.now() - fromMs
      this.comeBack(slot)
    }
    outcome.then(over, over)
  }

  /** Where too much waits so already, it keeps its room. */
  private stepAside(slot: Slot): void {
    const { flow, taken } = slot
    const standing = this.standings.get(flow)
    const free = ASIDE - this.aside
    if (standing === undefined || slot.isAside || free < taken) return
    if (standing.aside >= this.shareOfFree(flow, standing) * free) return
    slot.isAside = true
    this.move(standing, taken)
    if (this.queue.waiting > 0) this.admitNext()
  }

  /** What is left to be done of it begins at once, room or not: it is little. */
  private comeBack(slot: Slot): void {
    const standing = this.standings.get(slot.flow)
    if (standing === undefined || !slot.isAside) return
    slot.isAside = false
    this.move(standing, -slot.taken)
  }

  /** @param units from those under way to those aside */
  private move(standing: Standing, units: number): void {
    this.underWay -= units
    standing.underWay -= units
    this.aside += units
    standing.aside += units
  }

  private leave(slot: Slot, units: number, isDone: boolean): void {
    // It may end before its commit does.
    this.comeBack(slot)
    const { flow, asking, estimate, taken, underWay, fromMs, waited, committingMs } = slot
    const standing = this.standingOf(flow, asking.tenant)
    // Sums of fractions come back to nearly nothing, so nothing is said where nothing is.
    this.underWay -= taken
    standing.underWay -= taken
    if (--this.requests === 0) this.underWay = this.aside = 0
    if (--standing.requests === 0) standing.underWay = standing.aside = 0
    const nowMs = performance.now()
    this.concurrency.answered(asking.operation, nowMs - fromMs - committingMs, underWay, nowMs, isDone)
    this.estimates.measured(flow, asking.operation, units)
    this.used(flow, asking, units, true)
    if (waited) this.queue.settle(flow, units - estimate)
    this.forgetIfIdle(flow, standing)
    if (this.queue.waiting > 0) this.admitNext()
  }

  private admitNext(): void {
    const nowMs = this.options.now()
    while (this.underWay < this.concurrency.limit) {
      const next = this.queue.next((flow, part) => this.mayServe(flow, part))
      if (next === undefined) break
      const { flow, item } = next
      const standing = this.standingOf(flow, item.asking.tenant)
      standing.served++
      if (this.queue.waitingOf(flow) === 0) standing.queuedSinceMs = undefined
      if (isOver(item, nowMs)) {
        this.queue.settle(flow, -item.estimate)
        this.refuse(flow, item, nowMs - item.sinceMs)
        continue
      }
      this.noteWait(flow, standing, nowMs - item.sinceMs)
      item.admit(this.begin(flow, standing, item.asking, item.estimate, true))
    }
    if (this.queue.waiting === 0) this.stopSweeping()
  }

  /** @param part the flow's weight, of the largest that waits: turns alone would give all of them the same room */
  private mayServe(flow: Flow, part = 1): boolean {
    const free = this.concurrency.limit - this.underWay
    const standing = this.standings.get(flow)
    return free > 0 && (standing?.underWay ?? 0) < this.shareOfFree(flow, standing) * part * free
  }

  private shareOfFree(flow: Flow, standing: Standing | undefined): number {
    const isBehind = isBackground(flow) || (standing !== undefined && this.isIsolated(standing))
    return isBehind ? SHARE_OF_FREE_BEHIND : SHARE_OF_FREE
  }

  private isIsolated({ tenant }: Pick<Standing, 'tenant'>): boolean {
    return this.options.isolated?.(tenant) === true
  }

  private noteWait(flow: Flow, standing: Standing, waitedMs: number): void {
    const isOfAll = !isBackground(flow) && !this.isIsolated(standing)
    this.meter.admitted(waitedMs, isOfAll ? standing.tenant : undefined)
  }

  private weightOf(asking: Asking): number {
    return this.isIsolated(asking) ? asking.weight * ISOLATED_PART : asking.weight
  }

  /** Refuses what has waited too long, or is waited for no more. */
  private dropOver(): void {
    const nowMs = this.options.now()
    for (const { flow, item } of this.queue.remove((waiter) => isOver(waiter, nowMs))) {
      this.refuse(flow, item, nowMs - item.sinceMs)
    }
    this.admitNext()
  }

  private stopSweeping(): void {
    clearInterval(this.sweeping)
    this.sweeping = undefined
  }

  private refuse(flow: Flow, { asking, estimate, refuse }: Waiter, expectedMs: number): void {
    const standing = this.standingOf(flow, asking.tenant)
    if (this.queue.waitingOf(flow) === 0) standing.queuedSinceMs = undefined
    this.forgetIfIdle(flow, standing)
    this.used(flow, asking, estimate, false)
    this.meter.refused()
    refuse(asking.asker?.signal.aborted ? new WaitEnded() : overloaded(expectedMs))
  }

  private used(flow: Flow, { tenant, weight }: Asking, units: number, served: boolean): void {
    if (!isBackground(flow)) this.options.onUse?.(tenant, weight, units, served)
  }

  private standingOf(flow: Flow, tenant: TenantNumber): Standing {
    const known = this.standings.get(flow)
    if (known !== undefined) return known
    const made = {
      tenant,
      underWay: 0,
      aside: 0,
      requests: 0,
      queuedSinceMs: undefined,
      served: 0,
      servedSinceMs: 0,
    }
    this.standings.set(flow, made)
    return made
  }

  private forgetIfIdle(flow: Flow, { requests, queuedSinceMs }: Standing): void {
    if (requests === 0 && queuedSinceMs === undefined) this.standings.delete(flow)
  }
}

const isBackground = (flow: Flow): boolean => typeof flow === 'string' && flow.startsWith('background')

/** What was counted, and time that the work itself took of the processor. */
function costOf(meter: CostMeter): number {
  meter.busy(takeBusyMs())
  return meter.total
}

function allowedWaitMs({ queuedSinceMs }: Standing, { deadlineMs, begun }: Asking, nowMs: number): number {
  if (begun) return Number.POSITIVE_INFINITY
  const isStanding = queuedSinceMs !== undefined && nowMs - queuedSinceMs > BURST_WAIT_MS
  const most = isStanding ? STANDING_WAIT_MS : BURST_WAIT_MS
  return deadlineMs === undefined ? most : Math.min(most, deadlineMs - nowMs - WORK_MS)
}

/** Runs one step of background work in its turn. */
export type TakeTurn = Admission['background']

const isOver = ({ untilMs, asking }: Waiter, nowMs: number): boolean =>
  untilMs <= nowMs || asking.asker?.signal.aborted === true

/**
 * By Little's law, once enough of this queue was served to tell its rate; before that nobody is refused for it.
 * @param before requests that wait already
 */
function expectedWaitMs(standing: Standing, before: number, nowMs: number): number {
  const elapsedMs = nowMs - standing.servedSinceMs
  if (elapsedMs > RATE_MEMORY_MS) {
    standing.served /= 2
    standing.servedSinceMs = nowMs - elapsedMs / 2
  }
  return standing.served < ENOUGH_SERVED ? 0 : ((before + 1) * elapsedMs) / standing.served
}

const overloaded = (expectedMs: number): Problem => {
  const seconds = Math.min(MOST_RETRY_AFTER_S, Math.max(1, Math.ceil(expectedMs / 1_000)))
  return new Problem('overloaded', 'The region has no time for this now. Nothing was done.', {
    headers: { 'retry-after': String(seconds) },
  })
}
