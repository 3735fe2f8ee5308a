// A question of the edge's own to a region (shared/edge_calls.ts): small, short, and of the next instance when one is
// silent.
import { signAssertion } from '../../shared/assertion.ts'
import { ASSERTION, REQUEST_ID } from '../../shared/headers.ts'
import { newId } from '../../shared/ids.ts'
import type { Region } from '../env.ts'

/** Of one instance. */
export const ASK_TIMEOUT_MS = 2_000
export const MAX_ASKED = 2

/** @throws {Error} when no instance gives a plain answer */
export async function askRegion({ name, origins, assertionKey }: Region, path: string): Promise<unknown> {
  for (const origin of origins.slice(0, MAX_ASKED)) {
    const requestId = newId('req')
    const asked = { region: name, method: 'GET', target: path, requestId }
    const answer = await fetch(origin + path, {
      headers: {
        [ASSERTION]: await signAssertion(asked, { kind: 'edge' }, assertionKey),
        [REQUEST_ID]: requestId,
      },
      redirect: 'manual',
      cache: 'no-store',
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    }).catch(() => undefined)
    if (answer?.status === 200) return answer.json()
    await answer?.body?.cancel()
  }
  throw new Error(`the region ${name} does not answer`)
}
