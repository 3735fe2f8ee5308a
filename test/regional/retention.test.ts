// Events and audit entries are kept as long as the plan says, and no longer; who asks for older ones is told.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { events } from '../../regional/services/events/routes.ts'
import { type Service, tenantOperation } from '../../regional/tenancy/service.ts'
import { readEvents } from '../../shared/client/server_sent_events.ts'
import { newId } from '../../shared/ids.ts'
import { type Regions, startRegions } from './support.ts'

const [list] = events.operations
if (list?.answers !== 'in_transaction') throw new Error('the feed is read in a transaction')
const asked = { params: {}, query: {}, contentType: undefined, body: new Uint8Array() }
const stream = list.prepareStream?.({ ...asked, ifMatch: undefined, idempotencyKey: undefined })

/** Tells of much at once; and reads what a stream of the feed reads for one batch, when the test says so. */
const telling: Service = {
  name: 'telling',
  operations: [
    tenantOperation({
      name: 'tell',
      method: 'post',
      path: '/v1/tell',
      tag: 'Test',
      summary: 'Tell of two hundred things',
      scope: 'projects:write',
      answers: { 204: null },
      async handle(tx) {
        for (let i = 0; i < 200; i++) tx.emit('project.updated', `${i}`)
        return { status: 204 }
      },
    }),
    tenantOperation({
      name: 'batch',
      method: 'get',
      path: '/v1/batch',
      tag: 'Test',
      summary: 'What a stream reads next',
      scope: 'events:read',
      query: z.strictObject({ place: z.string() }),
      answers: { 200: z.object({ place: z.string(), more: z.boolean() }) },
      handle: async (tx, { query }) => ({ status: 200, body: await stream?.batch(tx, query.place) }),
    }),
  ],
}

const DAY_MS = 24 * 60 * 60_000
let regions: Regions
let aheadMs = 0
beforeAll(async () => {
  regions = await startRegions({ now: () => Date.now() + aheadMs, extraServices: [telling] })
})
afterAll(() => regions.close())

/** A tenant whose events are kept for so many days. */
async function keptFor(slug: string, eventRetentionDays: number) {
  const { id, key } = await regions.newTenant(slug, 'us')
  const patch = {
    method: 'PATCH',
    path: `/platform/v1/tenants/${id}`,
    body: { limits: { eventRetentionDays } },
  }
  expect((await regions.ask('us', { as: 'operator', ...patch })).status).toBe(200)
  const create = async (name: string): Promise<string> => {
    const asked = { as: key, method: 'POST', path: '/v1/projects', body: { name } }
    return (await regions.ask('us', asked)).body.id
  }
  const feed = (query = '') => regions.ask('us', { as: key, path: `/v1/events${query}` })
  const isEmpty = () => expect.poll(async () => (await feed()).body.data, { timeout: 20_000 }).toEqual([])
  const tail = async (query = '', lastEventId?: string) => {
    const headers = {
      accept: 'text/event-stream',
      ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    }
    const { status, body } = await regions.open('us', { as: key, path: `/v1/events${query}`, headers })
    expect(status).toBe(200)
    if (body === null) throw new Error('a stream has a body')
    return readEvents(body)
  }
  const tell = () => regions.ask('us', { as: key, method: 'POST', path: '/v1/tell' })
  const batch = (place: string) => regions.ask('us', { as: key, path: `/v1/batch?place=${place}` })
  return { tell, batch, create, feed, isEmpty, tail }
}

test('what is older than the plan keeps is forgotten, newer ones stay, and a place before them is 410', async () => {
  const { id, key } = await regions.newTenant('kept', 'us')
  const ask = (path: string, init: { method?: string; body?: unknown } = {}) =>
    regions.ask('us', { as: key, path, ...init })
  const limits = { eventRetentionDays: 7, auditRetentionDays: 20 }
  await regions.ask('us', {
    as: 'operator',
    method: 'PATCH',
    path: `/platform/v1/tenants/${id}`,
    body: { limits },
  })
  const create = async (name: string) => {
    const { body } = await ask('/v1/projects', { method: 'POST', body: { name } })
    return body.id as string
  }
  const feed = async (query = '') => (await ask(`/v1/events${query}`)).body
  const resources = async () => (await feed()).data.map(({ resource }: { resource: string }) => resource)
  const audited = async () => (await ask('/v1/audit?action=projects.create')).body.data.length as number

  const old = await create('old')
  const [first, last] = [(await feed()).data[0], (await feed()).data.at(-1)]
  aheadMs += 6 * DAY_MS
  const newer = await create('newer')
  expect((await feed(`?after=${first.id}`)).data.length).toBeGreaterThan(0)
  aheadMs += 2 * DAY_MS
  await expect.poll(resources, { timeout: 20_000 }).toEqual([newer])
  expect(await audited()).toBe(2)
  expect((await feed(`?after=${first.sequence}`)).code).toBe('events_expired')
  expect((await feed(`?after=${first.sequence}`)).detail).toContain((await feed()).data[0].id)
  expect((await feed(`?after=${first.id}`)).code).toBe('events_expired')
  expect((await feed(`?after=${newId('evt', Date.now() + aheadMs)}`)).code).toBe('invalid_cursor')
  // The last of those that are gone is where the others begin.
  expect(last.resource).toBe(old)
  expect((await feed(`?after=${last.sequence}`)).data.length).toBe(1)

  // Nobody writes any more, and it is forgotten all the same.
  aheadMs += 20 * DAY_MS
  await expect.poll(audited, { timeout: 20_000 }).toBe(0)
  await expect.poll(resources, { timeout: 20_000 }).toEqual([])
})

test('usage is kept for 400 days, also of an organisation that is only read', async () => {
  const { key } = await regions.newTenant('used', 'us')
  const ask = async (path: string) => (await regions.ask('us', { as: key, path })).body
  const now = () => Date.now() + aheadMs
  const begunMs = now()
  const usedAround = async (atMs: number): Promise<unknown[]> => {
    const time = (ms: number) => new Date(ms).toISOString()
    return (await ask(`/v1/usage?from=${time(atMs - DAY_MS)}&to=${time(atMs + DAY_MS)}`)).history
  }
  await expect.poll(() => usedAround(begunMs)).toHaveLength(1)
  aheadMs += 399 * DAY_MS
  await expect.poll(() => usedAround(now())).toHaveLength(1)
  const laterMs = now()
  expect(await usedAround(begunMs)).toHaveLength(1)
  aheadMs += 2 * DAY_MS
  await expect.poll(() => usedAround(begunMs), { timeout: 20_000 }).toEqual([])
  expect(await usedAround(laterMs)).toHaveLength(1)
})

test('a tail that began on a feed with nothing left in it is taken up again, and misses nothing', async () => {
  const { create, isEmpty, tail } = await keptFor('quiet', 1)
  aheadMs += 3 * DAY_MS
  await isEmpty()
  const begun = await tail()
  const place = (await begun.next()).value?.id
  await begun.return(undefined)
  const missed = await create('missed')
  const again = await tail('', place)
  expect((await again.next()).value?.id).toBe(place)
  expect(JSON.parse((await again.next()).value?.data ?? '{}').resource).toBe(missed)
  await again.return(undefined)
})

test('who asks for a rare type again and again goes on where the last page ended, however long there is none', async () => {
  const { create, feed, tell } = await keptFor('rare', 1)
  const project = await create('first')
  const asked = '?types=project.created'
  let { body } = await feed(asked)
  expect(body.data.map(({ resource }: { resource: string }) => resource)).toEqual([project])
  for (let hours = 0; hours < 60; hours += 20) {
    const [{ sequence }] = (await feed('?limit=1')).body.data
    expect((await tell()).status).toBe(204)
    aheadMs += 20 * 60 * 60_000
    // What came before that is forgotten meanwhile.
    if (hours > 0) {
      const first = async () => (await feed('?limit=1')).body.data[0]?.sequence > sequence
      await expect.poll(first, { timeout: 20_000 }).toBe(true)
    }
    const next = await feed(`${asked}&after=${body.through}`)
    expect([next.status, next.body.data, next.body.nextCursor]).toEqual([200, [], null])
    body = next.body
  }
  const second = await create('second')
  const { data } = (await feed(`${asked}&after=${body.through}`)).body
  expect(data.map(({ resource }: { resource: string }) => resource)).toEqual([second])
})

test('a stream that is behind what is kept ends with a word, and passes over nothing', async () => {
  const { batch, feed, isEmpty, tell } = await keptFor('slow', 1)
  expect((await tell()).status).toBe(204)
  const [first] = (await feed('?limit=1')).body.data
  const { body } = await batch(first.sequence)
  expect(body.more).toBe(true)
  aheadMs += 2 * DAY_MS
  await isEmpty()
  const behind = await batch(body.place)
  expect([behind.status, behind.body.code]).toEqual([410, 'events_expired'])
})
