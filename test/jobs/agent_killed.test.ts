// A region is killed in the middle of an agent's run: the run ends as interrupted, once, and gives back what it held.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { type KillableRegions, startKillableRegions } from './killing.ts'

/** Longer than any run may take. */
const LATER_MS = 30 * 60_000
const variables: Record<string, string> = { DEVELOPMENT_ISSUERS: 'on' }
let server: ModelServer
let regions: KillableRegions

beforeAll(async () => {
  server = await startModelServer()
  regions = await startKillableRegions(variables)
})
afterAll(async () => {
  await regions.close()
  await server.close()
})

test('a run whose region is killed is ended by a job, and its tokens and its room are given back', {
  timeout: 60_000,
}, async () => {
  const model = { name: 'small', baseUrl: server.baseUrl }
  expect(
    (await regions.ask('us', { as: 'operator', method: 'POST', path: '/platform/v1/models', body: model }))
      .status,
  ).toBe(201)
  const { key } = await regions.newTenant('killed-run', 'us')
  const ask = (path: string, method = 'GET', body?: unknown, headers: Record<string, string> = {}) =>
    regions.ask('us', { as: key, method, path, headers, ...(body !== undefined && { body }) })
  const used = async (quantity: string) => (await ask('/v1/usage')).body.quotas[quantity].used
  const tokens = () => used('tokens')
  const project = (await ask('/v1/projects', 'POST', { name: 'P' })).body.id
  const agents = `/v1/projects/${project}/agents`
  const runs = `${agents}/${(await ask(agents, 'POST', { name: 'A' })).body.id}/runs`
  const storedBefore = await used('storedBytes')
  const once = { 'idempotency-key': 'run-once' }

  const underWay = ask(runs, 'POST', { input: 'wait' }, once).catch(() => 'broken off')
  await expect.poll(() => server.underWay()).toBe(1)
  expect(await tokens()).toBeGreaterThan(0)
  await regions.killAndRestart('us')
  expect(await underWay).toBe('broken off')
  expect((await ask(runs, 'POST', { input: 'wait' }, once)).body.code).toBe('request_in_progress')

  variables.CLOCK_AHEAD_MS = String(LATER_MS)
  await regions.killAndRestart('us')
  await expect
    .poll(async () => (await ask(runs)).body.data[0], { timeout: 20_000 })
    .toMatchObject({ status: 'failed', error: { code: 'interrupted' } })
  expect(await tokens()).toBe(0)
  const kept = Buffer.byteLength('{"input":[{"role":"user","content":"wait"}],"output":""}')
  expect(await used('storedBytes')).toBe(storedBefore + 500 + kept)
  const told = (await ask('/v1/events?types=run.*')).body.data
  expect(told.map(({ type }: { type: string }) => type)).toEqual(['run.started', 'run.failed'])
})
