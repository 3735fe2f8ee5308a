// What an operator is told of noisy tenants where not all regions answer, or there are too many to show.
import { expect, test } from 'vitest'
import { NoisyDetector } from '../../regional/admission/noisy.ts'
import { type Calls, localCalls } from '../../regional/platform/calls.ts'
import { noisyOperation } from '../../regional/platform/noisy_route.ts'
import { asTenantNumber, type TenantNumber, tenantId } from '../../shared/tenant.ts'

type Parts = Parameters<typeof localCalls>[0]

/** A region in which so many tenants are isolated; numbers are given out from `first` on. */
const region = (first: number, count: number): Calls => regionOf(rowsOf(first, count))

function rowsOf(first: number, count: number) {
  return Array.from({ length: count }, (_, i) => ({
    tenant: asTenantNumber(BigInt(first + i)),
    stage: 'slowed',
    sinceMs: 0,
    untilMs: 60_000,
    asked: 10_000 - first - i,
    fair: 1 as number | null,
  }))
}

function regionOf(rows: ReturnType<typeof rowsOf>): Calls {
  const isolations = { list: async () => rows }
  const lifecycle = {
    read: async (number: TenantNumber) => ({ tenant: { id: tenantId(number, 0), slug: `t${number}` } }),
  }
  return localCalls({ isolations, lifecycle } as unknown as Parts)
}

const down = new Proxy({} as Calls, { get: () => () => Promise.reject(new Error('no answer')) })

async function asked(regions: Readonly<Record<string, Calls>>, query: Record<string, string> = {}) {
  const operation = noisyOperation(Object.keys(regions), (name) => regions[name] ?? down)
  const work = operation.prepare({ params: {}, query, body: new Uint8Array() } as never)
  const { body } = await work({ principal: { role: 'read' } } as never)
  // As the API says that it is.
  return operation.declaration.answers[200]?.parse(body) as {
    data: Array<{ slug: string; region: string; askedUnitsPerSecond: number; fairUnitsPerSecond: number }>
    nextCursor: string | null
    more: boolean
    unreachable: string[]
  }
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
  const all = { limit: '100' }
  const two = await asked({ us: region(1, 60), eu: region(1_000, 60) }, all)
  expect([two.data.length, two.data[99]?.slug, two.more]).toEqual([100, 't1039', true])
  const one = await asked({ us: region(1, 101) }, all)
  expect([one.data.length, one.more]).toEqual([100, true])
  expect((await asked({ us: region(1, 100) })).more).toBe(false)
})

test('the share of one that is silent is 0, also where a region of before has kept none', async () => {
  const tenant = asTenantNumber(7n)
  const detector = new NoisyDetector()
  detector.adopt([{ tenant, stage: 'limited' }])
  const times = { sinceMs: 0, untilMs: 60_000 }
  const rows = [...detector.list(), { tenant, stage: 'slowed', asked: 0, fair: null }]
  // As they are kept, and as they come from another region.
  const kept = rows.map((row) => JSON.stringify({ ...row, ...times, tenant: String(row.tenant) }))
  const read = kept.map((row) => ({ ...JSON.parse(row), tenant }))
  const { data } = await asked({ us: regionOf(read) })
  expect(data.map(({ fairUnitsPerSecond: fair }) => fair)).toEqual([0, 0])
})

test('a page goes on behind the one before it, and after the hundredth there is none', async () => {
  const regions = { us: region(1, 60), eu: region(1_000, 60) }
  const { data } = await asked(regions, { limit: '100' })
  const paged: unknown[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = await asked(regions, { limit: '30', ...(cursor && { cursor }) })
    paged.push(...page.data)
    cursor = page.nextCursor
  }
  expect(paged).toEqual(data)
})

test('a page goes on where it ended when who stood there is noisy no more', async () => {
  const { data, nextCursor } = await asked({ us: region(1, 4) }, { limit: '2' })
  expect(data.map(({ slug }) => slug)).toEqual(['t1', 't2'])
  const after = await asked({ us: region(3, 2) }, { cursor: nextCursor ?? '' })
  expect(after.data.map(({ slug }) => slug)).toEqual(['t3', 't4'])
})
