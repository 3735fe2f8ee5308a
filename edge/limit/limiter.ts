// Admits a tenant's requests: from this isolate's leases, and by asking the tenant's object only when there are none.
// Requests share what the object answered, never a promise: workerd hangs a request that waits for another's.
import type { TenantNumber } from '../../shared/tenant.ts'
import { Lru } from '../lru.ts'
import { chargeOf } from './gcra.ts'
import { LEASE_MS, type LeaseAnswer, type LeaseRequest, type VersionedLimit } from './ledger.ts'
import { Pool } from './pool.ts'
import { UnderWay } from './under_way.ts'

/** One call to a tenant's object. */
export type LeaseSource = (tenant: TenantNumber, request: LeaseRequest) => Promise<LeaseAnswer>

/** What the object would say, where that is known without a call; undefined where it is not. Asks for no lease. */
export type NearSource = (
  tenant: TenantNumber,
  request: LeaseRequest,
  nowMs: number,
) => LeaseAnswer | undefined

export interface LimiterDependencies {
  source: LeaseSource
  near?: NearSource | undefined
  /** Keeps work alive beyond its request's answer. */
  waitUntil: (work: Promise<unknown>) => void
  now: () => number
  /** Counts a call that failed. */
  onFailure: () => void
}

export type Admission =
  /** `left`: what this isolate can still admit without asking. `retryAfterMs`: while the object has no more. */
  | { outcome: 'admitted'; left: number; retryAfterMs: number | undefined; limit: VersionedLimit }
  | { outcome: 'throttled'; retryAfterMs: number; limit: VersionedLimit }
  | { outcome: 'unreachable' }

/** Longer than a call to the far side of the earth with a cold object. */
const CALL_TIMEOUT_MS = 1_000
/** After a failure nobody waits for the object for so long; it is tried in the background. */
const SUSPECT_MS = 5_000
const PROBE_EVERY_MS = 1_000
/** More requests than these wait for what these bring: each looks when it should be there, and then less and less often. */
const MAX_CALLS = 4
const LOOK_AGAIN_MS = 4
/** More than these, and the object counts as overloaded. */
const MAX_WAITING = 500
/** After a lease's end, so that what is left of it goes back. */
const GIVE_BACK_MS = 10
const CAPACITY = 10_000

interface Tenant {
  pool: Pool
  calledAtMs: number
  /** Calls that no request waits for; one at a time. */
  renewals: UnderWay
  /** When a call failed last; 0 since one has not. */
  failedAtMs: number
}

/** Of a clock that went back nobody knows how far. */
const hasFailed = ({ failedAtMs }: Tenant, withinMs: number, nowMs: number): boolean =>
  Math.abs(nowMs - failedAtMs) < withinMs
const isSuspect = (tenant: Tenant, nowMs: number): boolean => hasFailed(tenant, SUSPECT_MS, nowMs)

export class Limiter {
  private readonly dependencies: LimiterDependencies
  private readonly tenants = new Lru<TenantNumber, Tenant>(CAPACITY)

  constructor(dependencies: LimiterDependencies) {
    this.dependencies = dependencies
  }

  /**
   * At once, when what this isolate holds is enough to tell.
   * @param cost in units; counts as the burst where that is less
   * @param known the limit of the tenant's snapshot, if this isolate has one
   */
  admit(
    number: TenantNumber,
    cost: number,
    known: VersionedLimit | undefined,
  ): Admission | Promise<Admission> {
    const tenant = this.tenant(number)
    if (known) tenant.pool.learn(known)
    const { limit } = tenant.pool
    const units = limit ? chargeOf(cost, limit.limit) : cost
    const arrivedMs = this.dependencies.now()
    tenant.pool.ask(units, arrivedMs)
    return (
      this.atOnce(number, tenant, units, arrivedMs) ??
      this.nearby(number, tenant, units, arrivedMs) ??
      this.asking(number, tenant, units, arrivedMs)
    )
  }

  /** From leases that are here; undefined when the object has to be asked. */
  private atOnce(number: TenantNumber, tenant: Tenant, units: number, nowMs: number): Admission | undefined {
    const { pool } = tenant
    const admitted = pool.spend(units, nowMs)
    const refusedForMs = admitted ? undefined : pool.refusedFor(units, nowMs)
    const suspect = isSuspect(tenant, nowMs)
    if (admitted || refusedForMs !== undefined || suspect) this.renewIfDue(number, tenant, nowMs)
    const { limit } = pool
    if (limit !== undefined) {
      if (admitted) return admittedBy(pool, nowMs, limit)
      if (refusedForMs !== undefined) return { outcome: 'throttled', retryAfterMs: refusedForMs, limit }
    }
    return suspect ? { outcome: 'unreachable' } : undefined
  }

  /** From an object that is so near that nothing has to be leased. */
  private nearby(
    number: TenantNumber,
    { pool }: Tenant,
    units: number,
    nowMs: number,
  ): Admission | undefined {
    const { near } = this.dependencies
    if (near === undefined) return undefined
    const request = pool.requestOf(units, nowMs)
    const answer = near(number, request, nowMs)
    if (answer === undefined) return undefined
    pool.answered(request, answer, nowMs, nowMs)
    return { ...admittedBy(pool, nowMs, answer.limit), left: Math.floor(answer.free) }
  }

  private async asking(
    number: TenantNumber,
    tenant: Tenant,
    units: number,
    arrivedMs: number,
  ): Promise<Admission> {
    const { now } = this.dependencies
    const { pool } = tenant
    let lookAgainMs = LOOK_AGAIN_MS
    let nowMs = arrivedMs
    while (nowMs - arrivedMs < CALL_TIMEOUT_MS) {
      if (pool.calls.count(nowMs) < MAX_CALLS) {
        const answer = await this.call(number, tenant, pool.request(units, nowMs))
        if (answer === undefined) return { outcome: 'unreachable' }
        // Where it did not admit, it may have leased to a call before this one.
        nowMs = now()
        if (answer.admitted || pool.spend(units, nowMs)) return admittedBy(pool, nowMs, answer.limit)
        return { outcome: 'throttled', retryAfterMs: Math.max(1, answer.retryAfterMs), limit: answer.limit }
      }
      if (pool.waiters.count(nowMs) >= MAX_WAITING) return { outcome: 'unreachable' }
      const waited = pool.waiters.begin(nowMs)
      await scheduler.wait(Math.max(lookAgainMs, tenant.calledAtMs + pool.roundTripMs - nowMs))
      waited()
      lookAgainMs *= 2
      nowMs = now()
      const verdict = this.atOnce(number, tenant, units, nowMs)
      if (verdict !== undefined) return verdict
    }
    return { outcome: 'unreachable' }
  }

  private tenant(number: TenantNumber): Tenant {
    const found = this.tenants.get(number)
    if (found) return found
    const pool = new Pool(this.dependencies.now(), CALL_TIMEOUT_MS)
    const renewals = new UnderWay(CALL_TIMEOUT_MS)
    const made = { pool, calledAtMs: 0, renewals, failedAtMs: 0 }
    this.tenants.set(number, made)
    return made
  }

  /** In the background: what is left still serves while the answer is on its way. */
  private renewIfDue(number: TenantNumber, tenant: Tenant, nowMs: number): void {
    if (tenant.renewals.count(nowMs) > 0 || hasFailed(tenant, PROBE_EVERY_MS, nowMs)) return
    if (!tenant.pool.isDue(nowMs)) return
    const renewed = tenant.renewals.begin(nowMs)
    void this.call(number, tenant, tenant.pool.request(0, nowMs)).finally(renewed)
  }

  /** Goes on when the client of its request leaves: others wait for what it brings. */
  private call(
    number: TenantNumber,
    tenant: Tenant,
    request: LeaseRequest,
  ): Promise<LeaseAnswer | undefined> {
    const call = this.called(number, tenant, request)
    this.dependencies.waitUntil(call)
    return call
  }

  private async called(
    number: TenantNumber,
    tenant: Tenant,
    request: LeaseRequest,
  ): Promise<LeaseAnswer | undefined> {
    const { source, now, onFailure, waitUntil } = this.dependencies
    const askedAtMs = now()
    const ended = tenant.pool.calls.begin(askedAtMs, request.ahead)
    tenant.calledAtMs = askedAtMs
    const answer = await inTime(source(number, request)).finally(ended)
    if (answer === undefined) {
      onFailure()
      tenant.failedAtMs = now()
      return undefined
    }
    tenant.failedAtMs = 0
    tenant.pool.answered(request, answer, askedAtMs, now())
    if (answer.lease) waitUntil(this.giveBack(number, tenant, askedAtMs + LEASE_MS))
    return answer
  }

  /** Tells what is left of a lease when it ends, where that is worth a call and no later one has told it. */
  private async giveBack(number: TenantNumber, tenant: Tenant, endsAtMs: number): Promise<void> {
    const { now } = this.dependencies
    await scheduler.wait(Math.max(0, endsAtMs - now()) + GIVE_BACK_MS)
    const report = tenant.pool.report(now())
    if (report && tenant.pool.isWorthTelling() && !isSuspect(tenant, now()))
      await this.call(number, tenant, report)
  }
}

const admittedBy = (pool: Pool, nowMs: number, limit: VersionedLimit) => ({
  outcome: 'admitted' as const,
  left: pool.left(nowMs),
  retryAfterMs: pool.refusedFor(1, nowMs),
  limit,
})

/** @returns undefined for a call that fails or takes too long. */
async function inTime<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return (await Promise.race([call, scheduler.wait(CALL_TIMEOUT_MS)])) ?? undefined
  } catch {
    return undefined
  }
}
