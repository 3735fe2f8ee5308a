import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NativeTransaction } from '../../regional/storage/foundationdb.ts'
import { type EngineOptions, openEngine } from '../../regional/storage/open.ts'
import { eventually, startRecords, type Tenant } from './records_support.ts'
import type { Regions } from './support.ts'

const MINUTE_MS = 60_000

let regions: Regions
let tenant: Tenant
let aheadMs = 0
/** Of a transaction that has read more ranges than any other. */
let mostRangeReads = 0

async function open(options: EngineOptions) {
  const engine = await openEngine(options)
  const { native } = engine
  const begin = native.createTransaction.bind(native)
  native.createTransaction = () => {
    const tn: NativeTransaction = begin()
    const getRange = tn.getRange.bind(tn) as (...call: unknown[]) => Promise<unknown>
    let reads = 0
    tn.getRange = ((...call: unknown[]) => {
      mostRangeReads = Math.max(mostRangeReads, ++reads)
      return getRange(...call)
    }) as NativeTransaction['getRange']
    return tn
  }
  return engine
}

beforeAll(async () => {
  const started = await startRecords({ open, now: () => Date.now() + aheadMs })
  regions = started.regions
  tenant = await started.newTenant('expiry')
})
afterAll(() => regions.close())

const inMinutes = (minutes: number) => new Date(Date.now() + aheadMs + minutes * MINUTE_MS).toISOString()

test('a record is served until it expires and never after, and is then removed', async () => {
  const codes = await tenant.collection('codes')
  await codes.declare({ indexes: [{ field: 'code', type: 'string', unique: true }] })
  const expiresAt = inMinutes(10)
  const { body: gone } = await codes.create({ code: 'a' }, { expiresAt })
  expect(gone.expiresAt).toBe(expiresAt)
  const { body: kept } = await codes.create({ code: 'b' }, { expiresAt: inMinutes(10) })
  const { body: longer } = await codes.create({ code: 'c' }, { expiresAt: inMinutes(10) })
  const { body: without } = await codes.create({ code: 'd' })
  const lifted = await codes.ask(`/records/${kept.id}`, 'PATCH', { expiresAt: null })
  expect(lifted.body).not.toHaveProperty('expiresAt')
  const prolonged = await codes.ask(`/records/${longer.id}`, 'PUT', {
    data: { code: 'c' },
    expiresAt: inMinutes(60),
  })
  expect(prolonged.status).toBe(200)
  expect((await codes.all('?order=code')).map(({ data }) => data.code)).toEqual(['a', 'b', 'c', 'd'])

  aheadMs += 10 * MINUTE_MS
  for (const [method, body] of [
    ['GET'],
    ['PATCH', { data: {} }],
    ['PUT', { data: {} }],
    ['DELETE'],
  ] as const) {
    expect((await codes.ask(`/records/${gone.id}`, method, body)).status, method).toBe(404)
  }
  const living = [kept.id, longer.id, without.id]
  expect((await codes.all()).map(({ id }) => id)).toEqual(living)
  expect((await codes.all('?order=code')).map(({ id }) => id)).toEqual(living)
  expect((await codes.all('?where[code]=a')).length).toBe(0)
  // What it had to itself is free, whether it has been removed by now or not.
  const { status, body: next } = await codes.create({ code: 'a' })
  expect(status).toBe(201)

  aheadMs += 2 * MINUTE_MS
  await eventually(async () => expect((await codes.ask('')).body.records).toBe(4))
  expect((await codes.all('?order=code')).map(({ id }) => id)).toEqual([next.id, ...living])

  aheadMs += 60 * MINUTE_MS
  expect((await codes.all()).map(({ id }) => id)).toEqual([kept.id, without.id, next.id])
  await eventually(async () => expect((await codes.ask('')).body.records).toBe(3))
})

test('a page of nothing but what has expired leads on', async () => {
  const many = await tenant.collection('many')
  await many.declare({ indexes: [{ field: 'n', type: 'number' }] })
  const expiresAt = inMinutes(5)
  for (let batch = 0; batch < 3; batch++) {
    const operations = Array.from({ length: 100 }, (_, n) => ({ data: { n: batch * 100 + n }, expiresAt }))
    expect((await many.ask('/records:batch', 'POST', { operations })).status).toBe(200)
  }
  const { body: last } = await many.create({ n: 1_000 })
  aheadMs += 5 * MINUTE_MS
  for (const query of ['?limit=1', '?order=n&limit=1', '?where[n][gt]=-1&limit=100', '?order=-n&limit=100']) {
    mostRangeReads = 0
    expect(await many.all(query), query).toEqual([last])
    // One for each record would be three hundred. What removes them meanwhile makes some as well.
    expect(mostRangeReads, query).toBeLessThan(100)
  }
  aheadMs += 2 * MINUTE_MS
  await eventually(async () => expect((await many.ask('')).body.records).toBe(1))
  expect(await many.all('?order=n')).toEqual([last])
})
