// Visitors of the pages where one signs in or up, who are nobody yet: what a region does for each of them is under no
// tenant's limit, and may be to ask an identity provider. So an address may have only so much of it, and all together too.
import { createMiddleware } from 'hono/factory'
import { addressBlock } from '../../shared/address_block.ts'
import type { Limit } from '../../shared/limits.ts'
import { Problem } from '../../shared/problems.ts'
import { clientIp } from '../forward/client_ip.ts'
import { retryAfterSeconds } from '../limit/fields.ts'
import { LocalMeters } from '../limit/local_meters.ts'

/** In this isolate. An office of people behind one address comes in, and a page that renews itself each second. */
const OF_ADDRESS: Limit = { rate: 5, burst: 60 }
const OF_ALL: Limit = { rate: 50, burst: 200 }

/**
 * For one isolate: stands before the pages that ask a region for a visitor.
 * @throws {Problem} `rate_limited`
 */
export function admittingVisits(now: () => number) {
  const meters = new LocalMeters()

  function charge(whose: string, limit: Limit): void {
    const verdict = meters.admit(whose, limit, 1, now())
    if (verdict.outcome === 'admitted') return
    throw new Problem('rate_limited', 'Too many visitors ask for this page.', {
      headers: { 'retry-after': String(retryAfterSeconds(verdict.retryAfterMs)) },
    })
  }

  return createMiddleware(async function admittingVisits(c, next) {
    const address = clientIp(c.req.raw)
    if (address !== undefined) charge(addressBlock(address), OF_ADDRESS)
    charge('all', OF_ALL)
    await next()
  })
}
