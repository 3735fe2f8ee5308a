// Who keeps sending credentials that are none. Only failures are counted, and only after the check, which costs
// microseconds: whoever shares the address and has a valid credential is let in, whatever the neighbours do.

import { addressBlock } from '../../shared/address_block.ts'
import type { Limit } from '../../shared/limits.ts'
import { LocalMeters } from '../limit/local_meters.ts'

/** In this isolate, for each address. One walk over the whole API with a wrong key stays below it. */
export const FAILURE_LIMIT: Limit = { rate: 5, burst: 500 }

export class FailedAttempts {
  private readonly meters = new LocalMeters()
  private readonly limit: Limit

  constructor(limit: Limit) {
    this.limit = limit
  }

  /**
   * Counts a failed attempt. Where the runtime can't tell the address, nobody is throttled for anybody.
   * @returns undefined while there are not too many, otherwise how long to wait
   */
  note(address: string | undefined, nowMs: number): { retryAfterMs: number } | undefined {
    if (address === undefined) return undefined
    const verdict = this.meters.admit(addressBlock(address), this.limit, 1, nowMs)
    return verdict.outcome === 'throttled' ? verdict : undefined
  }
}
