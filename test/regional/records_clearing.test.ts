// What is no longer to be found leaves nothing behind: the rows of a tenant, key by key.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cancelJob } from '../../regional/jobs/finish.ts'
import { type JobKind, jobKind } from '../../regional/jobs/kind.ts'
import {
  clearDropped,
  clearIndex,
  clearProject,
  dropCollection,
} from '../../regional/services/records/clear.ts'
import {
  findCollection,
  type IndexRecord,
  newCollection,
  writeCollection,
  writeSchema,
} from '../../regional/services/records/collections.ts'
import { sweepRecords } from '../../regional/services/records/expiry.ts'
import { RecordWriter } from '../../regional/services/records/store.ts'
import { subspaceName } from '../../regional/storage/keys.ts'
import { readQuota } from '../../regional/tenancy/quotas.ts'
import { type ProfileRecord, profileSpace } from '../../regional/tenancy/records.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { openQueue, type Queue } from '../jobs/support.ts'
import { eventually } from './records_support.ts'

const retry = { firstMs: 100, maxMs: 1_000, tries: 3 }
const index = (number: number, field: string): IndexRecord => ({
  number,
  fields: [{ field, type: 'string' }],
  unique: false,
  state: 'ready',
  job: null,
  error: null,
})

/** Collections of records of all sizes, some of which expire. */
const fill = jobKind<{ projectId: string; collections: number }, number>({
  kind: 'test.fill',
  service: 'records',
  retry,
  async step(tx, { payload: { projectId, collections }, place: at = 0 }) {
    const place = { projectId, name: `c${at}` }
    const collection = {
      ...(await newCollection(tx, place, tx.nowMs)),
      indexes: [index(1, 'a'), index(2, 'b')],
    }
    const schemaBytes = writeSchema(tx, place, {})
    await tx.take('storedBytes', schemaBytes)
    writeCollection(tx, place, { ...collection, schemaBytes })
    const writer = new RecordWriter(tx, place, collection, tx.nowMs)
    for (let i = 0; i < 30; i++) {
      const data = { a: `a${i}`, b: `b${i % 3}`, text: 'x'.repeat(i % 10 === 0 ? 250_000 : i) }
      await writer.create({ data, expiresMs: i % 4 === 0 ? tx.nowMs + 3_600_000 : null })
    }
    await writer.settle()
    return at + 1 < collections ? { next: at + 1 } : { finished: true }
  },
})

const deleteProject = jobKind<{ projectId: string }, unknown>({
  kind: 'test.delete-project',
  service: 'records',
  retry,
  step: (tx, { payload }) => clearProject(tx, payload.projectId),
})

/** Drops one collection and one index of another. */
const drop = jobKind<{ projectId: string }>({
  kind: 'test.drop',
  service: 'records',
  retry,
  async step(tx, { payload: { projectId } }) {
    const [whole, part] = [
      { projectId, name: 'c0' },
      { projectId, name: 'c1' },
    ] as const
    const doomed = await findCollection(tx, whole)
    const kept = await findCollection(tx, part)
    if (doomed === undefined || kept === undefined) throw new Error('nothing to drop')
    await dropCollection(tx, whole, doomed)
    const [first, second] = kept.indexes
    if (first === undefined || second === undefined) throw new Error('no index to drop')
    writeCollection(tx, part, { ...kept, indexes: [first] })
    clearIndex(tx, projectId, kept, second)
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

const rows = async (): Promise<number> => {
  const all = await queue.inTenant(tenant, (scope) =>
    scope.lastRows('status', undefined, 10_000, 100_000_000),
  )
  return all.filter(({ key }) => subspaceName(key) === 'service records').length
}
const run = async <P, S, O>(kind: JobKind<P, S, O>, payload: P): Promise<void> => {
  const id = await queue.enqueue(tenant, kind, payload)
  await eventually(async () => expect((await queue.job(tenant, id))?.state).toBe('done'))
}
const charged = async (): Promise<number> =>
  (await queue.inTenant(tenant, (scope) => readQuota(scope, 'storedBytes', Date.now()))).used
const idle = () =>
  eventually(async () => {
    const waiting = await queue.waiting(tenant)
    expect(waiting.filter(([[dueMs]]) => dueMs <= queue.clock.nowMs)).toEqual([])
  })

test('clearing what is deleted can’t be called off', async () => {
  const id = await queue.enqueue(tenant, clearDropped, { projectId: 'prj_a', uid: '00', index: 0 })
  const cancelled = queue.inTenant(tenant, (scope) => cancelJob(scope, id, queue.clock.nowMs))
  await expect(cancelled).rejects.toMatchObject({ code: 'conflict' })
  queue.worker({ kinds: [clearDropped] })
  await eventually(async () => expect((await queue.job(tenant, id))?.state).toBe('done'))
})

test('below a deleted project nothing stays, and nothing of another one goes', async () => {
  queue.worker({ kinds: [fill, deleteProject, clearDropped, sweepRecords] })
  await run(fill, { projectId: 'prj_b', collections: 1 })
  const before = await rows()
  await run(fill, { projectId: 'prj_a', collections: 3 })
  expect(await rows()).toBeGreaterThan(before * 3)
  await run(deleteProject, { projectId: 'prj_a' })
  expect(await rows()).toBe(before)
  await run(deleteProject, { projectId: 'prj_b' })
  // But for the mark that there is a sweep, which goes with that.
  expect(await rows()).toBe(1)
  queue.clock.nowMs += 3 * 3_600_000
  await eventually(async () => expect(await rows()).toBe(0))
  expect(await charged()).toBe(0)
})

test('a dropped collection and a dropped index leave nothing but what is beside them', async () => {
  queue.worker({ kinds: [fill, drop, deleteProject, clearDropped, sweepRecords] })
  await run(fill, { projectId: 'prj_a', collections: 2 })
  const before = await rows()
  await run(drop, { projectId: 'prj_a' })
  await idle()
  // Of two equal collections, less the index's entries; the sweep's mark and how many they are they have in common.
  expect(await rows()).toBe((before - 2) / 2 + 2 - 30)
  queue.clock.nowMs += 3 * 3_600_000
  await idle()
  await run(deleteProject, { projectId: 'prj_a' })
  expect(await rows()).toBe(0)
  expect(await charged()).toBe(0)
})
