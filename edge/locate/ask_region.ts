// A question of the edge's own to a region (shared/edge_calls.ts): small, short, and of the next instance when one is
// silent or leaving.
import { signAssertion } from '../../shared/assertion.ts'
import { ELSEWHERE_MS } from '../../shared/draining.ts'
import { ASSERTION, REQUEST_ID } from '../../shared/headers.ts'
import { newId } from '../../shared/ids.ts'
import type { Region } from '../env.ts'
import { askInstances } from '../forward/ask_instances.ts'
import { LONGEST_PAUSE_MS } from '../forward/breaker.ts'
import { MAX_TURNS } from '../forward/instances.ts'
import { type Attempt, ask } from '../forward/question.ts'

/** Of one instance. */
const ASK_TIMEOUT_MS = 2_000
/** Of all that are asked, after a probe of them. */
export const ASKED_WITHIN_MS = ELSEWHERE_MS.reduce(
  (sum, ms) => sum + ms,
  LONGEST_PAUSE_MS + MAX_TURNS * ASK_TIMEOUT_MS,
)

/** @throws {Error} when no instance gives a plain answer */
export async function askRegion(region: Region, path: string): Promise<unknown> {
  const answer = await askInstances(region, true, (origin) => question(region, origin, path))
  if (answer.status === 200) return answer.json()
  await answer.body?.cancel()
  throw new Error('not a plain answer')
}

async function question({ name, assertionKey }: Region, origin: string, path: string): Promise<Attempt> {
  const requestId = newId('req')
  const asked = { region: name, method: 'GET', target: path, requestId }
  const headers = {
    [ASSERTION]: await signAssertion(asked, { kind: 'edge' }, assertionKey),
    [REQUEST_ID]: requestId,
  }
  return ask(origin + path, headers, ASK_TIMEOUT_MS)
}
