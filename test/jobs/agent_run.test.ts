// The job that runs an agent with a webhook, when what it is about is gone.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { ModelAccess } from '../../regional/services/agents/models.ts'
import { agentRun } from '../../regional/services/webhook-sources/agent_run.ts'
import { newId } from '../../shared/ids.ts'
import { openQueue, type Queue } from './support.ts'

let queue: Queue
beforeAll(async () => {
  queue = await openQueue()
})
afterAll(() => queue.close())

const noModels: ModelAccess = {
  offered: async () => new Map(),
  hasRoom: async () => true,
  call: () => Promise.reject(new Error('nobody is called')),
}

test('a webhook whose source was removed before its agent ran ends the job, and is no fault of ours', async () => {
  const tenant = await queue.tenant(1)
  const runAgent = agentRun(noModels)
  const payload = {
    sourceId: newId('whs'),
    webhookId: newId('del'),
    projectId: newId('prj'),
    agentId: newId('agt'),
  }
  const id = await queue.enqueue(tenant, runAgent, payload)
  queue.worker({ kinds: [runAgent] })
  await vi.waitFor(async () => expect((await queue.job(tenant, id))?.state).not.toBe('queued'), {
    timeout: 10_000,
  })
  expect(await queue.job(tenant, id)).toMatchObject({ state: 'failed', failures: 0 })
  expect(queue.logged).toEqual([])
})
