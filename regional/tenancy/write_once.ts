// A change, once: the work and all that belongs to it in one commit (idempotency record, audit entry, usage), however
// often it is tried, and whoever sends it again.
import { IDEMPOTENCY_REPLAYED } from '../../shared/headers.ts'
import { callerOf } from '../../shared/principal.ts'
import { expireAt } from '../jobs/expiry.ts'
import { timed } from '../observe/request.ts'
import type { Reply } from '../operation.ts'
import {
  type Asked,
  admit,
  boundsOf,
  contextOf,
  type TenantContext,
  type TransactDependencies,
} from './admission.ts'
import { auditOf } from './audit.ts'
import {
  type IdempotencyRecord,
  idempotencySpace,
  isLive,
  newAttempt,
  newMarker,
  newRecord,
  type RequestIdentity,
  recordKey,
  rememberedUntil,
  replay,
  requireSame,
  type Sealer,
} from './idempotency.ts'
import { withinRoom } from './kept_answers.ts'
import type { ShardLoan } from './quotas.ts'
import { readingTransaction, type TenantTransaction, writingTransaction } from './tenant_transaction.ts'
import { countWrite } from './usage.ts'

/** Beside an answer that was given, or was to be given, before. */
export const REPLAYED = { [IDEMPOTENCY_REPLAYED]: 'true' }

/** Where a request stands among the records, and how its answer is sealed there. */
export interface Memory {
  identity: RequestIdentity
  key: [digest: Buffer]
  /** The record of a request that was answered. */
  answered(reply: Reply, attempt: number, nowMs: number): IdempotencyRecord
  /** @throws {Problem} as {@link replay} does */
  replay(record: IdempotencyRecord, nowMs: number): Reply
}

export function memoryOf({ kind, verified, route, content }: Asked, sealer: Sealer): Memory {
  const { principal, requestId, idempotencyKey } = verified
  const identity: RequestIdentity = {
    requestId,
    route,
    content,
    principal: principal.kind === 'signed_url' ? `${principal.kind} ${principal.keyId}` : callerOf(principal),
    ...keyOf(),
  }
  function keyOf(): Pick<RequestIdentity, 'key' | 'validUntil'> {
    // Who reads again wants to know how it is by now.
    if (kind === 'sensitive') return { key: undefined }
    if (principal.kind === 'signed_url') return { key: principal.nonce, validUntil: principal.expiresAtMs }
    return { key: idempotencyKey }
  }
  const key: [Buffer] = [recordKey(identity)]
  const bound = `${principal.tenant} ${key[0].toString('hex')}`
  return {
    identity,
    key,
    answered: (reply, attempt, nowMs) =>
      kind === 'sensitive'
        ? newMarker(requestId, attempt, nowMs)
        : newRecord(identity, attempt, reply, (text) => sealer.seal(text, bound), nowMs),
    replay(record, nowMs) {
      const reply = replay(record, identity, (sealed) => sealer.open(sealed, bound), nowMs)
      return { ...reply, headers: { ...reply.headers, ...REPLAYED } }
    },
  }
}

export interface Change<T> {
  work(tx: TenantTransaction): Promise<T>
  /** Answers this very request when it comes again and its answer was not kept. Changes nothing. */
  again?: ((tx: TenantTransaction) => Promise<Reply>) | undefined
  /** Answers it whoever sends it again, where its record says what it was about. Changes nothing. */
  shows?: ((tx: TenantTransaction, target: string) => Promise<Reply>) | undefined
  /** What it was done to, for the audit trail. */
  target(result: T): string | null
  record(result: T, attempt: number, nowMs: number): IdempotencyRecord
}

/** `replayed`: it was done before, and was answered so. */
export type Written<T> =
  | { outcome: 'written'; result: T; context: TenantContext }
  | { outcome: 'replayed'; reply: Reply }

export function writeOnce<T>(
  dependencies: TransactDependencies,
  request: Asked,
  loan: ShardLoan,
  memory: Memory,
  change: Change<T>,
): Promise<Written<T>> {
  const { service, action, clientIp, verified } = request
  const { principal, requestId } = verified
  /** By attempt: what it came to, should one of its commits turn out to have landed. */
  const earlier = new Map<number, Written<T>>()

  return dependencies.database.tenant(
    principal.tenant,
    async (scope) => {
      const records = scope.system('idempotency', idempotencySpace)
      const [[admission], found] = await Promise.all([
        Promise.allSettled([admit(dependencies, request, scope)]),
        records.get(memory.key),
      ])
      const askedMs = dependencies.now()
      const record = isLive(found, askedMs) ? found : undefined
      const before = record && settledBefore(record, askedMs)
      if (before !== undefined) return { value: before, commit: false }
      if (admission.status === 'rejected') throw admission.reason
      const { admitted, actor: known, join, follow } = admission.value
      const { nowMs, logs } = admitted
      if (record !== undefined) {
        return { value: { outcome: 'replayed', reply: await answerOf(record) }, commit: false }
      }

      const actor = known ?? (await join(loan))
      const context = contextOf(request, admitted, actor)
      const [result] = await Promise.all([
        timed('work', () => change.work(writingTransaction(scope, { service, context }, loan, logs))),
        expireAt(scope, rememberedUntil(memory.identity, nowMs), 'request', memory.key[0], nowMs),
      ])
      await follow()
      const written: Written<T> = { outcome: 'written', result, context }
      const attempt = newAttempt()
      earlier.set(attempt, written)
      countWrite(scope, nowMs)
      auditOf(scope).append(logs.epoch, {
        at: new Date(nowMs).toISOString(),
        actor,
        action,
        target: request.target ?? change.target(result),
        ip: clientIp ?? null,
        requestId,
        outcome: 'done',
      })
      records.set(memory.key, await withinRoom(scope, change.record(result, attempt, nowMs)))
      return { value: written, commit: true }

      async function answerOf(record: IdempotencyRecord): Promise<Reply> {
        const { target, runningUntil, sealed } = record
        if (runningUntil === undefined && sealed === undefined && known !== undefined) {
          const tx = readingTransaction(scope, { service, context: contextOf(request, admitted, known) })
          if (target !== undefined && change.shows !== undefined) {
            requireSame(record, memory.identity)
            const reply = await change.shows(tx, target)
            return { ...reply, headers: { ...reply.headers, ...REPLAYED } }
          }
          if (record.requestId === requestId && change.again !== undefined) return change.again(tx)
        }
        return memory.replay(record, nowMs)
      }
    },
    boundsOf(dependencies, request),
  )

  /**
   * What this very request came to, however it stands with its credential by now: it may have ended that itself. It was
   * let in by the commit that did it, and nothing is read for it but the answer that got lost.
   */
  function settledBefore(record: IdempotencyRecord, nowMs: number): Written<T> | undefined {
    const written = earlier.get(record.attempt)
    if (written !== undefined) return written
    if (record.requestId !== requestId || record.sealed === undefined) return undefined
    return { outcome: 'replayed', reply: memory.replay(record, nowMs) }
  }
}

/** A change whose result is its answer. */
export const answering = (
  memory: Memory,
  work: (tx: TenantTransaction) => Promise<Reply>,
  again?: Change<Reply>['again'],
): Change<Reply> => ({
  work,
  again,
  target: ({ target, body }) => target ?? idIn(body),
  record: memory.answered,
})

/** The id of what an answer shows, where it shows one thing. */
function idIn(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || !('id' in body)) return null
  return typeof body.id === 'string' ? body.id : null
}
