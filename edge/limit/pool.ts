// What one isolate holds of one tenant: leases, what is left of them, and what the object said last. Decisions only; who
// calls the object is `limiter.ts`. No unit is spent twice, and none after its lease has ended.
import { compareVersions } from '../../shared/snapshot.ts'
import { Demand } from './demand.ts'
import { LEASE_MS, type LeaseAnswer, type LeaseRequest, SETTLE_MS, type VersionedLimit } from './ledger.ts'
import { UnderWay } from './under_way.ts'

/** A lease is to last so long at the present demand. */
const AHEAD_SECONDS = 0.5
/** Of the burst, for an isolate that does not yet know its demand. */
const FIRST_AHEAD_SHARE = 1 / 32
/** Beyond the object's usual answering time. */
const MARGIN_MS = 50
/** When the bucket is short: isolates ask again no sooner, or the object would be busy with refusals; and no later, or a new limit waits. */
const SHORTEST_REFUSAL_MS = 50
const LONGEST_REFUSAL_MS = 1_000
/** An isolate that asks again so soon after a refusal is flooded. */
const FLOOD_MS = 200
/** Of the burst: with less in it, a bucket is empty. On the smallest plan that is one unit. */
const EMPTY_SHARE = 1 / 40
const FRUITLESS_PAUSE_MS = 20
/** Of what the object had left: so much less, for two seconds, is no loss. */
const NEGLIGIBLE_SHARE = 1 / 5

const NOTHING: LeaseRequest['settle'] = []

interface Held {
  id: string
  granted: number
  left: number
  endsAtMs: number
}

interface Refusal {
  units: number
  untilMs: number
  /** When the object would admit them, by its own clock. */
  retryAtMs: number
}

export class Pool {
  private readonly held: Held[] = []
  private reports: Array<{ lease: string; spent: number; unspent: number; uselessFromMs: number }> = []
  private readonly demand: Demand
  private refusal: Refusal | undefined
  private newest: VersionedLimit | undefined
  /** The limit by which the object answered last. */
  private applied: VersionedLimit | undefined
  /** Units that the object had left when it answered last. */
  private free = 0
  /** How long a call to the object takes. */
  roundTripMs = 0
  /** To the object, with the units that they ask for beside those of their own requests. */
  readonly calls: UnderWay
  /** Requests that wait for what a call brings. */
  readonly waiters: UnderWay
  private noRenewalBeforeMs = 0
  private askedAtMs = 0

  /** @param longestCallMs what a call takes at most */
  constructor(nowMs: number, longestCallMs: number) {
    this.demand = new Demand(nowMs)
    this.calls = new UnderWay(longestCallMs)
    this.waiters = new UnderWay(longestCallMs)
  }

  /** The newest limit that anyone has told this isolate. */
  get limit(): VersionedLimit | undefined {
    return this.newest
  }

  /** Takes in the limit of a snapshot, or the object's. A newer one than the object's makes what it refused worth asking again. */
  learn(limit: VersionedLimit): void {
    if (this.newest !== undefined && compareVersions(limit, this.newest) < 0) return
    if (this.applied !== undefined && compareVersions(limit, this.applied) > 0) this.refusal = undefined
    this.newest = limit
  }

  ask(units: number, nowMs: number): void {
    // A clock that went back says nothing of when the object will have more.
    if (nowMs < this.askedAtMs - LONGEST_REFUSAL_MS) {
      this.refusal = undefined
      this.noRenewalBeforeMs = 0
    }
    this.askedAtMs = nowMs
    this.demand.add(units, nowMs)
  }

  /** All of the units or none, from the lease that ends first. */
  spend(units: number, nowMs: number): boolean {
    if (this.left(nowMs) < units) return false
    let due = units
    for (const lease of this.held) {
      const taken = Math.min(due, lease.left)
      lease.left -= taken
      due -= taken
    }
    return true
  }

  /** Units that can be admitted without asking. */
  left(nowMs: number): number {
    this.endLeases(nowMs)
    return this.held.reduce((sum, { left }) => sum + left, 0)
  }

  /** Milliseconds until the object may admit so many units; undefined when it is worth asking now. */
  refusedFor(units: number, nowMs: number): number | undefined {
    const { refusal } = this
    if (refusal === undefined || refusal.untilMs <= nowMs || units < refusal.units) return undefined
    return Math.max(1, refusal.retryAtMs - nowMs)
  }

  /** Whether what is left will not last until an answer is here. */
  isDue(nowMs: number): boolean {
    if (nowMs < this.noRenewalBeforeMs) return false
    if (this.applied && this.newest && compareVersions(this.newest, this.applied) > 0) return true
    const untilMs = this.answerByMs(nowMs)
    if (this.leftAt(untilMs) > (this.demand.rate(nowMs) * (untilMs - nowMs)) / 1_000) return false
    // While it refuses, in time for the moment at which it may not.
    return this.refusal === undefined || this.refusal.untilMs - this.roundTripMs <= nowMs
  }

  request(units: number, nowMs: number): LeaseRequest {
    const usual = this.demand.rate(nowMs) * AHEAD_SECONDS + this.waiters.count(nowMs)
    const first = this.applied ? 0 : (this.newest?.limit.burst ?? 0) * FIRST_AHEAD_SHARE
    const held = this.leftAt(this.answerByMs(nowMs)) + this.calls.units(nowMs)
    const ahead = Math.ceil(Math.max(usual, first)) + 1 - held
    return { units, ahead: Math.max(0, ahead), ...this.settlement(nowMs) }
  }

  /** When the answer to a call that begins now will surely be here. */
  private answerByMs(nowMs: number): number {
    return nowMs + 2 * this.roundTripMs + MARGIN_MS
  }

  /** What is left now of leases that last beyond that. */
  private leftAt(untilMs: number): number {
    return this.held.reduce((sum, { left, endsAtMs }) => sum + (endsAtMs > untilMs ? left : 0), 0)
  }

  /** Only tells what is over; undefined when there is nothing to tell. */
  report(nowMs: number): LeaseRequest | undefined {
    this.endLeases(nowMs)
    return this.reports.length === 0 ? undefined : this.requestOf(0, nowMs)
  }

  /** Asks for these units, and no lease; tells what is over. */
  requestOf(units: number, nowMs: number): LeaseRequest {
    return { units, ahead: 0, ...this.settlement(nowMs) }
  }

  /**
   * Whether what was not spent matters to anybody. A lease that nobody reports counts as spent after a while: where
   * the bucket is nearly empty that is nothing, and most tenants' is, so it saves them every other call.
   */
  isWorthTelling(): boolean {
    const unspent = this.reports.reduce((sum, report) => sum + report.unspent, 0)
    return unspent > this.free * NEGLIGIBLE_SHARE
  }

  /** @param askedAtMs this isolate's clock from before the call: the lease lives from then */
  answered(request: LeaseRequest, answer: LeaseAnswer, askedAtMs: number, nowMs: number): void {
    const { lease, limit, free, retryAfterMs } = answer
    const told = request.settle.map((each) => each.lease)
    this.reports = this.reports.filter((each) => !told.includes(each.lease))
    this.applied = limit
    this.free = free
    this.learn(limit)
    const tookMs = Math.max(0, nowMs - askedAtMs)
    this.roundTripMs = this.roundTripMs === 0 ? tookMs : 0.8 * this.roundTripMs + 0.2 * tookMs
    if (lease) {
      const { id, units } = lease
      this.held.push({ id, granted: units, left: units, endsAtMs: askedAtMs + LEASE_MS })
      this.held.sort((a, b) => a.endsAtMs - b.endsAtMs)
    }
    // A lease smaller than asked for says little of a burst: there may be twice as much behind it.
    const isEmpty = free < Math.max(1, limit.limit.burst * EMPTY_SHARE)
    const isFlooded = this.refusal !== undefined && nowMs < this.refusal.untilMs + FLOOD_MS
    if (!answer.admitted || isEmpty || (isFlooded && free < request.ahead - (lease?.units ?? 0))) {
      const pauseMs = Math.min(Math.max(retryAfterMs, SHORTEST_REFUSAL_MS), LONGEST_REFUSAL_MS)
      this.refusal = {
        units: Math.max(1, request.units),
        untilMs: nowMs + pauseMs,
        retryAtMs: nowMs + retryAfterMs,
      }
    }
    if (!lease) this.noRenewalBeforeMs = nowMs + FRUITLESS_PAUSE_MS
  }

  private settlement(nowMs: number): Pick<LeaseRequest, 'settle' | 'limit'> {
    this.endLeases(nowMs)
    if (this.reports.length === 0) return { settle: NOTHING, limit: this.newest }
    this.reports = this.reports.filter(({ uselessFromMs }) => nowMs < uselessFromMs)
    const settle = this.reports.map(({ lease, spent }) => ({ lease, spent }))
    return { settle, limit: this.newest }
  }

  /** Ends what is spent or over its time; a clock that went back ends everything, since nobody knows how far. */
  private endLeases(nowMs: number): void {
    for (let i = this.held.length - 1; i >= 0; i--) {
      const lease = this.held[i]
      if (lease === undefined) continue
      const { id, granted, left, endsAtMs } = lease
      if (left > 0 && nowMs < endsAtMs && endsAtMs - nowMs <= LEASE_MS) continue
      this.held.splice(i, 1)
      this.reports.push({
        lease: id,
        spent: granted - left,
        unspent: left,
        uselessFromMs: endsAtMs - LEASE_MS + SETTLE_MS + 1_000,
      })
    }
  }
}
