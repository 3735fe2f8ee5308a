// What a tenant-aware service is made of. A service imports this, its own folder and `shared/`: nothing below.
import type { TenantPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import type { Scope } from '../../shared/scopes.ts'
import type { JobTransaction, Step } from '../jobs/kind.ts'
import {
  checkHeaders,
  checkInput,
  checkReply,
  type Declaration,
  type Input,
  type RawInput,
  type Reply,
  tagged,
} from '../operation.ts'

import type { TenantRequest } from './admission.ts'
import type { OutsideWork } from './outside.ts'
import type { StreamSource } from './stream.ts'
import type { TenantTransaction } from './tenant_transaction.ts'

export {
  invalidCursor,
  listAsked,
  type PageBody,
  pageBody,
  pageWithin,
  readCursor,
  writeCursor,
} from '../cursor.ts'
export {
  jsonPointer,
  notFound,
  pageLimit,
  pageOf,
  pageQuery,
  type Reply,
  requireMatch,
  tagOf,
  unfitBody,
  versionTag,
} from '../operation.ts'
export { chunkedSpace } from '../storage/chunked_space.ts'
export { counterSpace } from '../storage/counter_space.ts'
export { isLogPosition, type LogPosition } from '../storage/log_space.ts'
export { jsonSpace, type Key, type Page } from '../storage/space.ts'
export type { TenantContext } from './admission.ts'
export type { EventData, EventFeed, TenantEvent } from './events.ts'
export { FEED_BEGINNING } from './events.ts'
export type { EndedBy, Outside, OutsideWork, Settled } from './outside.ts'
export type { StreamSource } from './stream.ts'
export type { TenantTransaction } from './tenant_transaction.ts'

export interface Service {
  /** Names its subspace too, so it never changes. */
  name: string
  /** Its paths give access, or say who may have it: no signed URL reaches them. */
  mintsCredentials?: true
  operations: ReadonlyArray<TenantOperation>
  /** The kinds of job that it alone enqueues. */
  jobKinds?: ReadonlyArray<unknown>
  /**
   * One step of removing what it keeps below a project that was deleted, as a job's step is: bounded, in its own
   * subspace, from the place that its last step left. `done` counts what it has removed so far.
   */
  belowProject?(tx: JobTransaction, projectId: string, place: unknown): Promise<Step>
}

interface OperationFacts {
  /** What the audit trail calls it, behind the service's name. */
  name: string
  declaration: Declaration
  scope: Scope
  kind: TenantRequest['kind']
  /** Also for people who are no members yet. */
  invitees?: true | undefined
  /** Shuts the organisation. */
  erases?: true | undefined
  /** What the audit trail says that it is done to, by the path's parameters as they were sent; otherwise that is their `id`. */
  target?: ((params: Readonly<Record<string, string>>) => string) | undefined
  /** Who may ask it. */
  speakers: ReadonlyArray<TenantPrincipal['kind']>
}

/** One request, one transaction. */
export interface TransactionOperation extends OperationFacts {
  answers: 'in_transaction'
  /** Checks what the client sent. What is wrong with it is only said once the client is known to be allowed here. */
  prepare(raw: RawInput): (tx: TenantTransaction) => Promise<Reply>
  /** The same as server-sent events, for clients that ask for them. */
  prepareStream?: ((raw: RawInput) => StreamSource) | undefined
}

/** Work that outlives its transaction. */
export interface OutsideOperation extends OperationFacts {
  answers: 'outside'
  /** Of the answer, known before the work is done. */
  status: number
  /** Whether clients that ask for events get what the work sends. */
  streams: boolean
  prepare(raw: RawInput): OutsideWork<unknown, unknown>
}

export type TenantOperation = TransactionOperation | OutsideOperation

const EVERYONE: ReadonlyArray<TenantPrincipal['kind']> = ['api_key', 'signed_url', 'jwt', 'session']

/** What is wrong is only said once the client is known to be allowed here. */
const refusing = (problem: Problem): StreamSource => ({
  open: () => Promise.reject(problem),
  batch: () => Promise.reject(problem),
})

/** Declares an operation of a tenant, and what does its work. */
export function tenantOperation<
  P extends Declaration['params'] = undefined,
  Q extends Declaration['query'] = undefined,
  B extends Declaration['body'] = undefined,
>(
  operation: Declaration<P, Q, B> & {
    name: string
    scope: Scope
    /** A read that is audited. */
    sensitive?: boolean
    /** Also for people whom one of the tenant's providers knows, and who are no members yet. */
    invitees?: true
    /** Its request finds its answer although nobody is let in any more. */
    erases?: true
    /** What it is done to, where the path has no `id` that says it. */
    target?(params: Readonly<Record<string, string>>): string
    /** For the console's own pages; otherwise it is of the API, for everyone but who is only on the way in. */
    speakers?: ReadonlyArray<TenantPrincipal['kind']>
    handle(tx: TenantTransaction, input: Input<P, Q, B>): Promise<Reply>
    stream?(input: Input<P, Q, B>): StreamSource
  },
): TransactionOperation {
  return {
    answers: 'in_transaction',
    name: operation.name,
    declaration: operation as Declaration,
    scope: operation.scope,
    invitees: operation.invitees,
    erases: operation.erases,
    target: operation.target,
    speakers: operation.speakers ?? EVERYONE,
    kind: operation.method !== 'get' ? 'write' : operation.sensitive ? 'sensitive' : 'read',
    prepare(raw) {
      const input = checkInput(operation, raw)
      return async (tx) => {
        if (input instanceof Problem) throw input
        return checkReply(operation, tagged(operation, await operation.handle(tx, input)))
      }
    },
    prepareStream:
      operation.stream &&
      ((raw) => {
        const input = checkInput(operation, raw)
        if (input instanceof Problem) return refusing(input)
        return operation.stream?.(input) ?? refusing(new Problem('internal', ''))
      }),
  }
}

/**
 * Declares an operation whose work outlives its transaction, such as a run of an agent: `begin` in one transaction, the
 * work outside any, `settle` in another. Where it `streams`, a client with `Accept: text/event-stream` gets what the work
 * sends, and then an event `done` with the body of `settle`'s reply; otherwise that body alone, when it is there. Either way the
 * answer's status and headers go out when the work begins. While it goes on, the same request again is 409
 * `request_in_progress`; afterwards it is answered as the first one was.
 */
export function outsideOperation<
  W,
  O,
  P extends Declaration['params'] = undefined,
  Q extends Declaration['query'] = undefined,
  B extends Declaration['body'] = undefined,
>(
  operation: Declaration<P, Q, B> & {
    name: string
    scope: Scope
    /** One of `answers`. */
    status: number
    streams?: true
  } & Omit<OutsideWork<W, O>, 'begin' | 'shows'> & {
      begin(tx: TenantTransaction, input: Input<P, Q, B>): ReturnType<OutsideWork<W, O>['begin']>
      shows?(tx: TenantTransaction, input: Input<P, Q, B>, target: string): Promise<Reply>
    },
): OutsideOperation {
  const { name, scope, status, streams = false, maxMs, cancelled, work, settle, shows } = operation
  return {
    answers: 'outside',
    name,
    declaration: operation as Declaration,
    scope,
    status,
    streams,
    speakers: EVERYONE,
    kind: 'write',
    prepare(raw) {
      const input = checkInput(operation, raw)
      const prepared: OutsideWork<W, O> = {
        maxMs,
        async begin(tx) {
          if (input instanceof Problem) throw input
          const begun = await operation.begin(tx, input)
          checkHeaders(begun.headers ?? {})
          return begun
        },
        ...(cancelled && { cancelled }),
        ...(shows && {
          async shows(tx, target) {
            if (input instanceof Problem) throw input
            return shows(tx, input, target)
          },
        }),
        work,
        settle,
      }
      // What one begins, the same one works on and settles: nobody else sees W and O.
      return prepared as OutsideWork<unknown, unknown>
    },
  }
}
