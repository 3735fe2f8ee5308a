// One question to a region: of its instances in turn, until one answers that stays.
import { ELSEWHERE_MS } from '../../shared/draining.ts'
import { DRAINING } from '../../shared/headers.ts'
import { Problem } from '../../shared/problems.ts'
import type { Region } from '../env.ts'
import { CLOSED, failed, opened } from './breaker.ts'
import type { Attempt } from './question.ts'

/**
 * @param maySendTwice also where an instance may have done it and not said so
 * @param ask one try, at one origin; it may find out meanwhile whether that is silent, and then end
 * @throws {Problem} `region_unavailable`
 */
export async function askInstances(
  { name, instances }: Region,
  maySendTwice: boolean,
  ask: (origin: string, isSilent: () => Promise<boolean>) => Promise<Attempt>,
): Promise<Response> {
  let turns = await instances.inTurn(maySendTwice)
  if (turns.length === 0) throw untouched(name)
  const isOnlyOne = instances.all.length === 1
  const most = isOnlyOne ? ELSEWHERE_MS.length : instances.all.length
  /** One has not answered, and may have done it. */
  let inDoubt = false
  for (let moves = 0; moves <= most; moves++) {
    let leaving: Response | undefined
    for (const instance of turns) {
      const result = await ask(instance.origin, () => instances.isSilent(instance))
      if (result.outcome === 'abandoned') throw unavailable(name)
      if (result.outcome === 'unreachable') {
        const { status = 500 } = result
        // Anything else may be said of this one request, such as of its length: nobody else is to lose the way by it.
        if (status >= 500) instance.breaker = failed(instance.breaker, Date.now())
        if (status !== TOO_MANY) inDoubt = true
        continue
      }
      leaving = result.response.headers.has(DRAINING) ? result.response : undefined
      if (leaving === undefined) {
        instance.breaker = CLOSED
        return result.response
      }
      // Behind an only origin stands a load balancer, which leads elsewhere some time.
      if (!isOnlyOne) instance.breaker = opened(Date.now())
      break
    }
    if (leaving === undefined) break
    await leaving.body?.cancel()
    turns = await instances.inTurn(maySendTwice)
    if (turns.length === 0 || moves === most) break
    if (isOnlyOne) await scheduler.wait(ELSEWHERE_MS[moves] ?? 0)
  }
  throw inDoubt ? unavailable(name) : untouched(name)
}

/** A cloud that lets no more through. */
const TOO_MANY = 429
const UNKNOWN = 'Whether a change was made is unknown; send it again with its Idempotency-Key.'

/** @param retryAfter in seconds */
export const unavailable = (region: string, what = UNKNOWN, retryAfter = '2'): Problem =>
  new Problem('region_unavailable', `The region ${region} does not answer. ${what}`, {
    headers: { 'retry-after': retryAfter },
  })

/** Not asked again so soon, or all who were asked took no more. */
const untouched = (region: string): Problem => unavailable(region, 'Nothing was done.', '1')
