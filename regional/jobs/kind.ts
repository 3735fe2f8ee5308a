// A kind of job: what is to be done, in steps. A step is one transaction; its effect and the job's place after it
// commit together, so whatever happens to the worker, every step takes effect exactly once.
import type { Id } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import type { TenantTransaction } from '../tenancy/tenant_transaction.ts'

/** What a step sees of the database: the subspace of its kind's service, of the job's own tenant. */
export type JobTransaction = Omit<
  TenantTransaction,
  | 'context'
  | 'audit'
  | 'tenantId'
  | 'eraseOrganisation'
  | 'renewSnapshot'
  | 'usage'
  | 'jobs'
  | 'webhooks'
  | 'issuers'
  | 'takeBackInvitations'
  | 'beginSession'
> & {
  readonly webhooks: Pick<TenantTransaction['webhooks'], 'call'>
  readonly issuers: Pick<TenantTransaction['issuers'], 'mayStillGive'>
  readonly tenant: TenantNumber
  /** The time that this step counts as, in milliseconds since 1970. */
  readonly nowMs: number
}

/** P: what the job was given, as JSON. S: how far it is, as JSON. Both small: references, not documents. */
export interface Job<P = unknown, S = unknown> {
  readonly id: Id<'job'>
  readonly payload: P
  /** What the last step left; undefined before the first one. */
  readonly place: S | undefined
  /** Failed tries since the last step that went well. */
  readonly failures: number
}

export type Step<S = unknown> =
  /** There is more to do, at once or at `runAtMs`. */
  | { next: S; done?: number; total?: number; runAtMs?: number }
  | { finished: true; done?: number }
  /** Nobody wants it any more; what this step wrote stands. */
  | { cancelled: true; done?: number }
  /** It can't be done, and trying again is no use; what this step wrote stands. Said in words for the tenant. */
  | { failed: string; done?: number }

/** Thrown by a step, of which nothing stands then: it can't be done, and trying again is no use. Said in words for the tenant. */
export class CannotBeDone extends Error {
  override readonly name = 'CannotBeDone'
}

/** When a step that failed is tried again: after `firstMs`, then longer and longer up to `maxMs`. */
export interface RetrySchedule {
  firstMs: number
  maxMs: number
  /** Tries of one step; after the last one the job has failed for good. */
  tries: number
}

/** What is promised is tried until it is done. */
export const UNTIL_DONE: RetrySchedule = {
  firstMs: 1_000,
  maxMs: 10 * 60_000,
  tries: Number.POSITIVE_INFINITY,
}

interface AnyKind {
  /** Stored with every job, so it never changes: `<service>.<what it does>`. */
  readonly kind: string
  readonly retry: RetrySchedule
  /** Can't be cancelled: what it does was promised by the answer that enqueued it. */
  readonly promised?: true
}

/** Work for a tenant, in the subspace of one service. */
export interface ServiceJobKind<P = unknown, S = unknown, O = unknown, R = unknown> extends AnyKind {
  /** In whose subspace its steps work; one that goes through several says whose turn it is. */
  readonly service: string | ((job: Job<P, S>) => string)
  /**
   * The kind that works outside and goes on with what this one begins. Both count together towards those that go on at a
   * time, so no more is begun than that kind can go on with.
   */
  readonly lane?: string
  /** What the work outside needs to know, read in a transaction before it. Changes nothing. */
  read?(
    tx: Pick<JobTransaction, 'tenant' | 'nowMs' | 'space' | 'chunked' | 'issuers'>,
    job: Job<P, S>,
  ): Promise<R>
  /**
   * Work outside the database before the step, such as a call of another system. It may be done again after a crash,
   * so the other side should know the job's id. `signal` ends it when the worker stops or loses the tenant.
   */
  outside?(job: Job<P, S>, signal: AbortSignal, read: R, cancelled: AbortSignal): Promise<O>
  /**
   * Looked at while the work outside goes on, at first and whenever something of the tenant changed: true aborts the work's
   * `cancelled`, and what it came to until then is for the step. So it is when the tenant is suspended, but no step follows.
   */
  cancelled?(
    tx: Pick<JobTransaction, 'tenant' | 'nowMs' | 'space' | 'chunked'>,
    job: Job<P, S>,
  ): Promise<boolean>
  /** One step, well below five seconds, at best below 200 ms. May run again until it commits. */
  step(tx: JobTransaction, job: Job<P, S>, outside: O): Promise<Step<S>>
}

/** The platform's own upkeep of a tenant: shown to nobody, and gone as soon as it is done. */
export interface UpkeepKind<P = unknown, S = unknown> extends AnyKind {
  upkeep(scope: TenantScope, job: Job<P, S>, nowMs: number): Promise<Step<S>>
}

export type JobKind<P = unknown, S = unknown, O = unknown> = ServiceJobKind<P, S, O> | UpkeepKind<P, S>

/**
 * Work that goes on outside of visits, such as sending webhooks: a visit calls for it and goes on at once, and so does the
 * next one, a little later. Its entry stays in the queue until whoever does the work has found, in one transaction, that
 * there is none left (standing.ts). So whatever crashes, somebody is called.
 */
export interface StandingKind {
  readonly kind: string
  call(tenant: TenantNumber): void
}

/** Declares a kind of job; payload, place and outside result are typed by it wherever it is used. */
export const jobKind = <P, S = undefined, O = undefined, R = undefined>(kind: ServiceJobKind<P, S, O, R>) =>
  kind

/** The kinds that a region's workers know, by name. What is stored under a name was put there by its own kind. */
export type JobKinds = ReadonlyMap<string, JobKind | StandingKind>

/** @throws {RangeError} when two have one name */
export function jobKinds(kinds: ReadonlyArray<unknown>): JobKinds {
  const known = new Map<string, JobKind | StandingKind>()
  for (const each of kinds as ReadonlyArray<JobKind | StandingKind>) {
    if (known.has(each.kind)) throw new RangeError(`two kinds of job are called ${each.kind}`)
    known.set(each.kind, each)
  }
  return known
}
