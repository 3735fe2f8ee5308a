import { afterAll, beforeAll, expect, test } from 'vitest'
import { openEngine } from '../../regional/storage/open.ts'
import { type Regions, startRegions } from '../regional/support.ts'
import { CALM, ChaosDatabase } from './chaos_database.ts'
import { Random, seedOf } from './random.ts'

const CHANGES = 60
/** More than is kept of an answer. */
const LARGE = 'x'.repeat(20 * 1024)

let regions: Regions
let chaos: ChaosDatabase
const seed = seedOf(5)
beforeAll(async () => {
  regions = await startRegions({
    async open(options) {
      const engine = await openEngine(options)
      const database = new ChaosDatabase(engine.native, new Random(seed), CALM)
      if (options.dataDir?.endsWith('us')) chaos = database
      const close = async () => {
        await database.settle()
        await engine.close()
      }
      return { ...engine, native: database, close }
    },
  })
})
afterAll(() => regions.close())

test(`a change whose commit was in doubt is answered as any other, however large the answer (seed ${seed})`, async () => {
  const { key } = await regions.newTenant('doubted', 'us')
  const ask = (path: string, body: object, headers: Record<string, string> = {}) =>
    regions.ask('us', { as: key, method: 'POST', path, body, headers })
  const { body: project } = await ask('/v1/projects', { name: 'P' })
  const records = `/v1/projects/${project.id}/collections/c/records`
  chaos.plan = { ...CALM, unknown: 0.5 }
  for (let i = 0; i < CHANGES; i++) {
    const data = { i, text: i % 2 === 0 ? LARGE : '' }
    const headers = i % 4 < 2 ? { 'idempotency-key': `k${i}` } : {}
    const answer = await ask(records, { data }, headers)
    expect([answer.status, answer.body.data], JSON.stringify(answer.body)).toEqual([201, data])
    // It has been sent once.
    expect(answer.headers.get('idempotency-replayed')).toBeNull()
  }
  chaos.plan = CALM
  expect(chaos.counts.landed).toBeGreaterThan(2)
})
