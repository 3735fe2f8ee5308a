// Stage three, limit: whether the tenant, the key and the address may ask so much now. All policies must admit a request;
// the one that is nearest to refusing is reported. Nothing is let through silently when the tenant's object is silent.

import { addressBlock } from '../../shared/address_block.ts'
import type { Limit, Limits, Policy } from '../../shared/limits.ts'
import { callerOf, type TenantPrincipal } from '../../shared/principal.ts'
import type { TenantSnapshot } from '../../shared/snapshot.ts'
import type { Counts } from '../counts.ts'
import { isReading } from '../reading.ts'
import { costOf } from './cost.ts'
import {
  mostRestrictive,
  policyField,
  RATE_LIMIT,
  RATE_LIMIT_POLICY,
  rateLimitField,
  retryAfterSeconds,
  type Standing,
} from './fields.ts'
import { FIRST_LIMITS } from './first_limits.ts'
import { type Admission, type LeaseSource, Limiter, type NearSource } from './limiter.ts'
import { LocalMeters } from './local_meters.ts'

export interface Limited {
  method: string
  path: string
  principal: TenantPrincipal
  clientIp: string | undefined
  /** The last that this isolate has heard of. */
  snapshot: TenantSnapshot | undefined
}

type Fields = Readonly<Record<string, string>>

export type LimitVerdict =
  | { outcome: 'admitted'; fields: Fields }
  | { outcome: 'throttled'; policy: Policy; fields: Fields }
  /** The tenant's object does not answer, and this may not go on without it. */
  | { outcome: 'closed'; fields: Fields }

export interface LimitDependencies {
  leases: LeaseSource
  near?: NearSource | undefined
  counts: Counts
  waitUntil: (work: Promise<unknown>) => void
  now?: () => number
}

/** Of the tenant's rate, what each isolate lets be read while the object does not answer. */
const BYPASS_SHARE = 0.1
const CLOSED_RETRY_AFTER_MS = 1_000

export class RateLimits {
  private readonly limiter: Limiter
  private readonly local = new LocalMeters()
  private readonly counts: Counts
  private readonly now: () => number

  constructor({ leases, near, counts, waitUntil, now = Date.now }: LimitDependencies) {
    this.counts = counts
    this.now = now
    const onFailure = () => counts.add('limiter_failed')
    this.limiter = new Limiter({ source: leases, near, waitUntil, now, onFailure })
  }

  /** At once, as long as there is a lease to spend of. */
  decide(request: Limited): LimitVerdict | Promise<LimitVerdict> {
    const { principal, snapshot } = request
    const limits = snapshot?.limits ?? FIRST_LIMITS
    const units = costOf(request.method, request.path)
    const taken: Taken['taken'] = []
    const nowMs = this.now()
    for (const { policy, name } of localPolicies(request)) {
      const verdict = this.local.admit(name, limits[policy], units, nowMs)
      if (verdict.outcome === 'throttled') {
        this.giveBack(taken)
        return this.throttled(policy, verdict.retryAfterMs, limits, limits.tenant)
      }
      const { left, charged } = verdict
      taken.push({ name, charged, standing: { policy, left, retryAfterMs: CLOSED_RETRY_AFTER_MS } })
    }
    const known = snapshot && {
      epoch: snapshot.epoch,
      version: snapshot.version,
      limit: snapshot.limits.tenant,
    }
    const settled = (admission: Admission) => this.settled(request, admission, { units, limits, taken })
    const admission = this.limiter.admit(principal.tenant, units, known)
    return admission instanceof Promise ? admission.then(settled) : settled(admission)
  }

  /** What the tenant's own limit makes of a request that key and address may make. */
  private settled(request: Limited, admission: Admission, { units, limits, taken }: Taken): LimitVerdict {
    if (admission.outcome === 'admitted') {
      const tenant: Standing = { ...admission, policy: 'tenant' }
      const least = mostRestrictive([tenant, ...taken.map((each) => each.standing)])
      return { outcome: 'admitted', fields: fieldsOf(least, limits, admission.limit.limit) }
    }
    if (admission.outcome === 'throttled') {
      this.giveBack(taken)
      return this.throttled('tenant', admission.retryAfterMs, limits, admission.limit.limit)
    }
    if (this.mayBypass(request, limits.tenant, units)) {
      this.counts.add('limiter_bypassed')
      return { outcome: 'admitted', fields: {} }
    }
    this.giveBack(taken)
    this.counts.add('limiter_closed')
    return { outcome: 'closed', fields: { 'retry-after': String(retryAfterSeconds(CLOSED_RETRY_AFTER_MS)) } }
  }

  private throttled(policy: Policy, retryAfterMs: number, limits: Limits, tenant: Limit): LimitVerdict {
    this.counts.add('throttled')
    const standing = { policy, left: 0, retryAfterMs }
    const fields = {
      'retry-after': String(retryAfterSeconds(retryAfterMs)),
      ...fieldsOf(standing, limits, tenant),
    }
    return { outcome: 'throttled', policy, fields }
  }

  private giveBack(taken: Taken['taken']): void {
    for (const { name, charged } of taken) this.local.giveBack(name, charged)
  }

  private mayBypass({ method, principal }: Limited, tenant: Limit, units: number): boolean {
    if (!isReading(method)) return false
    const share = Math.max(1, tenant.rate * BYPASS_SHARE)
    const limit = { rate: share, burst: share }
    return this.local.admit(`bypass ${principal.tenant}`, limit, units, this.now()).outcome === 'admitted'
  }
}

/** What a request has been granted so far. */
interface Taken {
  units: number
  limits: Limits
  taken: Array<{ name: string; charged: number; standing: Standing }>
}

function localPolicies({ principal, clientIp }: Limited): Array<{ policy: Policy; name: string }> {
  const key = { policy: 'key' as const, name: `key ${principal.tenant} ${callerOf(principal)}` }
  if (clientIp === undefined) return [key]
  return [key, { policy: 'ip', name: `ip ${principal.tenant} ${addressBlock(clientIp)}` }]
}

/** By the tenant's limits: they stay the same for many requests, and so does what is said of them. */
const policyFields = new WeakMap<Limits, { tenant: Limit; field: string }>()

/** @param tenant the limit that the tenant's object went by, which may be newer than the snapshot's */
function fieldsOf(standing: Standing, limits: Limits, tenant: Limit): Fields {
  let known = policyFields.get(limits)
  if (known?.tenant !== tenant) {
    known = { tenant, field: policyField({ ...limits, tenant }) }
    policyFields.set(limits, known)
  }
  return { [RATE_LIMIT]: rateLimitField(standing), [RATE_LIMIT_POLICY]: known.field }
}
