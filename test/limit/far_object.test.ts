// The whole pipeline, with the tenants' Durable Objects 80 ms away: nobody waits for one who need not, and clients that leave
// meanwhile take nothing from those who stay.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { hangUp } from '../support/hang_up.ts'
import { startRawEdge } from '../support/raw_edge.ts'

const ROUND_TRIP_MS = 80

let regions: Regions
let edge: { url: string; stop(): void }

beforeAll(async () => {
  let environment: Record<string, string> = {}
  regions = await startRegions({}, (variables) => {
    environment = variables
    return startRegion(readConfig(variables), { writeLog: () => {} })
  })
  edge = await startRawEdge(environment, { entry: 'far_object.ts' })
})
afterAll(async () => {
  edge.stop()
  await regions.close()
})

/** One project more. */
async function create(key: string): Promise<{ status: number; tookMs: number; rateLimit: string | null }> {
  const startedAtMs = performance.now()
  const { status, headers } = await fetch(`${edge.url}/v1/projects`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"name":"Far"}',
  })
  return { status, tookMs: performance.now() - startedAtMs, rateLimit: headers.get('ratelimit') }
}

const askAndLeave = (key: string, afterMs: number, path = '/v1/projects', accept = 'application/json') =>
  hangUp(edge.url, [`GET ${path} HTTP/1.1`, `Authorization: Bearer ${key}`, `Accept: ${accept}`], afterMs)

test('clients that hang up while the object is asked leave the limiter as it was', async () => {
  const { key } = await regions.newTenant('left', 'us')
  await Promise.all(Array.from({ length: 6 }, () => askAndLeave(key, ROUND_TRIP_MS / 4)))
  for (let i = 0; i < 3; i++) {
    const { status, tookMs, rateLimit } = await create(key)
    expect(status).toBe(201)
    expect(rateLimit).toMatch(/^"(tenant|key|ip)";r=\d+/)
    expect(tookMs).toBeLessThan(1_000)
  }
})

test('a warm request waits for no call to the object; a cold one for one', async () => {
  const { key } = await regions.newTenant('warm', 'us')
  expect((await create(key)).tookMs).toBeGreaterThanOrEqual(ROUND_TRIP_MS)
  const times: number[] = []
  for (let i = 0; i < 20; i++) {
    const { status, tookMs } = await create(key)
    expect(status).toBe(201)
    times.push(tookMs)
  }
  // The middle one: what others at work on the machine take is not what is asked here.
  expect(times.toSorted((a, b) => a - b)[10], times.map(Math.round).join(' ')).toBeLessThan(ROUND_TRIP_MS)
})

test('streams whose clients hang up while a slot is asked for leave all slots free', async () => {
  const { id, key } = await regions.newTenant('streaming', 'us')
  const streams = 8
  const answer = await regions.ask('us', {
    as: 'operator',
    method: 'PATCH',
    path: `/platform/v1/tenants/${id}`,
    body: { limits: { streams } },
  })
  expect(answer.status).toBe(200)
  // The edge hears of it.
  expect((await create(key)).status).toBe(201)
  // The lease takes the first round trip of a tenant that has none, and the slot the next.
  const times = Array.from({ length: streams }, (_, i) => (i + 1) * (ROUND_TRIP_MS / 4))
  const stream = (afterMs: number) => askAndLeave(key, afterMs, '/v1/events', 'text/event-stream')
  await Promise.all(times.map(stream))
  const all = () => Promise.all(times.map(async () => (await stream(1_500)).split(' ')[1]))
  await expect.poll(all, { timeout: 20_000, interval: 500 }).toEqual(times.map(() => '200'))
})
