// How loaded a region's process is: what an operator looks at before it is too late.
import { eventLoopMeter } from '../admission/load.ts'

export interface RegionLoad {
  /** RFC 3339 */
  startedAt: string
  instances: number
  /** Of the event loop since it was last asked, from 0 to 1. */
  utilisation: number
  /** Resident memory of the process. */
  memoryBytes: number
}

export function loadMeter(startedMs: number, instances: () => number): () => RegionLoad {
  const busy = eventLoopMeter()
  return () => {
    return {
      startedAt: new Date(startedMs).toISOString(),
      instances: instances(),
      utilisation: Math.round(busy() * 1_000) / 1_000,
      memoryBytes: process.memoryUsage.rss(),
    }
  }
}
