// Distance, which loopback hides: a warm request costs one round trip to the region and next to nothing more, though the
// tenant's Durable Object is 80 ms away; credential, tenant and limit cost none.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { type FarAway, farAway } from '../support/far_away.ts'
import { startRawEdge } from '../support/raw_edge.ts'

let regions: Regions
let environment: Record<string, string> = {}

beforeAll(async () => {
  regions = await startRegions({}, (variables) => {
    environment = variables
    return startRegion(readConfig(variables), { writeLog: () => {} })
  })
})
afterAll(() => regions.close())

/** Beyond the round trip, as this machine's relay makes it. Of its own an edge has 5; the rest is for the tests beside this one. */
const OWN_MS = 10
const TIMES = 31
let round = 0

/** The quickest of them: what others at work on the machine take is not what is asked here. */
async function best(ask: () => Promise<number>): Promise<number> {
  let quickest = Number.POSITIVE_INFINITY
  for (let i = 0; i < TIMES; i++) quickest = Math.min(quickest, await ask())
  return quickest
}

// Tried again, because a machine that is busy elsewhere may take some milliseconds of all that are timed.
test.each([40, 120])(
  '%i ms away, a warm read and a warm write cost one round trip each and next to nothing more',
  { retry: 3 },
  async (roundTripMs) => {
    const relays: Record<string, FarAway> = {
      us: await farAway(regions.url('us'), roundTripMs),
      eu: await farAway(regions.url('eu'), roundTripMs),
    }
    const REGIONS = JSON.stringify(
      Object.fromEntries(Object.entries(relays).map(([name, { url }]) => [name, [url]])),
    )
    const edge = await startRawEdge({ ...environment, REGIONS }, { entry: 'far_object.ts' })
    const { key } = await regions.newTenant(`far-${roundTripMs}-${++round}`, 'eu')
    const timed = async (url: string, init: RequestInit, status: number): Promise<number> => {
      const startedAt = performance.now()
      const answer = await fetch(url, init)
      await answer.text()
      expect(answer.status).toBe(status)
      return performance.now() - startedAt
    }
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const projects = `${edge.url}/v1/projects`
    const read = () => timed(projects, { headers }, 200)
    const create = () => timed(projects, { method: 'POST', headers, body: '{"name":"Far"}' }, 201)
    try {
      const roundTrip = await best(() => timed(`${relays.eu?.url}/healthz`, {}, 200))
      expect(roundTrip).toBeGreaterThanOrEqual(roundTripMs - 1)
      for (const ask of [read, create]) {
        // The first ones connect, and learn of the tenant and its limits.
        for (let i = 0; i < 3; i++) await ask()
        const warm = await best(ask)
        expect(warm).toBeGreaterThanOrEqual(roundTripMs - 1)
        expect(warm).toBeLessThan(roundTrip + OWN_MS)
      }
    } finally {
      edge.stop()
      for (const relay of Object.values(relays)) relay.close()
    }
  },
)
