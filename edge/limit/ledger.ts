// The tenant's one bucket and the leases that are out, as pure decisions. What must stay true: backlog + outstanding
// never exceeds the burst when something is admitted. A leased unit begins to drain only when it is reported spent, so however
// late an isolate spends it, in no time t are more than burst + rate · t units admitted over all isolates. Of a changed limit
// that holds for all that it admits, whatever the one before it has admitted.
import type { Limit } from '../../shared/limits.ts'
import { compareVersions, type SnapshotVersion } from '../../shared/snapshot.ts'
import { FIRST_LIMITS } from './first_limits.ts'
import { charged, chargeOf, conforming, drained, emptyMeter, type Meter } from './gcra.ts'

/** How long an isolate may spend a lease, on its own clock, from before it asked. */
export const LEASE_MS = 1_000
/** A lease that nobody reported by then counts as spent. The time beyond {@link LEASE_MS} is the report's to travel. */
export const SETTLE_MS = 2_000
/** Of the burst, at most so much is leased out together, so that there is always something that drains. */
const LEASED_SHARE = 1 / 2
/** Of what may still be leased out, one lease takes at most so much, so that the next isolate finds some too. */
const LARGEST_LEASE_SHARE = 1 / 2

export type VersionedLimit = SnapshotVersion & { limit: Limit }

export const isSameLimit = (a: VersionedLimit, b: VersionedLimit): boolean =>
  compareVersions(a, b) === 0 && a.limit.rate === b.limit.rate && a.limit.burst === b.limit.burst

export interface LeaseRequest {
  /** Units of the request that waits for this call: admitted at once or not at all. 0 when none waits. */
  units: number
  /** Units to have in hand for the requests to come. */
  ahead: number
  /** Leases that are over, and what was spent of each. Reporting one again does nothing. */
  settle: ReadonlyArray<{ lease: string; spent: number }>
  /** The newest that the isolate has seen; undefined when it has seen none. */
  limit?: VersionedLimit | undefined
}

export interface LeaseAnswer {
  admitted: boolean
  lease: { id: string; units: number } | undefined
  /** Units that this call has left in the bucket. */
  free: number
  /** Milliseconds until the request's units (or one) would conform, by the object's clock; 0 when they did. */
  retryAfterMs: number
  /** The limit that the object goes by. */
  limit: VersionedLimit
}

export interface Lease {
  units: number
  settleByMs: number
}

export interface Ledger {
  meter: Meter
  limit: VersionedLimit
  /** By id. */
  leases: ReadonlyMap<string, Lease>
}

/** Before any region has said the tenant's own. */
export const FIRST_LIMIT: VersionedLimit = { epoch: 0, version: 0, limit: FIRST_LIMITS.tenant }

export const newLedger = (nowMs: number): Ledger => ({
  meter: emptyMeter(nowMs),
  limit: FIRST_LIMIT,
  leases: new Map(),
})

/** One call of an isolate. `id` names the lease, if there will be one; it was never used before. */
export function call(
  before: Ledger,
  request: LeaseRequest,
  nowMs: number,
  id: string,
): { ledger: Ledger; answer: LeaseAnswer } {
  const settled = settle(withLimit(expire(before, nowMs), request.limit, nowMs), request.settle, nowMs)
  const { limit: versioned, leases } = settled
  const { limit } = versioned
  const leased = outstanding(leases)
  const free = () => conforming(meter, limit, nowMs) - leased
  let { meter } = settled
  const asked = chargeOf(request.units, limit)
  const admitted = asked <= free()
  const due = Math.max(asked, 1)
  const shortMs = ((due - free()) / limit.rate) * 1_000
  // Leases of a larger limit are over soon, however large they were.
  const retryAfterMs = Math.ceil(Math.max(0, Math.min(shortMs, SETTLE_MS + (due / limit.rate) * 1_000)))
  if (admitted) meter = charged(meter, limit, nowMs, asked)
  const units = admitted ? leaseSize(request.ahead, free(), leased, limit) : 0
  const lease = units > 0 ? { id, units } : undefined
  const after = lease ? new Map(leases).set(id, { units, settleByMs: nowMs + SETTLE_MS }) : leases
  return {
    ledger: { meter, limit: versioned, leases: after },
    answer: { admitted, lease, free: Math.max(0, free() - units), retryAfterMs, limit: versioned },
  }
}

/** Whole units, as many as are asked for, free, and not too many for one or for all together. */
function leaseSize(ahead: number, free: number, leased: number, { burst }: Limit): number {
  const leasable = Math.min(free, burst * LEASED_SHARE - leased)
  const most = Math.max(1, leasable * LARGEST_LEASE_SHARE)
  return Math.max(0, Math.floor(Math.min(ahead, leasable, most)))
}

/** Units that have not drained yet, and that are leased out. */
export const standing = ({ meter, limit, leases }: Ledger, nowMs: number): number =>
  drained(meter, limit.limit, nowMs).backlog + outstanding(leases)

/** What may stand without being written has drained after this time. */
const DRAINS_MS = 5_000
/** An object that nobody has asked for so long has no lease out, and nothing that was not written stands any more. */
export const SETTLED_MS = SETTLE_MS + DRAINS_MS

/**
 * So many units may stand without being written down: far from its limit, a tenant costs no write at all. Nothing before
 * its limit is known, since that is what is lost with them.
 */
export function unwrittenUnits({ epoch, version, limit: { rate, burst } }: VersionedLimit): number {
  if (epoch === FIRST_LIMIT.epoch && version === FIRST_LIMIT.version) return 0
  return Math.min(Math.max(burst / 32, Math.min(4, burst / 8)), (rate * DRAINS_MS) / 1_000)
}

/**
 * Of an object that begins anew when it was asked a moment ago, or its process has died: what was not written counts as leased out, and as
 * spent in the end. Twice over, so that the next call writes it down.
 */
export function afterRestart(ledger: Ledger, nowMs: number): Ledger {
  const units = 2 * unwrittenUnits(ledger.limit)
  if (units === 0) return ledger
  const leases = new Map(ledger.leases).set('unwritten', { units, settleByMs: nowMs + SETTLE_MS })
  return { ...ledger, leases }
}

export function outstanding(leases: Ledger['leases']): number {
  let units = 0
  for (const lease of leases.values()) units += lease.units
  return units
}

/** Leases that nobody reported are taken for spent, each at its own time, so that they drain from then on. */
function expire(ledger: Ledger, nowMs: number): Ledger {
  if (ledger.leases.size === 0) return ledger
  const over = [...ledger.leases].filter(([, { settleByMs }]) => settleByMs <= nowMs)
  if (over.length === 0) return ledger
  let { meter } = ledger
  const leases = new Map(ledger.leases)
  for (const [id, { units, settleByMs }] of over.toSorted(([, a], [, b]) => a.settleByMs - b.settleByMs)) {
    meter = charged(meter, ledger.limit.limit, Math.max(settleByMs, meter.atMs), units)
    leases.delete(id)
  }
  return { ...ledger, meter, leases }
}

function settle(ledger: Ledger, reports: LeaseRequest['settle'], nowMs: number): Ledger {
  if (reports.length === 0) return ledger
  let { meter } = ledger
  const leases = new Map(ledger.leases)
  for (const { lease: id, spent } of reports) {
    const lease = leases.get(id)
    if (lease === undefined) continue
    meter = charged(meter, ledger.limit.limit, nowMs, Math.min(Math.max(0, spent), lease.units))
    leases.delete(id)
  }
  return { ...ledger, meter, leases }
}

/** The newest limits win; the same version again may differ, when the plans themselves were changed. */
function withLimit(ledger: Ledger, limit: VersionedLimit | undefined, nowMs: number): Ledger {
  if (limit === undefined || compareVersions(limit, ledger.limit) < 0) return ledger
  return { ...ledger, meter: drained(ledger.meter, ledger.limit.limit, nowMs), limit }
}

/** What was kept, as the present clock may take it: one that went back must not lock a tenant out. */
export function restored({ meter, limit, leases }: Ledger, nowMs: number): Ledger {
  const settleByMs = nowMs + SETTLE_MS
  const kept = [...leases].map(
    ([id, lease]) => [id, { ...lease, settleByMs: Math.min(lease.settleByMs, settleByMs) }] as const,
  )
  return { meter: { ...meter, atMs: Math.min(meter.atMs, nowMs) }, limit, leases: new Map(kept) }
}
