import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FairQueue } from '../../regional/admission/fair_queue.ts'

const queueOf = (options = {}) =>
  new FairQueue<string, number>({ quantum: 2, perFlow: 1_000, total: 10_000, ...options })

/** Serves until so many units are done; every flow always has something waiting. */
function serveBacklogged(
  flows: ReadonlyArray<{ weight: number; costs: ReadonlyArray<number>; actual?: number }>,
  units: number,
): number[] {
  const queue = queueOf()
  const asked = flows.map(() => 0)
  const served = flows.map(() => 0)
  const fill = (i: number) => {
    const { weight, costs } = flows[i] ?? { weight: 1, costs: [1] }
    const cost = costs[(asked[i] ?? 0) % costs.length] ?? 1
    asked[i] = (asked[i] ?? 0) + 1
    queue.offer(String(i), weight, cost, i)
  }
  for (const i of flows.keys()) {
    fill(i)
    fill(i)
  }
  for (let done = 0; done < units; ) {
    const next = queue.next()
    if (next === undefined) throw new Error('idle although something waits')
    fill(next.item)
    const actual = next.cost * (flows[next.item]?.actual ?? 1)
    queue.settle(next.flow, actual - next.cost)
    served[next.item] = (served[next.item] ?? 0) + actual
    done += actual
  }
  return served
}

const flow = fc.record({
  weight: fc.constantFrom(0.25, 1, 4, 16),
  costs: fc.array(fc.double({ min: 0.5, max: 40, noNaN: true }), { minLength: 1, maxLength: 5 }),
})

describe('deficit round robin', () => {
  test('two backlogged flows never get further apart than a turn and a largest request of each', () => {
    fc.assert(
      fc.property(fc.array(flow, { minLength: 2, maxLength: 6 }), fc.nat(3_000), (flows, units) => {
        const served = serveBacklogged(flows, units)
        const normal = served.map((each, i) => each / (flows[i]?.weight ?? 1))
        for (const [i, a] of normal.entries()) {
          for (const [j, b] of normal.entries()) {
            const bound = [i, j].reduce((sum, k) => {
              const { weight, costs } = flows[k] ?? { weight: 1, costs: [0] }
              return sum + 2 + (2 * Math.max(...costs)) / weight
            }, 0)
            expect(Math.abs(a - b)).toBeLessThanOrEqual(bound + 1e-6)
          }
        }
      }),
    )
  })

  test('shares are by what requests turn out to cost, not by what was estimated', () => {
    const [lying = 0, honest = 0] = serveBacklogged(
      [
        { weight: 1, costs: [1], actual: 20 },
        { weight: 1, costs: [1] },
      ],
      20_000,
    )
    expect(lying / honest).toBeGreaterThan(0.9)
    expect(lying / honest).toBeLessThan(1.1)
  })

  test('never idles while anything waits that may be served, and loses nothing', () => {
    const step = fc.oneof(
      fc.record({ flow: fc.nat(5), cost: fc.double({ min: 0.1, max: 500, noNaN: true }) }),
      fc.record({ settle: fc.double({ min: -5, max: 500, noNaN: true }) }),
      fc.constant('next' as const),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = queueOf({ perFlow: 20, total: 60 })
        const underWay: string[] = []
        let waiting = 0
        for (const each of steps) {
          if (each === 'next') {
            const next = queue.next()
            expect(next === undefined).toBe(waiting === 0)
            if (next === undefined) continue
            waiting--
            underWay.push(next.flow)
          } else if ('settle' in each) {
            const settled = underWay.shift()
            if (settled !== undefined) queue.settle(settled, each.settle)
          } else {
            const offer = queue.offer(String(each.flow), 1, each.cost, 0)
            if (offer.outcome === 'queued' && !('instead' in offer)) waiting++
          }
          expect(queue.waiting).toBe(waiting)
        }
        while (queue.next() !== undefined) waiting--
        expect(waiting).toBe(0)
      }),
    )
  })

  test('a newcomer is served within its first turn, however long the queue of another is', () => {
    const queue = queueOf()
    for (let i = 0; i < 500; i++) queue.offer('noisy', 1, 3, i)
    queue.next()
    queue.offer('quiet', 1, 1, 0)
    const order = Array.from({ length: 3 }, () => queue.next()?.flow)
    expect(order).toContain('quiet')
  })

  test('a debt is worked off turn by turn, and shuts nobody out for good', () => {
    const queue = queueOf()
    queue.offer('large', 1, 1, 0)
    queue.offer('other', 1, 1, 0)
    queue.next()
    queue.settle('large', 1e9)
    let turns = 0
    queue.offer('large', 1, 1, 1)
    for (let served = queue.next(); served?.flow !== 'large'; served = queue.next()) {
      queue.offer('other', 1, 2, 0)
      turns++
      expect(turns).toBeLessThan(100)
    }
    expect(turns).toBeGreaterThan(10)
  })

  test('nothing is owed for what nobody else wanted', () => {
    const queue = queueOf()
    queue.offer('alone', 1, 1, 0)
    queue.next()
    queue.settle('alone', 1_000)
    queue.offer('alone', 1, 1, 0)
    queue.offer('other', 1, 1, 0)
    expect(queue.next()?.flow).toBe('alone')
  })

  test('who may not be served now keeps its place', () => {
    const queue = queueOf()
    queue.offer('a', 1, 1, 0)
    queue.offer('b', 1, 1, 0)
    expect(queue.next((key) => key !== 'a')?.flow).toBe('b')
    expect(queue.next((key) => key !== 'a')).toBeUndefined()
    expect(queue.next()?.flow).toBe('a')
  })
})

describe('what is kept', () => {
  test('is bounded: a full queue refuses, and gives a place of the longest one to who has less waiting', () => {
    const queue = queueOf({ perFlow: 8, total: 10 })
    for (let i = 0; i < 8; i++) expect(queue.offer('long', 1, 1, i).outcome).toBe('queued')
    expect(queue.offer('long', 1, 1, 8).outcome).toBe('full')
    queue.offer('short', 1, 1, 0)
    queue.offer('short', 1, 1, 1)
    const offer = queue.offer('new', 1, 1, 0)
    expect('instead' in offer && offer.instead).toMatchObject({ flow: 'long', item: 7 })
    expect(queue.waiting).toBe(10)
  })

  test('is without a bound for work whose number is kept small elsewhere: it finds room, and keeps it', () => {
    const queue = queueOf({ perFlow: 8, total: 10 })
    for (let i = 0; i < 10; i++) queue.offer('short', 0.25, 1, i, i < 5)
    for (let i = 0; i < 20; i++) {
      // By its weight the longest by far.
      expect(queue.offer('behind', 0.25, 1, i, false)).toEqual({ outcome: 'queued' })
    }
    for (let n = 0; n < 5; n++) expect(queue.offer(`other ${n}`, 1, 1, n)).toEqual({ outcome: 'queued' })
    for (let n = 5; n < 9; n++) {
      const offer = queue.offer(`other ${n}`, 1, 1, n)
      expect('instead' in offer && offer.instead).toMatchObject({ flow: 'short', item: 9 - n })
    }
    expect(queue.offer('other 9', 1, 1, 9)).toEqual({ outcome: 'full' })
    expect(queue.waiting).toBe(35)
    const left = Array.from({ length: 35 }, () => queue.next()?.flow)
    expect(left.filter((flow) => flow === 'behind')).toHaveLength(20)
    expect(queue.waiting).toBe(0)
  })

  test('is nothing of a flow that has nothing waiting, under way or owed', () => {
    const queue = queueOf()
    for (let i = 0; i < 5_000; i++) {
      const name = `tenant ${i}`
      queue.offer(name, 1, 1, i)
      queue.next()
      queue.settle(name, 0)
    }
    expect(queue.known).toBe(0)
  })

  test('is little of flows that owe something, however many they are', () => {
    const queue = queueOf()
    // Somebody waits all the time, so debts count.
    queue.offer('waits', 1, 1, 0)
    for (let i = 0; i < 5_000; i++) {
      queue.offer(`tenant ${i}`, 1, 1, i)
      const next = queue.next((key) => key !== 'waits')
      if (next !== undefined) queue.settle(next.flow, 10)
    }
    expect(queue.known).toBeLessThanOrEqual(1_025)
    queue.next()
    queue.settle('waits', 0)
    expect(queue.known).toBe(0)
  })

  test('what is removed is gone, and its flow with it', () => {
    const queue = queueOf()
    for (let i = 0; i < 6; i++) queue.offer(i % 2 === 0 ? 'even' : 'odd', 1, 1, i)
    expect(queue.remove((item) => item % 2 === 0).map(({ item }) => item)).toEqual([0, 2, 4])
    expect([queue.waiting, queue.known]).toEqual([3, 1])
  })
})
