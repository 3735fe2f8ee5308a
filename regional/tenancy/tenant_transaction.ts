// What a service sees of the database: a transaction of its own tenant, its own subspace in it, and what it may ask to
// have recorded. A reading one can change nothing.
import { type Id, newId } from '../../shared/ids.ts'
import type { Quantity } from '../../shared/plans.ts'
import type { Role } from '../../shared/roles.ts'
import { expireFor, type ServiceExpiry } from '../jobs/expiry.ts'
import { cancelJob } from '../jobs/finish.ts'
import type { JobKind } from '../jobs/kind.ts'
import { type EnqueueOptions, enqueue, hasten, readJob } from '../jobs/queue.ts'
import type { JobRecord } from '../jobs/record.ts'
import type { Reply } from '../operation.ts'
import type { Log } from '../storage/log_space.ts'
import type { TenantContext } from './admission.ts'
import { type AuditEntry, auditOf } from './audit.ts'
import { shut, shutting } from './erasure.ts'
import { callDeliveries, type Emit, type EventFeed, emitting, feedOf } from './events.ts'
import { takeBackInvitations } from './invitations.ts'
import { issuerOf, mayStillGive, type PresentMember, presentMember } from './issuers.ts'
import { organisationOf } from './profile.ts'
import { requireProject } from './projects.ts'
import { type ShardLoan, take } from './quotas.ts'
import {
  type Issuer,
  type LogStanding,
  type Organisation,
  type SessionRecord,
  statusSpace,
} from './records.ts'
import type { ServiceScope, TenantScope } from './region_database.ts'
import { beginSession, type NewSession } from './sessions.ts'
import { renewSnapshot } from './snapshot.ts'
import { readUsage, type UsageReport, type UsageWindow } from './usage.ts'

/** All that a service sees of the database: its own subspace of its own tenant, and what it may ask to be recorded. */
export interface TenantTransaction extends ServiceScope {
  readonly context: TenantContext
  /**
   * Makes sure that the tenant has this project, in this transaction: a delete of it conflicts with the work below it.
   * @throws {Problem} `not_found`; `project_archived` for writing in one that is archived
   */
  project(id: string, use: 'read' | 'write'): Promise<void>
  /** The tenant's audit trail, to read. It is written by the platform alone. */
  readonly audit: Pick<Log<AuditEntry>, 'peekPage'>
  /** The id of the organisation itself. */
  tenantId(): Promise<Id<'ten'>>
  /** The organisation as its people know it. */
  organisation(): Promise<Organisation>
  /** What the tenant has and did. */
  usage(window: UsageWindow): Promise<UsageReport>
  /**
   * Takes `amount` of a limited quantity, or gives it back when it is negative: at most what is taken.
   * @param atMs of a monthly quantity, when it was taken: what is given back belongs to that month
   * @throws {Problem} `quota_exceeded`
   */
  take(quantity: Quantity, amount: number, atMs?: number): Promise<void>
  /**
   * Has what the platform keeps for this service under this id forgotten some time after `atMs`. What lies in the service's own
   * subspace it forgets itself: `forgetting` in jobs/forgetting.ts.
   */
  expire(what: ServiceExpiry, id: string, atMs: number): Promise<void>
  /**
   * Shuts the organisation, with this commit and for good, and has it erased.
   * @returns the answer to whoever asks for it, in an operation that `erases`
   */
  eraseOrganisation(): Promise<Reply>
  /** Has edges hear of what they keep of the tenant, with their next request. */
  renewSnapshot(): Promise<void>
  /** Tells of a change, such as `project.created`, in the tenant's event feed. */
  emit: Emit
  /** That feed, to read. */
  readonly events: EventFeed
  /** Who stands behind what lets others in. */
  readonly issuers: {
    /** Behind what is made here. @throws {Problem} `insufficient_scope` */
    own(): Promise<Issuer>
    /** Whether they are still there, and may do all that the role may. */
    mayStillGive(issuer: Issuer, role: Role): Promise<boolean>
    /** A member, as what they may be now; undefined for nobody, and for whom their provider does not let in any more. */
    member(id: Id<'mem'>): Promise<PresentMember | undefined>
  }
  /** Lets somebody into the console. @throws {Problem} `conflict` for a session that has begun already */
  beginSession(session: NewSession): Promise<SessionRecord>
  /** Takes back every invitation that nobody has accepted. */
  takeBackInvitations(): Promise<void>
  /** The organisation's webhook endpoints. */
  readonly webhooks: {
    /** Has deliveries looked at after this commit. */
    call(): void
    /** Says whether there are endpoints: from this commit on every event calls for them. */
    follow(events: boolean): Promise<void>
  }
  /** Has a job done after this commit. Its payload holds references, not documents. */
  enqueue<P, S, O>(kind: JobKind<P, S, O>, payload: P, options?: EnqueueOptions): Id<'job'>
  /**
   * Has a job that waits for a later time done after `runAtMs`.
   * @returns false when there is no such job, or it has ended
   */
  hasten(id: Id<'job'>, runAtMs: number): Promise<boolean>
  /** The tenant's jobs, whoever enqueued them. */
  readonly jobs: {
    read(id: string): Promise<JobRecord | undefined>
    /** Tells of it, too. @throws {Problem} `conflict` when it has ended otherwise, or can't be cancelled */
    cancel(id: string): Promise<JobRecord | undefined>
  }
}

/** Whose work a transaction is. */
interface Working {
  service: string
  context: TenantContext
}

const seen = (scope: TenantScope, { context }: Working) => ({
  context,
  project: (id: string, use: 'read' | 'write') => requireProject(scope, id, use),
  audit: auditOf(scope),
  tenantId: async () => (await organisationOf(scope)).id,
  organisation: () => organisationOf(scope),
  issuers: {
    own: () => issuerOf(scope, context),
    mayStillGive: (issuer: Issuer, role: Role) => mayStillGive(scope, issuer, role, context.nowMs),
    member: (id: Id<'mem'>) => presentMember(scope, id),
  },
  usage: (window: UsageWindow) => readUsage(scope, context.nowMs, window),
})

export const readingTransaction = (scope: TenantScope, working: Working): TenantTransaction => ({
  ...seen(scope, working),
  ...scope.reading(working.service),
  expire: async () => changesNothing(),
  eraseOrganisation: async () => changesNothing(),
  take: async () => changesNothing(),
  renewSnapshot: async () => changesNothing(),
  beginSession: async () => changesNothing(),
  takeBackInvitations: async () => changesNothing(),
  emit: changesNothing,
  events: feedOf(scope),
  webhooks: { call: changesNothing, follow: async () => changesNothing() },
  enqueue: changesNothing,
  hasten: async () => changesNothing(),
  jobs: { read: (id) => readJob(scope, id), cancel: changesNothing },
})

const changesNothing = (): never => {
  throw new Error('an operation that reads changes nothing')
}

export function writingTransaction(
  scope: TenantScope,
  working: Working,
  loan: ShardLoan,
  logs: LogStanding,
): TenantTransaction {
  const { nowMs, actor, requestId, clientIp = null } = working.context
  const emit = emitting(scope, { standing: logs, nowMs, actor, requestId })
  return {
    ...seen(scope, working),
    ...scope.service(working.service),
    expire: (what, id, atMs) => expireFor(working.service, scope, atMs, what, id, nowMs),
    eraseOrganisation: () => eraseOrganisation(scope, requestId, nowMs),
    take: (quantity, amount, atMs = nowMs) => take(scope, loan, quantity, amount, atMs),
    renewSnapshot: () => renewSnapshot(scope),
    async beginSession(given) {
      const session = await beginSession(scope, given, nowMs, emit)
      // The invitation that lets them in says no member yet: the trail is to tell whose session it is all the same.
      if (actor.kind === 'invitee' && session.member !== null) {
        auditOf(scope).append(logs.epoch, {
          at: new Date(nowMs).toISOString(),
          actor: { kind: 'member', id: session.member },
          action: 'sessions.sign-in',
          target: session.id,
          ip: clientIp,
          requestId,
          outcome: 'done',
        })
      }
      return session
    },
    takeBackInvitations: () => takeBackInvitations(scope, nowMs, emit),
    emit,
    events: feedOf(scope),
    webhooks: { call: () => callDeliveries(scope, nowMs), follow: (events) => followEvents(scope, events) },
    enqueue: (kind, payload, options) => enqueue(scope, kind, payload, nowMs, options),
    hasten: (id, runAtMs) => hasten(scope, id, runAtMs),
    jobs: {
      read: (id) => readJob(scope, id),
      cancel: (id) => cancelJob(scope, id, nowMs, () => emit('job.cancelled', id)),
    },
  }
}

async function followEvents(scope: TenantScope, webhooks: boolean): Promise<void> {
  const statuses = scope.system('status', statusSpace)
  const status = await statuses.get(['status'])
  if (status === undefined) throw new Error('a tenant has a status')
  if ((status.webhooks ?? false) !== webhooks) statuses.set(['status'], { ...status, webhooks })
}

async function eraseOrganisation(scope: TenantScope, requestId: string, nowMs: number): Promise<Reply> {
  const [{ id: tenant }, status] = await Promise.all([
    organisationOf(scope),
    scope.system('status', statusSpace).get(['status']),
  ])
  if (status === undefined) throw new Error('a tenant has a status')
  const by = { operatorId: null, requestId }
  return shutting(shut(scope, status, { id: newId('job', nowMs), tenant, by, nowMs }))
}
