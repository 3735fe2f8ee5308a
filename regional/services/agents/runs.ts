// A run of an agent: reserved and stored as running, called outside any transaction, then settled. Whoever finds it
// running after its time was over (the process died, or somebody deleted it) gives back what it held.
import { newId } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import type { TenantNumber } from '../../../shared/tenant.ts'
import { jobKind, UNTIL_DONE } from '../../jobs/kind.ts'
import {
  type Called,
  type Message,
  mostTextBytes,
  mostTokens,
  notCalled,
  type Prompt,
} from '../../models/gateway.ts'
import type { EndedBy, Outside, Settled, TenantContext, TenantTransaction } from '../../tenancy/service.ts'
import { chosenModel, type ModelAccess } from './models.ts'
import { DEFAULT_MAX_OUTPUT_TOKENS, type ListedRun, type Run, type RunFailure } from './schema.ts'
import {
  type AgentRecord,
  type AgentsTransaction,
  findRun,
  keepEnded,
  type RunRecord,
  readTexts,
  runBytes,
  type Texts,
  writeRun,
  writeTexts,
} from './store.ts'

/** The longest that a run may take, waiting for its turn included. */
export const RUN_MS = 5 * 60_000
/** After that a run is nobody's any more. */
export const INTERRUPTED_AFTER_MS = RUN_MS + 60_000

const DETAILS: Readonly<Record<RunFailure, string>> = {
  upstream_timeout: 'The model’s server was silent for too long.',
  upstream_unavailable: 'The model’s server could not be reached.',
  upstream_rate_limited: 'The model’s server takes no more at present. Try again later.',
  upstream_misconfigured:
    'The model’s server does not let the platform in, or knows no such model. Only the platform’s operator can mend that.',
  upstream_refused: 'The model’s server refused the request.',
  upstream_failed: 'The model’s server failed.',
  upstream_broken_off: 'The model’s server broke off in the middle.',
  time_limit_exceeded: 'It took longer than a run may.',
  interrupted: 'The region that ran it stopped.',
}

export const listed = ({
  reservedTokens: _reserved,
  chargedBytes: _charged,
  startedMs: _started,
  cancelled: _cancelled,
  ...run
}: RunRecord): ListedRun => run

export const shownRun = (run: RunRecord, { input, output }: Texts): Run => ({
  ...listed(run),
  input: [...input],
  output,
})

/** What a run needs once it has begun. */
export interface Running {
  tenant: TenantNumber
  run: RunRecord
  prompt: Prompt
}

/** @throws {Problem} `no_model_configured`, `model_unavailable`, `model_busy`, `rate_limited`, `quota_exceeded` */
export async function beginRun(
  tx: AgentsTransaction & Pick<TenantTransaction, 'organisation' | 'enqueue'>,
  { tenant, nowMs }: Pick<TenantContext, 'tenant' | 'nowMs'>,
  agent: AgentRecord,
  input: string | ReadonlyArray<Message>,
  models: ModelAccess,
): Promise<Running> {
  const [{ plan }, offered] = await Promise.all([tx.organisation(), models.offered()])
  const model = chosenModel(offered, agent.model, plan)
  const room = await models.roomFor(model.name, tenant)
  if (room !== 'room') throw tooManyWait(model.name, room)
  const messages = typeof input === 'string' ? [{ role: 'user' as const, content: input }] : input
  const prompt = promptOf(agent, messages)
  const reservedTokens = mostTokens(prompt)
  const chargedBytes = runBytes({ input: messages, output: '' }) + mostTextBytes(prompt.parameters)
  await tx.take('tokens', reservedTokens)
  await tx.take('storedBytes', chargedBytes)
  const run: RunRecord = {
    id: newId('run', nowMs),
    projectId: agent.projectId,
    agentId: agent.id,
    model: model.name,
    status: 'running',
    error: null,
    inputTokens: 0,
    outputTokens: 0,
    usageEstimated: false,
    firstTextMs: null,
    durationMs: null,
    createdAt: new Date(nowMs).toISOString(),
    endedAt: null,
    reservedTokens,
    chargedBytes,
    startedMs: nowMs,
    cancelled: false,
  }
  writeRun(tx, run)
  writeTexts(tx, run, { input: messages, output: '' })
  tx.emit('run.started', run.id, { project: run.projectId, agent: run.agentId })
  const { projectId, agentId, id } = run
  tx.enqueue(endInterrupted, { projectId, agentId, id }, { runAtMs: nowMs + INTERRUPTED_AFTER_MS })
  return { tenant, run, prompt }
}

/** What one organisation asks too much of is its own limit, and no failure of the region. */
function tooManyWait(model: string, whose: 'tenant_waits' | 'all_wait'): Problem {
  const headers = { 'retry-after': '5' }
  return whose === 'tenant_waits'
    ? new Problem('rate_limited', `Too many runs of yours wait for ${model}. Try again in a moment.`, {
        headers,
      })
    : new Problem('model_busy', `Too many wait for ${model}. Try again in a moment.`, { headers })
}

function promptOf({ instructions, parameters }: AgentRecord, messages: ReadonlyArray<Message>): Prompt {
  const { maxOutputTokens = DEFAULT_MAX_OUTPUT_TOKENS, ...others } = parameters
  return { instructions, messages, parameters: { ...others, maxOutputTokens } }
}

const CUT_SHORT = {
  client: 'cancelled',
  time: 'time_limit_exceeded',
  region: 'interrupted',
} as const satisfies Record<EndedBy, RunFailure | 'cancelled'>

/** What a run came to: its call, which does not know why it was not to go on. */
export type Ended = Omit<Called, 'outcome' | 'refusedWith'> & { outcome: Called['outcome'] | RunFailure }

export const endedOf = (called: Called, endedBy: () => EndedBy): Ended =>
  called.outcome === 'cancelled' ? { ...called, outcome: CUT_SHORT[endedBy()] } : called

export async function doRun(
  { tenant, run, prompt }: Running,
  { signal, endedBy, send }: Outside,
  models: ModelAccess,
): Promise<Ended> {
  await send('run', { id: run.id, status: run.status, model: run.model })
  const onText = (text: string) => send('delta', { text })
  const called = await models.call(run.model, tenant, prompt, { signal, onText })
  return endedOf(called ?? notCalled('cancelled'), endedBy)
}

/** What is settled: a run, with what its model was told. */
export interface Settling {
  run: Pick<RunRecord, 'projectId' | 'agentId' | 'id'>
  prompt: Pick<Prompt, 'messages'>
}

/** @throws {Problem} `not_found` when it is nobody's any more */
export async function settleRun(
  tx: AgentsTransaction,
  { run: { projectId, agentId, id }, prompt }: Settling,
  ended: Ended,
  nowMs: number,
): Promise<Settled> {
  const run = await findRun(tx, projectId, agentId, id)
  // What it held was given back then.
  if (run?.status !== 'running') {
    throw new Problem('not_found', 'The run was ended as interrupted before this.')
  }
  const { outcome, text, inputTokens, outputTokens, usageEstimated, firstTextMs, durationMs } = ended
  const texts = { input: prompt.messages, output: text }
  const kept = await end(
    tx,
    {
      ...run,
      status: outcome === 'succeeded' || outcome === 'cancelled' ? outcome : 'failed',
      error:
        outcome === 'succeeded' || outcome === 'cancelled'
          ? null
          : { code: outcome, detail: DETAILS[outcome] },
      ...{ inputTokens, outputTokens, usageEstimated, firstTextMs, durationMs },
    },
    texts,
    nowMs,
  )
  const body = shownRun(kept, texts)
  return { status: 201, body, ...(outcome === 'interrupted' && { interrupted: true }) }
}

/** Charges what a run took, gives back the rest of what it held, and tells of its end. */
async function end(
  tx: AgentsTransaction,
  run: RunRecord & { status: Exclude<RunRecord['status'], 'running'> },
  texts: Texts,
  nowMs: number,
): Promise<RunRecord> {
  // An upstream that counts more than there can be is not believed, and no count gives tokens.
  const taken = Math.max(0, Math.min(run.inputTokens + run.outputTokens, run.reservedTokens))
  await tx.take('tokens', taken - run.reservedTokens, run.startedMs)
  const endedAt = new Date(nowMs).toISOString()
  const ended = await keepEnded(tx, { ...run, reservedTokens: taken, endedAt }, texts)
  tx.emit(`run.${run.status}`, run.id, { project: run.projectId, agent: run.agentId })
  return ended
}

/** Ends a run that nobody settled. */
export const endInterrupted = jobKind<{ projectId: string; agentId: string; id: string }>({
  kind: 'agents.interrupted',
  service: 'agents',
  promised: true,
  retry: UNTIL_DONE,
  async step(tx, { payload: { projectId, agentId, id } }) {
    const run = await findRun(tx, projectId, agentId, id)
    if (run?.status === 'running') {
      const error = { code: 'interrupted' as const, detail: DETAILS.interrupted }
      const ended = { ...run, status: 'failed' as const, error, durationMs: tx.nowMs - run.startedMs }
      await end(tx, ended, await readTexts(tx, run), tx.nowMs)
    }
    return { finished: true }
  },
})
