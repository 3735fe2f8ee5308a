// The jobs that run an agent with a webhook, when what they are about is gone, or not wanted any more.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { ModelAccess } from '../../regional/services/agents/models.ts'
import { findRun, type RunRecord, writeRun } from '../../regional/services/agents/store.ts'
import { unattendedRun } from '../../regional/services/agents/unattended.ts'
import { agentRun } from '../../regional/services/webhook-sources/agent_run.ts'
import { feedOf } from '../../regional/tenancy/events.ts'
import { newId } from '../../shared/ids.ts'
import { openQueue, type Queue } from './support.ts'

const noModels: ModelAccess = {
  offered: async () => new Map(),
  hasRoom: async () => true,
  call: () => Promise.reject(new Error('nobody is called')),
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
  ['was cancelled', true],
  ['lost its agent', false],
])('a run that %s before its model was called is settled without a call', async (_, cancelled) => {
  const tenant = await queue.tenant(cancelled ? 2 : 3)
  const nothingYet = { inputTokens: 0, outputTokens: 0, usageEstimated: false, firstTextMs: null }
  const run: RunRecord = {
    ...{ id: newId('run'), projectId: newId('prj'), agentId: newId('agt'), model: 'small' },
    ...{ status: 'running', error: null, ...nothingYet, durationMs: null, endedAt: null },
    ...{ createdAt: new Date(queue.clock.nowMs).toISOString(), startedMs: queue.clock.nowMs },
    ...{ reservedTokens: 0, chargedBytes: 0, cancelled },
  }
  const unused = { take: async () => {}, emit: () => {} }
  await queue.inTenant(tenant, (scope) => writeRun({ ...scope.service('agents'), ...unused }, run))
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
