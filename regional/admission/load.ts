// How loaded one process is, by the second. Utilisation and waiting are what scaling goes by, `overloaded` is for
// readiness: it takes several seconds to be believed, and several to be forgotten. Waiting is what tenants feel who do not
// bring it about themselves: one that asks too much waits behind its own requests, and nobody has to go elsewhere for that.
import type { TenantNumber } from '../../shared/tenant.ts'

export interface LoadOfSecond {
  /** The busier of the event loop and the concurrency limit, from 0 to 1, in the last second. */
  utilisation: number
  /** What a tenant in the middle waited in the last second, as a mean of its requests that were admitted. */
  queueWaitMs: number
  /** Requests a second, in the last second. */
  admitted: number
  refused: number
  /** Whether there was not enough for all: the process was busy, and some had to wait or were refused. */
  contended: boolean
  overloaded: boolean
}

export interface Load extends LoadOfSecond {
  /** Units that may be under way, and that are. */
  limitUnits: number
  underWayUnits: number
  /** Requests under way, and waiting. */
  underWay: number
  waiting: number
}

/** Of the event loop since it was last asked, from 0 to 1. */
export function eventLoopMeter(): () => number {
  let before = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    return utilization
  }
}

/** What of it is watched, by its name in Prometheus. */
export const admissionGauges = (admission: { load(): Load }) =>
  [
    [
      'coditect_utilisation',
      'The busier of the event loop and the concurrency limit, from 0 to 1, in the last second.',
      () => admission.load().utilisation,
    ],
    [
      'coditect_queue_wait_seconds',
      'Mean time that requests of the tenant in the middle waited for their turn in the last second.',
      () => admission.load().queueWaitMs / 1_000,
    ],
    ['coditect_requests_waiting', 'Requests that wait for their turn.', () => admission.load().waiting],
    [
      'coditect_limit_units',
      'Request units that may be under way at the same time.',
      () => admission.load().limitUnits,
    ],
    ['coditect_under_way_units', 'Request units that are under way.', () => admission.load().underWayUnits],
  ] as const

const OVERLOADED_WAIT_MS = 100
const RELIEVED_WAIT_MS = 50
const SECONDS_TO_BELIEVE = 3
/** Where more tenants ask, that fewer wait is their own doing. */
const WAITING_TENANTS = 3
/** Contended: so busy (one tenant alone gets three quarters), while more than this part of what was asked was held up. */
const BUSY = 0.7
const HELD_SHARE = 0.05

export class LoadMeter {
  latest: LoadOfSecond = {
    utilisation: 0,
    queueWaitMs: 0,
    admitted: 0,
    refused: 0,
    contended: false,
    overloaded: false,
  }
  private readonly busy: () => number
  private admittedCount = 0
  private refusedCount = 0
  private waitedCount = 0
  /** Of this second. */
  private readonly waits = new Map<TenantNumber, Wait>()
  private otherwise = 0

  /** @param busy of the event loop since it was last asked, from 0 to 1 */
  constructor(busy: () => number) {
    this.busy = busy
  }

  /** @param tenant undefined where its waiting says nothing about that of others */
  admitted(waitedMs: number, tenant: TenantNumber | undefined): void {
    this.admittedCount++
    if (waitedMs > 0) this.waitedCount++
    if (tenant === undefined) return
    const wait = this.waits.get(tenant)
    if (wait === undefined) this.waits.set(tenant, { ms: waitedMs, requests: 1 })
    else {
      wait.ms += waitedMs
      wait.requests++
    }
  }

  refused(): void {
    this.refusedCount++
  }

  /** Ends a second. @param taken of the concurrency limit, from 0 to 1 */
  tick(taken: number): void {
    const queueWaitMs = waitInTheMiddle([...this.waits.values()])
    const { overloaded } = this.latest
    const seems = queueWaitMs > (overloaded ? RELIEVED_WAIT_MS : OVERLOADED_WAIT_MS)
    this.otherwise = seems === overloaded ? 0 : this.otherwise + 1
    const changes = this.otherwise >= SECONDS_TO_BELIEVE
    if (changes) this.otherwise = 0
    const utilisation = Math.min(1, Math.max(this.busy(), taken))
    const held = this.refusedCount + this.waitedCount
    this.latest = {
      utilisation,
      queueWaitMs,
      admitted: this.admittedCount,
      refused: this.refusedCount,
      contended: utilisation >= BUSY && held > (this.admittedCount + this.refusedCount) * HELD_SHARE,
      overloaded: changes ? !overloaded : overloaded,
    }
    this.admittedCount = 0
    this.refusedCount = 0
    this.waitedCount = 0
    this.waits.clear()
  }
}

interface Wait {
  ms: number
  requests: number
}

/**
 * Half of the tenants waited so long or longer, on average, and at least {@link WAITING_TENANTS}. Where fewer ask, all of them:
 * who is alone keeps nobody waiting but itself, and the region is too small for it all the same.
 */
function waitInTheMiddle(waits: ReadonlyArray<Wait>): number {
  const means = waits.map(({ ms, requests }) => ms / requests).toSorted((a, b) => a - b)
  return means[Math.max(0, Math.min((means.length - 1) >> 1, means.length - WAITING_TENANTS))] ?? 0
}
