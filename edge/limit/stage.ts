// Stage three in the pipeline: whether the tenant may ask so much now, and hold one more stream or long request.
import type { TenantPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import { ofTenant, type RequestContext, waiting } from '../context.ts'
import type { Counts } from '../counts.ts'
import type { Stage } from '../stage.ts'
import { needsSlot } from './cost.ts'
import { FIRST_STREAMS } from './first_limits.ts'
import type { LimitVerdict, RateLimits } from './index.ts'
import type { NewerLimits } from './newer_limits.ts'
import type { Slots } from './slots.ts'

const LIMIT_DETAILS = {
  tenant: 'The organisation asks more than its plan allows.',
  key: 'This API key asks more than one key may.',
  ip: 'This address asks more than one address may.',
} as const

/** @param limits undefined where nobody is limited */
export const limiting = (limits: RateLimits | undefined, newer: NewerLimits): Stage =>
  function limiting(context) {
    const { method, path, principal, lastSnapshot: snapshot, clientIp } = context
    if (limits === undefined || !ofTenant(principal)) return undefined
    const verdict = limits.decide({ method, path, principal, snapshot, clientIp })
    if (verdict instanceof Promise) return waiting(context, verdict).then(settle)
    return settle(verdict)

    function settle(verdict: LimitVerdict): undefined {
      if (verdict.outcome === 'throttled') {
        newer.afterRefusal(context)
        throw new Problem('rate_limited', LIMIT_DETAILS[verdict.policy], { headers: verdict.fields })
      }
      if (verdict.outcome === 'closed') {
        throw new Problem('limiter_unavailable', 'The limiter does not answer. Nothing was done.', {
          headers: verdict.fields,
        })
      }
      Object.assign(context.fields, verdict.fields)
    }
  }

const STREAMS_RETRY_AFTER_SECONDS = '5'

interface HoldingDependencies {
  /** Undefined where nobody counts them. */
  slots: Slots | undefined
  newer: NewerLimits
  counts: Counts
}

/**
 * Streams and long requests hold a concurrency slot of their tenant for as long as they last. They are few, and one that is let
 * in by mistake may last for hours: so none is let in, or refused, by what an isolate guesses or heard long ago.
 */
export function holding({ slots, newer, counts }: HoldingDependencies, answering: Stage): Stage {
  if (slots === undefined) return answering
  return function holding(context) {
    const { principal, method, path, headers } = context
    if (!ofTenant(principal) || !needsSlot(method, path, headers.get('accept'))) return answering(context)
    return heldBy(slots, context, principal)
  }

  async function heldBy(slots: Slots, context: RequestContext, { tenant }: TenantPrincipal) {
    const { requestId, request } = context
    await waiting(context, newer.beforeStream(context))
    const limit = context.lastSnapshot?.streams ?? FIRST_STREAMS
    const verdict = await waiting(context, slots.hold(tenant, requestId, limit, request.signal))
    if (verdict.outcome === 'full') {
      counts.add('streams_refused')
      newer.afterRefusal(context)
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
