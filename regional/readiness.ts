// Whether an instance wants requests. Not ready is no fault: load balancers send elsewhere, and come back.

export type Readiness = 'ready' | 'draining' | 'overloaded' | 'no_database'

export interface ReadinessOptions {
  /** Rejects when the database does not answer. */
  probe: () => Promise<void>
  /** Whether it takes no more changes. */
  broken: () => boolean
  draining: () => boolean
  overloaded: () => boolean
}

export async function readinessOf({
  probe,
  broken,
  draining,
  overloaded,
}: ReadinessOptions): Promise<Readiness> {
  if (draining()) return 'draining'
  if (broken()) return 'no_database'
  if (overloaded()) return 'overloaded'
  return probe().then(
    () => 'ready',
    () => 'no_database',
  )
}
