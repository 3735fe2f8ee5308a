// What edges tell a region that they decided, as a counter for Prometheus. That sees an increase only in a series of which it
// has seen less: so all series are there from the start, at 0, and what is told before anybody has read that is added then.
import { Counter, type Registry } from 'prom-client'
import { EDGE_COUNTS_NAMES, type EdgeCounted, OF_A_REGION } from '../../shared/edge_counts.ts'

export interface EdgeDecisions {
  told(counted: EdgeCounted): void
  /** To be called whenever the counter has been read. */
  wasRead(): Promise<void>
}

/** @param regions all of the platform's */
export function edgeDecisions(registers: Registry[], regions: ReadonlyArray<string>): EdgeDecisions {
  const described = {
    name: 'coditect_edge_decisions_total',
    help: 'Requests that an edge refused, or let through without its limiter, and calls to limiters that failed; `of` which region, where an edge tells it to any.',
    labelNames: ['decision', 'of'] as const,
  }
  const shown = new Counter({ ...described, registers })
  const early = new Counter({ ...described, registers: [] })
  for (const decision of EDGE_COUNTS_NAMES) {
    if (!OF_A_REGION.has(decision)) shown.inc({ decision }, 0)
    else for (const of of regions) shown.inc({ decision, of }, 0)
  }
  let counter = early
  return {
    told({ count, ...what }) {
      counter.inc(what, count)
    },
    async wasRead() {
      if (counter === shown) return
      counter = shown
      for (const { labels, value } of (await early.get()).values) shown.inc(labels, value)
    },
  }
}
