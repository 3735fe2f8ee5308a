// The bulkhead in the pipeline: whoever finds no place is told so at once, before anything else is done for them. In a flood
// most of the work is to refuse, so whoever found no place a moment ago is known by what they send, and sent away unread.
import { REQUEST_ID } from '../../shared/headers.ts'
import { newId } from '../../shared/ids.ts'
import { PROBLEMS, Problem, problemDetails } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { decided, ofTenant } from '../context.ts'
import type { Counts } from '../counts.ts'
import { Lru } from '../lru.ts'
import { alwaysSaid, UNLESS_SAID } from '../security_headers.ts'
import { type Stage, through } from '../stage.ts'
import type { Bulkhead } from './bulkhead.ts'

const MAX_REFUSED = 4_096
/** For so long after somebody was refused, it is worth looking who comes. */
const FLOOD_MS = 1_000

export interface Crowding {
  /** The answer for who found no place a moment ago and finds none now; undefined for everybody else. */
  turnAway(request: Request): Response | undefined
  /** The stages that a request goes through with a place of its own, which it leaves with its answer. */
  enter(...stages: ReadonlyArray<Stage>): Stage
}

interface CrowdingDependencies {
  bulkhead: Bulkhead
  counts: Counts
  publicOrigin: string
  now: () => number
}

const NO_PLACE = 'The edge has no time for this now. Nothing was done.'
const RETRY_AFTER = { 'retry-after': '1' }

export function crowding({ bulkhead, counts, publicOrigin, now }: CrowdingDependencies): Crowding {
  /**
   * Whose API keys those were that found no place, so that the next time it is known without looking. Keys alone, because a
   * key is of one tenant: which tenant a token is for, the rest of the request may say. By the whole header, which is hardly longer
   * than the key (credential.ts).
   */
  const refused = new Lru<string, { tenant: TenantNumber; region: string }>(MAX_REFUSED)
  let refusedAtMs = Number.NEGATIVE_INFINITY
  const noPlace = new Problem('overloaded', NO_PLACE, { headers: RETRY_AFTER })
  const { status } = PROBLEMS[noPlace.code]
  const fields = {
    ...UNLESS_SAID,
    ...alwaysSaid(publicOrigin),
    ...RETRY_AFTER,
    'content-type': 'application/problem+json',
    vary: 'Origin',
  }
  const refuse = () => {
    counts.add('overloaded')
    refusedAtMs = now()
  }

  return {
    turnAway(request) {
      const nowMs = now()
      if (nowMs - refusedAtMs > FLOOD_MS) return undefined
      const credential = request.headers.get('authorization')
      const known = credential === null ? undefined : refused.get(credential)
      if (known === undefined || bulkhead.hasPlace(known.tenant, nowMs)) return undefined
      // Whether a page of another origin may read the answer is not known yet.
      if (!isOfApi(request.url) || request.headers.has('origin')) return undefined
      refuse()
      counts.add('unanswered', known.region)
      const requestId = newId('req', nowMs)
      return new Response(JSON.stringify(problemDetails(noPlace, requestId)), {
        status,
        headers: { ...fields, [REQUEST_ID]: requestId },
      })
    },
    enter(...stages) {
      return async function entered(context) {
        const { principal, method, headers } = context
        if (!ofTenant(principal)) return through(stages, context)
        const region = decided(context.region).name
        const pass = bulkhead.enter(principal.tenant, `${method} ${region}`, now())
        if (pass === undefined) {
          const credential = headers.get('authorization')
          if (credential !== undefined && principal.kind === 'api_key')
            refused.set(credential, { tenant: principal.tenant, region })
          refuse()
          throw noPlace
        }
        try {
          return await through(stages, context)
        } finally {
          bulkhead.leave(pass, now(), context.elsewhereMs)
        }
      }
    },
  }
}

/** Of an absolute URL, unread. */
const isOfApi = (url: string): boolean => url.startsWith('/v1/', url.indexOf('/', url.indexOf('://') + 3))
