// Stage three in the pipeline: whether the tenant may ask so much now, and hold one more stream or long request.
import { PLANS } from '../../shared/plans.ts'
import type { TenantPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { ofTenant, type RequestContext } from '../context.ts'
import type { Counts } from '../counts.ts'
import type { Stage } from '../stage.ts'
import type { LimitVerdict, RateLimits } from './index.ts'
import { needsSlot, type Slots } from './slots.ts'

const LIMIT_DETAILS = {
  tenant: 'The organisation asks more than its plan allows.',
  key: 'This API key asks more than one key may.',
  ip: 'This address asks more than one address may.',
} as const

/**
 * @param limits undefined where nobody is limited
 * @param onThrottled told of each request that asks too much
 */
export const limiting = (
  limits: RateLimits | undefined,
  onThrottled: (context: RequestContext) => void,
): Stage =>
  function limiting(context) {
    const { method, path, principal, snapshot, clientIp } = context
    if (limits === undefined || !ofTenant(principal)) return undefined
    const verdict = limits.decide({ method, path, principal, snapshot, clientIp })
    if (verdict instanceof Promise) return verdict.then(settle)
    return settle(verdict)

    function settle(verdict: LimitVerdict): undefined {
      if (verdict.outcome === 'throttled') {
        onThrottled(context)
        throw new Problem('rate_limited', LIMIT_DETAILS[verdict.policy], { headers: verdict.fields })
      }
      if (verdict.outcome === 'closed') {
        throw new Problem('limiter_unavailable', 'The limiter does not answer, so nothing was done.', {
          headers: verdict.fields,
        })
      }
      Object.assign(context.fields, verdict.fields)
    }
  }

/** Until a region has said how many streams the tenant may have. */
const FIRST_STREAMS = PLANS.team.streams
const STREAMS_RETRY_AFTER_SECONDS = '5'

/** Streams and long requests hold a concurrency slot of their tenant for as long as they last. */
export function holding(slots: Slots | undefined, counts: Counts, answering: Stage): Stage {
  if (slots === undefined) return answering
  return function holding(context) {
    const { principal, method, path, headers } = context
    if (!ofTenant(principal) || !needsSlot(method, path, headers.get('accept'))) return answering(context)
    return heldBy(slots, context, principal)
  }

  async function heldBy(slots: Slots, context: RequestContext, { tenant }: TenantPrincipal) {
    const { snapshot, requestId, request } = context
    const limit = snapshot?.streams ?? FIRST_STREAMS
    const verdict = await slots.hold(tenant, requestId, limit, request.signal)
    if (verdict.outcome === 'full') {
      counts.add('streams_refused')
      throw new Problem(
        'too_many_streams',
        `The organisation may have ${limit} streams and long requests at the same time.`,
        {
          headers: { 'retry-after': STREAMS_RETRY_AFTER_SECONDS },
        },
      )
    }
    if (verdict.outcome === 'silent') {
      // The rate limit has let it through already: one more is the smaller harm.
      counts.add('limiter_bypassed')
      return answering(context)
    }
    try {
      const answer = await answering(context)
      return answer && verdict.slot.during(answer)
    } catch (error) {
      verdict.slot.release()
      throw error
    }
  }
}
