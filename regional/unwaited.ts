// Promises that reject with nobody waiting for them. To Node each one ends the process, and with it every tenant's requests.
// In a request or a job's step it is a mistake of that work alone, and is told: the transaction that it belongs to commits or
// fails all the same. Anywhere else it may be the end of what the region does all the time, its background work for example:
// the process ends, to be started again.
import { steppedNow } from './jobs/step.ts'
import type { Log } from './log.ts'
import { noted } from './observe/request.ts'

/**
 * Tells of one, when it is called where it rejected.
 * @returns whether the process may go on
 */
export function tellUnwaited(log: Log, error: unknown): boolean {
  const note = noted()
  const step = note === undefined ? steppedNow() : undefined
  if (note !== undefined) {
    const { requestId, route, tenant } = note
    const whose = tenant === undefined ? undefined : String(tenant)
    log.error('a promise was rejected that nobody waited for', { requestId, route, tenant: whose, error })
  } else if (step !== undefined) {
    const { job, kind, tenant } = step
    log.error('a promise was rejected that nobody waited for', { job, kind, tenant: String(tenant), error })
  } else {
    log.error('a promise of the region’s own was rejected, and nobody waited for it. The process ends', {
      error,
    })
  }
  return note !== undefined || step !== undefined
}
