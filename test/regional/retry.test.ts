import { afterEach, expect, test } from 'vitest'
import { CostMeter } from '../../regional/admission/cost.ts'
import { FDBError } from '../../regional/storage/foundationdb.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { statusSpace } from '../../regional/tenancy/records.ts'
import type { TenantScope } from '../../regional/tenancy/region_database.ts'
import { counters, openQueue, type Queue } from '../jobs/support.ts'

const TRANSACTION_CANCELLED = 1025
const TIMED_OUT = 1031
const TAG_THROTTLED = 1213

let queue: Queue
afterEach(() => queue.close())

test('what a failed attempt still had under way writes nothing into the next one', async () => {
  queue = await openQueue()
  const tenant = await queue.tenant(1)
  const secondAttempt = Promise.withResolvers<void>()
  const straggler = Promise.withResolvers<void>()
  await queue.database.tenant(tenant, async (scope, attempt) => {
    const space = scope.service('test').space(counters)
    if (attempt === 0) {
      const late = secondAttempt.promise
        .then(() => space.set(['straggler'], 1))
        .finally(() => straggler.resolve())
      await Promise.all([late, Promise.reject(new FDBError('not committed', 1020))])
    }
    secondAttempt.resolve()
    await straggler.promise
    space.set(['second attempt'], 1)
    return { value: undefined, commit: true }
  })
  expect(await queue.counter(tenant, 'second attempt')).toBe(1)
  expect(await queue.counter(tenant, 'straggler')).toBe(0)
})

test('a transaction that changes nothing is over with its work, and holds no version of the database any longer', async () => {
  queue = await openQueue()
  const tenant = await queue.tenant(1)
  const kept = await queue.database.tenant(tenant, async (scope) => {
    const space = scope.service('test').space(counters)
    await space.get(['anything'])
    return { value: space, commit: false }
  })
  await expect(kept.get(['anything'])).rejects.toMatchObject({ code: TRANSACTION_CANCELLED })
})

test('a database that answers reads is not told as unavailable to whoever reads for too long', async () => {
  let unanswered = false
  queue = await openQueue(async (options) => {
    const engine = await openEngine(options)
    const { native } = engine
    const begin = native.createTransaction.bind(native)
    native.createTransaction = () => {
      const tn = begin()
      if (unanswered) tn.get = () => Promise.reject(new FDBError('Operation aborted', TIMED_OUT))
      return tn
    }
    return engine
  })
  const tenant = await queue.tenant(1)
  const read = async (scope: TenantScope) => ({
    value: await scope.system('status', statusSpace).get(['status']),
    commit: false,
  })
  const tooLong = async (scope: TenantScope): Promise<never> => {
    await read(scope)
    throw new FDBError('Operation aborted', TIMED_OUT)
  }
  const long = queue.database.tenant(tenant, tooLong, { meter: new CostMeter() })
  await expect(long).rejects.toMatchObject({ code: 'overloaded' })
  unanswered = true
  const gone = queue.database.tenant(tenant, read, { meter: new CostMeter() })
  await expect(gone).rejects.toMatchObject({ code: 'region_unavailable' })
})

test('a tenant that the cluster throttles is refused at once in its turns, and only there', async () => {
  let throttled = 0
  queue = await openQueue(async (options) => {
    const engine = await openEngine(options)
    const { native } = engine
    const begin = native.createTransaction.bind(native)
    native.createTransaction = () => {
      const tn = begin()
      if (throttled > 0) {
        throttled--
        tn.get = () => Promise.reject(new FDBError('Transaction tag is being throttled', TAG_THROTTLED))
      }
      return tn
    }
    return engine
  })
  const tenant = await queue.tenant(1)
  const read = async (scope: TenantScope) => ({
    value: await scope.system('status', statusSpace).get(['status']),
    commit: false,
  })
  throttled = 3
  const refused = queue.database.tenant(tenant, read, { meter: new CostMeter() })
  await expect(refused).rejects.toMatchObject({ code: 'overloaded' })
  expect(throttled).toBe(2)
  expect(await queue.database.tenant(tenant, read)).toMatchObject({ status: 'active' })
})
