// The pool of calls to one model: what one tenant asks for at once is held against nobody else, and a change of the model
// counts for those that wait already.
import { expect, test } from 'vitest'
import { modelAccess } from '../../regional/models/access.ts'
import { Catalogue } from '../../regional/models/catalogue.ts'
import { ModelPools } from '../../regional/models/pool.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { startModelServer } from '../support/model_server.ts'

const tenant = (n: number) => asTenantNumber(BigInt(n))
const never = new AbortController().signal

/** Calls that go on until each is ended by hand. */
function calls(pools: ModelPools) {
  const ends: Array<() => void> = []
  const call = (of: number, size: number) =>
    void pools.inTurn('m', tenant(of), size, never, () => new Promise<void>((resolve) => ends.push(resolve)))
  return { ends, call }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('however many one tenant’s wait, another’s may wait as well', async () => {
  const pools = new ModelPools()
  const { call } = calls(pools)
  // All of them were told that there is room before the first of them came.
  for (let i = 0; i < 500; i++) call(1, 4)
  call(2, 4)
  await turn()
  expect([1, 3].map((of) => pools.roomFor('m', tenant(of), 4))).toEqual(['tenant_waits', 'room'])
})

test('many tenants fill the queue', async () => {
  const pools = new ModelPools()
  const { call } = calls(pools)
  for (let of = 1; of <= 11; of++) for (let i = 0; i < 20; i++) call(of, 1)
  await turn()
  expect(pools.roomFor('m', tenant(99), 1)).toBe('all_wait')
})

test('a pool that was made smaller lets nobody in until it is', async () => {
  const pools = new ModelPools()
  const { ends, call } = calls(pools)
  for (let of = 1; of <= 8; of++) call(of, 4)
  await turn()
  expect(ends.length).toBe(4)
  pools.resize(new Map([['m', 2]]))
  for (const end of ends.slice(0, 2)) end()
  await turn()
  expect(ends.length).toBe(4)
  ends[2]?.()
  await turn()
  expect(ends.length).toBe(5)
})

test('a model that is made larger lets in at once whoever waits for it', async () => {
  const pools = new ModelPools()
  const { ends, call } = calls(pools)
  for (let of = 1; of <= 3; of++) call(of, 1)
  await turn()
  expect(ends.length).toBe(1)
  pools.resize(new Map([['m', 4]]))
  await turn()
  expect(ends.length).toBe(3)
})

test('a model that is switched off while a call waits is not called, and one that nobody waits for any more neither', async () => {
  const server = await startModelServer()
  const model = {
    ...{ name: 'm', baseUrl: server.baseUrl, apiKey: null, upstreamModel: 'm', plans: [] },
    ...{ inputTokenPrice: 0, outputTokenPrice: 0, enabled: true, maxConcurrent: 1, updatedAt: '' },
  }
  let models = [model]
  const catalogue = new Catalogue(async () => models)
  const access = modelAccess(catalogue, { know: () => {}, called: () => {} })
  const call = (of: number, signal = never) =>
    access.call(
      'm',
      tenant(of),
      { instructions: '', messages: [{ role: 'user', content: 'wait' }], parameters: { maxOutputTokens: 1 } },
      { signal, onText: async () => {} },
    )
  try {
    const first = call(1)
    await expect.poll(server.underWay).toBe(1)
    expect(await call(3, AbortSignal.abort())).toBeUndefined()
    const second = call(2)
    await turn()
    models = [{ ...model, enabled: false }]
    await catalogue.refresh()
    // At once, while the first goes on.
    expect((await second)?.outcome).toBe('upstream_unavailable')
    expect(server.underWay()).toBe(1)
    server.release()
    expect((await first)?.outcome).toBe('succeeded')
    expect(server.served.length).toBe(1)
  } finally {
    await server.close()
  }
})
