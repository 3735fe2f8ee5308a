// What an operator is told of noisy tenants where not all regions answer, or there are too many to show.
import { expect, test } from 'vitest'
import { type Calls, localCalls } from '../../regional/platform/calls.ts'
import { noisyOperation } from '../../regional/platform/noisy_route.ts'

type Parts = Parameters<typeof localCalls>[0]

/** A region in which so many tenants are isolated; numbers are given out from `first` on. */
function region(first: number, count: number): Calls {
  const rows = Array.from({ length: count }, (_, i) => ({
    tenant: BigInt(first + i),
    stage: 'slowed',
    sinceMs: 0,
    untilMs: 60_000,
    asked: 10_000 - first - i,
    fair: 1,
  }))
  const isolations = { list: async () => rows }
  const lifecycle = {
    read: async (number: bigint) => ({ tenant: { id: `ten_${number}`, slug: `t${number}` } }),
  }
  return localCalls({ isolations, lifecycle } as unknown as Parts)
}

const down = new Proxy({} as Calls, { get: () => () => Promise.reject(new Error('no answer')) })

async function asked(regions: Readonly<Record<string, Calls>>) {
  const operation = noisyOperation(Object.keys(regions), (name) => regions[name] ?? down)
  const work = operation.prepare({ params: {}, query: {}, body: undefined } as never)
  const { body } = (await work({ principal: { role: 'read' } } as never)) as {
    body: {
      data: Array<{ slug: string; region: string }>
      nextCursor: null
      more: boolean
      unreachable: string[]
    }
  }
  return body
}

test('a region that does not answer is named, and hides no other', async () => {
  const { data, ...rest } = await asked({ us: region(1, 2), eu: down })
  expect(data[0]).toMatchObject({ askedUnitsPerSecond: 9_999, fairUnitsPerSecond: 1, stage: 'slowed' })
  expect(data.map(({ slug, region }) => [slug, region])).toEqual([
    ['t1', 'us'],
    ['t2', 'us'],
  ])
  expect(rest).toEqual({ nextCursor: null, more: false, unreachable: ['eu'] })
})

test('the largest hundred are shown, and that there are more is said', async () => {
  const two = await asked({ us: region(1, 60), eu: region(1_000, 60) })
  expect([two.data.length, two.data[99]?.slug, two.more]).toEqual([100, 't1039', true])
  const one = await asked({ us: region(1, 101) })
  expect([one.data.length, one.more]).toEqual([100, true])
  expect((await asked({ us: region(1, 100) })).more).toBe(false)
})
