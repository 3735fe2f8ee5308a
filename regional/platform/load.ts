// How loaded a region's process is: what an operator looks at before it is too late. It is that of whichever process of the
// region answers; all of them are what `/metrics` is for.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Readiness } from '../readiness.ts'

export interface RegionLoad {
  /** RFC 3339 */
  startedAt: string
  instances: number
  readiness: Readiness
  /** As the metric `coditect_utilisation`. */
  utilisation: number
  /** Resident memory of the process. */
  memoryBytes: number
}

export interface LoadParts {
  startedMs: number
  /** Of this process. */
  instances: number
  utilisation: () => number
  /** Never rejects. */
  readiness: () => Promise<Readiness>
}

/** A database that needs longer is told as none: who asks waits for all regions, and takes one that is silent to be unreachable. */
const READY_WITHIN_MS = 2_000

export const loadMeter =
  ({ startedMs, instances, utilisation, readiness }: LoadParts) =>
  async (): Promise<RegionLoad> => ({
    startedAt: new Date(startedMs).toISOString(),
    instances,
    readiness: await Promise.race([
      readiness(),
      sleep(READY_WITHIN_MS, 'no_database' as const, { ref: false }),
    ]),
    utilisation: Math.round(utilisation() * 1_000) / 1_000,
    memoryBytes: process.memoryUsage.rss(),
  })
