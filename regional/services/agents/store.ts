// Agents and runs as they are kept. A run is two entries: what lists show of it, and its texts, which may be long. An agent
// is two as well: its instructions are longer than one value may be.
import { newId } from '../../../shared/ids.ts'
import type { Step } from '../../jobs/kind.ts'
import type { Message, Prompt } from '../../models/gateway.ts'
import {
  chunkedSpace,
  jsonSpace,
  notFound,
  type Page,
  type TenantTransaction,
} from '../../tenancy/service.ts'
import type { Agent, ListedRun, Run } from './schema.ts'

/** An agent and how often it has been changed: its version. */
export interface AgentRecord extends Agent {
  version: number
  /** What it takes of `storedBytes`; given back with it. */
  chargedBytes: number
}

/** Older ones hold their instructions themselves, and were charged nothing. */
type KeptAgent = Omit<AgentRecord, 'instructions' | 'chargedBytes'> & {
  instructions?: string
  chargedBytes?: number
}

/** A run, and what it holds of the month's tokens until it is settled. */
export interface RunRecord extends ListedRun {
  reservedTokens: number
  /** What it takes of `storedBytes`, until it is settled with room for what may come. Older ones were charged nothing. */
  chargedBytes?: number
  startedMs: number
  cancelled: boolean
}

export interface Texts {
  input: ReadonlyArray<Message>
  output: string
}

export type AgentsTransaction = Pick<TenantTransaction, 'space' | 'chunked' | 'take' | 'emit'>

const agents = jsonSpace<[projectId: string, agentId: string], KeptAgent>('agent')
const instructionsOf = chunkedSpace<[projectId: string, agentId: string]>('instructions')
const runs = jsonSpace<RunKey, RunRecord>('run')
const texts = chunkedSpace<RunKey>('texts')
/** Of a run that goes on and that nobody waits for: what its model is told, which is what was reserved for. */
const prompts = chunkedSpace<RunKey>('prompt')

/** What an agent, or a run, costs beside its texts. */
const OVERHEAD_BYTES = 500

const agentBytes = ({ instructions }: Pick<Agent, 'instructions'>): number =>
  OVERHEAD_BYTES + Buffer.byteLength(instructions)

/** @throws {Problem} `quota_exceeded` */
export async function createAgent(
  tx: TenantTransaction,
  projectId: Agent['projectId'],
  given: Pick<Agent, 'name' | 'model' | 'instructions' | 'parameters'>,
): Promise<AgentRecord> {
  const { nowMs } = tx.context
  const createdAt = new Date(nowMs).toISOString()
  const agent = {
    id: newId('agt', nowMs),
    projectId,
    ...given,
    createdAt,
    updatedAt: createdAt,
    version: 1,
    chargedBytes: agentBytes(given),
  }
  await tx.take('storedBytes', agent.chargedBytes)
  writeAgent(tx, agent)
  tx.emit('agent.created', agent.id, { project: projectId })
  return agent
}

function writeAgent(tx: AgentsTransaction, { instructions, ...agent }: AgentRecord): void {
  const key: [string, string] = [agent.projectId, agent.id]
  tx.space(agents).set(key, agent)
  tx.chunked(instructionsOf).set(key, Buffer.from(instructions))
}

function clearAgent(tx: AgentsTransaction, key: [projectId: string, id: string]): void {
  tx.space(agents).clear(key)
  tx.chunked(instructionsOf).clear(key)
}

const wholeAgent = (kept: KeptAgent, instructions: Buffer | undefined): AgentRecord => ({
  ...kept,
  instructions: instructions?.toString() ?? kept.instructions ?? '',
  chargedBytes: kept.chargedBytes ?? 0,
})

/**
 * By snapshot: nobody keeps a run from being settled by changing its agent all the time. Who removes an agent writes each of
 * its runs that goes on afterwards, so whoever ends one either finds the agent gone, or is found out by {@link clearRuns}.
 */
const hasAgent = async (
  tx: Pick<AgentsTransaction, 'space'>,
  projectId: string,
  id: string,
): Promise<boolean> => (await tx.space(agents).peek([projectId, id])) !== undefined

/** @throws {Problem} `not_found` */
export async function readAgent(
  tx: Pick<AgentsTransaction, 'space' | 'chunked'>,
  projectId: string,
  id: string,
): Promise<AgentRecord> {
  const [kept, instructions] = await Promise.all([
    tx.space(agents).get([projectId, id]),
    tx.chunked(instructionsOf).get([projectId, id]),
  ])
  if (kept === undefined) throw notFound()
  return wholeAgent(kept, instructions)
}

type Listed<V> = { entries: ReadonlyArray<readonly [id: [string], value: V]>; more: boolean }

const byLast = <V>({ entries, more }: Page<ReadonlyArray<string>, V>): Listed<V> => ({
  entries: entries.map(([key, value]) => [[String(key.at(-1))], value] as const),
  more,
})

/** Of instructions, in a page of agents: it ends early when there is more. */
const MAX_PAGE_BYTES = 1024 * 1024

export async function listAgents(
  tx: Pick<AgentsTransaction, 'space' | 'chunked'>,
  projectId: string,
  limit: number,
  after: [id: string] | undefined,
): Promise<Listed<AgentRecord>> {
  const under = [projectId]
  const page = await tx.space(agents).page({ under, limit, after: after && [projectId, after[0]] })
  const { entries, more } = byLast(page)
  if (entries.length === 0) return { entries: [], more }
  const texts = await tx.chunked(instructionsOf).page({
    ...{ under, limit, maxBytes: MAX_PAGE_BYTES },
    from: page.entries[0]?.[0],
    through: page.entries.at(-1)?.[0],
  })
  const byId = new Map(texts.entries.map(([[, id], text]) => [id, text]))
  const last = texts.entries.at(-1)?.[0][1]
  const shown = texts.more && last !== undefined ? entries.filter(([[id]]) => id <= last) : entries
  return {
    entries: shown.map(([key, kept]) => [key, wholeAgent(kept, byId.get(key[0]))] as const),
    more: more || shown.length < entries.length,
  }
}

export interface AgentChanges {
  name?: string | undefined
  model?: string | null | undefined
  instructions?: string | undefined
  parameters?: Agent['parameters'] | undefined
}

/** @throws {Problem} `quota_exceeded` */
export async function updateAgent(
  tx: TenantTransaction,
  before: AgentRecord,
  {
    name = before.name,
    model = before.model,
    instructions = before.instructions,
    parameters = before.parameters,
  }: AgentChanges,
): Promise<AgentRecord> {
  const updatedAt = new Date(tx.context.nowMs).toISOString()
  const chargedBytes = agentBytes({ instructions })
  const changed = { name, model, instructions, parameters, updatedAt, chargedBytes }
  const after = { ...before, ...changed, version: before.version + 1 }
  await grow(tx, chargedBytes - before.chargedBytes)
  writeAgent(tx, after)
  tx.emit('agent.updated', after.id, { project: after.projectId })
  return after
}

/** Its runs are cleared by a job; without it nobody finds them. */
export async function removeAgent(
  tx: AgentsTransaction,
  { projectId, id, chargedBytes }: AgentRecord,
): Promise<void> {
  clearAgent(tx, [projectId, id])
  await grow(tx, -chargedBytes)
  tx.emit('agent.deleted', id, { project: projectId })
}

type RunKey = [projectId: string, agentId: string, runId: string]
const runKey = ({ projectId, agentId, id }: Pick<Run, 'projectId' | 'agentId' | 'id'>): RunKey => [
  projectId,
  agentId,
  id,
]

export function writeRun(tx: AgentsTransaction, run: RunRecord): void {
  tx.space(runs).set(runKey(run), run)
}

const encoded = ({ input, output }: Texts): Buffer => Buffer.from(JSON.stringify({ input, output }))

export const runBytes = (texts: Texts): number => OVERHEAD_BYTES + encoded(texts).length

export function writeTexts(tx: AgentsTransaction, run: RunRecord, given: Texts): void {
  tx.chunked(texts).set(runKey(run), encoded(given))
}

export function writePrompt(tx: AgentsTransaction, run: RunRecord, prompt: Prompt): void {
  tx.chunked(prompts).set(runKey(run), Buffer.from(JSON.stringify(prompt)))
}

export async function readPrompt(
  tx: Pick<AgentsTransaction, 'chunked'>,
  run: RunRecord,
): Promise<Prompt | undefined> {
  const bytes = await tx.chunked(prompts).get(runKey(run))
  return bytes && (JSON.parse(bytes.toString()) as Prompt)
}

/** Most changes leave it as it is, and then nothing is written. */
export async function grow(tx: AgentsTransaction, bytes: number): Promise<void> {
  if (bytes !== 0) await tx.take('storedBytes', bytes)
}

export const findRun = (
  tx: Pick<AgentsTransaction, 'space'>,
  projectId: string,
  agentId: string,
  id: string,
): Promise<RunRecord | undefined> => tx.space(runs).get([projectId, agentId, id])

/** @throws {Problem} `not_found` */
export async function readRun(
  tx: Pick<AgentsTransaction, 'space'>,
  projectId: string,
  agentId: string,
  id: string,
): Promise<RunRecord> {
  const run = await findRun(tx, projectId, agentId, id)
  if (run === undefined) throw notFound()
  return run
}

export async function readTexts(tx: Pick<AgentsTransaction, 'chunked'>, run: RunRecord): Promise<Texts> {
  const bytes = await tx.chunked(texts).get(runKey(run))
  return bytes === undefined ? { input: [], output: '' } : (JSON.parse(bytes.toString()) as Texts)
}

/** The newest first. */
export const listRuns = async (
  tx: Pick<AgentsTransaction, 'space'>,
  projectId: string,
  agentId: string,
  limit: number,
  after: [id: string] | undefined,
): Promise<Listed<RunRecord>> =>
  byLast(
    await tx.space(runs).page({
      under: [projectId, agentId],
      limit,
      reverse: true,
      after: after && [projectId, agentId, after[0]],
    }),
  )

/** Whether a run that goes on is to end: it was cancelled, or its agent is gone. */
export async function isUnwanted(
  tx: Pick<AgentsTransaction, 'space'>,
  { projectId, agentId, id }: Pick<Run, 'projectId' | 'agentId' | 'id'>,
): Promise<boolean> {
  const [run, isThere] = await Promise.all([
    findRun(tx, projectId, agentId, id),
    hasAgent(tx, projectId, agentId),
  ])
  return run === undefined || run.cancelled || !isThere
}

/** Asks whoever does it to end: they are woken by the event. */
export function cancelRun(tx: AgentsTransaction, run: RunRecord): void {
  writeRun(tx, { ...run, cancelled: true })
  tx.emit('run.cancelling', run.id, { project: run.projectId, agent: run.agentId })
}

/** Keeps a run that is over. One whose agent was deleted meanwhile goes with it: nothing else will clear it. */
export async function keepEnded(tx: AgentsTransaction, run: RunRecord, given: Texts): Promise<RunRecord> {
  const isKept = await hasAgent(tx, run.projectId, run.agentId)
  // Nobody is refused once a run is over, for room that it did not hold.
  const { chargedBytes: heldBytes = 0 } = run
  const chargedBytes = isKept ? Math.min(runBytes(given), heldBytes) : 0
  await grow(tx, chargedBytes - heldBytes)
  const kept = { ...run, chargedBytes }
  clearRun(tx, runKey(run))
  if (isKept) {
    writeRun(tx, kept)
    writeTexts(tx, kept, given)
  }
  return kept
}

function clearRun(tx: AgentsTransaction, key: RunKey): void {
  tx.chunked(prompts).clear(key)
  tx.chunked(texts).clear(key)
  tx.space(runs).clear(key)
}

/** One that has ended. */
export async function removeRun(tx: AgentsTransaction, run: RunRecord): Promise<void> {
  clearRun(tx, runKey(run))
  await grow(tx, -(run.chargedBytes ?? 0))
  tx.emit('run.deleted', run.id, { project: run.projectId, agent: run.agentId })
}

const CLEARED_AT_A_TIME = 100

/** How far the clearing of runs is: what it has cleared, and behind which one it goes on. */
export interface Clearing {
  done: number
  after?: RunKey
}

/**
 * Clears some runs of an agent that is gone, or of a whole project whose agents are. What goes on is cancelled: so that it
 * is charged what it took, it is cleared by whoever ends it.
 */
export async function clearRuns(
  tx: AgentsTransaction,
  under: [projectId: string] | [projectId: string, agentId: string],
  place: Clearing,
): Promise<Step<Clearing>> {
  const { after } = place
  const { entries, more } = await tx.space(runs).page({ under, limit: CLEARED_AT_A_TIME, after })
  let { done } = place
  let bytes = 0
  for (const [key, run] of entries) {
    if (run.status === 'running') {
      cancelRun(tx, run)
      continue
    }
    clearRun(tx, key)
    bytes += run.chargedBytes ?? 0
    done++
  }
  await grow(tx, -bytes)
  const last = entries.at(-1)?.[0]
  return more && last !== undefined ? { next: { done, after: last }, done } : { finished: true, done }
}

/** Clears some agents of a project. */
export async function clearAgents(
  tx: AgentsTransaction,
  projectId: string,
): Promise<{ cleared: number; more: boolean }> {
  const { entries, more } = await tx.space(agents).page({ under: [projectId], limit: CLEARED_AT_A_TIME })
  for (const [key] of entries) clearAgent(tx, key)
  await grow(
    tx,
    entries.reduce((sum, [, { chargedBytes = 0 }]) => sum - chargedBytes, 0),
  )
  return { cleared: entries.length, more }
}
