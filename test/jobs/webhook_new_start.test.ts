// After a new start of an endpoint no delivery has failed yet: neither what was due already, nor what another URL says.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resumeRest } from '../../regional/services/webhook-endpoints/resume.ts'
import type { TenantEvent } from '../../regional/tenancy/events.ts'
import type { TenantScope } from '../../regional/tenancy/region_database.ts'
import { FEED_BEGINNING } from '../../regional/tenancy/service.ts'
import { record } from '../../regional/webhooks/recording.ts'
import {
  type DeliveryRecord,
  deliverySpace,
  type EndpointRecord,
  endpointSpace,
  laneSpace,
  newDelivery,
  SERVICE,
  writeDelivery,
} from '../../regional/webhooks/records.ts'
import { RETRY_DELAYS_MS } from '../../regional/webhooks/schedule.ts'
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from './support.ts'

const MANY = RETRY_DELAYS_MS.length

let queue: Queue
let tenant: TenantNumber
beforeEach(async () => {
  queue = await openQueue()
  tenant = await queue.tenant(1)
})
afterEach(() => queue.close())

const hooks = (scope: TenantScope) => scope.service(SERVICE)

/** An endpoint with one delivery that has failed as often as it may, and has been due since a second. */
async function begin(mode: EndpointRecord['mode']) {
  const { nowMs } = queue.clock
  const at = new Date(nowMs).toISOString()
  const endpoint: EndpointRecord = {
    ...{ id: newId('whe'), url: 'https://new.example', description: null, types: [], enabled: true, mode },
    ...{ disabled: null, rate: null, headerNames: [], sealedHeaders: null, signers: [] },
    ...{ createdAt: at, updatedAt: at, version: 1 },
  }
  const event: TenantEvent = {
    ...{ id: newId('evt', nowMs), type: 'project.created', at, resource: 'prj_1' },
    ...{ actor: { kind: 'system', id: 'x' }, sequence: FEED_BEGINNING },
  }
  const dueMs = nowMs - 1_000
  const delivery: DeliveryRecord = {
    ...newDelivery(endpoint.id, event),
    ...{ attempts: MANY, failures: MANY, nextAttemptMs: dueMs, event },
    dueAt: mode === 'fifo' ? 0 : dueMs,
  }
  await queue.inTenant(tenant, (scope) => {
    const space = hooks(scope)
    space.space(endpointSpace).set([endpoint.id], endpoint)
    const unread = { cursor: FEED_BEGINNING, highest: FEED_BEGINNING }
    space.space(laneSpace).set([endpoint.id], { ...unread, failingSinceMs: null, warnings: 0 })
    writeDelivery(space, undefined, delivery)
  })
  const read = () => queue.inTenant(tenant, (scope) => hooks(scope).space(deliverySpace).get([delivery.id]))
  return { endpoint, event, delivery, read }
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
  const { endpoint, event, delivery, read } = await begin('parallel')
  const { nowMs } = queue.clock
  const called = { outcome: 'unreachable' as const, durationMs: 1 }
  const result = { record: delivery, event, endpointId: endpoint.id, url, called, sentMs: nowMs }
  const held = Promise.resolve({ status: 'active' as const, version: 1, epoch: 1 })
  await queue.inTenant(tenant, (scope) =>
    record(scope, { held, nowMs, random: () => 0.5 }, [result], () => undefined),
  )
  expect(await read()).toMatchObject({ ...outcome, attempts: MANY + 1 })
})
