// The region is killed in the middle of its work, at instants that a seed decides, and started again on the same data.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type KillableRegions, startKillableRegions } from './killing.ts'

let regions: KillableRegions
beforeAll(async () => {
  regions = await startKillableRegions()
})
afterAll(() => regions.close())

const eventually = <T>(check: () => Promise<T>) => vi.waitFor(check, { timeout: 40_000, interval: 20 })

test('a job survives kills, and every one of its steps takes effect exactly once', async () => {
  const { key } = await regions.newTenant('killed', 'us')
  const ask = (path: string, more = {}) => regions.ask('us', { as: key, path, ...more })
  const STEPS = 500
  const JOBS = 4
  const paths: string[] = []
  for (let i = 0; i < JOBS; i++) {
    const { body } = await ask('/v1/counts', { method: 'POST', body: { name: `job ${i}`, steps: STEPS } })
    paths.push(`/v1/jobs/${body.id}`)
  }
  const [first = ''] = paths
  const done = async () => (await ask(first)).body.done as number
  for (let kill = 0; kill < 3; kill++) {
    const before = await done()
    // The lease of the killed worker has to run out first.
    await eventually(async () => expect(await done()).toBeGreaterThan(before))
    await regions.killAndRestart('us')
    expect(await done()).toBeGreaterThan(before)
  }
  for (const path of paths) {
    await eventually(async () => expect((await ask(path)).body).toMatchObject({ state: 'done', done: STEPS }))
  }
  const { body } = await ask('/v1/counts')
  expect(body.data.map(({ counted }: { counted: number }) => counted)).toEqual(Array(JOBS).fill(STEPS))
})
