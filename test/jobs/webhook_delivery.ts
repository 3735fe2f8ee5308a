// An endpoint with one delivery, as they are kept, on the real engine and without anybody who delivers.
import type { TenantEvent } from '../../regional/tenancy/events.ts'
import { FEED_BEGINNING } from '../../regional/tenancy/service.ts'
import { type Result, record } from '../../regional/webhooks/recording.ts'
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
import { newId } from '../../shared/ids.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Queue } from './support.ts'

export async function beginDelivery(
  queue: Queue,
  tenant: TenantNumber,
  { mode, ...facts }: Partial<DeliveryRecord> & { mode: EndpointRecord['mode'] },
) {
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
  const delivery: DeliveryRecord = { ...newDelivery(endpoint.id, event), event, ...facts }
  await queue.inTenant(tenant, (scope) => {
    const hooks = scope.service(SERVICE)
    hooks.space(endpointSpace).set([endpoint.id], endpoint)
    const unread = { cursor: FEED_BEGINNING, highest: FEED_BEGINNING }
    hooks.space(laneSpace).set([endpoint.id], { ...unread, failingSinceMs: null, warnings: 0 })
    writeDelivery(hooks, undefined, delivery)
  })
  const read = () =>
    queue.inTenant(tenant, (scope) => scope.service(SERVICE).space(deliverySpace).get([delivery.id]))
  return {
    endpoint,
    delivery,
    read,
    /** Has it recorded what another try came to. */
    async tried(called: Result['called'], url = endpoint.url): Promise<void> {
      const held = Promise.resolve({ status: 'active' as const, version: 1, epoch: 1 })
      const before = (await read()) ?? delivery
      const sent = { record: before, event, endpointId: endpoint.id, url, called, sentMs: nowMs }
      await queue.inTenant(tenant, (scope) =>
        record(scope, { held, nowMs, random: () => 0.5 }, [sent], () => undefined),
      )
    },
  }
}
