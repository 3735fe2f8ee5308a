import { afterEach, expect, test } from 'vitest'
import { FDBError } from '../../regional/storage/foundationdb.ts'
import { counters, openQueue, type Queue } from '../jobs/support.ts'

const TRANSACTION_CANCELLED = 1025

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
