// transact: one request, one transaction. The edge's word is read again here, in the same transaction as the work.
// A change commits together with everything that belongs to it: idempotency record, quotas, audit and outbox entries.
import { Problem } from '../../shared/problems.ts'
import { timed } from '../observe/request.ts'
import type { Reply } from '../operation.ts'
import {
  type Asked,
  admit,
  boundsOf,
  contextOf,
  countTime,
  noteFailure,
  refusedWork,
  type TenantRequest,
  type TransactDependencies,
} from './admission.ts'
import { answerOfShutting } from './erasure.ts'
import { readingTransaction, type TenantTransaction } from './tenant_transaction.ts'
import { answering, memoryOf, REPLAYED, writeOnce } from './write_once.ts'

/**
 * Runs a service's work for a tenant and commits it with all that belongs to it.
 * @param shows what shows a change whose answer is too large to be kept
 * @throws {Problem} when the tenant or the credential no longer holds, or the service refuses.
 */
export async function transact(
  dependencies: TransactDependencies,
  request: TenantRequest,
  work: (tx: TenantTransaction) => Promise<Reply>,
  shows?: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply> {
  const { tenant } = request.verified.principal
  const asked: Asked = { ...request, actor: undefined }
  const startedAt = performance.now()
  const { usage, now } = dependencies
  try {
    if (request.kind === 'read') {
      const reply = await readAsMember(dependencies, asked, work)
      usage.count(tenant, 'reads', 1, now())
      return reply
    }
    const memory = memoryOf(asked, dependencies.sealer)
    const again = request.kind === 'sensitive' ? work : shows
    const written = await dependencies.loans.borrow(tenant, (loan) =>
      writeOnce(dependencies, asked, loan, memory, answering(memory, work, again)),
    )
    if (written.outcome === 'replayed') return written.reply
    usage.count(tenant, 'changes', 1, now())
    return written.result
  } catch (error) {
    if (error instanceof Problem) {
      const shut = request.erases && (await shutBefore(dependencies, request))
      if (shut) return shut
    }
    noteFailure(dependencies, asked, error)
    throw error instanceof Problem ? refusedWork(error, asked) : error
  } finally {
    countTime(dependencies, asked, startedAt)
  }
}

/**
 * Reads on for a request that was let in before, whoever asks being looked at anew. It was counted then, and nobody has
 * asked anything since: neither is this counted, nor a refusal told.
 * @throws {Problem} when the tenant or the credential no longer holds
 */
export const readOn = (
  dependencies: TransactDependencies,
  request: TenantRequest,
  work: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply> => readAsMember(dependencies, { ...request, actor: undefined }, work)

/** Nobody is let into an organisation that is shut, not even the very request that shut it, when it comes again. */
async function shutBefore(
  { database }: TransactDependencies,
  { verified: { principal, requestId } }: TenantRequest,
): Promise<Reply | undefined> {
  const reply = await answerOfShutting(database, principal.tenant, requestId)
  return reply && { ...reply, headers: REPLAYED }
}

async function readAsMember(
  dependencies: TransactDependencies,
  asked: Asked,
  work: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply> {
  const reply =
    (await read(dependencies, asked, work)) ??
    (await signIn(dependencies, asked).then(() => read(dependencies, asked, work)))
  if (reply === undefined) throw new Error('a member who signed in is none')
  return reply
}

/** @returns undefined, with nothing read, for someone who is to become a member first: reading changes nothing. */
async function read(
  dependencies: TransactDependencies,
  request: Asked,
  work: (tx: TenantTransaction) => Promise<Reply>,
): Promise<Reply | undefined> {
  const { principal } = request.verified
  return dependencies.database.tenant(
    principal.tenant,
    async (scope) => {
      const { admitted, actor } = await admit(dependencies, request, scope)
      if (actor === undefined) return { value: undefined, commit: false }
      const context = contextOf(request, admitted, actor)
      const tx = readingTransaction(scope, { service: request.service, context })
      const reply = await timed('work', () => work(tx))
      return { value: reply, commit: false }
    },
    boundsOf(dependencies, request),
  )
}

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
      boundsOf(dependencies, request),
    ),
  )
