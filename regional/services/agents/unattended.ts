// Runs that nobody waits for, such as one that a webhook starts: a job calls the model outside any transaction, and settles
// them. It is the run that is cancelled, never the job: so whatever happens, what the model took is charged.
import { type JobTransaction, jobKind, type ServiceJobKind, UNTIL_DONE } from '../../jobs/kind.ts'
import { notCalled } from '../../models/gateway.ts'
import type { ModelAccess } from './models.ts'
import { beginRun, type Ended, endedOf, INTERRUPTED_AFTER_MS, type Running, settleRun } from './runs.ts'
import {
  findRun,
  isUnwanted,
  type RunRecord,
  readAgent,
  readPrompt,
  readTexts,
  writePrompt,
} from './store.ts'

export interface AgentPlace {
  projectId: string
  agentId: string
}

type RunPlace = Pick<RunRecord, 'projectId' | 'agentId' | 'id'>

export const UNATTENDED_RUN = 'agents.run'
/** Shorter than a run that somebody waits for: meanwhile it takes one of the worker's places. */
const RUN_MS = 60_000
/** For a call to end and be settled before the run counts as interrupted, which gives back all that it holds. */
const LAST_CALL_MS = INTERRUPTED_AFTER_MS - RUN_MS - 30_000
/**
 * What has begun comes before all that is only due, in particular other runs that are to begin: so few hold what they may take
 * at the same time, and none holds it until it counts as interrupted.
 */
const BEFORE_OTHERS_MS = 1

/**
 * Begins a run, which a job goes on with.
 * @throws {Problem} as a client's run, and `not_found`, `project_archived`
 */
export async function beginUnattended(
  tx: JobTransaction,
  { projectId, agentId }: AgentPlace,
  input: string,
  models: ModelAccess,
): Promise<void> {
  await tx.project(projectId, 'write')
  const agent = await readAgent(tx, projectId, agentId)
  const { run, prompt } = await beginRun(tx, tx, agent, input, models)
  writePrompt(tx, run, prompt)
  const place = { projectId: run.projectId, agentId: run.agentId, id: run.id }
  tx.enqueue(unattendedRun(models), place, { runAtMs: BEFORE_OTHERS_MS })
}

/** Undefined when the run is not running any more, or is left to be ended as interrupted. */
type Found = Running | 'cancelled' | undefined
/** `waits`: its turn at the model did not come, so it gives up its place of the worker's and gets in line again. */
type Outcome = Ended | 'waits' | undefined
type UnattendedRun = ServiceJobKind<RunPlace, undefined, Outcome, Found>

export const unattendedRun = (models: ModelAccess): UnattendedRun =>
  jobKind({
    kind: UNATTENDED_RUN,
    service: 'agents',
    promised: true,
    retry: UNTIL_DONE,
    async read(tx, { payload: { projectId, agentId, id } }) {
      const run = await findRun(tx, projectId, agentId, id)
      if (run?.status !== 'running' || tx.nowMs - run.startedMs > LAST_CALL_MS) return undefined
      const prompt = await readPrompt(tx, run)
      if (prompt === undefined || (await isUnwanted(tx, run))) return 'cancelled'
      return { tenant: tx.tenant, run, prompt }
    },
    cancelled: (tx, { payload }) => isUnwanted(tx, payload),
    async outside(_job, signal, found, cancelled) {
      if (found === undefined) return undefined
      if (found === 'cancelled') return notCalled('cancelled')
      const { tenant, run, prompt } = found
      const called = await models.call(run.model, tenant, prompt, {
        signal: AbortSignal.any([signal, cancelled, AbortSignal.timeout(RUN_MS)]),
        inLine: AbortSignal.timeout(RUN_MS / 2),
        onText: async () => {},
      })
      // The worker has stopped, or lost the tenant: somebody else takes the run up.
      signal.throwIfAborted()
      if (called === undefined) return cancelled.aborted ? notCalled('cancelled') : 'waits'
      return endedOf(called, () => (cancelled.aborted ? 'client' : 'time'))
    },
    async step(tx, { payload: { projectId, agentId, id } }, ended) {
      if (ended === 'waits') return { next: undefined, runAtMs: BEFORE_OTHERS_MS }
      const run = await findRun(tx, projectId, agentId, id)
      if (ended !== undefined && run?.status === 'running') {
        const { input } = await readTexts(tx, run)
        await settleRun(tx, { run, prompt: { messages: input } }, ended, tx.nowMs)
      }
      return { finished: true, done: 1 }
    },
  })
