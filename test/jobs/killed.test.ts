// The region is killed in the middle of its work, as soon as more of it is done, and started again on the same data.
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
  for (let kill = 0; kill < 2; kill++) {
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

test('an erasure survives kills, counts every key once, and touches no neighbour', async () => {
  const gone = await regions.newTenant('gone', 'us')
  const neighbour = await regions.newTenant('neighbour', 'us')
  const asNeighbour = { as: neighbour.key, path: '/v1/projects' }
  await regions.ask('us', { ...asNeighbour, method: 'POST', body: { name: 'Stays' } })
  const { body: before } = await regions.ask('us', asNeighbour)
  const FILLINGS = 30
  const ROWS = 500
  for (let i = 0; i < FILLINGS; i++) {
    const body = { from: i * ROWS, rows: ROWS }
    await regions.ask('us', { as: gone.key, method: 'POST', path: '/v1/fillings', body })
  }
  const path = `/platform/v1/tenants/${gone.id}`
  const operator = (at: string, method = 'GET') => regions.ask('us', { as: 'operator', path: at, method })
  const erasure = async () => (await operator(`${path}/erasure`)).body
  const { body: begun } = await operator(path, 'DELETE')
  for (let kill = 0; kill < 2; kill++) {
    const { done } = await erasure()
    await eventually(async () => expect((await erasure()).done).toBeGreaterThan(done))
    await regions.killAndRestart('us')
    const after = await erasure()
    expect(after.id).toBe(begun.id)
    expect(after.done).toBeGreaterThan(done)
    // What is half erased lets nobody in.
    const { status } = await regions.ask('us', { as: gone.key, path: '/v1/tenant' })
    expect([401, 410]).toContain(status)
  }
  await eventually(async () => expect((await erasure()).state).toBe('done'))
  const { certificate, done, total } = await erasure()
  expect(certificate.cleared['service test'].keys).toBe(FILLINGS * ROWS)
  expect(certificate.bytes).toBe(done)
  expect(total).toBe(done)
  expect((await regions.ask('us', asNeighbour)).body).toEqual(before)
})
