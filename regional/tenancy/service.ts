// What a tenant-aware service is made of. A service imports this, its own folder and `shared/`: nothing below.

import type { TenantPrincipal } from '../../shared/principal.ts'
import { Problem } from '../../shared/problems.ts'
import type { Scope } from '../../shared/scopes.ts'
import type { JobTransaction, Step } from '../jobs/kind.ts'
import { checkInput, type Declaration, type Input, type RawInput, type Reply } from '../operation.ts'

import type { TenantRequest } from './admission.ts'
import type { StreamSource } from './stream.ts'
import type { TenantTransaction } from './tenant_transaction.ts'

export { invalidCursor, type PageBody, pageBody, readCursor, writeCursor } from '../cursor.ts'
export { notFound, pageOf, pageQuery, type Reply, requireMatch } from '../operation.ts'
export { type ChunkedPage, chunkedSpace } from '../storage/chunked_space.ts'
export { counterSpace } from '../storage/counter_space.ts'
export { isLogPosition, type LogPosition } from '../storage/log_space.ts'
export { jsonSpace, type Key, type KeyBounds, type Page } from '../storage/space.ts'
export type { TenantContext } from './admission.ts'
export type { EventData, EventFeed, TenantEvent } from './events.ts'
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

export interface TenantOperation {
  /** What the audit trail calls it, behind the service's name. */
  name: string
  declaration: Declaration
  scope: Scope
  kind: TenantRequest['kind']
  /** Who may ask it. */
  speakers: ReadonlyArray<TenantPrincipal['kind']>
  /** Checks what the client sent. What is wrong with it is only said once the client is known to be allowed here. */
  prepare(raw: RawInput): (tx: TenantTransaction) => Promise<Reply>
  /** The same as server-sent events, for clients that ask for them. */
  prepareStream?: ((raw: RawInput) => StreamSource) | undefined
}

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
    /** For the console's own pages; otherwise it is of the API, for everyone but who is only on the way in. */
    speakers?: ReadonlyArray<TenantPrincipal['kind']>
    handle(tx: TenantTransaction, input: Input<P, Q, B>): Promise<Reply>
    stream?(input: Input<P, Q, B>): StreamSource
  },
): TenantOperation {
  return {
    name: operation.name,
    declaration: operation as Declaration,
    scope: operation.scope,
    speakers: operation.speakers ?? EVERYONE,
    kind: operation.method !== 'get' ? 'write' : operation.sensitive ? 'sensitive' : 'read',
    prepare(raw) {
      const input = checkInput(operation, raw)
      return async (tx) => {
        if (input instanceof Problem) throw input
        return operation.handle(tx, input)
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
