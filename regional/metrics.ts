// What a region counts, in Prometheus' text format at /metrics. No label here holds a tenant: there are too many, and
// their numbers are nobody else's business.
import { Counter, Registry } from 'prom-client'

export interface Metrics {
  registry: Registry
  /** Calls that a fence refused: each one is a bug or an attack. */
  isolationViolations: Counter
  /** What edges decided without asking a region (shared/edge_counts.ts). */
  edgeDecisions: Counter<'decision'>
}

export function regionMetrics(region: string): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ region })
  return {
    registry,
    isolationViolations: new Counter({
      name: 'coditect_isolation_violations_total',
      help: 'Calls that a fence refused because they would have left their tenant.',
      registers: [registry],
    }),
    edgeDecisions: new Counter({
      name: 'coditect_edge_decisions_total',
      help: 'Requests that an edge refused, or let through without its limiter, and calls to limiters that failed.',
      labelNames: ['decision'],
      registers: [registry],
    }),
  }
}
