// What edges tell a region that they decided, as a counter for Prometheus.
import type { Registry } from 'prom-client'
import { EDGE_COUNTS_NAMES, OF_A_REGION } from '../../shared/edge_counts.ts'
import { type WholeCounter, wholeCounter } from './whole_counter.ts'

/** @param regions all of the platform's */
export const edgeDecisions = (
  registers: Registry[],
  regions: ReadonlyArray<string>,
): WholeCounter<'decision' | 'of'> =>
  wholeCounter(
    {
      name: 'coditect_edge_decisions_total',
      help: 'Requests that an edge refused, or let through without its limiter, and calls to limiters that failed; `of` which region, where an edge tells it to any.',
      labelNames: ['decision', 'of'],
      registers,
    },
    EDGE_COUNTS_NAMES.flatMap((decision) =>
      OF_A_REGION.has(decision) ? regions.map((of) => ({ decision, of })) : [{ decision }],
    ),
  )
