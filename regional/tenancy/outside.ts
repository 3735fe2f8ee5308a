// Work that outlives its transaction, such as an agent's run: it begins in one transaction, goes on outside any, and is
// settled in another. Between the two its idempotency record says that it runs. Should this process die in between, that
// is believed for as long as the work may take and no longer; then the record says that it broke off, and nothing is begun
// under its key again. What the beginning reserved is given back by a job that the beginning enqueued.
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem, type ProblemCode } from '../../shared/problems.ts'
import type { Admission } from '../admission/admission.ts'
import type { CostMeter } from '../admission/cost.ts'
import { expireAt } from '../jobs/expiry.ts'
import type { Reply } from '../operation.ts'
import {
  type Asked,
  askingOf,
  countError,
  countTime,
  noteFailure,
  type TenantContext,
  type TenantRequest,
  type TransactDependencies,
} from './admission.ts'
import { authorise } from './authorise.ts'
import { type Followed, follow } from './follow.ts'
import {
  idempotencySpace,
  isLive,
  markerKey,
  newAttempt,
  newMarker,
  rememberedUntil,
  runningRecord,
} from './idempotency.ts'
import { withinRoom } from './kept_answers.ts'
import { statusSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'
import type { Tails } from './tails.ts'
import { readingTransaction, type TenantTransaction, writingTransaction } from './tenant_transaction.ts'
import { type Memory, memoryOf, writeOnce } from './write_once.ts'

/** Time to settle in, after the work's own is over. */
export const SETTLE_MS = 30_000

/** Others kept changing the same data, the database had no time or did not answer, or how it went is not known: another try may do. */
const PASSING: ReadonlySet<ProblemCode> = new Set([
  'contention',
  'overloaded',
  'deadline_exceeded',
  'region_unavailable',
])
/** Before it: a disk that takes nothing says so at once. */
const SETTLE_AGAIN_MS = 100

/** What a beginning leaves for the rest. */
export interface Begun<W> {
  /** The id of what was begun, for the audit trail, and to show it again. */
  target: string
  /** The answer's, which goes out before the work is done. */
  headers?: Record<string, string>
  work: W
}

/**
 * Who ends work before it is done: its client, which goes away, cancels it or may not have it any more; its time, which is over;
 * or the region, which stops.
 */
export type EndedBy = 'client' | 'time' | 'region'

export interface Outside {
  /** Aborts when the work is to end: what is left is to settle. */
  signal: AbortSignal
  /** Of work whose signal has aborted. */
  endedBy(): EndedBy
  /** Sends an event to a client that asked for a stream; does nothing for any other. Waits while the client is slow. */
  send(event: string, data: unknown): Promise<void>
}

/** What settled work is answered with. */
export interface Settled extends Reply {
  /**
   * The region's stopping broke it off: it counts as the region's failure, and its record says what it would say had the
   * process died.
   */
  interrupted?: true
}

/** @param W what the work needs to know; @param O what it came to: failures too, as typed outcomes */
export interface OutsideWork<W, O> {
  /** How long the work may take, in milliseconds. */
  maxMs: number
  /** One transaction: reserves, stores that it runs, and enqueues the job that cleans up should nobody settle. */
  begin(tx: TenantTransaction): Promise<Begun<W>>
  /** Looked at whenever something of the tenant changed: true aborts the work, as a client does that goes away. */
  cancelled?(tx: TenantTransaction, work: W): Promise<boolean>
  /** Never rejects but for a mistake of its own. */
  work(work: W, outside: Outside): Promise<O>
  /**
   * Another transaction, by itself: the credential is not asked again, so that what was done is settled even when the
   * key was revoked or the tenant suspended meanwhile. May find that the clean-up was quicker.
   */
  settle(tx: TenantTransaction, work: W, outcome: O): Promise<Settled>
  /** What was begun, as it is by now: for whoever sends the same again, where the answer was too large to be kept. */
  shows?(tx: TenantTransaction, target: string): Promise<Reply>
}

/** `replayed`: it was done before. `begun`: `finish` does the rest, and must be called. */
export type Begin =
  | { outcome: 'replayed'; reply: Reply }
  | {
      outcome: 'begun'
      headers: Record<string, string>
      finish(client: { gone: AbortSignal; send: Outside['send'] }): Promise<Settled>
    }

/** What goes on outside transactions in this process. */
export class OutsideWorks {
  private readonly stopping = new AbortController()
  private readonly underWay = new Set<Promise<unknown>>()
  private readonly dependencies: TransactDependencies
  private readonly tails: Tails
  private readonly admission: Admission

  constructor(dependencies: TransactDependencies, tails: Tails, admission: Admission) {
    this.dependencies = dependencies
    this.tails = tails
    this.admission = admission
  }

  /** @throws {Problem} as {@link transact} does, and `request_in_progress` */
  async begin<W, O>(request: TenantRequest, run: OutsideWork<W, O>): Promise<Begin> {
    const asked: Asked = { ...request, actor: undefined }
    const { dependencies } = this
    const memory = memoryOf(asked, dependencies.sealer)
    const untilOf = (nowMs: number) => nowMs + run.maxMs + SETTLE_MS
    const { tenant } = request.verified.principal
    const startedAt = performance.now()
    try {
      const written = await dependencies.loans.borrow(tenant, (loan) =>
        writeOnce(dependencies, asked, loan, memory, {
          work: (tx) => run.begin(tx),
          shows: run.shows,
          target: ({ target }) => target,
          record: (_, attempt, nowMs) => runningRecord(memory.identity, attempt, untilOf(nowMs), nowMs),
        }),
      )
      if (written.outcome === 'replayed') return written
      const { result, context } = written
      dependencies.usage.count(tenant, 'changes', 1, dependencies.now())
      return {
        outcome: 'begun',
        headers: result.headers ?? {},
        finish: (client) => this.track(this.finish(asked, memory, run, context, result, client)),
      }
    } catch (error) {
      noteFailure(dependencies, asked, error)
      throw error
    } finally {
      countTime(dependencies, asked, startedAt)
    }
  }

  /** Lets what is under way end by itself for a while, then aborts it, and waits until it is settled. */
  async stop(graceMs = 0): Promise<void> {
    setTimeout(() => this.stopping.abort(), graceMs).unref()
    await Promise.allSettled(this.underWay)
  }

  private async track<T>(work: Promise<T>): Promise<T> {
    this.underWay.add(work)
    try {
      return await work
    } finally {
      this.underWay.delete(work)
    }
  }

  private async finish<W, O>(
    asked: Asked,
    memory: Memory,
    run: OutsideWork<W, O>,
    context: TenantContext,
    { work, headers, target }: Begun<W>,
    { gone, send }: { gone: AbortSignal; send: Outside['send'] },
  ): Promise<Settled> {
    const followed = this.follow(asked, run, context, work)
    const stopping = this.stopping.signal
    const late = AbortSignal.timeout(run.maxMs)
    const signal = AbortSignal.any([gone, followed.over, stopping, late])
    // It has the reason of the one that was first.
    const endedBy = (): EndedBy =>
      signal.reason === stopping.reason ? 'region' : signal.reason === late.reason ? 'time' : 'client'
    // Nobody who reads slowly, or no more, keeps the work from its end.
    const over = new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    try {
      const outcome = await run.work(work, {
        signal,
        endedBy,
        send: (event, data) => (signal.aborted ? over : Promise.race([send(event, data), over])),
      })
      const settled = await this.settle(asked, memory, context, target, async (tx) => {
        const reply = await run.settle(tx, work, outcome)
        // Whoever asks again is answered with what has gone out by now.
        return { ...reply, headers: { ...headers, ...reply.headers } }
      })
      if (settled.interrupted) countError(this.dependencies, asked)
      return settled
    } catch (error) {
      countError(this.dependencies, asked)
      throw error
    } finally {
      followed.end()
    }
  }

  /** Until it is to end because the work says so, or because whoever began it may do so no more. */
  private follow<W, O>(
    asked: Asked,
    { cancelled }: OutsideWork<W, O>,
    context: TenantContext,
    work: W,
  ): Followed {
    const { principal } = asked.verified
    const look = async (scope: TenantScope) => {
      // As of its beginning: a credential that only runs out meanwhile was good for all of it.
      const { outcome } = await authorise(scope, principal, asked, context.nowMs)
      // Nobody reads the token anew meanwhile: that its provider's record is another since says nothing against its holder.
      const mayGoOn = outcome === 'granted' || outcome === 'stale_providers'
      const tx = readingTransaction(scope, { service: asked.service, context })
      return { value: !mayGoOn || (await cancelled?.(tx, work)) === true, commit: false }
    }
    return follow(this.tails, context.tenant, () =>
      this.inTurn(asked, 'followed', (meter) =>
        this.dependencies.database.tenant(context.tenant, look, { meter }),
      ),
    )
  }

  /** Whether or not anybody still waits for the answer. */
  private inTurn<T>(asked: Asked, what: string, work: (meter: CostMeter) => Promise<T>): Promise<T> {
    const asking = askingOf({ ...asked, client: undefined })
    return this.admission.run({ ...asking, operation: `${asked.action} ${what}`, begun: true }, work)
  }

  /** Tried again for a while: nobody is to get for nothing what was done, by changing the same things all the time. */
  private async settle(
    asked: Asked,
    memory: Memory,
    before: TenantContext,
    target: string,
    work: (tx: TenantTransaction) => Promise<Settled>,
  ): Promise<Settled> {
    const replies = new Map<number, Settled>()
    const untilMs = performance.now() + SETTLE_MS
    for (;;) {
      try {
        return await this.inTurn(asked, 'settled', async (meter) => {
          const startedAt = performance.now()
          try {
            return await this.settleOnce({ ...asked, meter }, memory, before, target, replies, work)
          } finally {
            countTime(this.dependencies, asked, startedAt)
          }
        })
      } catch (error) {
        const isPassing = error instanceof Problem && PASSING.has(error.code)
        if (!isPassing || performance.now() >= untilMs) throw error
        await sleep(SETTLE_AGAIN_MS)
      }
    }
  }

  /** @param replies by attempt: one of them may turn out to have landed */
  private settleOnce(
    asked: Asked,
    memory: Memory,
    before: TenantContext,
    target: string,
    replies: Map<number, Settled>,
    work: (tx: TenantTransaction) => Promise<Settled>,
  ): Promise<Settled> {
    const { database, loans, now } = this.dependencies
    const { service, meter } = asked
    const { tenant, requestId } = before
    const key: [Buffer] = [markerKey(`${requestId} settled`)]
    return loans.borrow(tenant, (loan) =>
      database.tenant(
        tenant,
        async (scope) => {
          const records = scope.system('idempotency', idempotencySpace)
          const [status, running, settled] = await Promise.all([
            scope.system('status', statusSpace).get(['status']),
            records.get(memory.key),
            records.get(key),
          ])
          const nowMs = now()
          const landed = isLive(settled, nowMs) ? replies.get(settled.attempt) : undefined
          if (landed !== undefined) return { value: landed, commit: false }
          if (status?.status !== 'active' && status?.status !== 'suspended') {
            throw new Problem('tenant_erased', 'The organisation is not here any more: nothing was kept.')
          }
          const context = { ...before, nowMs }
          const reply = await work(writingTransaction(scope, { service, context }, loan, status))
          const attempt = newAttempt()
          replies.set(attempt, reply)
          const marker = newMarker(requestId, attempt, nowMs)
          records.set(key, marker)
          await expireAt(scope, marker.expiresAt, 'request', key[0], nowMs)
          // Forgotten, it may be another's by now.
          if (running?.runningUntil !== undefined && running.requestId === requestId) {
            const untilMs = rememberedUntil(memory.identity, nowMs)
            const record = reply.interrupted
              ? runningRecord(memory.identity, attempt, nowMs, nowMs)
              : await withinRoom(scope, memory.answered(reply, attempt, nowMs))
            const isTooLarge = !reply.interrupted && record.sealed === undefined
            records.set(memory.key, isTooLarge ? { ...record, target } : record)
            await expireAt(scope, untilMs, 'request', memory.key[0], nowMs)
          }
          return { value: reply, commit: true }
        },
        { meter },
      ),
    )
  }
}
