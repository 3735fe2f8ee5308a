// Stage four, forward: the request as the region will see it, signed for it, and the region's answer as the client
// will see it. What may safely be sent twice gets a second chance when an instance does not answer.
import { signAssertion } from '../../shared/assertion.ts'
import { utf8 } from '../../shared/bytes.ts'
import {
  ASSERTION,
  CLIENT_IP,
  EDGE_COUNTS,
  IDEMPOTENCY_KEY,
  MOVED_TO,
  PLAN,
  REQUEST_DEADLINE,
  REQUEST_ID,
  SNAPSHOT,
} from '../../shared/headers.ts'
import { Problem } from '../../shared/problems.ts'
import { writeVersion } from '../../shared/snapshot.ts'
import { decided, type HeaderFields, type RequestContext } from '../context.ts'
import type { Counts } from '../counts.ts'
import type { Region } from '../env.ts'
import { isReading } from '../reading.ts'
import { askInstances } from './ask_instances.ts'
import { attempt } from './attempt.ts'
import { strippedRequestHeaders } from './strip.ts'
import { traceHeaders } from './trace.ts'

/** For one attempt, and told to the region as its deadline. Longer than a region works on any request anyway. */
export const HEADER_TIMEOUT_MS = 10_000
/** Node reads 16 KiB of request line and headers; the rest is for what the connection adds. */
const MAX_HEAD_BYTES = 15 * 1024

export interface Forwarding {
  publicOrigin: string
  headerTimeoutMs: number
  /** Where a tenant may have moved to. */
  regions: ReadonlyMap<string, Region>
  /** Told to whichever region a request goes to. */
  counts: Counts
}

/**
 * The region's answer, as it gave it.
 * @throws {Problem} `region_unavailable` when no instance answers; `request_head_too_large` for what no region could read
 */
export async function forward(context: RequestContext, forwarding: Forwarding): Promise<Response> {
  const first = await ask(context, forwarding)
  const name = first.status === 421 ? first.headers.get(MOVED_TO) : null
  const moved = forwarding.regions.get(name ?? '')
  // Where the region says that the tenant is now.
  if (moved === undefined || moved === context.region) return first
  await first.body?.cancel()
  context.region = moved
  // Whatever is held is of the time before the move.
  context.snapshot = undefined
  return ask(context, forwarding)
}

async function ask(context: RequestContext, forwarding: Forwarding): Promise<Response> {
  const { headerTimeoutMs, counts } = forwarding
  const { request, method, target, body, principal } = context
  const region = decided(context.region)
  const headers = await headersFor(context, region, forwarding)
  // Only a request that speaks for someone is believed about more than itself.
  const counted = principal && counts.take()
  if (counted) headers[EDGE_COUNTS] = counted.text
  let response: Response | undefined
  try {
    if (headBytes(target, headers) > MAX_HEAD_BYTES) {
      throw new Problem('request_head_too_large', 'Path, query and headers are too long together.')
    }
    const init = { method, headers, ...(body && { body }) }
    const fromMs = Date.now()
    let triedMs = fromMs
    response = await askInstances(region, maySendTwice(context), (origin, isSilent) => {
      triedMs = Date.now()
      headers[REQUEST_DEADLINE] = String(triedMs + headerTimeoutMs)
      return attempt(origin + target, init, request.signal, headerTimeoutMs, isSilent)
    })
    // What came to nothing before the try that was answered.
    context.waitedMs += triedMs - fromMs
    return response
  } finally {
    if (!response) counted?.putBack()
  }
}

async function headersFor(
  context: RequestContext,
  region: Region,
  { publicOrigin }: Forwarding,
): Promise<HeaderFields> {
  const { requestId, startMs, method, headers, target, principal, clientIp, snapshot, lastSnapshot } = context
  const passed = strippedRequestHeaders(headers)
  const idempotencyKey = passed[IDEMPOTENCY_KEY]
  const asserted = { region: region.name, method, target, requestId, idempotencyKey, publicOrigin }
  return {
    ...passed,
    ...traceHeaders(headers, startMs),
    [REQUEST_ID]: requestId,
    ...(snapshot && { [SNAPSHOT]: writeVersion(snapshot) }),
    ...(lastSnapshot && { [PLAN]: lastSnapshot.plan }),
    ...(clientIp !== undefined && { [CLIENT_IP]: clientIp }),
    ...(principal && { [ASSERTION]: await signAssertion(asserted, principal, region.assertionKey) }),
  }
}

function headBytes(target: string, headers: HeaderFields): number {
  let bytes = target.length
  for (const [name, value] of Object.entries(headers)) {
    bytes += name.length + 4 + (IS_ASCII.test(value) ? value.length : utf8(value).length)
    // Node would close the connection for it, with an answer that is nobody's.
    if (!IS_TEXT.test(value)) {
      throw new Problem('malformed_request', `The header ${name} has a control character.`)
    }
  }
  return bytes
}

const IS_ASCII = /^[\x20-\x7e\t]*$/
const IS_TEXT = /^[\t\x20-\x7e\x80-\uffff]*$/

/** A region knows a tenant's or an operator's request again by its id, and what strangers ask it does not remember. */
const maySendTwice = ({ method, principal }: RequestContext): boolean =>
  isReading(method) || (principal !== undefined && principal.kind !== 'edge')
