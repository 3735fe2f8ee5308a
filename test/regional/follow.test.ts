// Following a tenant: nothing that matters is missed, and however much changes, there is one look at a time.
import { expect, test } from 'vitest'
import { follow } from '../../regional/tenancy/follow.ts'
import type { TailListener } from '../../regional/tenancy/tails.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

function following() {
  const listeners = new Set<TailListener>()
  const looks: Array<PromiseWithResolvers<boolean>> = []
  const tails = {
    subscribe(_: unknown, listener: TailListener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  const followed = follow(tails, asTenantNumber(1n), () => {
    const look = Promise.withResolvers<boolean>()
    looks.push(look)
    return look.promise
  })
  const change = () => {
    for (const listener of listeners) listener.changed()
  }
  return { followed, looks, listeners, change }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('the first look comes at once: what was changed before is not told again', async () => {
  const { followed, looks } = following()
  looks[0]?.resolve(true)
  await turn()
  expect([looks.length, followed.over.aborted]).toEqual([1, true])
})

test('of many changes during a look one more comes of them all', async () => {
  const { followed, looks, change } = following()
  for (let i = 0; i < 100; i++) change()
  await turn()
  expect(looks.length).toBe(1)
  looks[0]?.resolve(false)
  await turn()
  expect(looks.length).toBe(2)
  looks[1]?.resolve(false)
  await turn()
  expect(looks.length).toBe(2)
  change()
  looks[2]?.resolve(true)
  await turn()
  change()
  expect([looks.length, followed.over.aborted]).toEqual([3, true])
})

test('a look that fails is made good without any further change', async () => {
  const { followed, looks } = following()
  looks[0]?.reject(new Error('the database does not answer'))
  await expect.poll(() => looks.length, { timeout: 10_000 }).toBe(2)
  looks[1]?.resolve(true)
  await expect.poll(() => followed.over.aborted).toBe(true)
})

test('nobody looks any more once it has ended', async () => {
  const { followed, looks, listeners, change } = following()
  change()
  followed.end()
  looks[0]?.reject(new Error('the database has closed'))
  await turn()
  expect([looks.length, listeners.size, followed.over.aborted]).toEqual([1, 0, false])
})
