// transact: one request, one transaction. The edge's word is read again here, in the same transaction as the work:
// whatever an edge has cached, a revoked key or a suspended tenant is refused from the commit of that change on.
// A change commits together with everything that belongs to it: idempotency record, quotas, audit and outbox entries.
import { IDEMPOTENCY_REPLAYED, MOVED_TO } from '../../shared/headers.ts'
import type { Id } from '../../shared/ids.ts'
import type { Quantity } from '../../shared/plans.ts'
import type { TenantPrincipal } from '../../shared/principal.ts'
import { PROBLEMS, Problem } from '../../shared/problems.ts'
import type { SnapshotVersion, TenantSnapshot } from '../../shared/snapshot.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { cancelJob } from '../jobs/finish.ts'
import type { JobKind } from '../jobs/kind.ts'
import { type EnqueueOptions, enqueue, readJob } from '../jobs/queue.ts'
import type { JobRecord } from '../jobs/record.ts'
import type { Reply } from '../operation.ts'
import type { Log } from '../storage/log_space.ts'
import type { Key, Space, SpaceDefinition } from '../storage/space.ts'
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
import type { RefusalLog } from './refusals.ts'
import type { RegionDatabase, TenantScope } from './region_database.ts'
import { newerSnapshot } from './snapshot.ts'
import { countWrite, readUsage, type UsageMeter, type UsageReport } from './usage.ts'
import type { Verified } from './verify.ts'

declare const authorised: unique symbol

/** Who a service works for. Only {@link transact} makes one, from a verified assertion and a credential that held. */
export interface TenantContext {
  readonly [authorised]: true
  readonly tenant: TenantNumber
  readonly principal: TenantPrincipal
  readonly scopes: ReadonlyArray<string>
  readonly requestId: string
  /** Where the tenant's clients find the edge. */
  readonly publicOrigin: string | undefined
  /** The time that this request counts as, in milliseconds since 1970. */
  readonly nowMs: number
}

/** All that a service sees of the database: its own subspace of its own tenant, and what it may ask to be recorded. */
export interface TenantTransaction {
  readonly context: TenantContext
  space<K extends Key, V>(definition: SpaceDefinition<K, V>): Space<K, V>
  /** The tenant's audit trail, to read. It is written by the platform alone. */
  readonly audit: Pick<Log<AuditEntry>, 'page'>
  /** What the tenant has and did. */
  usage(): Promise<UsageReport>
  /**
   * Takes `amount` of a limited quantity, or gives it back when it is negative.
   * @throws {Problem} `quota_exceeded`
   */
  take(quantity: Quantity, amount: number): Promise<void>
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
  try {
    if (request.kind === 'read') {
      const reply = await read(dependencies, request, work)
      dependencies.usage.countRead(tenant, dependencies.now())
      return reply
    }
    return await dependencies.loans.borrow(tenant, (loan) => write(dependencies, request, loan, work))
  } catch (error) {
    // Told to the tenant apart from the refused transaction, of which nothing may remain.
    if (error instanceof Problem && !(error instanceof UnknownCredential))
      noteRefusal(dependencies, request, error)
    throw error
  }
}

const read = (
  dependencies: TransactDependencies,
  request: TenantRequest,
  work: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply> =>
  dependencies.database.tenant(
    request.verified.principal.tenant,
    async (scope) => {
      const { context } = await admit(dependencies, request, scope)
      const changesNothing = () => {
        throw new Error('an operation that reads changes nothing')
      }
      const own = serviceSpaces(scope, request.service)
      const reply = await work({
        context,
        space: own,
        audit: auditOf(scope),
        usage: () => readUsage(scope, context.nowMs),
        take: async () => changesNothing(),
        emit: changesNothing,
        enqueue: changesNothing,
        jobs: { read: (id) => readJob(scope, id), cancel: changesNothing },
      })
      return { value: reply, commit: false }
    },
    leftMs(dependencies, request),
  )

function write(
  dependencies: TransactDependencies,
  request: TenantRequest,
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
      : { principal: principal.keyId, key: request.idempotencyKey }),
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
      const [{ context, epoch }, record] = await Promise.all([
        admit(dependencies, request, scope),
        records.get(key),
      ])
      const { nowMs } = context
      if (isLive(record, nowMs)) return { value: earlierReply(record), commit: false }

      const actor: Actor = { kind: principal.kind, id: principal.keyId }
      const at = new Date(nowMs).toISOString()
      const outbox = outboxOf(scope)
      const audit = auditOf(scope)
      const [reply] = await Promise.all([
        work({
          context,
          space: serviceSpaces(scope, request.service),
          audit,
          usage: () => readUsage(scope, nowMs),
          take: (quantity, amount) => take(scope, loan, quantity, amount),
          emit: (type, resource) => outbox.append(epoch, { type, resource, at, actor, requestId }),
          enqueue: (kind, payload, options) => enqueue(scope, kind, payload, nowMs, options),
          jobs: { read: (id) => readJob(scope, id), cancel: (id) => cancelJob(scope, id, nowMs) },
        }),
        expireAt(scope, rememberedUntil(identity, nowMs), 'request', key[0], nowMs),
      ])
      replies[attempt] = reply
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

/** Nobody of this tenant's: a stranger leaves no trace in its audit trail. */
class UnknownCredential extends Problem {}

/** @throws {Problem} unless the credential holds, the tenant is active, and the scope is given. */
async function admit(
  { now }: TransactDependencies,
  request: TenantRequest,
  scope: TenantScope,
): Promise<{ context: TenantContext; epoch: number }> {
  const { principal, requestId, publicOrigin } = request.verified
  const nowMs = now()
  const verdict = await authorise(scope, principal, request, nowMs)
  if (verdict.outcome === 'unknown')
    throw new UnknownCredential('credential_invalid', 'The API key is not one of ours.')
  if (verdict.outcome === 'moved') {
    throw new Problem('tenant_moved', 'The organisation lives in another region now.', {
      headers: { [MOVED_TO]: verdict.region },
    })
  }
  const snapshot = verdict.present && (await newerSnapshot(scope, verdict.present, request.held))
  if (snapshot) request.tell(snapshot)
  if (verdict.outcome === 'refused') throw verdict.problem
  const context = {
    tenant: principal.tenant,
    principal,
    scopes: verdict.scopes,
    requestId,
    publicOrigin,
    nowMs,
  } as TenantContext
  return { context, epoch: verdict.epoch }
}

function noteRefusal(
  { refusals, now }: TransactDependencies,
  request: TenantRequest,
  { code }: Problem,
): void {
  const { status } = PROBLEMS[code]
  if (status !== 401 && status !== 403) return
  const { principal, requestId } = request.verified
  refusals.note(principal.tenant, {
    at: new Date(now()).toISOString(),
    actor: { kind: principal.kind, id: principal.keyId },
    action: request.action,
    target: request.target ?? null,
    ip: request.clientIp ?? null,
    requestId,
    outcome: 'refused',
    code,
  })
}

function serviceSpaces(scope: TenantScope, service: string): TenantTransaction['space'] {
  const own = scope.service(service)
  return (definition) => own.space(definition)
}

/** The id of what an answer shows, where it shows one thing. */
function idIn(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || !('id' in body)) return null
  return typeof body.id === 'string' ? body.id : null
}
