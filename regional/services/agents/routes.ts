// /v1/projects/{projectId}/agents: agents, and their runs on the platform's models.
import { z } from 'zod'
import { Problem } from '../../../shared/problems.ts'
import { jobKind, type Step, UNTIL_DONE } from '../../jobs/kind.ts'
import {
  outsideOperation,
  pageBody,
  pageOf,
  pageQuery,
  type Reply,
  readCursor,
  requireMatch,
  type Service,
  tagOf,
  tenantOperation,
  versionTag,
} from '../../tenancy/service.ts'
import type { ModelAccess } from './models.ts'
import { beginRun, doRun, endInterrupted, listed, RUN_MS, settleRun, shownRun } from './runs.ts'
import {
  Agent,
  agentId,
  CreateAgent,
  CreateRun,
  ListedRun,
  projectId,
  Run,
  runId,
  UpdateAgent,
} from './schema.ts'
import {
  type AgentRecord,
  type Clearing,
  cancelRun,
  clearAgents,
  clearRuns,
  createAgent,
  isUnwanted,
  listAgents,
  listRuns,
  readAgent,
  readRun,
  readTexts,
  removeAgent,
  removeRun,
  updateAgent,
} from './store.ts'
import { unattendedRun } from './unattended.ts'

const AGENTS = 'agents'
const RUNS = 'runs'
const PATH = '/v1/projects/{projectId}/agents'
const RUNS_PATH = `${PATH}/{agentId}/runs`

const inProject = z.object({ projectId })
const one = inProject.extend({ id: agentId })
const ofAgent = inProject.extend({ agentId })
const oneRun = ofAgent.extend({ id: runId })

const shown = ({ version: _, chargedBytes: __, ...agent }: AgentRecord): Agent => agent
const reply = (status: number, agent: AgentRecord): Reply => ({
  status,
  body: shown(agent),
  headers: { etag: versionTag(agent) },
})

/** Clears what an agent leaves behind. */
const clearAgent = jobKind<{ projectId: string; agentId: string }, Clearing>({
  kind: 'agents.clear',
  service: 'agents',
  promised: true,
  retry: UNTIL_DONE,
  step: (tx, { payload: { projectId, agentId }, place = { done: 0 } }) =>
    clearRuns(tx, [projectId, agentId], place),
})

export const agents = (models: ModelAccess): Service => ({
  name: 'agents',
  jobKinds: [clearAgent, endInterrupted, unattendedRun(models)],
  async belowProject(tx, project, place): Promise<Step> {
    const { done, after } = (place as Clearing | null | undefined) ?? { done: 0 }
    // Before its runs: who ends one that goes on clears it, once its agent is gone.
    const agents = await clearAgents(tx, project)
    const clearing = { done: done + agents.cleared, ...(after && { after }) }
    return agents.more ? { next: clearing, done: clearing.done } : clearRuns(tx, [project], clearing)
  },
  operations: [
    tenantOperation({
      name: 'create',
      method: 'post',
      path: PATH,
      tag: 'Agents',
      summary: 'Create an agent',
      scope: 'agents:write',
      params: inProject,
      body: CreateAgent,
      answers: { 201: Agent },
      problems: ['project_archived', 'quota_exceeded'],
      async handle(tx, { params, body }) {
        await tx.project(params.projectId, 'write')
        const agent = await createAgent(tx, params.projectId, body)
        const answer = reply(201, agent)
        const location = `/v1/projects/${params.projectId}/agents/${agent.id}`
        return { ...answer, headers: { ...answer.headers, location } }
      },
    }),
    tenantOperation({
      name: 'list',
      method: 'get',
      path: PATH,
      tag: 'Agents',
      summary: 'List agents, oldest first',
      scope: 'agents:read',
      params: inProject,
      query: pageQuery,
      answers: { 200: pageOf(Agent) },
      async handle(tx, { params, query }) {
        await tx.project(params.projectId, 'read')
        const list = `${AGENTS} ${params.projectId}`
        const after = readCursor(list, query.cursor)
        const page = await listAgents(tx, params.projectId, query.limit, after)
        return { status: 200, body: pageBody(list, page, shown) }
      },
    }),
    tenantOperation({
      name: 'read',
      method: 'get',
      path: `${PATH}/{id}`,
      tag: 'Agents',
      summary: 'Read an agent',
      scope: 'agents:read',
      params: one,
      answers: { 200: Agent },
      async handle(tx, { params }) {
        await tx.project(params.projectId, 'read')
        return reply(200, await readAgent(tx, params.projectId, params.id))
      },
    }),
    tenantOperation({
      name: 'update',
      method: 'patch',
      path: `${PATH}/{id}`,
      tag: 'Agents',
      summary: 'Change an agent',
      scope: 'agents:write',
      params: one,
      body: UpdateAgent,
      answers: { 200: Agent },
      problems: ['precondition_failed', 'project_archived', 'quota_exceeded'],
      async handle(tx, { params, body, ifMatch }) {
        await tx.project(params.projectId, 'write')
        const before = await readAgent(tx, params.projectId, params.id)
        requireMatch(ifMatch, versionTag(before))
        return reply(200, await updateAgent(tx, before, body))
      },
    }),
    tenantOperation({
      name: 'delete',
      method: 'delete',
      path: `${PATH}/{id}`,
      tag: 'Agents',
      summary: 'Delete an agent; a job clears its runs',
      scope: 'agents:write',
      params: one,
      answers: { 204: null },
      problems: ['precondition_failed', 'project_archived'],
      async handle(tx, { params, ifMatch }) {
        await tx.project(params.projectId, 'write')
        const before = await readAgent(tx, params.projectId, params.id)
        requireMatch(ifMatch, versionTag(before))
        await removeAgent(tx, before)
        tx.enqueue(clearAgent, { projectId: before.projectId, agentId: before.id })
        return { status: 204 }
      },
    }),
    outsideOperation({
      name: 'run',
      streams: true,
      method: 'post',
      path: RUNS_PATH,
      tag: 'Agents',
      summary: 'Run an agent: as a stream with `Accept: text/event-stream`, or answered when it is over',
      scope: 'agents:write',
      params: ofAgent,
      body: CreateRun,
      answers: { 201: Run },
      problems: [
        'quota_exceeded',
        'project_archived',
        'request_in_progress',
        'model_unavailable',
        'model_busy',
        'no_model_configured',
      ],
      status: 201,
      maxMs: RUN_MS,
      async begin(tx, { params, body }) {
        await tx.project(params.projectId, 'write')
        const agent = await readAgent(tx, params.projectId, params.agentId)
        const running = await beginRun(tx, tx.context, agent, body.input, models)
        const { id } = running.run
        const location = `/v1/projects/${params.projectId}/agents/${params.agentId}/runs/${id}`
        return { target: id, headers: { location }, work: running }
      },
      cancelled: (tx, { run }) => isUnwanted(tx, run),
      work: (running, outside) => doRun(running, outside, models),
      settle: (tx, running, called) => settleRun(tx, running, called, tx.context.nowMs),
      async shows(tx, { params: { projectId, agentId } }, id) {
        await tx.project(projectId, 'read')
        const run = await readRun(tx, projectId, agentId, id)
        return { status: 201, body: shownRun(run, await readTexts(tx, run)) }
      },
    }),
    tenantOperation({
      name: 'list-runs',
      method: 'get',
      path: RUNS_PATH,
      tag: 'Agents',
      summary: 'List an agent’s runs, newest first',
      scope: 'agents:read',
      params: ofAgent,
      query: pageQuery,
      answers: { 200: pageOf(ListedRun) },
      async handle(tx, { params, query }) {
        await tx.project(params.projectId, 'read')
        await readAgent(tx, params.projectId, params.agentId)
        const list = `${RUNS} ${params.agentId}`
        const after = readCursor(list, query.cursor)
        const page = await listRuns(tx, params.projectId, params.agentId, query.limit, after)
        return { status: 200, body: pageBody(list, page, listed) }
      },
    }),
    tenantOperation({
      name: 'read-run',
      method: 'get',
      path: `${RUNS_PATH}/{id}`,
      tag: 'Agents',
      summary: 'Read a run',
      scope: 'agents:read',
      params: oneRun,
      answers: { 200: Run },
      async handle(tx, { params }) {
        await tx.project(params.projectId, 'read')
        await readAgent(tx, params.projectId, params.agentId)
        const run = await readRun(tx, params.projectId, params.agentId, params.id)
        return { status: 200, body: shownRun(run, await readTexts(tx, run)) }
      },
    }),
    tenantOperation({
      name: 'delete-run',
      method: 'delete',
      path: `${RUNS_PATH}/{id}`,
      tag: 'Agents',
      summary: 'Delete a run that has ended; what it took of the month’s tokens stays taken',
      scope: 'agents:write',
      params: oneRun,
      answers: { 204: null },
      problems: ['conflict', 'precondition_failed', 'project_archived'],
      async handle(tx, { params, ifMatch }) {
        await tx.project(params.projectId, 'write')
        await readAgent(tx, params.projectId, params.agentId)
        const run = await readRun(tx, params.projectId, params.agentId, params.id)
        if (ifMatch !== undefined) requireMatch(ifMatch, tagOf(shownRun(run, await readTexts(tx, run))))
        if (run.status === 'running')
          throw new Problem('conflict', 'The run goes on. Cancel it first, or wait for its end.')
        await removeRun(tx, run)
        return { status: 204 }
      },
    }),
    tenantOperation({
      name: 'cancel-run',
      method: 'post',
      path: `${RUNS_PATH}/{id}/cancel`,
      tag: 'Agents',
      summary: 'Cancel a run; what it has taken so far is charged',
      scope: 'agents:write',
      params: oneRun,
      answers: { 202: Run },
      problems: ['conflict'],
      async handle(tx, { params }) {
        await tx.project(params.projectId, 'read')
        await readAgent(tx, params.projectId, params.agentId)
        const run = await readRun(tx, params.projectId, params.agentId, params.id)
        // Once: what is written again and again could not be settled.
        if (run.status === 'running' && !run.cancelled) cancelRun(tx, run)
        return { status: 202, body: shownRun(run, await readTexts(tx, run)) }
      },
    }),
  ],
})
