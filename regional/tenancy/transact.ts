// transact: one request, one transaction. The edge's word is read again here, in the same transaction as the work:
// whatever an edge has cached, a revoked key or a suspended tenant is refused from the commit of that change on.
// A change commits together with everything that belongs to it: idempotency record, quotas, audit and outbox entries.
import { IDEMPOTENCY_REPLAYED, MOVED_TO, STALE_PROVIDERS } from '../../shared/headers.ts'
import type { Id } from '../../shared/ids.ts'
import type { Quantity } from '../../shared/plans.ts'
import { callerOf, type TenantPrincipal } from '../../shared/principal.ts'
import { PROBLEMS, Problem } from '../../shared/problems.ts'
import type { SnapshotVersion, TenantSnapshot } from '../../shared/snapshot.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt, type ServiceExpiry } from '../jobs/expiry.ts'
import { cancelJob } from '../jobs/finish.ts'
import type { JobKind } from '../jobs/kind.ts'
import { type EnqueueOptions, enqueue, readJob } from '../jobs/queue.ts'
import type { JobRecord } from '../jobs/record.ts'
import { notFound, type Reply } from '../operation.ts'
import type { Log } from '../storage/log_space.ts'
import { jsonSpace } from '../storage/space.ts'
import { type Actor, type AuditEntry, auditOf, outboxOf } from './audit.ts'
import { authorise, type Wanted } from './authorise.ts'
import {
  type IdempotencyRecord,
  idempotencySpace,
  isLive,
  newRecord,
  type RequestIdentity,
  recordKey,
  rememberedUntil,
  replay,
  type Sealer,
} from './idempotency.ts'
import { type ShardLoan, type ShardLoans, take } from './quotas.ts'
import { type Organisation, profileSpace } from './records.ts'
import type { RefusalLog } from './refusals.ts'
import type { RegionDatabase, ServiceScope, TenantScope } from './region_database.ts'
import { noteSeen, seenIn } from './sessions.ts'
import { joining } from './sign_in.ts'
import { newerSnapshot } from './snapshot.ts'
import { countWrite, readUsage, type UsageMeter, type UsageReport } from './usage.ts'
import type { Verified } from './verify.ts'

declare const authorised: unique symbol

/** Who a service works for. Only {@link transact} makes one, from a verified assertion and a credential that held. */
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

/** All that a service sees of the database: its own subspace of its own tenant, and what it may ask to be recorded. */
export interface TenantTransaction extends ServiceScope {
  readonly context: TenantContext
  /**
   * Makes sure that the tenant has this project, in this transaction: a delete of it conflicts with the work below it.
   * @throws {Problem} `not_found`
   */
  project(id: string, use: 'read' | 'write'): Promise<void>
  /** The tenant's audit trail, to read. It is written by the platform alone. */
  readonly audit: Pick<Log<AuditEntry>, 'page'>
  /** The id of the organisation itself. */
  tenantId(): Promise<Id<'ten'>>
  /** The organisation as its people know it. */
  organisation(): Promise<Organisation>
  /** What the tenant has and did. */
  usage(): Promise<UsageReport>
  /**
   * Takes `amount` of a limited quantity, or gives it back when it is negative.
   * @throws {Problem} `quota_exceeded`
   */
  take(quantity: Quantity, amount: number): Promise<void>
  /** Has what the service keeps under this id forgotten some time after `atMs`. */
  expire(what: ServiceExpiry, id: string, atMs: number): Promise<void>
  /** Tells of a change, such as `project.created`, in the tenant's event feed. */
  emit(type: string, resource: string): void
  /** Has a job done after this commit. Its payload holds references, not documents. */
  enqueue<P, S, O>(kind: JobKind<P, S, O>, payload: P, options?: EnqueueOptions): Id<'job'>
  /** The tenant's jobs, whoever enqueued them. */
  readonly jobs: {
    read(id: string): Promise<JobRecord | undefined>
    /** @throws {Problem} `conflict` when it has ended otherwise */
    cancel(id: string): Promise<JobRecord | undefined>
  }
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
  /** The id in the path, where there is one. */
  target: string | undefined
  idempotencyKey: string | undefined
  /** What the client sent beside the key: path, query and body. */
  content: Uint8Array
  clientIp: string | undefined
  /** When nobody waits for the answer any more, in milliseconds since 1970. */
  deadlineMs?: number | undefined
  /** The version of the tenant's snapshot that the edge holds. */
  held: SnapshotVersion | undefined
  /** Tells the edge of a newer one, whatever the answer will be. */
  tell: (snapshot: TenantSnapshot) => void
}

export interface TransactDependencies {
  database: RegionDatabase
  sealer: Sealer
  loans: ShardLoans
  refusals: RefusalLog
  usage: UsageMeter
  now: () => number
}

/**
 * Runs a service's work for a tenant and commits it with all that belongs to it.
 * @throws {Problem} when the tenant or the credential no longer holds, or the service refuses.
 */
export async function transact(
  dependencies: TransactDependencies,
  request: TenantRequest,
  work: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply> {
  const { tenant } = request.verified.principal
  const asked: Asked = { ...request, actor: undefined }
  try {
    if (request.kind === 'read') {
      const reply =
        (await read(dependencies, asked, work)) ??
        (await signIn(dependencies, asked).then(() => read(dependencies, asked, work)))
      if (reply === undefined) throw new Error('a member who signed in is none')
      dependencies.usage.countRead(tenant, dependencies.now())
      return reply
    }
    return await dependencies.loans.borrow(tenant, (loan) => write(dependencies, asked, loan, work))
  } catch (error) {
    // Told to the tenant apart from the refused transaction, of which nothing may remain.
    if (error instanceof Problem) noteRefusal(dependencies, asked, error)
    throw error
  }
}

/** A request, and whom it turned out to be of. */
type Asked = TenantRequest & { actor: Actor | undefined }

/** @returns undefined, with nothing read, for someone who is to become a member first: reading changes nothing. */
async function read(
  dependencies: TransactDependencies,
  request: Asked,
  work: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply | undefined> {
  const { principal } = request.verified
  let unnoted: Id<'ses'> | undefined
  const reply = await dependencies.database.tenant(
    principal.tenant,
    async (scope) => {
      const { admitted, actor } = await admit(dependencies, request, scope)
      if (actor === undefined) return { value: undefined, commit: false }
      const context = contextOf(request, admitted, actor)
      const changesNothing = () => {
        throw new Error('an operation that reads changes nothing')
      }
      const reply = await work({
        context,
        ...scope.service(request.service),
        project: (id) => requireProject(scope, id),
        audit: auditOf(scope),
        tenantId: async () => (await organisationOf(scope)).id,
        organisation: () => organisationOf(scope),
        usage: () => readUsage(scope, context.nowMs),
        expire: async () => changesNothing(),
        take: async () => changesNothing(),
        emit: changesNothing,
        enqueue: changesNothing,
        jobs: { read: (id) => readJob(scope, id), cancel: changesNothing },
      })
      unnoted = admitted.unnoted
      return { value: reply, commit: false }
    },
    leftMs(dependencies, request),
  )
  if (unnoted !== undefined) await noteUse(dependencies, principal.tenant, unnoted)
  return reply
}

/** A session's use, by itself: the request that it was used for changed nothing. */
const noteUse = (
  { database, now }: TransactDependencies,
  tenant: TenantNumber,
  id: Id<'ses'>,
): Promise<void> =>
  database.tenant(tenant, async (scope) => ({ value: await noteSeen(scope, id, now()), commit: true }))

/** Makes whoever asks a member, as their provider's record says. Repeatable: the second time they are one. */
const signIn = (dependencies: TransactDependencies, request: Asked): Promise<void> =>
  dependencies.loans.borrow(request.verified.principal.tenant, (loan) =>
    dependencies.database.tenant(
      request.verified.principal.tenant,
      async (scope) => {
        const { actor, join } = await admit(dependencies, request, scope)
        if (actor === undefined) await join(loan)
        return { value: undefined, commit: actor === undefined }
      },
      leftMs(dependencies, request),
    ),
  )

function write(
  dependencies: TransactDependencies,
  request: Asked,
  loan: ShardLoan,
  work: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply> {
  const { database, sealer } = dependencies
  const { principal, requestId } = request.verified
  const identity: RequestIdentity = {
    requestId,
    route: request.route,
    content: request.content,
    ...(principal.kind === 'signed_url'
      ? {
          principal: `${principal.kind} ${principal.keyId}`,
          key: principal.nonce,
          validUntil: principal.expiresAtMs,
        }
      : { principal: callerOf(principal), key: request.idempotencyKey }),
  }
  const key: [Buffer] = [recordKey(identity)]
  const bound = `${principal.tenant} ${key[0].toString('hex')}`
  /** By attempt: what this very request answered, should one of its commits turn out to have landed. */
  const replies: Reply[] = []

  function earlierReply(record: IdempotencyRecord): Reply {
    const own = record.requestId === requestId ? replies[record.attempt] : undefined
    if (own !== undefined) return own
    const reply = replay(record, identity, (sealed) => sealer.open(sealed, bound))
    return { ...reply, headers: { ...reply.headers, [IDEMPOTENCY_REPLAYED]: 'true' } }
  }

  return database.tenant(
    principal.tenant,
    async (scope, attempt) => {
      const records = scope.system('idempotency', idempotencySpace)
      const [{ admitted, actor: known, join }, record] = await Promise.all([
        admit(dependencies, request, scope),
        records.get(key),
      ])
      const { nowMs, epoch } = admitted
      if (isLive(record, nowMs)) return { value: earlierReply(record), commit: false }

      const actor = known ?? (await join(loan))
      const context = contextOf(request, admitted, actor)
      const at = new Date(nowMs).toISOString()
      const outbox = outboxOf(scope)
      const audit = auditOf(scope)
      const [reply] = await Promise.all([
        work({
          context,
          ...scope.service(request.service),
          project: (id) => requireProject(scope, id),
          audit,
          tenantId: async () => (await organisationOf(scope)).id,
          organisation: () => organisationOf(scope),
          expire: (what, id, atMs) => expireAt(scope, atMs, what, id, nowMs),
          usage: () => readUsage(scope, nowMs),
          take: (quantity, amount) => take(scope, loan, quantity, amount),
          emit: (type, resource) => outbox.append(epoch, { type, resource, at, actor, requestId }),
          enqueue: (kind, payload, options) => enqueue(scope, kind, payload, nowMs, options),
          jobs: { read: (id) => readJob(scope, id), cancel: (id) => cancelJob(scope, id, nowMs) },
        }),
        expireAt(scope, rememberedUntil(identity, nowMs), 'request', key[0], nowMs),
      ])
      replies[attempt] = reply
      if (admitted.unnoted !== undefined) seenIn(scope, admitted.unnoted, nowMs)
      countWrite(scope, nowMs)
      audit.append(epoch, {
        at,
        actor,
        action: request.action,
        target: request.target ?? idIn(reply.body),
        ip: request.clientIp ?? null,
        requestId,
        outcome: 'done',
      })
      records.set(
        key,
        newRecord(identity, attempt, reply, (text) => sealer.seal(text, bound), nowMs),
      )
      return { value: reply, commit: true }
    },
    leftMs(dependencies, request),
  )
}

const leftMs = ({ now }: TransactDependencies, { deadlineMs }: TenantRequest): number | undefined =>
  deadlineMs === undefined ? undefined : deadlineMs - now()

interface Admitted {
  scopes: ReadonlyArray<string>
  nowMs: number
  epoch: number
  unnoted: Id<'ses'> | undefined
}

/**
 * @returns no actor for someone who is to become a member first, by `join`
 * @throws {Problem} unless the credential holds, the tenant is active, and the scope is given.
 */
async function admit(
  { now }: TransactDependencies,
  request: Asked,
  scope: TenantScope,
): Promise<{
  admitted: Admitted
  actor: Actor | undefined
  join: (loan: ShardLoan) => Promise<Actor>
}> {
  const { verified, held, tell } = request
  const { principal, requestId } = verified
  const nowMs = now()
  request.actor = undefined
  const verdict = await authorise(scope, principal, request, nowMs)
  if (verdict.outcome === 'unknown') {
    const { code, detail } = verdict.problem
    throw new Problem(code, detail, {
      ...(principal.kind === 'jwt' &&
        code === 'credential_invalid' && { headers: { [STALE_PROVIDERS]: '1' } }),
    })
  }
  if (verdict.outcome === 'stale_providers') {
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
  request.actor = verdict.actor
  if (verdict.outcome === 'refused') throw verdict.problem
  const { scopes, epoch, actor, newcomer, unnoted } = verdict
  return {
    admitted: { scopes, nowMs, epoch, unnoted },
    actor,
    join: async (loan) => {
      if (principal.kind !== 'jwt' || newcomer === undefined) throw new Error('nobody to join')
      request.actor = await joining(scope, loan, principal, newcomer, { epoch, nowMs, requestId })
      return request.actor
    },
  }
}

const contextOf = ({ verified, clientIp }: Asked, { scopes, nowMs }: Admitted, actor: Actor): TenantContext =>
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

async function organisationOf(scope: TenantScope): Promise<Organisation> {
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  if (profile === undefined) throw new Error('a tenant has a profile')
  return profile
}

const projectSpace = jsonSpace<[id: string], unknown>('project')

async function requireProject(scope: TenantScope, id: string): Promise<void> {
  if ((await scope.service('projects').space(projectSpace).get([id])) === undefined) throw notFound()
}

function noteRefusal({ refusals, now }: TransactDependencies, request: Asked, { code }: Problem): void {
  const { status } = PROBLEMS[code]
  // Nobody of this tenant's leaves no trace in its audit trail.
  if (![401, 403, 410].includes(status) || request.actor === undefined) return
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

/** The id of what an answer shows, where it shows one thing. */
function idIn(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || !('id' in body)) return null
  return typeof body.id === 'string' ? body.id : null
}
