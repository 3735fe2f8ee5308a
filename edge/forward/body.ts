// Buffers a request's body, so that it can be sent again: within a time, and within what the isolate can hold. Counts as it
// reads: a chunked body announces no length.
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { Problem } from '../../shared/problems.ts'
import { ofTenant, type RequestContext, waiting } from '../context.ts'
import type { Counts } from '../counts.ts'
import { gathered } from '../gathered.ts'
import { isReading } from '../reading.ts'
import type { Stage } from '../stage.ts'
import type { BodyBudget, BodyOwner, HeldBody } from './body_budget.ts'

/** No more than its request takes anyway, so it is not counted. */
export const SMALL_BYTES = 4_096
/** A body has this long to arrive, and longer for what it may be large: as long as half a megabit a second takes. */
const LEAST_MS = 10_000
const BYTES_PER_MS = 64

type Bytes = Uint8Array<ArrayBuffer>

export interface BodyDependencies {
  budget: BodyBudget
  counts: Counts
  now: () => number
}

/**
 * Does the work with the request's body in its context, and holds it no longer.
 * @throws {Problem} `body_too_large`; `body_too_slow`; `overloaded` where there is no room for it; `malformed_request` for a
 *   body that ends early
 */
export type WithBody = <T>(context: RequestContext, owner: BodyOwner, work: () => Promise<T>) => Promise<T>

export function holdingBodies({ budget, counts, now }: BodyDependencies): WithBody {
  return async function withBody(context, owner, work) {
    let held: HeldBody | undefined
    const take = (bytes: number): void => {
      if (held === undefined) {
        held = budget.begin(owner, now())
        // The runtime drops a request whose client has left, and nothing of it runs any more but this.
        context.request.signal.addEventListener('abort', held.release)
      }
      if (held.take(bytes)) return
      counts.add('overloaded')
      throw noRoom()
    }
    try {
      context.body = await waiting(context, readBody(context, take))
      return await work()
    } finally {
      context.body = undefined
      held?.release()
    }
  }
}

/** The stage that the request's body is there for. */
export function buffering(withBody: WithBody, answering: Stage): Stage {
  return function buffering(context) {
    const { method, principal } = context
    if (isReading(method)) return answering(context)
    const owner = ofTenant(principal) ? principal.tenant : principal?.kind
    return withBody(context, owner, async () => answering(context))
  }
}

/** @param take told of what will be held, before it is; throws when that is too much */
async function readBody(
  { request, headers }: RequestContext,
  take: (bytes: number) => void,
): Promise<Bytes | undefined> {
  const { body } = request
  if (body === null) return undefined
  const announced = headers.get('content-length')
  if (Number(announced) > MAX_BODY_BYTES) throw tooLarge()
  // The runtime reads no further than was announced, and gathers it for a fraction of what a reader costs.
  const isBounded = announced !== undefined && /^\d+$/.test(announced) && !headers.has('transfer-encoding')
  if (isBounded) {
    const bytes = Number(announced)
    if (bytes > SMALL_BYTES) take(bytes)
    return new Uint8Array(await inTime(request.arrayBuffer().catch(endedEarly), bytes))
  }
  const reader = body.getReader()
  try {
    let taken = 0
    const hold = (length: number) => {
      if (length > MAX_BODY_BYTES) throw tooLarge()
      if (length <= SMALL_BYTES) return
      take(length - taken)
      taken = length
    }
    return await inTime(
      gathered(() => reader.read().catch(endedEarly), hold),
      MAX_BODY_BYTES,
    )
  } catch (error) {
    await reader.cancel().catch(() => {})
    throw error
  }
}

/** @throws {Problem} `body_too_slow` */
async function inTime<T>(read: Promise<T>, bytes: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(tooSlow()), LEAST_MS + bytes / BYTES_PER_MS)
  try {
    return await Promise.race([read, late])
  } finally {
    // What waits for it would keep the body.
    clearTimeout(timer)
  }
}

const endedEarly = (): never => {
  throw new Problem('malformed_request', 'The body ended before its announced length.')
}

const tooLarge = () => new Problem('body_too_large', `A body has at most ${MAX_BODY_BYTES} bytes.`)

const tooSlow = () => new Problem('body_too_slow', 'The body did not arrive in time. Nothing was done.')

const noRoom = () =>
  new Problem('overloaded', 'The edge has no room for this body now. Nothing was done.', {
    headers: { 'retry-after': '1' },
  })
