// Stored answers take a bounded room: what is beyond it is remembered without its answer, and so done once all the same.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Regions, startRegions } from './support.ts'

const HOUR_MS = 60 * 60 * 1000

let regions: Regions
/** At the beginning of an hour, so that none ends meanwhile. */
let aheadMs = HOUR_MS - (Date.now() % HOUR_MS)
beforeAll(async () => {
  regions = await startRegions({ now: () => Date.now() + aheadMs })
})
afterAll(() => regions.close())

test('who asks again for an answer that was too large to be kept is told what was made', async () => {
  const { key } = await regions.newTenant('made', 'us')
  const send = (method: string, path: string, body: unknown, by: string) =>
    regions.ask('us', { as: key, method, path, body, headers: { 'idempotency-key': by } })
  const project = await send('POST', '/v1/projects', { name: 'P' }, 'project')
  const records = `/v1/projects/${project.body.id}/collections/c/records`
  const data = { text: 'x'.repeat(20_000) }
  const one = () => send('POST', records, { data }, 'one')
  const { id } = (await one()).body
  const again = await one()
  expect([again.status, again.body.code]).toEqual([409, 'conflict'])
  expect(again.body.detail).toContain(`It made ${id}.`)
  const operations = [{ data }, { op: 'update', id, data: { n: 1 } }, { data: {} }]
  const many = () => send('POST', `${records}:batch`, { operations }, 'many')
  const [first, , third] = (await many()).body.results
  expect((await many()).body.detail).toContain(`It made ${first.record.id}, ${third.record.id}.`)
})

test('large answers are kept as far as an hour’s room goes, small ones always', async () => {
  const { id, key } = await regions.newTenant('large', 'us')
  // A 24th of it is less than the least room.
  const limits = { storedBytes: 10_000_000 }
  const limited = await regions.ask('us', {
    as: 'operator',
    method: 'PATCH',
    path: `/platform/v1/tenants/${id}`,
    body: { limits },
  })
  expect(limited.status).toBe(200)
  const send = (method: string, path: string, body: unknown, by: string) =>
    regions.ask('us', { as: key, method, path, body, headers: { 'idempotency-key': by } })
  const project = await send('POST', '/v1/projects', { name: 'P' }, 'project')
  const records = `/v1/projects/${project.body.id}/collections/c/records`
  const path = `${records}/${(await send('POST', records, { data: {} }, 'record')).body.id}`
  const large = (n: number) => send('PATCH', path, { data: { n, text: 'x'.repeat(12_000) } }, `large-${n}`)
  const small = () => send('POST', '/v1/projects', { name: 'Small' }, 'small')

  const first = await large(0)
  for (let n = 1; n < 80; n++) expect((await large(n)).status).toBe(200)
  const again = await large(0)
  expect([again.status, again.body, again.headers.get('idempotency-replayed')]).toEqual([
    200,
    first.body,
    'true',
  ])
  const beyond = await large(79)
  expect([beyond.status, beyond.body.code]).toEqual([409, 'conflict'])
  expect((await small()).body).toEqual((await small()).body)

  // The next hour has room of its own.
  aheadMs += HOUR_MS
  const next = await large(100)
  expect((await large(100)).body).toEqual(next.body)
})
