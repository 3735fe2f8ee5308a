// One instance of a region, as a queueing network: an event loop that serves one request after the other, and for a create
// the commit behind it, which takes everything along that waits when it begins (group commit). Both are first in, first
// out, so an event needs no calendar: what an arrival finds is all that is left of the past (Lindley, 1952).
import { type Random, type Slices, sampler } from './random.ts'

/** All in milliseconds. */
export interface Service {
  /** Of the event loop, when it was idle: it wakes for every step of the request. */
  first: Record<Operation, Slices>
  /** And when it was busy: steps of several requests come in one turn. (Welch, 1964, on exceptional first service.) */
  next: Record<Operation, Slices>
  /** Of a commit, the loop being free meanwhile. */
  commit: Slices
  /** Of the loop, to refuse a request. */
  refusal: number
  /** On the way, whatever the load. */
  overhead: number
}

export type Operation = 'read' | 'create'

/** As `regional/admission/` has it. Without it nobody is refused. */
export interface Bounds {
  /** Work that may be under way; what waits behind it waits in a queue, and is seen to wait. */
  underWayMs: number
  burstWaitMs: number
  standingWaitMs: number
}

export const ADMISSION: Bounds = { underWayMs: 25, burstWaitMs: 1_000, standingWaitMs: 200 }

/** Of some time, by all that arrived in it. */
export interface Interval {
  /** From 0 to 1. */
  utilisation: number
  /** Mean of those that were let in. */
  queueWaitMs: number
  admitted: number
  refused: number
}

export class Instance {
  private readonly first: Record<Operation, () => number>
  private readonly next: Record<Operation, () => number>
  private readonly commitTime: () => number
  private readonly service: Service
  private readonly bounds: Bounds | undefined
  private loopFreeAt = 0
  private commitEnds = 0
  /** When those who joined the next commit are done; it begins when the one before ends. */
  private nextCommitEnds: number | undefined
  private queuedSince: number | undefined
  private tickedAt = 0
  private backlogBefore = 0
  private work = 0
  private waited = 0
  private admitted = 0
  private refused = 0

  constructor(service: Service, random: Random, bounds?: Bounds) {
    this.service = service
    this.bounds = bounds
    const samplers = ({ read, create }: Record<Operation, Slices>) => ({
      read: sampler(read, random),
      create: sampler(create, random),
    })
    this.first = samplers(service.first)
    this.next = samplers(service.next)
    this.commitTime = sampler(service.commit, random)
  }

  /** @param at milliseconds, never less than the time before. @returns its latency, or undefined when it is refused */
  offer(at: number, creates: boolean): number | undefined {
    const waitMs = Math.max(0, this.loopFreeAt - at)
    if (this.bounds !== undefined && this.refuses(this.bounds, at, waitMs)) {
      this.loopFreeAt = at + waitMs + this.service.refusal
      this.work += this.service.refusal
      this.refused++
      return undefined
    }
    const samplers = waitMs === 0 ? this.first : this.next
    const serviceMs = creates ? samplers.create() : samplers.read()
    this.work += serviceMs
    this.admitted++
    this.loopFreeAt = at + waitMs + serviceMs
    const done = creates ? this.commit(this.loopFreeAt) : this.loopFreeAt
    return done - at + this.service.overhead
  }

  /** What was since the last time. */
  interval(at: number): Interval {
    const backlog = Math.max(0, this.loopFreeAt - at)
    const busy = this.work + this.backlogBefore - backlog
    const interval = {
      utilisation: Math.min(1, busy / (at - this.tickedAt)),
      queueWaitMs: this.admitted === 0 ? 0 : this.waited / this.admitted,
      admitted: this.admitted,
      refused: this.refused,
    }
    this.tickedAt = at
    this.backlogBefore = backlog
    this.work = 0
    this.waited = 0
    this.admitted = 0
    this.refused = 0
    return interval
  }

  private refuses({ underWayMs, burstWaitMs, standingWaitMs }: Bounds, at: number, waitMs: number): boolean {
    const queuedMs = waitMs - underWayMs
    if (queuedMs <= 0) {
      this.queuedSince = undefined
      return false
    }
    this.queuedSince ??= at
    if (queuedMs > (at - this.queuedSince > burstWaitMs ? standingWaitMs : burstWaitMs)) return true
    this.waited += queuedMs
    return false
  }

  private commit(at: number): number {
    if (this.nextCommitEnds !== undefined && at >= this.commitEnds) {
      this.commitEnds = this.nextCommitEnds
      this.nextCommitEnds = undefined
    }
    if (at >= this.commitEnds) {
      this.commitEnds = at + this.commitTime()
      return this.commitEnds
    }
    this.nextCommitEnds ??= this.commitEnds + this.commitTime()
    return this.nextCommitEnds
  }
}
