// After a new start of an endpoint no delivery has failed yet: neither what was due already, nor what another URL says.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resumeRest } from '../../regional/services/webhook-endpoints/resume.ts'
import type { EndpointRecord } from '../../regional/webhooks/records.ts'
import { RETRY_DELAYS_MS } from '../../regional/webhooks/schedule.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from './support.ts'
import { beginDelivery } from './webhook_delivery.ts'

const MANY = RETRY_DELAYS_MS.length

let queue: Queue
let tenant: TenantNumber
beforeEach(async () => {
  queue = await openQueue()
  tenant = await queue.tenant(1)
})
afterEach(() => queue.close())

/** An endpoint with one delivery that has failed as often as it may, and has been due since a second. */
function begin(mode: EndpointRecord['mode']) {
  const dueMs = queue.clock.nowMs - 1_000
  const dueAt = mode === 'fifo' ? 0 : dueMs
  return beginDelivery(queue, tenant, { mode, attempts: MANY, failures: MANY, nextAttemptMs: dueMs, dueAt })
}

test.each(['parallel', 'fifo'] as const)('what was due already starts anew, too (%s)', async (mode) => {
  const { endpoint, read } = await begin(mode)
  const after = [endpoint.id, 0, '', ''] as [string, number, string, string]
  await queue.enqueue(tenant, resumeRest, { endpoint: endpoint.id, after })
  queue.worker({ kinds: [resumeRest, { kind: 'webhooks', call: () => {} }], scanEveryMs: 20 })
  await expect.poll(read).toMatchObject({ status: 'pending', failures: 0, attempts: MANY })
})

test.each([
  ['https://old.example', { status: 'pending', failures: MANY }],
  ['https://new.example', { status: 'failed', failures: MANY + 1 }],
])('a failure at %s counts only where that is the endpoint’s URL', async (url, outcome) => {
  const { read, tried } = await begin('parallel')
  await tried({ outcome: 'unreachable', durationMs: 1 }, url)
  expect(await read()).toMatchObject({ ...outcome, attempts: MANY + 1 })
})
