// An instance that is leaving (`coditect-draining`) did nothing, so whoever asked it asks elsewhere, whatever it was.

/**
 * Before each further try where one address leads to several instances: whoever balances them notices within some
 * seconds, by its probes.
 */
export const ELSEWHERE_MS: ReadonlyArray<number> = [0, 100, 200, 400, 800, 1_600]
