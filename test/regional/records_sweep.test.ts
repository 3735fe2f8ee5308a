// The one job that removes what has expired, whatever minutes it names and whoever put it there.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sweep } from '../../regional/jobs/expiry.ts'
import { jobKind } from '../../regional/jobs/kind.ts'
import { enqueue, jobsOf } from '../../regional/jobs/queue.ts'
import { dueSpace, jobSpace } from '../../regional/jobs/record.ts'
import {
  findCollection,
  newCollection,
  writeCollection,
} from '../../regional/services/records/collections.ts'
import { expireMinute, sweepRecords } from '../../regional/services/records/expiry.ts'
import { RecordWriter } from '../../regional/services/records/store.ts'
import { subspaceName } from '../../regional/storage/keys.ts'
import { jsonSpace } from '../../regional/storage/space.ts'
import { type ProfileRecord, profileSpace } from '../../regional/tenancy/records.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from '../jobs/support.ts'
import { eventually } from './records_support.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const YEAR_5000_MS = Date.parse('5000-01-01T00:00:00Z')
const retry = { firstMs: 100, maxMs: 1_000, tries: 3 }
const place = { projectId: 'prj_a', name: 'things' }

/** Makes a record that expires at each of these times, and deletes it again where so asked. */
const make = jobKind<{ expireAt: number[]; andDelete?: boolean }>({
  kind: 'test.make',
  service: 'records',
  retry,
  async step(tx, { payload: { expireAt, andDelete = false } }) {
    const found = await findCollection(tx, place)
    const collection = found ?? (await newCollection(tx, place, tx.nowMs))
    if (found === undefined) writeCollection(tx, place, collection)
    const writer = new RecordWriter(tx, place, collection, tx.nowMs)
    for (const expiresMs of expireAt) {
      const record = await writer.create({ data: {}, expiresMs })
      if (andDelete) await writer.remove(record)
    }
    await writer.settle()
    return { finished: true }
  },
})

let queue: Queue
let tenant: TenantNumber
beforeEach(async () => {
  queue = await openQueue()
  tenant = await queue.tenant(1)
  await queue.inTenant(tenant, (scope) =>
    scope.system('profile', profileSpace).set(['profile'], { plan: 'team' } as ProfileRecord),
  )
})
afterEach(async () => {
  await queue.close()
  expect(queue.violations).toEqual([])
  expect(queue.logged).toEqual([])
})

const run = async (expireAt: number[], andDelete = false): Promise<void> => {
  const id = await queue.enqueue(tenant, make, { expireAt, andDelete })
  await eventually(async () => expect((await queue.job(tenant, id))?.state).toBe('done'))
}
/** Rows of the service's own, of records, and jobs that wait. */
const rows = async () => {
  const all = await queue.inTenant(tenant, (scope) =>
    scope.lastRows('status', undefined, 10_000, 100_000_000),
  )
  const own = all.filter(({ key }) => subspaceName(key) === 'service records')
  const records = own.filter(({ key }) => key.includes('record\0'))
  const waiting = (await queue.waiting(tenant)).filter(([, { kind }]) => kind.startsWith('records.'))
  return { own: own.length, records: records.length, waiting: waiting.length }
}

test('however many minutes records name, the tenant has one job for all, which goes with the last of them', async () => {
  queue.worker({ kinds: [sweep, make, sweepRecords] })
  const minutes = Array.from({ length: 60 }, (_, i) => YEAR_5000_MS + (i % 2 === 0 ? i : -i) * MINUTE_MS)
  await run(minutes, true)
  await run(minutes.slice(0, 20))
  expect((await rows()).waiting).toBe(1)
  const kept = await queue.inTenant(tenant, (scope) => jobsOf(scope).space(jobSpace).page({ limit: 100 }))
  expect(kept.entries.filter(([, { kind }]) => kind === 'records.sweep')).toHaveLength(1)
  queue.clock.nowMs = YEAR_5000_MS + 61 * MINUTE_MS
  // The collection is left, its count, and its project's.
  await eventually(async () => expect(await rows()).toEqual({ own: 3, records: 0, waiting: 0 }))
})

test('the sweep comes for the first that expires, whichever came last, and then for the next', async () => {
  queue.worker({ kinds: [sweep, make, sweepRecords] })
  const { nowMs } = queue.clock
  await run([nowMs + 10 * DAY_MS])
  await run([nowMs + 2 * MINUTE_MS, nowMs + DAY_MS])
  await run([nowMs + 5 * MINUTE_MS])
  for (const [after, left] of [
    [4 * MINUTE_MS, 3],
    [7 * MINUTE_MS, 2],
    [DAY_MS + 2 * MINUTE_MS, 1],
    [10 * DAY_MS + 2 * MINUTE_MS, 0],
  ] as const) {
    queue.clock.nowMs = nowMs + after
    await eventually(async () => expect((await rows()).records).toBe(left))
  }
  await eventually(async () => expect((await rows()).waiting).toBe(0))
  await run([queue.clock.nowMs + MINUTE_MS])
  queue.clock.nowMs += 3 * MINUTE_MS
  await eventually(async () => expect(await rows()).toMatchObject({ records: 0, waiting: 0 }))
})

test('what older versions wrote, with a job for each minute, still expires', async () => {
  queue.worker({ kinds: [sweep, make, sweepRecords, expireMinute] })
  const minuteMs = Math.ceil(queue.clock.nowMs / MINUTE_MS) * MINUTE_MS + 10 * MINUTE_MS
  await run([minuteMs, minuteMs - 1])
  await queue.inTenant(tenant, async (scope) => {
    const jobs = jobsOf(scope)
    for (const [[dueMs, id]] of (await jobs.space(dueSpace).page({ limit: 10 })).entries) {
      if (!id.startsWith('job_')) continue
      jobs.space(dueSpace).clear([dueMs, id])
      jobs.space(jobSpace).clear([id])
    }
    const own = scope.service('records')
    own.space(jsonSpace<['next'], unknown>('next-sweep')).clear(['next'])
    own.space(jsonSpace<[number], 1>('sweep')).set([minuteMs], 1)
    enqueue(scope, expireMinute, { minuteMs }, queue.clock.nowMs, { runAtMs: minuteMs + 5_000 })
  })
  // Beside what this version writes.
  await run([minuteMs + DAY_MS])
  queue.clock.nowMs = minuteMs + MINUTE_MS
  await eventually(async () => expect(await rows()).toMatchObject({ records: 1, waiting: 1 }))
  queue.clock.nowMs += DAY_MS
  await eventually(async () => expect(await rows()).toEqual({ own: 3, records: 0, waiting: 0 }))
})
