// What one try at one instance comes to; and a question of the edge's own, which is small and short.
import { DRAINING, TOOK } from '../../shared/headers.ts'

export type Attempt =
  | { outcome: 'answered'; response: Response }
  /**
   * Refused, reset or silent, or answered by whoever stands before it, with this status. The instance may have done the work
   * all the same.
   */
  | { outcome: 'unreachable'; status?: number | undefined }
  | { outcome: 'abandoned' }

/** A question of the edge's own. The time is for the answer's body as well: nobody but us would give up on it. */
export async function ask(
  url: string,
  headers: Readonly<Record<string, string>>,
  withinMs: number,
): Promise<Attempt> {
  try {
    const response = await fetch(url, { headers, ...AS_IT_COMES, signal: AbortSignal.timeout(withinMs) })
    if (isOfRegion(response)) return { outcome: 'answered', response }
    await response.body?.cancel()
  } catch {
    // As who says nothing.
  }
  return { outcome: 'unreachable' }
}

/** A redirect is the client's to follow, and an answer for one tenant is nobody else's to keep. */
export const AS_IT_COMES = { redirect: 'manual', cache: 'no-store' } as const

/** Whoever stands before an instance may answer in its place: a load balancer without one, a cloud that has none to spare. */
export const isOfRegion = ({ headers }: Response): boolean => headers.has(TOOK) || headers.has(DRAINING)
