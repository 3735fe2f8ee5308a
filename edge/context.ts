// One request on its way through the edge: what it says, and what the stages decide of it. Each look at a native request
// crosses the runtime's boundary and costs about a microsecond, so all that any stage needs is read once, here.
import { TENANT } from '../shared/headers.ts'
import { type Id, newId } from '../shared/ids.ts'
import { isOfTenant, type Principal, type TenantPrincipal } from '../shared/principal.ts'
import type { TenantSnapshot } from '../shared/snapshot.ts'
import type { TenantNumber } from '../shared/tenant.ts'
import type { Region } from './env.ts'
import { clientIp } from './forward/client_ip.ts'
import type { Identity } from './identify/identity.ts'
import type { HostName } from './locate/host.ts'
import { targetOf } from './target.ts'

/** By name, in lower case. */
export type HeaderFields = Record<string, string>

export interface RequestContext {
  /** For its body and its end; whatever else it says stands below. */
  readonly request: Request
  readonly requestId: Id<'req'>
  /** When it came, in milliseconds since 1970. */
  readonly startMs: number
  readonly method: string
  readonly url: string
  readonly path: string
  /** By name, in lower case; repeated ones are joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  /** Where it came from, where the runtime tells. */
  readonly clientIp: string | undefined
  /** While it is forwarded: see `forward/body.ts`. */
  body?: Uint8Array<ArrayBuffer> | undefined
  /** Path and query to ask a region for. */
  target: string
  /** What the host names. */
  named?: HostName
  /** What `X-Tenant` says. */
  claimedTenant: string | undefined
  /** The tenant that the host's name is of. */
  host?: TenantNumber | undefined
  identity?: Identity
  /** The region says that the identity was read by providers that have changed. It did nothing. */
  outdated?: boolean
  region?: Region
  principal?: Principal | undefined
  /** What the tenant's region said of it within the last minute. */
  snapshot?: TenantSnapshot | undefined
  /** What it said last, however long ago: nearer to the tenant's plan and limits than any guess. */
  lastSnapshot?: TenantSnapshot | undefined
  /** How long it has waited for others before the region had it that answers, in milliseconds. */
  waitedMs: number
  /** How long others had it, that region included; undefined until one has answered. */
  elsewhereMs?: number
  /** Pages of other origins may read the answer, where the tenant has named them. */
  shared?: true
  /** What the stages say with the answer, whoever gives it. */
  readonly fields: HeaderFields
}

const contexts = new WeakMap<Request, RequestContext>()

/** The same one however often it is asked for. */
export function contextOf(request: Request): RequestContext {
  const known = contexts.get(request)
  if (known !== undefined) return known
  const { url } = request
  const { path, full } = targetOf(url)
  const startMs = Date.now()
  const headers = new Map(request.headers)
  const context: RequestContext = {
    request,
    requestId: newId('req', startMs),
    startMs,
    method: request.method,
    url,
    path,
    headers,
    claimedTenant: headers.get(TENANT),
    clientIp: clientIp(request),
    target: full,
    waitedMs: 0,
    fields: {},
  }
  contexts.set(request, context)
  return context
}

/** What it waits for here is others' to give: its client's, or another machine's. */
export async function waiting<T>(context: RequestContext, others: Promise<T>): Promise<T> {
  const fromMs = Date.now()
  const given = await others
  context.waitedMs += Date.now() - fromMs
  return given
}

/** @throws {Error} where a stage comes before the one that it builds on */
export function decided<T>(what: T | undefined): T {
  if (what === undefined) throw new Error('the stages are out of order')
  return what
}

export const ofTenant = (principal: Principal | undefined): principal is TenantPrincipal =>
  principal !== undefined && isOfTenant(principal)
