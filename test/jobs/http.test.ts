import { afterAll, beforeAll, expect, test } from 'vitest'
import { expiryHour } from '../../regional/jobs/expiry.ts'
import { idFromBytes, newId, uuidv7 } from '../../shared/ids.ts'
import { type Ask, type Regions, startRegions } from '../regional/support.ts'
import { eventually } from '../support/eventually.ts'
import { counting } from './counting_service.ts'
import { count } from './support.ts'

let regions: Regions
beforeAll(async () => {
  regions = await startRegions({ extraServices: [counting], extraJobKinds: [count] })
})
afterAll(() => regions.close())

const tenantOf = async (slug: string) => {
  const { key } = await regions.newTenant(slug, 'us')
  const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })
  const start = async (steps: number, headers: Record<string, string> = {}) => {
    const body = { name: slug, steps }
    const answer = await ask('/v1/counts', { method: 'POST', body, headers })
    expect(answer.status).toBe(202)
    return `/v1/jobs/${answer.body.id}`
  }
  const counted = async () => (await ask('/v1/counts')).body.data[0]?.counted
  return { ask, start, counted }
}

test('a job shows its progress while it runs, and its end', async () => {
  const { ask, start, counted } = await tenantOf('progress')
  const path = await start(300)
  await eventually(async () => {
    const { body } = await ask(path)
    expect(body).toMatchObject({ kind: 'test.count', state: 'running', total: 300, error: null })
    expect(body.done).toBeGreaterThan(2)
    expect(body.rate).toBeGreaterThan(0)
    expect(body.secondsLeft).toBeGreaterThanOrEqual(0)
  })
  await eventually(async () => {
    const { body } = await ask(path)
    expect(body).toMatchObject({ state: 'done', done: 300, total: 300, secondsLeft: null })
    expect(Date.parse(body.finishedAt)).toBeGreaterThanOrEqual(Date.parse(body.startedAt))
  })
  expect(await counted()).toBe(300)
})

test('a request that is sent twice enqueues one job', async () => {
  const { ask, start, counted } = await tenantOf('once')
  const headers = { 'idempotency-key': 'once' }
  const paths = await Promise.all([start(3, headers), start(3, headers)])
  expect(paths[0]).toBe(paths[1])
  await eventually(async () => expect((await ask(paths[0])).body.state).toBe('done'))
  expect(await counted()).toBe(3)
})

test('a job is cancelled once and for all; one that has ended is not', async () => {
  const { ask, start, counted } = await tenantOf('cancel')
  const path = await start(100_000)
  await eventually(async () => expect(await counted()).toBeGreaterThan(2))
  const stale = await ask(path, { method: 'DELETE', headers: { 'if-match': '"another"' } })
  expect([stale.status, stale.body.code]).toEqual([412, 'precondition_failed'])
  const cancelled = await ask(path, { method: 'DELETE' })
  expect([cancelled.status, cancelled.body.state]).toEqual([200, 'cancelled'])
  const { done } = (await ask(path)).body
  expect(await counted()).toBe(done)
  const again = await ask(path, { method: 'DELETE' })
  expect([again.status, again.body.done]).toEqual([200, done])
  expect(await counted()).toBe(done)
  const short = await start(1)
  await eventually(async () => expect((await ask(short)).body.state).toBe('done'))
  const late = await ask(short, { method: 'DELETE' })
  expect([late.status, late.body.code]).toEqual([409, 'conflict'])
})

test('another tenant’s job, nobody’s job and the platform’s own upkeep are the same 404', async () => {
  const owner = await tenantOf('owner')
  const other = await tenantOf('other')
  const path = await owner.start(1)
  const upkeep = (hours: number) => {
    const hourMs = expiryHour(Date.now() + hours * 60 * 60 * 1000)
    return `/v1/jobs/${idFromBytes('job', uuidv7(hourMs, new Uint8Array(10)))}`
  }
  const paths = [path, `/v1/jobs/${newId('job')}`, upkeep(24), upkeep(0), '/v1/jobs/nonsense']
  for (const method of ['GET', 'DELETE']) {
    for (const each of paths) {
      const { status, body } = await other.ask(each, { method })
      expect({ status, ...body, requestId: '' }).toMatchObject({ status: 404, code: 'not_found' })
    }
  }
  await eventually(async () => expect((await owner.ask(path)).body.state).toBe('done'))
})
