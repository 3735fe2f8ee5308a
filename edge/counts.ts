// What this isolate has decided without a region, until a forward takes the counts along. Counts of a forward that did
// not arrive are put back, so they may be told twice; those of one whose client hangs up meanwhile are lost with it.
import { type EdgeCount, type EdgeCounted, writeCounts } from '../shared/edge_counts.ts'
import { PROBLEMS, type Problem } from '../shared/problems.ts'
import { ofTenant, type RequestContext } from './context.ts'

export class Counts {
  private counts = new Map<string, EdgeCounted>()

  /** @param of the region, for what is told to any region */
  add(decision: EdgeCount, of?: string): void {
    this.put({ decision, ...(of !== undefined && { of }), count: 1 })
  }

  /** @returns undefined when there is nothing to tell. */
  take(): { text: string; putBack: () => void } | undefined {
    if (this.counts.size === 0) return undefined
    const taken = [...this.counts.values()]
    this.counts = new Map()
    return {
      text: writeCounts(taken),
      putBack: () => {
        for (const counted of taken.splice(0)) this.put(counted)
      },
    }
  }

  private put(counted: EdgeCounted): void {
    const key = `${counted.decision} ${counted.of}`
    const known = this.counts.get(key)
    if (known === undefined) this.counts.set(key, { ...counted })
    else known.count += counted.count
  }
}

/**
 * Whether a region was not available to a tenant for this refusal (docs/slo.md). Who has not shown a credential is nobody's:
 * otherwise strangers could spend a region's error budget.
 */
export const isUnanswered = ({ identity, request }: RequestContext, { code }: Problem): boolean =>
  ofTenant(identity?.principal) && PROBLEMS[code].status >= 500 && !request.signal.aborted
