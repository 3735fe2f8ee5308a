// Rate limits as both sides write them. A limit is GCRA's pair: a sustained rate and a burst tolerance, in units.

export interface Limit {
  /** Units a second, at least 1. */
  rate: number
  /** Units that may come at once. At least half of `rate`, or leases can't keep the rate up (docs/limits.md). */
  burst: number
}

/** The policies that a tenant's request meets, from the widest to the narrowest. */
export const POLICIES = ['tenant', 'key', 'ip'] as const
export type Policy = (typeof POLICIES)[number]

/** `tenant` is exact over all edges; `key` and `ip` hold in each isolate of the edge. */
export type Limits = Readonly<Record<Policy, Limit>>
