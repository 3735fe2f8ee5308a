// What a region counts, in Prometheus' text format at /metrics. No label here holds a tenant: there are too many, and
// their numbers are nobody else's business.
import { Counter, Registry } from 'prom-client'

export interface Metrics {
  registry: Registry
  /** Calls that a fence refused: each one is a bug or an attack. */
  isolationViolations: Counter
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
  }
}
