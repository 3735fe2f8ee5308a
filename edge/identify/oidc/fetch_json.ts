// Fetches JSON from a host that a tenant has named. It may be slow, huge, lying, or point somewhere else: an answer is
// small, whole, in time, and from that very URL, or there is none. OWASP's SSRF advice, as far as a Worker can follow
// it; names that resolve to private addresses are the runtime's to refuse (docs/isolation.md).
import { isFetchable } from '../../../shared/issuer.ts'
import type { Claims } from '../../../shared/person.ts'
import { gathered } from '../../gathered.ts'
import { jsonObject } from '../jwt_text.ts'

export const FETCH_TIMEOUT_MS = 3_000
const MAX_BYTES = 64 * 1024

/** @throws {Error} for anything but a JSON object. @param development lets http of this machine through */
export async function fetchJson(url: string, development: boolean): Promise<Claims> {
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
  const reader = response.body?.getReader()
  const value = reader && jsonObject(await gathered(() => reader.read(), holding(reader)))
  if (value === undefined) throw new Error('not an object')
  return value
}

const holding = (reader: ReadableStreamDefaultReader) => (length: number) => {
  if (length <= MAX_BYTES) return
  reader.cancel().catch(() => {})
  throw new Error('too large')
}
