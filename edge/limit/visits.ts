// Visitors of the pages where one signs in or up, who are nobody yet: what a region does for each of them is under no
// tenant's limit, and may be to ask an identity provider. So an address may have only so much of it, and all together too.
import { addressBlock } from '../../shared/address_block.ts'
import type { Limit } from '../../shared/limits.ts'
import { Problem } from '../../shared/problems.ts'
import { retryAfterSeconds } from './fields.ts'
import { LocalMeters } from './local_meters.ts'

/** In this isolate. An office of people behind one address comes in, and a page that renews itself each second. */
const OF_ADDRESS: Limit = { rate: 5, burst: 60 }
const OF_ALL: Limit = { rate: 50, burst: 200 }

export class Visits {
  private readonly meters = new LocalMeters()

  /**
   * @param address where the runtime can't tell it, all visitors' limit is the only one
   * @throws {Problem} `rate_limited`
   */
  admit(address: string | undefined, nowMs: number): void {
    if (address !== undefined) this.charge(addressBlock(address), OF_ADDRESS, nowMs)
    this.charge('all', OF_ALL, nowMs)
  }

  private charge(name: string, limit: Limit, nowMs: number): void {
    const verdict = this.meters.admit(name, limit, 1, nowMs)
    if (verdict.outcome === 'admitted') return
    throw new Problem('rate_limited', 'Too many visitors ask for this page.', {
      headers: { 'retry-after': String(retryAfterSeconds(verdict.retryAfterMs)) },
    })
  }
}
