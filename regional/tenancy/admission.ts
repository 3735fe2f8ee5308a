// admit: who is let in, read in the transaction of the work itself. Whatever an edge has cached, a revoked key or a
// suspended tenant is refused from the commit of that change on.
import { CREDENTIAL_REFUSED, MOVED_TO, STALE_PROVIDERS } from '../../shared/headers.ts'
import type { TenantPrincipal } from '../../shared/principal.ts'
import { PROBLEMS, Problem, type ProblemCode } from '../../shared/problems.ts'
import type { SnapshotVersion, TenantSnapshot } from '../../shared/snapshot.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Asking } from '../admission/admission.ts'
import { noted, timed } from '../observe/request.ts'
import type { TransactionMeter } from '../storage/metered.ts'
import type { Actor } from './audit.ts'
import { authorise, type Wanted } from './authorise.ts'
import type { CredentialUses } from './credential_uses.ts'
import type { Sealer } from './idempotency.ts'
import type { ShardLoan, ShardLoans } from './quotas.ts'
import type { LogStanding } from './records.ts'
import type { RefusalLog } from './refusals.ts'
import type { Bounds, RegionDatabase, TenantScope } from './region_database.ts'
import { joining, wordFollows } from './sign_in.ts'
import { newerSnapshot } from './snapshot.ts'
import type { UsageMeter } from './usage.ts'
import type { Verified } from './verify.ts'

declare const authorised: unique symbol

/** Who a service works for. Only {@link admit} makes one, from a verified assertion and a credential that held. */
export interface TenantContext {
  readonly [authorised]: true
  readonly tenant: TenantNumber
  readonly principal: TenantPrincipal
  /** Whom the audit trail names. */
  readonly actor: Actor
  readonly scopes: ReadonlyArray<string>
  readonly requestId: string
  readonly clientIp: string | undefined
  /** Where the tenant's clients find the edge. */
  readonly publicOrigin: string | undefined
  /** The time that this request counts as, in milliseconds since 1970. */
  readonly nowMs: number
}

/** A tenant's request, once it is known to come through the edge. */
export interface TenantRequest extends Wanted {
  verified: Verified<TenantPrincipal>
  /** The service that answers it. */
  service: string
  /** `<service>.<operation>`, as the audit trail names it. */
  action: string
  /** `read`: never waits for a commit. `sensitive`: a read that is audited. */
  kind: 'read' | 'sensitive' | 'write'
  /** Method and route, such as `post /v1/projects`. */
  route: string
  /** Shuts the organisation. */
  erases?: true | undefined
  /** What the path says that it is done to, for the audit trail. */
  target: string | undefined
  /** What the client sent beside the key: path, query and body. */
  content: Uint8Array
  clientIp: string | undefined
  /** When nobody waits for the answer any more, in milliseconds since 1970. */
  deadlineMs?: number | undefined
  /** Aborts when whoever asks has gone away. Asked for only by who waits. */
  client?: { readonly signal: AbortSignal } | undefined
  /** Of the tenant, beside others in a busy region. */
  weight: number
  /** Counts what it costs. */
  meter?: TransactionMeter | undefined
  /** The version of the tenant's snapshot that the edge holds. */
  held: SnapshotVersion | undefined
  /** Tells the edge of a newer one, whatever the answer will be. */
  tell: (snapshot: TenantSnapshot) => void
}

/**
 * The request as it asks for its turn. Without an accessor: each object with one of its own has a shape of its own, and V8 keeps
 * that, with all that it refers to, until the next collection of everything.
 */
export const askingOf = ({ verified, weight, action, deadlineMs, client }: TenantRequest): Asking => ({
  tenant: verified.principal.tenant,
  weight,
  operation: action,
  deadlineMs,
  asker: client,
})

export interface TransactDependencies {
  database: RegionDatabase
  sealer: Sealer
  loans: ShardLoans
  refusals: RefusalLog
  usage: UsageMeter
  uses: CredentialUses
  now: () => number
}

/** A request, and whom it turned out to be of: a member, or somebody who is none and may only become one by it. */
export type Asked = TenantRequest & { actor: Actor | undefined; isStranger?: boolean }

/** How long somebody waits for the answer, where anybody said; and who counts what it costs. */
export const boundsOf = ({ now }: TransactDependencies, { deadlineMs, meter }: TenantRequest): Bounds => ({
  withinMs: deadlineMs === undefined ? undefined : deadlineMs - now(),
  meter,
})

export interface Admitted {
  scopes: ReadonlyArray<string>
  nowMs: number
  logs: LogStanding
}

/**
 * @returns no actor for someone who is to become a member first, by `join`
 * @throws {Problem} unless the credential holds, the tenant is active, and the scope is given.
 */
export async function admit(
  { now, uses }: TransactDependencies,
  request: Asked,
  scope: TenantScope,
): Promise<{
  admitted: Admitted
  actor: Actor | undefined
  join: (loan: ShardLoan) => Promise<Actor>
  /** Where something is changed, after the work. */
  follow: () => Promise<void>
}> {
  const { verified, held, tell } = request
  const { principal, requestId } = verified
  const nowMs = now()
  request.actor = undefined
  const verdict = await timed('admit', () => authorise(scope, principal, request, nowMs))
  if (verdict.outcome === 'unknown') throw refusal(verdict.problem, principal)
  if (verdict.outcome === 'stale_providers') {
    // The edge finds out anew who asks, and asks again: no client sees this answer, so it is no failure.
    const note = noted()
    if (note !== undefined) note.class = 'none'
    throw new Problem('identity_provider_unavailable', 'The identity provider was changed a moment ago.', {
      headers: { [STALE_PROVIDERS]: '1', 'retry-after': '1' },
    })
  }
  if (verdict.outcome === 'moved') {
    throw new Problem('tenant_moved', 'The organisation lives in another region now.', {
      headers: { [MOVED_TO]: verdict.region },
    })
  }
  const snapshot = verdict.present && (await newerSnapshot(scope, verdict.present, held))
  if (snapshot) tell(snapshot)
  // Who is nobody's yet leaves no trace by being refused.
  const isInvitee = verdict.actor?.kind === 'invitee'
  request.actor = isInvitee ? undefined : verdict.actor
  if (verdict.outcome === 'refused') throw refusal(verdict.problem, principal)
  request.isStranger = isInvitee && principal.kind === 'jwt'
  const { scopes, logs, actor, newcomer, changed } = verdict
  if (actor?.kind === 'api_key' || actor?.kind === 'signed_url' || actor?.kind === 'session') {
    uses.note(principal.tenant, actor.id, nowMs)
  }
  const during = { logs, nowMs, requestId, ip: request.clientIp ?? null }
  return {
    admitted: { scopes, nowMs, logs },
    actor,
    join: async (loan) => {
      if (principal.kind !== 'jwt' || newcomer === undefined) throw new Error('nobody to join')
      request.actor = await joining(scope, loan, principal, newcomer, during)
      return request.actor
    },
    follow: async () => {
      if (changed !== undefined) await wordFollows(scope, changed, during)
    },
  }
}

/**
 * Where the credential does not hold, the edge is told: that it never will, that a token's provider may have changed, or that
 * whose token it is, is no member.
 */
function refusal(problem: Problem, { kind }: TenantPrincipal): Problem {
  const { code } = problem
  if (code === NOT_A_MEMBER) return withHeaders(problem, { [CREDENTIAL_REFUSED]: code })
  if (PROBLEMS[code].status !== 401) return problem
  return withHeaders(problem, kind === 'jwt' ? { [STALE_PROVIDERS]: '1' } : { [CREDENTIAL_REFUSED]: code })
}

const NOT_A_MEMBER = 'not_a_member'

const withHeaders = ({ code, detail, extras }: Problem, headers: Record<string, string>): Problem =>
  new Problem(code, detail, { ...extras, headers: { ...extras.headers, ...headers } })

/** Of what is no invitation, or one that lets nobody in. */
const NO_WAY_IN: ReadonlySet<ProblemCode> = new Set([
  'malformed_json',
  'validation_failed',
  'not_found',
  'invitation_expired',
  'invitation_used',
  'invitation_revoked',
])

/** What came of the work, as the edge is told it: whoever was to become a member by it is none, and has no way to be. */
export const refusedWork = (problem: Problem, { isStranger }: Asked): Problem =>
  isStranger && NO_WAY_IN.has(problem.code)
    ? withHeaders(problem, { [CREDENTIAL_REFUSED]: problem.code })
    : problem

export const contextOf = (
  { verified, clientIp }: Asked,
  { scopes, nowMs }: Admitted,
  actor: Actor,
): TenantContext =>
  ({
    tenant: verified.principal.tenant,
    principal: verified.principal,
    actor,
    scopes,
    requestId: verified.requestId,
    publicOrigin: verified.publicOrigin,
    clientIp,
    nowMs,
  }) as TenantContext

/** Where it is refused, told to the tenant apart from the transaction, of which nothing may remain. */
export function noteFailure(dependencies: TransactDependencies, request: Asked, error: unknown): void {
  countError(dependencies, request)
  // Nobody of this tenant's leaves no trace in its audit trail.
  if (!(error instanceof Problem) || request.actor === undefined) return
  const { code } = error
  if (![401, 403, 410].includes(PROBLEMS[code].status)) return
  const { refusals, now } = dependencies
  const { principal, requestId } = request.verified
  refusals.note(principal.tenant, {
    at: new Date(now()).toISOString(),
    actor: request.actor,
    action: request.action,
    target: request.target ?? null,
    ip: request.clientIp ?? null,
    requestId,
    outcome: 'refused',
    code,
  })
}

/** A stranger's are nobody's. */
export function countError({ usage, now }: TransactDependencies, { verified, actor }: Asked): void {
  if (actor !== undefined) usage.count(verified.principal.tenant, 'errors', 1, now())
}

/** @param startedAt by `performance.now()` */
export function countTime(
  { usage, now }: TransactDependencies,
  { verified, actor }: Asked,
  startedAt: number,
): void {
  if (actor === undefined) return
  usage.count(verified.principal.tenant, 'milliseconds', performance.now() - startedAt, now())
}
