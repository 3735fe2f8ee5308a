// One try at one instance: the region's answer from its first byte on, or why there is none.

export type Attempt =
  | { outcome: 'answered'; response: Response }
  /** Refused, reset or silent. The instance may have done the work all the same. */
  | { outcome: 'unreachable' }
  | { outcome: 'abandoned' }

/** `headerTimeoutMs` ends with the answer's headers: an event stream may run for hours. */
export async function attempt(
  url: string,
  init: RequestInit,
  client: AbortSignal,
  headerTimeoutMs: number,
): Promise<Attempt> {
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(), headerTimeoutMs)
  try {
    const response = await fetch(url, {
      ...init,
      // A redirect is the client's to follow, and an answer for one tenant is nobody else's to keep.
      redirect: 'manual',
      cache: 'no-store',
      signal: AbortSignal.any([client, silence.signal]),
    })
    return { outcome: 'answered', response }
  } catch {
    return { outcome: client.aborted ? 'abandoned' : 'unreachable' }
  } finally {
    clearTimeout(timer)
  }
}
