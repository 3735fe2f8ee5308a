// Stage four, forward: the request as the region will see it, signed for it, and the region's answer as the client
// will see it. What may safely be sent twice gets a second chance when an instance does not answer.
import { signAssertion } from '../../shared/assertion.ts'
import { utf8 } from '../../shared/bytes.ts'
import {
  ASSERTION,
  CLIENT_IP,
  DRAINING,
  EDGE_COUNTS,
  IDEMPOTENCY_KEY,
  MOVED_TO,
  REQUEST_DEADLINE,
  REQUEST_ID,
  SNAPSHOT,
} from '../../shared/headers.ts'
import type { Principal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import type { HeaderFields, RequestContext } from '../context.ts'
import type { Region } from '../env.ts'
import { attempt } from './attempt.ts'
import type { Instances } from './instances.ts'
import { strippedRequestHeaders } from './strip.ts'
import { traceHeaders } from './trace.ts'

/** For one attempt, and told to the region as its deadline. Longer than a region works on any request anyway. */
export const HEADER_TIMEOUT_MS = 10_000
/** Node reads 16 KiB of request line and headers; the rest is for what the connection adds. */
const MAX_HEAD_BYTES = 15 * 1024
const RETRY_AFTER_MS = 2_000
/**
 * Before each further try where one origin leads to several instances, and the one that answered is leaving: whoever
 * balances notices within some seconds, by its probes. Nothing was done, so any request may wait for that.
 */
const ELSEWHERE_MS = [0, 100, 200, 400, 800, 1_600]

export interface Forwarding {
  region: Region
  publicOrigin: string
  headerTimeoutMs: number
  instances: Instances
  /** What the edge tells the region beside the request, by internal header. */
  told: Readonly<Record<string, string>>
  /** Where a tenant may have moved to. */
  regions: ReadonlyMap<string, Region>
}

/**
 * The region's answer, as it gave it.
 * @throws {Problem} `region_unavailable` when no instance answers; `request_head_too_large` for what no region could read
 */
export async function forward(context: RequestContext, forwarding: Forwarding): Promise<Response> {
  const { body } = context
  const first = await ask(context, body, forwarding)
  const moved = movedTo(first, forwarding)
  if (moved === undefined) return first
  await first.body?.cancel()
  // Whatever snapshot is held is of the time before the move, and what was counted has been told.
  const { [SNAPSHOT]: _, [EDGE_COUNTS]: _told, ...told } = forwarding.told
  return ask(context, body, { ...forwarding, region: moved, told })
}

/** Where the region of a first answer says that the tenant is now. */
function movedTo({ status, headers }: Response, { region, regions }: Forwarding): Region | undefined {
  const name = status === 421 ? headers.get(MOVED_TO) : null
  return name === null || name === region.name ? undefined : regions.get(name)
}

async function ask(
  context: RequestContext,
  body: Uint8Array<ArrayBuffer> | undefined,
  forwarding: Forwarding,
): Promise<Response> {
  const { region, headerTimeoutMs, instances } = forwarding
  const { request, method, target } = context
  const headers = await headersFor(context, forwarding)
  if (headBytes(target, headers) > MAX_HEAD_BYTES) {
    throw new Problem('request_head_too_large', 'Path, query and headers are too long together.')
  }
  const init = { method, headers, ...(body && { body }) }
  const twice = maySendTwice(context)
  let turns = instances.inTurn(region, twice, Date.now())
  if (turns.length === 0) throw notAsked(region.name, instances.waitMs(region, Date.now()))
  const isOnlyOne = region.origins.length === 1
  const most = isOnlyOne ? ELSEWHERE_MS.length : region.origins.length
  for (let moves = 0; moves <= most; moves++) {
    let leaving: Response | undefined
    for (const turn of turns) {
      headers[REQUEST_DEADLINE] = String(Date.now() + headerTimeoutMs)
      const result = await attempt(turn.origin + target, init, request.signal, headerTimeoutMs)
      if (result.outcome === 'abandoned') throw unavailable(region.name)
      if (result.outcome === 'unreachable') {
        instances.unreachable(turn, Date.now())
        continue
      }
      leaving = result.response.headers.has(DRAINING) ? result.response : undefined
      if (leaving === undefined) {
        instances.answered(turn)
        return result.response
      }
      // Behind an only origin stands a load balancer, which leads elsewhere some time.
      if (!isOnlyOne) instances.leaving(turn, Date.now())
      break
    }
    if (leaving === undefined) break
    turns = instances.inTurn(region, twice, Date.now())
    if (turns.length === 0 || moves === most) return leaving
    await leaving.body?.cancel()
    if (isOnlyOne) await scheduler.wait(ELSEWHERE_MS[moves] ?? 0)
  }
  throw unavailable(region.name)
}

const UNKNOWN = 'Whether a change was made is unknown; send it again with its Idempotency-Key.'

export const unavailable = (region: string, what = UNKNOWN, retryAfterMs = RETRY_AFTER_MS): Problem =>
  new Problem('region_unavailable', `The region ${region} does not answer. ${what}`, {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) },
  })

const notAsked = (region: string, waitMs: number): Problem =>
  unavailable(region, 'It was not asked again so soon, and nothing was done.', waitMs)

async function headersFor(
  { requestId, startMs, method, headers, target, principal, clientIp }: RequestContext,
  { region, publicOrigin, told }: Forwarding,
): Promise<HeaderFields> {
  const asserted = { region: region.name, method, target, requestId, publicOrigin }
  return {
    ...strippedRequestHeaders(headers),
    ...traceHeaders(headers, startMs),
    [REQUEST_ID]: requestId,
    ...told,
    ...(clientIp !== undefined && { [CLIENT_IP]: clientIp }),
    ...(principal && { [ASSERTION]: await signAssertion(asserted, principal, region.assertionKey) }),
  }
}

function headBytes(target: string, headers: HeaderFields): number {
  let bytes = target.length
  for (const [name, value] of Object.entries(headers)) {
    bytes += name.length + 4 + (IS_ASCII.test(value) ? value.length : utf8(value).length)
  }
  return bytes
}

const IS_ASCII = /^[\x20-\x7e\t]*$/

/** These are known again by what they carry: a signed URL is its own idempotency key, and a webhook has its event's id. */
const OWN_KEYS: ReadonlySet<Principal['kind'] | undefined> = new Set(['signed_url', 'webhook_source'])

/** RFC 9110 section 9.2.2. A region that has done it answers as it did then. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE'])

/** What can't do a thing twice gets a second chance. */
const maySendTwice = ({ method, headers, principal }: RequestContext): boolean =>
  IDEMPOTENT.has(method) || headers.has(IDEMPOTENCY_KEY) || OWN_KEYS.has(principal?.kind)
