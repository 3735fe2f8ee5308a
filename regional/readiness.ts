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

/** @param exclude what is no reason not to be ready, for who asks */
export async function readinessOf(
  { probe, broken, draining, overloaded }: ReadinessOptions,
  exclude?: string,
): Promise<Readiness> {
  if (draining()) return 'draining'
  if (broken()) return 'no_database'
  if (exclude !== ('overloaded' satisfies Readiness) && overloaded()) return 'overloaded'
  return probe().then(
    () => 'ready',
    () => 'no_database',
  )
}
