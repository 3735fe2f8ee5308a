// What the edge counts of its own decisions: what it refused, and what it let through without its limiter. The region
// never sees such requests, so the counts travel with the next one that it does see.
import { REGION_NAME } from './region.ts'

export const EDGE_COUNTS_NAMES = [
  /** Answered 429 `rate_limited`. */
  'throttled',
  /** Answered 503 `overloaded`, because the isolate had too many requests under way. */
  'overloaded',
  /** Answered 429 `too_many_streams`. */
  'streams_refused',
  /** Credentials that were none. */
  'failed_attempts',
  /** Of those, the ones answered 429 `too_many_failures`. */
  'failed_attempts_throttled',
  /** Writes answered 503, because the tenant's limiter did not answer. */
  'limiter_closed',
  /** Reads that the local allowance let through, and streams without a slot, because the tenant's limiter did not answer. */
  'limiter_bypassed',
  /**
   * Answered 503 `region_unavailable`, because no instance of the region answered, though whoever stands before it may have:
   * which region, is told as well.
   */
  'region_unavailable',
  /**
   * Requests of tenants that a region should have answered and did not, for any of these reasons: the edge answered them 5xx.
   * Which region, is told as well.
   */
  'unanswered',
  /** Calls to a limiter that failed or took too long. */
  'limiter_failed',
] as const
export type EdgeCount = (typeof EDGE_COUNTS_NAMES)[number]

/** Told with the region that did not answer. */
export const OF_A_REGION: ReadonlySet<EdgeCount> = new Set(['region_unavailable', 'unanswered'])

export interface EdgeCounted {
  decision: EdgeCount
  /** Of this region's requests, where it need not be the one that is told. */
  of?: string
  count: number
}

/** Such as `throttled=12, region_unavailable.eu=1`. */
export const writeCounts = (counts: ReadonlyArray<EdgeCounted>): string =>
  counts
    .map(({ decision, of, count }) => `${decision}${of === undefined ? '' : `.${of}`}=${count}`)
    .join(', ')

/** Leaves out what it does not know. */
export function readCounts(text: string): EdgeCounted[] {
  return text.split(',').flatMap((part) => {
    const [, name, of, count] = /^ *(\w+)(?:\.([a-z0-9-]+))?=(\d{1,12}) *$/.exec(part) ?? []
    const decision = EDGE_COUNTS_NAMES.find((each) => each === name)
    if (decision === undefined || (of !== undefined && !REGION_NAME.test(of))) return []
    return [{ decision, ...(of !== undefined && { of }), count: Number(count) }]
  })
}
