// Runs that nobody waits for, such as one that a webhook starts: a job of another service begins them, calls the model
// outside any transaction, and settles them, each in the subspace of agents.
import type { JobTransaction } from '../../jobs/kind.ts'
import type { Called } from '../../models/gateway.ts'
import type { ModelAccess } from './models.ts'
import { beginRun, promptOf, type Running, settleRun } from './runs.ts'
import { findRun, readAgent, readTexts } from './store.ts'

export interface AgentPlace {
  projectId: string
  agentId: string
}

/**
 * @returns the run's id
 * @throws {Problem} as a client's run, and `not_found`, `project_archived`
 */
export async function beginUnattended(
  tx: JobTransaction,
  { projectId, agentId }: AgentPlace,
  input: string,
  models: ModelAccess,
): Promise<string> {
  await tx.project(projectId, 'write')
  const agent = await readAgent(tx, projectId, agentId)
  const { run } = await beginRun(tx, tx, agent, input, models)
  return run.id
}

/** @returns undefined when it is not running any more */
export async function readUnattended(
  tx: Pick<JobTransaction, 'tenant' | 'space' | 'chunked'>,
  { projectId, agentId }: AgentPlace,
  runId: string,
): Promise<Running | undefined> {
  const run = await findRun(tx, projectId, agentId, runId)
  if (run?.status !== 'running') return undefined
  const [agent, { input }] = await Promise.all([readAgent(tx, projectId, agentId), readTexts(tx, run)])
  return { tenant: tx.tenant, run, prompt: promptOf(agent, input) }
}

/** Calls the model. Rejects only when `signal` is aborted: then somebody else takes it up. */
export async function callUnattended(
  { tenant, run, prompt }: Running,
  models: ModelAccess,
  signal: AbortSignal,
  maxMs: number,
): Promise<Called> {
  const during = {
    signal: AbortSignal.any([signal, AbortSignal.timeout(maxMs)]),
    onText: async () => {},
  }
  const called = await models.call(run.model, tenant, prompt, during)
  signal.throwIfAborted()
  return called
}

export async function settleUnattended(
  tx: JobTransaction,
  place: AgentPlace,
  runId: string,
  called: Called,
): Promise<void> {
  const running = await readUnattended(tx, place, runId)
  if (running !== undefined) await settleRun(tx, running, called, tx.nowMs)
}
