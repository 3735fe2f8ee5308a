// Webhooks of many tenants and several instances: nobody waits for another's receivers, and nothing is sent by two.
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { startReceiver, type WebhookReceiver } from '../support/webhook_receiver.ts'
import { type Regions, startRegions } from './support.ts'

let regions: Regions
let receiver: WebhookReceiver
beforeAll(async () => {
  receiver = await startReceiver()
  const own = { WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1', REGION_INSTANCES: '3' }
  regions = await startRegions({}, (environment) =>
    startRegion(readConfig({ ...environment, ...own }), { writeLog: () => {} }),
  )
})
afterAll(async () => {
  await regions.close()
  await receiver.close()
})

const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 30_000, interval: 20 })

async function newTenant(slug: string, endpoints: ReadonlyArray<object>, among = regions) {
  const { key } = await among.newTenant(slug, 'eu')
  const post = (path: string, body: object) => among.ask('eu', { as: key, method: 'POST', path, body })
  for (const endpoint of endpoints) {
    const body = { url: receiver.url(`/${slug}`), types: ['project.*'], ...endpoint }
    expect((await post('/v1/webhook-endpoints', body)).status).toBe(201)
  }
  return {
    came: () => receiver.at(`/${slug}`).map(({ body }) => body.data.resource as string),
    async projects(count: number): Promise<string[]> {
      const ids: string[] = []
      for (let i = 0; i < count; i++) ids.push((await post('/v1/projects', { name: `P ${i}` })).body.id)
      return ids
    },
  }
}

test('a tenant whose receivers all hang keeps nobody else waiting', async () => {
  const ENDPOINTS = 30
  const EVENTS = 30
  const hung: ServerResponse[] = []
  let isOver = false
  receiver.answer('/hanging', (_, response) => {
    if (isOver) response.writeHead(204).end()
    else hung.push(response)
  })
  const hanging = await newTenant('hanging', Array(ENDPOINTS).fill({}))
  const other = await newTenant('other', [{}, { mode: 'fifo' }])
  await hanging.projects(EVENTS)
  // As many as one tenant may have on their way, of those that it has.
  await eventually(() => expect(hung.length).toBeGreaterThanOrEqual(200))
  expect(hung.length).toBeLessThanOrEqual(256)
  const ids = await other.projects(20)
  await eventually(() => expect(other.came().toSorted()).toEqual([...ids, ...ids].toSorted()))
  // Not one of those had made way by then, answered or given up.
  expect(hung.every((response) => !response.closed)).toBe(true)
  isOver = true
  for (const response of hung) response.writeHead(204).end()
  await eventually(() => expect(hanging.came().length).toBe(ENDPOINTS * EVENTS))
})

test('tenants whose receivers never take anything, and who always have more, keep nobody else out', async () => {
  const IN_HAND = 2
  const EVENTS = 40
  const crowded = await startRegions({}, (environment) =>
    startRegion(readConfig({ ...environment, WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' }), {
      writeLog: () => {},
      deliveringTenants: IN_HAND,
    }),
  )
  try {
    const failing = await Promise.all(
      Array.from({ length: IN_HAND + 1 }, async (_, i) => {
        receiver.answer(`/dead-${i}`, 500)
        const tenant = await newTenant(`dead-${i}`, [{}], crowded)
        return { ...tenant, at: `/dead-${i}`, ids: await tenant.projects(EVENTS) }
      }),
    )
    // All of them are found failing, and have more to send than they will for minutes.
    await eventually(() => {
      for (const { came } of failing) expect(came().length).toBeGreaterThan(6)
    })
    const other = await newTenant('newcomer', [{}], crowded)
    const ids = await other.projects(3)
    await eventually(() => expect(other.came().toSorted()).toEqual(ids))
    for (const { came } of failing) expect(new Set(came()).size).toBeLessThan(EVENTS)
    // What they had left is not lost: it goes on where it was.
    for (const { at } of failing) receiver.answer(at, 204)
    await eventually(() => {
      for (const { came, ids } of failing) expect(new Set(came())).toEqual(new Set(ids))
    })
  } finally {
    await crowded.close()
  }
})

test('of several instances one sends, whichever the events come from', async () => {
  const tenant = await newTenant('shared', [{}, { mode: 'fifo' }])
  const ids: string[] = []
  for (let burst = 0; burst < 3; burst++) {
    ids.push(...(await tenant.projects(10)))
    await eventually(() => expect(tenant.came().length).toBeGreaterThanOrEqual(2 * ids.length))
    expect(tenant.came().toSorted()).toEqual([...ids, ...ids].toSorted())
  }
})
