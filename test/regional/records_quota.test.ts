import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, startRecords, type Tenant } from './records_support.ts'
import type { Regions } from './support.ts'

let regions: Regions
let tenant: Tenant
let aheadMs = 0
beforeAll(async () => {
  const started = await startRecords({ now: () => Date.now() + aheadMs })
  regions = started.regions
  tenant = await started.newTenant('quota')
})
afterAll(() => regions.close())

const used = async (): Promise<number> => (await tenant.ask('/v1/usage')).body.quotas.storedBytes.used
const becomes = (bytes: number) => eventually(async () => expect(await used()).toBe(bytes))

const RECORD = 150
const ENTRY = 100
const S = { field: 's', type: 'string' }
const N = { field: 'n', type: 'number' }

test('what is stored is charged exactly, whatever way it came and went', async () => {
  const things = await tenant.collection('things')
  expect(await used()).toBe(0)
  const { body: a } = await things.create({ s: 'abc', n: 1 })
  const alone = await used()
  expect(alone).toBeGreaterThan(RECORD + JSON.stringify(a.data).length)
  expect(alone).toBeLessThan(RECORD + JSON.stringify(a.data).length + 60)
  // Built in the background, and dropped again.
  await things.declare({ indexes: [S, N] })
  await things.built()
  const names = 's'.length + 'n'.length
  expect(await used()).toBe(alone + names + 2 * ENTRY + 3 + 8)
  await things.ask(`/records/${a.id}`, 'PATCH', { data: { s: 'abcdef' } })
  expect(await used()).toBe(alone + names + 3 + 2 * ENTRY + 6 + 8)
  await things.ask(`/records/${a.id}`, 'PATCH', { data: { s: null } })
  const without = alone - '"s":"abc",'.length
  expect(await used()).toBe(without + names + ENTRY + 8)
  await things.declare({ indexes: [S] })
  await becomes(without + 's'.length)
  await things.ask(`/records/${a.id}`, 'DELETE')
  expect(await used()).toBe('s'.length)
  await things.declare({})
  expect(await used()).toBe(0)
})

test('an index that could not be built leaves nothing charged, and one over what has expired is charged right', async () => {
  const before = await used()
  const things = await tenant.collection('failing')
  const expiresAt = new Date(Date.now() + aheadMs + 60_000).toISOString()
  const operations = Array.from({ length: 90 }, (_, i) => ({
    data: { s: `${i % 80}` },
    ...(i % 2 === 1 && { expiresAt }),
  }))
  expect((await things.ask('/records:batch', 'POST', { operations })).status).toBe(200)
  const without = await used()
  await things.declare({ indexes: [{ ...S, unique: true }] })
  expect((await things.built()).body.indexes[0].error.code).toBe('unique_violation')
  await becomes(without + 's'.length)
  aheadMs += 61_000
  await things.declare({ indexes: [S] })
  await things.built()
  aheadMs += 5 * 60_000
  await eventually(async () => expect((await things.ask('')).body.records).toBe(45))
  expect((await things.all('?order=s&limit=100')).length).toBe(45)
  await things.declare({})
  expect((await things.ask('', 'DELETE')).status).toBe(202)
  await becomes(before)
})

test('a schema is charged as long as it is there, and given back with its collection', async () => {
  const before = await used()
  const things = await tenant.collection('checked')
  const schemaOf = (description: string) => ({ description, properties: { n: { type: 'number' } } })
  for (const text of ['short', '€'.repeat(1_000), 'short again']) {
    expect((await things.declare({ schema: schemaOf(text) })).status).toBeLessThan(300)
    expect(await used()).toBe(before + Buffer.byteLength(JSON.stringify(schemaOf(text))))
  }
  await things.declare({ schema: schemaOf('short again'), indexes: [N] })
  expect(await used()).toBe(before + JSON.stringify(schemaOf('short again')).length + 'n'.length)
  await things.declare({})
  expect(await used()).toBe(before)
  await things.declare({ schema: schemaOf('once more') })
  expect((await things.ask('', 'DELETE')).status).toBe(202)
  await becomes(before)
  const project = await tenant.newProject()
  await (await tenant.collection('checked', project)).declare({ schema: schemaOf('of a project') })
  expect(await used()).toBeGreaterThan(before)
  await tenant.ask(`/v1/projects/${project}`, { method: 'DELETE' })
  await becomes(before)
})

test('a declaration that takes less than the one before is made though the quota is used up', async () => {
  const { id, key } = await regions.newTenant('full', 'us')
  const ask = (method: string, path: string, body: unknown, as = key) =>
    regions.ask('us', { as, method, path, body })
  const project = (await ask('POST', '/v1/projects', { name: 'P' })).body.id
  const path = `/v1/projects/${project}/collections/things`
  const indexes = Array.from({ length: 10 }, (_, i) => ({ field: `${i}${'x'.repeat(99)}`, type: 'string' }))
  expect((await ask('PUT', path, { indexes })).status).toBe(201)
  const limits = { storedBytes: 1_000 }
  expect((await ask('PATCH', `/platform/v1/tenants/${id}`, { limits }, 'operator')).status).toBe(200)
  expect((await ask('PUT', path, { schema: { title: 'y'.repeat(500) } })).status).toBe(200)
})

test('nothing of a batch that was refused is charged; what expires and what is deleted is given back', async () => {
  const things = await tenant.collection('more')
  await things.declare({ indexes: [{ ...S, unique: true }] })
  const before = await used()
  const twice = { operations: [{ data: { s: 'a' } }, { data: { s: 'a' } }] }
  expect((await things.ask('/records:batch', 'POST', twice)).status).toBe(409)
  expect(await used()).toBe(before)
  const expiresAt = new Date(Date.now() + aheadMs + 60_000).toISOString()
  const operations = Array.from({ length: 40 }, (_, i) => ({
    data: { s: `${i}`, text: 'x'.repeat(5_000) },
    expiresAt,
  }))
  expect((await things.ask('/records:batch', 'POST', { operations })).status).toBe(200)
  expect(await used()).toBeGreaterThan(before + 40 * 5_000)
  aheadMs += 5 * 60_000
  await becomes(before)
  const lasting = operations.map(({ data }) => ({ data }))
  expect((await things.ask('/records:batch', 'POST', { operations: lasting })).status).toBe(200)
  // While an index is being built, changed and dropped at the same time.
  await Promise.all([
    things.declare({ indexes: [N, S] }),
    ...(await things.all('?limit=100')).map(({ id }, n) =>
      things.ask(`/records/${id}`, 'PATCH', { data: { n } }),
    ),
  ])
  expect((await things.ask('', 'DELETE')).status).toBe(202)
  await becomes(0)
})
