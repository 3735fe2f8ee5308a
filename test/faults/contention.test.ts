import { afterAll, beforeAll, expect, test } from 'vitest'
import { openEngine } from '../../regional/storage/open.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { CountingDatabase } from './counting_database.ts'

const WRITERS = 50
const WRITES_EACH = 40

let regions: Regions
const counters: CountingDatabase[] = []
beforeAll(async () => {
  regions = await startRegions({
    async open(options) {
      const engine = await openEngine(options)
      const counter = new CountingDatabase(engine.native)
      counters.push(counter)
      return { ...engine, native: counter }
    },
  })
})
afterAll(() => regions.close())

const startOver = () => counters.forEach((counter) => void counter.startOver())
const sum = (of: 'commits' | 'conflicts') => counters.reduce((total, counter) => total + counter[of], 0)

/** Fifty clients of one tenant at once, each with projects of its own: made, changed, and one in four deleted. */
async function write(key: string, name: string): Promise<void> {
  const ask = async (method: string, path: string, body?: object) => {
    const answer = await regions.ask('us', { as: key, method, path, body })
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300)
    return answer.body
  }
  const writer = async (number: number): Promise<void> => {
    for (let i = 0; i < WRITES_EACH; i += 2) {
      const project = await ask('POST', '/v1/projects', { name: `${name} ${number} ${i}` })
      if (i % 8 === 0) await ask('DELETE', `/v1/projects/${project.id}`)
      else await ask('PATCH', `/v1/projects/${project.id}`, { name: 'changed' })
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, number) => writer(number)))
}

test('fifty writers of one tenant on different keys conflict in fewer than one transaction in a hundred', async () => {
  const { key } = await regions.newTenant('crowded', 'us')
  // What is allowed has to be handed out once, for which all of them ask at the same time.
  await write(key, 'cold')
  startOver()
  await write(key, 'warm')
  expect(sum('commits')).toBeGreaterThanOrEqual(WRITERS * WRITES_EACH)
  expect(sum('conflicts') / (sum('commits') + sum('conflicts'))).toBeLessThan(0.01)
})

test('who reads the end of the audit trail, or begins to follow the events, conflicts with no writer', async () => {
  const { key } = await regions.newTenant('watched', 'us')
  const ask = (method: string, path: string, body?: object) =>
    regions.ask('us', { as: key, method, path, body })
  const follow = async () => {
    const url = 'https://example.com/hook'
    const made = await ask('POST', '/v1/webhook-endpoints', { url, enabled: false })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
  }
  // The first endpoint changes the tenant's status, which every transaction reads.
  await follow()
  const { id } = (await ask('POST', '/v1/projects', { name: 'P' })).body
  startOver()
  let writing = true
  const writer = async () => {
    while (writing) await ask('PATCH', `/v1/projects/${id}`, { name: `${Math.random()}` })
  }
  const writes = writer()
  for (let i = 0; i < 60; i++) {
    expect((await ask('GET', '/v1/audit?limit=5')).status).toBe(200)
    if (i % 20 === 0) await follow()
  }
  writing = false
  await writes
  expect(sum('commits')).toBeGreaterThan(150)
  // By serialisable reads there would be one for each that follows, and dozens for those who read.
  expect(sum('conflicts')).toBeLessThan(4)
})

test('writers of records that expire, each in a minute of its own, conflict in fewer than one transaction in fifty', async () => {
  const { key } = await regions.newTenant('expiring', 'us')
  const ask = async (path: string, body: object) => {
    const answer = await regions.ask('us', { as: key, method: 'POST', path, body })
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300)
    return answer.body
  }
  const { id } = await ask('/v1/projects', { name: 'P' })
  let minute = 0
  const writer = async (writes: number): Promise<void> => {
    for (let i = 0; i < writes; i++) {
      const expiresAt = new Date(Date.now() + ++minute * 60_000).toISOString()
      await ask(`/v1/projects/${id}/collections/c/records`, { data: {}, expiresAt })
    }
  }
  await Promise.all(Array.from({ length: 10 }, () => writer(4)))
  startOver()
  await Promise.all(Array.from({ length: 10 }, () => writer(40)))
  expect(sum('conflicts') / (sum('commits') + sum('conflicts'))).toBeLessThan(0.02)
})
