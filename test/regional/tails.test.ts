// Tails on the real engine: who follows a tenant is told of what changes, also where the database takes few watches.
import { expect, onTestFinished, test, vi } from 'vitest'
import type { NativeTransaction } from '../../regional/storage/foundationdb.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { tailSpace } from '../../regional/tenancy/events.ts'
import { statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { Tails } from '../../regional/tenancy/tails.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { temporaryDirectory } from '../storage/temporary.ts'

const MAX_WATCHES = 20
const tenant = asTenantNumber(1n)

async function followed(maxWatches: number) {
  const engine = await openEngine({ dataDir: await temporaryDirectory() })
  onTestFinished(() => engine.close())
  const { native } = engine
  native.setOption(MAX_WATCHES, maxWatches)
  let watches = 0
  const begin = native.createTransaction.bind(native)
  native.createTransaction = () => {
    const tn: NativeTransaction = begin()
    const watch = tn.watch.bind(tn)
    tn.watch = (...what) => {
      watches++
      return watch(...what)
    }
    return tn
  }
  const database = new RegionDatabase(native, keySpace(''), (violation) => {
    throw violation
  })
  const tails = new Tails(database, { info() {}, error() {} })
  let told = 0
  onTestFinished(tails.subscribe(tenant, { changed: () => told++, stopping() {} }))
  await vi.waitFor(() => expect(told).toBeGreaterThanOrEqual(2))
  return {
    told: () => told,
    watches: () => watches,
    event: () =>
      database.tenant(tenant, async (scope) => {
        scope.system('outbox', tailSpace).set(['tail'], newId('evt'))
        return { value: undefined, commit: true }
      }),
    suspend: () =>
      database.tenant(tenant, async (scope) => {
        const status = { status: 'suspended' as const, epoch: 1, version: 1 }
        scope.system('status', statusSpace).set(['status'], status)
        return { value: undefined, commit: true }
      }),
  }
}

test.each([2, 1, 0])(
  'who follows a tenant is told of events and of its status, where %i watches are allowed',
  async (max) => {
    const { told, event, suspend } = await followed(max)
    for (const change of [suspend, event]) {
      const before = told()
      await change()
      await vi.waitFor(() => expect(told()).toBeGreaterThan(before), { timeout: 5_000 })
    }
  },
)

test('an event costs one watch: the one on the status stays as it is', async () => {
  const { told, watches, event } = await followed(10)
  const before = watches()
  for (let i = 0; i < 10; i++) {
    const toldBefore = told()
    await event()
    await vi.waitFor(() => expect(told()).toBe(toldBefore + 1))
  }
  expect(watches() - before).toBe(10)
})

test('that the database is away is logged once, however many tenants are followed, and once that it is back', async () => {
  const engine = await openEngine({ dataDir: await temporaryDirectory() })
  onTestFinished(() => engine.close())
  const begin = engine.native.createTransaction
  let tries = 0
  engine.native.createTransaction = () => {
    tries++
    throw new Error('the database is away')
  }
  const logged: string[] = []
  const log = {
    info: (line: string) => void logged.push(line),
    error: (line: string) => void logged.push(line),
  }
  const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  const tails = new Tails(database, log)
  let told = 0
  for (let n = 1n; n <= 5n; n++) {
    onTestFinished(tails.subscribe(asTenantNumber(n), { changed: () => told++, stopping() {} }))
  }
  await vi.waitFor(() => expect(told).toBeGreaterThanOrEqual(10))
  expect(tries).toBeGreaterThanOrEqual(10)
  expect(logged).toEqual(['a tenant could not be watched'])
  engine.native.createTransaction = begin
  await vi.waitFor(() => expect(told).toBeGreaterThanOrEqual(20), { timeout: 5_000 })
  expect(logged).toEqual(['a tenant could not be watched', 'tenants are watched again'])
})
