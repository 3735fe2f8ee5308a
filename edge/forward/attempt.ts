// One try at one instance: the region's answer from its first byte on, or why there is none.
import { DRAINING, TOOK } from '../../shared/headers.ts'

export type Attempt =
  | { outcome: 'answered'; response: Response }
  /** Refused, reset or silent, or a failure of whoever stands before it. The instance may have done the work all the same. */
  | { outcome: 'unreachable' }
  | { outcome: 'abandoned' }

/**
 * `headerTimeoutMs` ends with the answer's headers: an event stream may run for hours. An instance that is given up on is
 * not told, and a wait that is over is not cleared: the runtime ends both together with the request, and a signal and a
 * timer of our own would cost each forward a tenth of its time.
 */
export async function attempt(
  url: string,
  init: RequestInit,
  client: AbortSignal,
  headerTimeoutMs: number,
): Promise<Attempt> {
  // A redirect is the client's to follow, and an answer for one tenant is nobody else's to keep.
  const asked = fetch(url, { ...init, redirect: 'manual', cache: 'no-store', signal: client })
  try {
    const response = await Promise.race([asked, scheduler.wait(headerTimeoutMs)])
    if (response && !isInItsPlace(response)) return { outcome: 'answered', response }
    asked.then(({ body }) => body?.cancel()).catch(() => {})
    return { outcome: 'unreachable' }
  } catch {
    return { outcome: client.aborted ? 'abandoned' : 'unreachable' }
  }
}

/** What a load balancer says of an instance. */
export const isInItsPlace = ({ status, headers }: Response): boolean =>
  status >= 500 && !headers.has(TOOK) && !headers.has(DRAINING)
