// One try at one instance: the region's answer from its first byte on, or why there is none.
import { AS_IT_COMES, type Attempt, isOfRegion } from './question.ts'

/** Whoever has not answered by then is asked whether it answers at all. */
const PATIENCE_MS = 1_000

/**
 * `headerTimeoutMs` ends with the answer's headers: an event stream may run for hours. An instance that is given up on is
 * not told, and a wait that is over is not cleared: the runtime ends both together with the request, and a signal and a
 * timer of our own would cost each forward a tenth of its time.
 * @param isSilent whether not to wait any longer
 */
export async function attempt(
  url: string,
  init: RequestInit,
  client: AbortSignal,
  headerTimeoutMs: number,
  isSilent: () => Promise<boolean>,
): Promise<Attempt> {
  const asked = fetch(url, { ...init, ...AS_IT_COMES, signal: client })
  const within = (ms: number) => Promise.race([asked, scheduler.wait(ms)])
  try {
    const soonMs = Math.min(PATIENCE_MS, headerTimeoutMs)
    let response = await within(soonMs)
    if (!response && (await Promise.race([asked, isSilent()])) !== true) {
      response = await within(headerTimeoutMs - soonMs)
    }
    if (response && isOfRegion(response)) return { outcome: 'answered', response }
    asked.then(({ body }) => body?.cancel()).catch(() => {})
    return { outcome: 'unreachable', status: response?.status }
  } catch {
    return { outcome: client.aborted ? 'abandoned' : 'unreachable' }
  }
}
