import { expect, test } from 'vitest'
import type { BenchTenant } from '../bench/traffic/tenants.ts'
import type { Stack } from '../e2e/stack.ts'
import { neverDone, startErrands } from './errands.ts'

test('an errand that never comes to its end is one that was never done', async () => {
  const asked = Promise.withResolvers<void>()
  // Takes the endpoint, and refuses keys; of the rest it knows nothing.
  const stack = {
    edge: 'http://127.0.0.1:1',
    async call(path: string, { as = '', method = 'GET' } = {}) {
      if (path === '/platform/v1/tenants') asked.resolve()
      if (path === '/v1/webhook-endpoints') return { status: 201, body: {} }
      if (as === 'ck_dev_nonsense') return { status: 401, body: {} }
      if (path === '/v1/projects') return { status: 422, body: {} }
      return { status: method === 'GET' ? 404 : 500, body: {} }
    },
  } as unknown as Stack
  const errands = await startErrands(stack, [{ key: 'ck_dev_key', project: 'prj_1' } as BenchTenant])
  await asked.promise
  await errands.stop()
  expect(errands.done.refusals).toBeGreaterThan(0)
  expect(neverDone(errands.done)).toEqual(['deliveries', 'streams', 'keys', 'organisations'])
  expect(errands.errors.length).toBeGreaterThan(2)
})
