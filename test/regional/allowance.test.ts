import fc from 'fast-check'
import { expect, test } from 'vitest'
import { giveBack, makeRoom, presentShard, type Shard, takeFrom } from '../../regional/tenancy/allowance.ts'

const total = (shards: ReadonlyMap<number, Shard>, of: 'used' | 'allowed') =>
  shards.values().reduce((sum, shard) => sum + shard[of], 0)

/** Takes and gives back at random shards, as quotas.ts does: a dry shard asks all the others. Now and then a new limit. */
const steps = fc.array(
  fc.oneof(
    {
      weight: 20,
      arbitrary: fc.record({
        shard: fc.nat(7),
        amount: fc.integer({ min: -3, max: 5 }),
        ready: fc.uniqueArray(fc.nat(7), { maxLength: 8 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ newLimit: fc.integer({ min: 0, max: 60 }) }) },
  ),
  { maxLength: 200 },
)

test('a limit is reached exactly, however it changes: never exceeded, and never refused while there is room', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60 }), steps, (firstLimit, taken) => {
      const shards = new Map<number, Shard>()
      let used = 0
      let limit = firstLimit
      let lowered = 0
      for (const step of taken) {
        if ('newLimit' in step) {
          if (step.newLimit < limit) lowered++
          limit = step.newLimit
          continue
        }
        const { shard, amount, ready } = step
        if (used + amount < 0) continue
        const present = new Map([...shards].map(([number, each]) => [number, presentShard(each, lowered)]))
        const own = present.get(shard)
        const left = amount < 0 ? giveBack(own, -amount) : takeFrom(own, amount)
        const changed =
          left === undefined ? makeRoom(present, shard, amount, limit, ready) : new Map([[shard, left]])
        if (amount > 0) expect(changed === undefined).toBe(used + amount > limit)
        if (changed === undefined) continue
        for (const [number, value] of changed) {
          present.set(number, value)
          shards.set(number, left === undefined ? { ...value, lowered } : value)
        }
        used += amount
        expect(total(shards, 'used')).toBe(used)
        expect(total(present, 'allowed')).toBeLessThanOrEqual(Math.max(limit, used))
        for (const each of shards.values()) expect(each.used).toBeLessThanOrEqual(each.allowed)
      }
    }),
    { numRuns: 500 },
  )
})

test('a shard that asks gets more than it needs, so that it does not ask again at once', () => {
  const changed = makeRoom(new Map(), 0, 1, 800)
  expect(changed?.get(0)).toEqual({ used: 1, allowed: 100 })
})

test('and shards that have writers, or may soon, get something too, so that they do not ask at all, nor all at once', () => {
  const changed = makeRoom(new Map([[2, { used: 5, allowed: 9 }]]), 1, 1, 12_809, [0, 1, 2, 3])
  expect([...(changed ?? [])].toSorted(([a], [b]) => a - b)).toEqual([
    [0, { used: 0, allowed: 50 }],
    [1, { used: 1, allowed: 52 }],
    [3, { used: 0, allowed: 55 }],
  ])
})
