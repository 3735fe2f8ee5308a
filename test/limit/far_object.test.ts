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

const askAndLeave = (key: string, afterMs: number, more: ReadonlyArray<string> = []) =>
  hangUp(edge.url, ['GET /v1/projects HTTP/1.1', `Authorization: Bearer ${key}`, ...more], afterMs)

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
