// Fetches JSON from a host that a tenant has named. It may be slow, huge, lying, or point somewhere else: an answer is
// small, whole, in time, and from that very URL, or there is none. OWASP's SSRF advice, as far as a Worker can follow
// it; names that resolve to private addresses are the runtime's to refuse (docs/isolation.md).
import { isFetchable } from '../../../shared/issuer.ts'

export const FETCH_TIMEOUT_MS = 3_000
const MAX_BYTES = 64 * 1024

/** @throws {Error} for anything but a JSON object. @param development lets http of this machine through */
export async function fetchJson(url: string, development: boolean): Promise<Record<string, unknown>> {
  if (!isFetchable(url, development)) throw new Error('not a URL to fetch')
  const response = await fetch(url, {
    headers: { accept: 'application/json' },
    // Where it leads to, nobody has checked.
    redirect: 'manual',
    cache: 'no-store',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error('not a plain answer')
  }
  const value: unknown = JSON.parse(await textOf(response))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not an object')
  return value as Record<string, unknown>
}

async function textOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let text = ''
  let bytes = 0
  const reader = body?.getReader()
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true }
    if (done || value === undefined) return text + decoder.decode()
    bytes += value.length
    if (bytes > MAX_BYTES) {
      await reader?.cancel()
      throw new Error('too large')
    }
    text += decoder.decode(value, { stream: true })
  }
}
