import { expect, test } from 'vitest'
import { runBatch } from '../../regional/services/records/batch.ts'
import { SchemaTime } from '../../regional/services/records/schema_time.ts'
import type { StoredRecord } from '../../regional/services/records/store.ts'
import type { RecordWrites } from '../../regional/services/records/writing.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const one = asTenantNumber(1n)
const other = asTenantNumber(2n)

function busy(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

test('a tenant’s time is used up by what takes long, is another’s no less, and comes back', () => {
  let now = 1_000_000
  const time = new SchemaTime(() => now)
  const forever = () => busy(60_000)
  const ends = Array.from({ length: 40 }, () => time.run(one, 50, forever).ended)
  expect(ends[0]).toBe('stopped')
  // Never again within the window.
  const after = ends.slice(ends.indexOf('used_up'))
  expect(new Set(after)).toEqual(new Set(['used_up']))
  now += 4_500
  expect(time.run(one, 50, () => 1)).toEqual({ ended: 'used_up', waitS: 6 })
  expect(time.run(other, 50, () => 1)).toEqual({ ended: 'done', value: 1 })
  now += 5_500
  expect(time.run(one, 50, () => 1)).toEqual({ ended: 'done', value: 1 })
})

test('once a run was cut short, nothing is left', () => {
  const time = new SchemaTime(() => 1_000_000)
  while (time.run(one, 50, () => busy(60_000)).ended === 'stopped');
  expect(time.run(one, 50, () => 1).ended).toBe('used_up')
})

test('a clock that is set back locks nobody out', () => {
  let now = 1_000_000_000
  const time = new SchemaTime(() => now)
  while (time.run(one, 50, () => busy(60_000)).ended === 'stopped');
  now -= 3_600_000
  expect(time.run(one, 50, () => 1)).toEqual({ ended: 'done', value: 1 })
})

test('what is done soon is not counted', () => {
  const time = new SchemaTime(() => 1_000_000)
  for (let i = 0; i < 300; i++) expect(time.run(one, 50, () => busy(2)).ended).toBe('done')
})

test('others have their turns while a batch is carried out', async () => {
  let turns = 0
  const counting = setInterval(() => turns++, 1)
  const writes: Pick<RecordWrites, 'create' | 'settle'> = {
    async create() {
      busy(8)
      return {} as StoredRecord
    },
    settle: async () => undefined,
  }
  await runBatch(
    writes as RecordWrites,
    Array.from({ length: 20 }, () => ({ data: {} })),
  )
  clearInterval(counting)
  expect(turns).toBeGreaterThan(10)
})
