// The jobs that run an agent with a webhook, when what they are about is gone, or not wanted any more.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { CannotBeDone, type Step } from '../../regional/jobs/kind.ts'
import { type Called, notCalled } from '../../regional/models/gateway.ts'
import type { ModelAccess } from '../../regional/services/agents/models.ts'
import { doRun, settleRun } from '../../regional/services/agents/runs.ts'
import {
  type Clearing,
  clearRuns,
  createAgent,
  findRun,
  listRuns,
  type RunRecord,
  writePrompt,
  writeRun,
} from '../../regional/services/agents/store.ts'
import { unattendedRun } from '../../regional/services/agents/unattended.ts'
import { agentRun } from '../../regional/services/webhook-sources/agent_run.ts'
import { type Emit, feedOf } from '../../regional/tenancy/events.ts'
import type { TenantScope } from '../../regional/tenancy/region_database.ts'
import { newId } from '../../shared/ids.ts'
import { Problem } from '../../shared/problems.ts'
import { openQueue, type Queue } from './support.ts'

/** What the next calls of a model come to; undefined where their turn does not come in time. */
const calls: Array<Called | undefined> = []
const PROMPT = { instructions: '', messages: [], parameters: { maxOutputTokens: 1 } }
const noModels: ModelAccess = {
  offered: async () => new Map(),
  roomFor: async () => 'room',
  call: async () => {
    if (calls.length === 0) throw new Error('nobody is called')
    return calls.shift()
  },
}
const runAgent = agentRun(noModels)
const goOn = unattendedRun(noModels)

let queue: Queue
beforeAll(async () => {
  queue = await openQueue()
  queue.worker({ kinds: [runAgent, goOn] })
})
afterAll(() => queue.close())

test('a webhook whose source was removed before its agent ran ends the job, and is no fault of ours', async () => {
  const tenant = await queue.tenant(1)
  const payload = {
    sourceId: newId('whs'),
    webhookId: newId('del'),
    projectId: newId('prj'),
    agentId: newId('agt'),
  }
  const id = await queue.enqueue(tenant, runAgent, payload)
  await vi.waitFor(async () => expect((await queue.job(tenant, id))?.state).not.toBe('queued'), {
    timeout: 10_000,
  })
  expect(await queue.job(tenant, id)).toMatchObject({ state: 'failed', failures: 0 })
  expect(queue.logged).toEqual([])
})

test.each([
  ['region_unavailable', false],
  ['contention', false],
  ['overloaded', false],
  ['deadline_exceeded', false],
  ['internal', false],
  ['model_busy', false],
  ['rate_limited', false],
  ['no_model_configured', false],
  ['model_unavailable', false],
  ['not_found', true],
  ['project_archived', true],
  ['quota_exceeded', true],
] as const)('a run that %s keeps from its beginning is given up: %s', async (code, isGivenUp) => {
  const tx = { project: () => Promise.reject(new Problem(code, 'Not now.')) }
  const payload = { sourceId: '', webhookId: '', projectId: '', agentId: '' }
  const job = { id: newId('job'), payload, place: { input: 'hello' }, failures: 0 }
  const failure = await runAgent.step(tx as never, job, undefined).catch((error: unknown) => error)
  expect(failure instanceof CannotBeDone).toBe(isGivenUp)
})

test.each([
  ['as it is, where it is short', '{"ü":"\u0001"}', 1],
  ['as JSON, where it is control characters', '\u0001'.repeat(100_000), 0.02],
  ['as JSON, where it is in scripts of three bytes', '語'.repeat(100_000), 0.05],
  ['without half a character', '😀'.repeat(100_000), 0.02],
])('an agent is told as much of a webhook as a job has room for: %s', async (_, text, part) => {
  const webhook = { type: 'order.paid' }
  const tx = {
    space: () => ({ get: async () => webhook }),
    chunked: () => ({ get: async () => Buffer.from(text) }),
  }
  const payload = { sourceId: '', webhookId: '', projectId: '', agentId: '' }
  const job = { id: newId('job'), payload, place: undefined, failures: 0 }
  const step = await runAgent.step(tx as never, job, undefined)
  const input = 'next' in step && step.next && 'input' in step.next ? step.next.input : ''
  const told = input.replace('A webhook came: order.paid\n\n', '')
  expect(Buffer.byteLength(JSON.stringify(told))).toBeLessThanOrEqual(16 * 1024)
  expect(told.length).toBeGreaterThanOrEqual(text.length * part)
  expect(text.startsWith(told.replace(/\ufffd$/, ''))).toBe(true)
  expect(told.isWellFormed()).toBe(true)
})

/** A run that goes on, whose agent is not there. */
const runOf = (given: Partial<RunRecord> = {}): RunRecord => ({
  ...{ id: newId('run'), projectId: newId('prj'), agentId: newId('agt'), model: 'small', status: 'running' },
  ...{ inputTokens: 0, outputTokens: 0, usageEstimated: false, firstTextMs: null, durationMs: null },
  ...{ createdAt: new Date(queue.clock.nowMs).toISOString(), startedMs: queue.clock.nowMs, endedAt: null },
  ...{ error: null, reservedTokens: 0, chargedBytes: 0, cancelled: false },
  ...given,
})

const agentsIn = (scope: TenantScope, emit: Emit = () => {}) => ({
  ...scope.service('agents'),
  take: async () => {},
  emit,
})

test('clearing what an agent left goes past runs that go on, and cancels each once', async () => {
  const tenant = await queue.tenant(4)
  const { projectId, agentId } = runOf()
  const all = Array.from({ length: 250 }, (_, i) =>
    runOf({ projectId, agentId, status: i % 100 === 0 ? 'running' : 'failed' }),
  )
  const going = all
    .filter(({ status }) => status === 'running')
    .map(({ id }) => id)
    .toSorted()
  await queue.inTenant(tenant, (scope) => {
    for (const run of all) writeRun(agentsIn(scope), run)
  })
  const told: string[] = []
  let step: Step<Clearing> = { next: { done: 0 } }
  while ('next' in step) {
    const { next }: { next: Clearing } = step
    step = await queue.inTenant(tenant, (scope) =>
      clearRuns(
        agentsIn(scope, (_, run) => void told.push(run)),
        [projectId, agentId],
        next,
      ),
    )
  }
  expect(step).toEqual({ finished: true, done: all.length - going.length })
  const left = await queue.inTenant(tenant, (scope) =>
    listRuns(scope.service('agents'), projectId, agentId, 100, undefined),
  )
  expect(left.entries.map(([, { id, cancelled }]) => [id, cancelled])).toEqual(
    going.toReversed().map((id) => [id, true]),
  )
  expect(told).toEqual(going)
})

test('a run never gives more tokens back than it held', async () => {
  const tenant = await queue.tenant(7)
  const run = runOf({ reservedTokens: 100 })
  const taken: number[] = []
  const take = async (quota: string, by: number) => void (quota === 'tokens' && taken.push(by))
  const called = { ...notCalled('cancelled'), inputTokens: -1_000_000, outputTokens: 4 }
  await queue.inTenant(tenant, async (scope) => {
    const tx = { ...agentsIn(scope), take }
    writeRun(tx, run)
    await settleRun(tx, { run, prompt: { messages: [] } }, called, queue.clock.nowMs)
  })
  expect(taken).toEqual([-100])
})

test.each([
  ['was cancelled', true],
  ['lost its agent', false],
])('a run that %s before its model was called is settled without a call', async (_, cancelled) => {
  const tenant = await queue.tenant(cancelled ? 2 : 3)
  const run = runOf({ cancelled })
  await queue.inTenant(tenant, (scope) => writeRun(agentsIn(scope), run))
  const job = await queue.enqueue(tenant, goOn, run)
  await vi.waitFor(async () => expect((await queue.job(tenant, job))?.state).toBe('done'), {
    timeout: 10_000,
  })
  const told = await queue.inTenant(tenant, async (scope) => (await feedOf(scope).page(10)).events)
  expect(told.map(({ type, resource }) => [type, resource])).toEqual([['run.cancelled', run.id]])
  const left = await queue.inTenant(tenant, (scope) =>
    findRun(scope.service('agents'), run.projectId, run.agentId, run.id),
  )
  expect(left).toBeUndefined()
  expect(queue.logged).toEqual([])
})

test('a run whose turn comes too late is not called: it could be ended as interrupted meanwhile, and cost nothing', async () => {
  const tenant = await queue.tenant(5)
  const run = runOf({ startedMs: queue.clock.nowMs - 5 * 60_000 })
  await queue.inTenant(tenant, (scope) => writeRun(agentsIn(scope), run))
  const job = await queue.enqueue(tenant, goOn, run)
  await vi.waitFor(async () => expect((await queue.job(tenant, job))?.state).toBe('done'), {
    timeout: 10_000,
  })
  const left = await queue.inTenant(tenant, (scope) =>
    findRun(scope.service('agents'), run.projectId, run.agentId, run.id),
  )
  expect(left).toEqual(run)
  expect(queue.logged).toEqual([])
})

test.each([
  [
    'has only waited for its turn at the model gets in line again',
    [undefined, undefined, { ...notCalled('cancelled'), outcome: 'succeeded', text: 'hello' } as const],
    'succeeded',
  ],
  ['takes longer than it may has failed', [notCalled('cancelled')], 'failed time_limit_exceeded'],
])('a run that %s, and is none that was cancelled', async (_, came, expected) => {
  const tenant = await queue.tenant(came.length === 1 ? 8 : 6)
  const run = await queue.inTenant(tenant, async (scope) => {
    const tx = { ...agentsIn(scope), context: { nowMs: queue.clock.nowMs } }
    const given = { name: 'A', model: null, instructions: '', parameters: {} }
    const agent = await createAgent(tx as never, newId('prj'), given)
    const begun = runOf({ projectId: agent.projectId, agentId: agent.id })
    writeRun(tx, begun)
    writePrompt(tx, begun, PROMPT)
    return begun
  })
  calls.push(...came)
  const job = await queue.enqueue(tenant, goOn, run)
  await vi.waitFor(async () => expect((await queue.job(tenant, job))?.state).toBe('done'), {
    timeout: 10_000,
  })
  const left = await queue.inTenant(tenant, (scope) =>
    findRun(scope.service('agents'), run.projectId, run.agentId, run.id),
  )
  expect([left?.status, left?.error?.code].join(' ').trim()).toBe(expected)
  expect([calls, queue.logged]).toEqual([[], []])
})

test.each([
  ['client', 'cancelled'],
  ['time', 'time_limit_exceeded'],
  ['region', 'interrupted'],
] as const)(
  'a run that its %s ends is %s, and one that has come to something else is that',
  async (by, expected) => {
    const outside = { signal: AbortSignal.abort(), endedBy: () => by, send: async () => {} }
    const running = { tenant: await queue.tenant(9), run: runOf(), prompt: PROMPT }
    calls.push(undefined, notCalled('upstream_unavailable'))
    expect((await doRun(running, outside, noModels)).outcome).toBe(expected)
    expect((await doRun(running, outside, noModels)).outcome).toBe('upstream_unavailable')
  },
)
