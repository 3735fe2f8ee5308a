// How loaded one process is, by the second. Utilisation and waiting are what scaling goes by, `overloaded` is for
// readiness: it takes several seconds to be believed, and several to be forgotten.

export interface LoadOfSecond {
  /** The busier of the event loop and the concurrency limit, from 0 to 1, in the last second. */
  utilisation: number
  /** Mean time that requests admitted in the last second had waited. */
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
      'Mean time that requests of the last second waited for their turn.',
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
  private waitedMs = 0
  private waitedCount = 0
  private otherwise = 0

  /** @param busy of the event loop since it was last asked, from 0 to 1 */
  constructor(busy: () => number) {
    this.busy = busy
  }

  admitted(waitedMs: number): void {
    this.admittedCount++
    if (waitedMs > 0) this.waitedCount++
    this.waitedMs += waitedMs
  }

  refused(): void {
    this.refusedCount++
  }

  /** Ends a second. @param taken of the concurrency limit, from 0 to 1 */
  tick(taken: number): void {
    const queueWaitMs = this.admittedCount === 0 ? 0 : this.waitedMs / this.admittedCount
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
    this.waitedMs = 0
    this.waitedCount = 0
  }
}
