// The bulkhead in the pipeline: whoever finds no place is told so at once, before anything else is done for them.
import { Problem } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { decided, ofTenant, type RequestContext } from '../context.ts'
import type { Counts } from '../counts.ts'
import { Lru } from '../lru.ts'
import { type Stage, through } from '../stage.ts'
import type { Bulkhead } from './bulkhead.ts'

const MAX_REFUSED = 4_096

export interface Crowding {
  /** Sends away who found no place a moment ago and finds none now: in a flood most of the work is to refuse. */
  refuseSoon: Stage
  /** The stages that a request goes through with a place of its own, which it leaves with its answer. */
  enter(...stages: ReadonlyArray<Stage>): Stage
}

export function crowding(bulkhead: Bulkhead, counts: Counts, now: () => number): Crowding {
  /**
   * Whose API keys those were that found no place, so that the next time it is known without looking. Keys alone, because a
   * key is of one tenant: which tenant a token is for, the rest of the request may say.
   */
  const refused = new Lru<string, TenantNumber>(MAX_REFUSED)
  const noPlace = (): Problem => {
    counts.add('overloaded')
    return new Problem('overloaded', 'The edge has no time for this now. Nothing was done.', {
      headers: { 'retry-after': '1' },
    })
  }
  const credentialOf = ({ headers }: RequestContext) => headers.get('authorization')

  return {
    refuseSoon(context) {
      const credential = credentialOf(context)
      const tenant = credential === undefined ? undefined : refused.get(credential)
      if (tenant !== undefined && !bulkhead.hasPlace(tenant, now())) throw noPlace()
      return undefined
    },
    enter(...stages) {
      return async function entered(context) {
        const { principal, method } = context
        if (!ofTenant(principal)) return through(stages, context)
        const pass = bulkhead.enter(principal.tenant, `${method} ${decided(context.region).name}`, now())
        if (pass === undefined) {
          const credential = credentialOf(context)
          if (credential !== undefined && principal.kind === 'api_key')
            refused.set(credential, principal.tenant)
          throw noPlace()
        }
        try {
          return await through(stages, context)
        } finally {
          bulkhead.leave(pass, now(), context.regionMs)
        }
      }
    },
  }
}
