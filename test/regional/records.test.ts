import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../shared/ids.ts'
import { eventually, startRecords, type Tenant } from './records_support.ts'
import type { Regions } from './support.ts'

let regions: Regions
let tenant: Tenant
let newTenant: (slug: string) => Promise<Tenant>
beforeAll(async () => {
  const started = await startRecords()
  newTenant = started.newTenant
  regions = started.regions
  tenant = await started.newTenant('records')
})
afterAll(() => regions.close())

test('the first record makes its collection, and is read as it was written', async () => {
  const people = await tenant.collection('people')
  expect((await people.get()).body).toEqual({ data: [], nextCursor: null })
  expect((await people.ask('')).status).toBe(404)
  const made = await people.create({ name: 'Ada', address: { city: 'London' } })
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  expect(made.body).toEqual({
    id: expect.stringMatching(/^rec_/),
    data: { name: 'Ada', address: { city: 'London' } },
    version: 1,
    createdAt: expect.any(String),
    updatedAt: made.body.createdAt,
  })
  expect(made.headers.get('location')).toBe(`${people.records}/${made.body.id}`)
  const read = await people.ask(`/records/${made.body.id}`)
  expect(read.body).toEqual(made.body)
  expect(read.headers.get('etag')).toBe('"1"')
  expect((await people.get()).body).toEqual({ data: [made.body], nextCursor: null })
  expect((await people.ask('')).body).toMatchObject({ name: 'people', indexes: [], schema: null, records: 1 })
})

test('a record is replaced, merged into and deleted, each only if it is as the client knew it', async () => {
  const things = await tenant.collection('things')
  const { body: made } = await things.create({ a: 1, b: { c: 2, d: 3 } })
  const at = `/records/${made.id}`
  const merge = { data: { b: { c: null, e: [4] }, f: 'x' } }
  const type = { 'content-type': 'application/merge-patch+json' }
  const patched = await things.ask(at, 'PATCH', merge, { ...type, 'if-match': '"1"' })
  expect(patched.body).toMatchObject({ version: 2, data: { a: 1, b: { d: 3, e: [4] }, f: 'x' } })
  expect(patched.body.data.b).not.toHaveProperty('c')
  const stale = await things.ask(at, 'PUT', { data: { a: 2 } }, { 'if-match': '"1"' })
  expect([stale.status, stale.body.code]).toEqual([412, 'precondition_failed'])
  const replaced = await things.ask(at, 'PUT', { data: { a: 2 } }, { 'if-match': '"2"' })
  expect(replaced.body).toMatchObject({ version: 3, data: { a: 2 }, createdAt: made.createdAt })
  expect((await things.ask(at, 'DELETE', undefined, { 'if-match': '"2"' })).status).toBe(412)
  expect((await things.ask(at, 'DELETE', undefined, { 'if-match': '"3"' })).status).toBe(204)
  for (const [method, body] of [
    ['GET'],
    ['PUT', { data: {} }],
    ['PATCH', { data: {} }],
    ['DELETE'],
  ] as const) {
    expect((await things.ask(at, method, body)).status, method).toBe(404)
  }
  expect((await things.ask('')).body.records).toBe(0)
})

test('each change is told with where it happened, and without the document', async () => {
  const teller = await newTenant('events')
  const told = await teller.collection('told')
  const project = told.path.split('/')[3]
  const { body: made } = await told.create({ secret: 1 })
  await told.ask(`/records/${made.id}`, 'PATCH', { data: { secret: 2 } })
  await told.ask(`/records/${made.id}`, 'DELETE')
  await told.declare({ indexes: [{ field: 'a', type: 'string' }] })
  await told.ask('', 'DELETE')
  const { body } = await teller.ask('/v1/events?limit=100&types=record.*,collection.*')
  const place = { project, collection: 'told' }
  expect(
    body.data.map(({ type, resource, data }: { [field: string]: unknown }) => [type, resource, data]),
  ).toEqual([
    ['collection.created', 'told', { project }],
    ['record.created', made.id, { ...place, version: 1 }],
    ['record.updated', made.id, { ...place, version: 2 }],
    ['record.deleted', made.id, { ...place, version: 2 }],
    ['collection.updated', 'told', { project }],
    ['collection.deleted', 'told', { project }],
  ])
  expect(JSON.stringify(body)).not.toContain('secret')
})

test('no change of many at once is lost', async () => {
  const counters = await tenant.collection('counters')
  const { body: made } = await counters.create({})
  const fields = Array.from({ length: 20 }, (_, i) => `f${i}`)
  const answers = await Promise.all(
    fields.map((field) => counters.ask(`/records/${made.id}`, 'PATCH', { data: { [field]: true } })),
  )
  expect(answers.map(({ status }) => status)).toEqual(fields.map(() => 200))
  const { body } = await counters.ask(`/records/${made.id}`)
  expect(body).toMatchObject({ version: 21, data: Object.fromEntries(fields.map((field) => [field, true])) })
})

describe('documents', () => {
  test('up to 1 MiB are given back as they came, and their pages end at 4 MiB', async () => {
    const large = await tenant.collection('large')
    const data = (n: number) => ({ n, text: 'é'.repeat(524_288 - 15) })
    expect(Buffer.byteLength(JSON.stringify(data(0)))).toBeGreaterThan(1_048_500)
    const made = []
    for (let i = 0; i < 5; i++) made.push(await large.create(data(i)))
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201])
    const read = await large.ask(`/records/${made[3]?.body.id}`)
    expect(read.body.data.n).toBe(3)
    expect(read.body.data.text === data(3).text).toBe(true)
    const { body: page } = await large.get()
    expect([page.data.length, typeof page.nextCursor]).toEqual([3, 'string'])
    expect((await large.all()).map(({ data: { n } }) => n)).toEqual([0, 1, 2, 3, 4])
    const tooLarge = await large.create({ text: 'é'.repeat(524_288) })
    expect([tooLarge.status, tooLarge.body.code]).toEqual([413, 'body_too_large'])
    // What a short patch makes of a large document counts, too.
    const grown = await large.ask(`/records/${made[0]?.body.id}`, 'PATCH', {
      data: { more: 'x'.repeat(100) },
    })
    expect([grown.status, grown.body.code]).toEqual([413, 'body_too_large'])
    const operations = made.map(({ body: { id } }) => ({ op: 'update', id, data: { n: 9 } }))
    const batch = await large.ask('/records:batch', 'POST', { operations })
    expect([batch.status, batch.body.code]).toEqual([413, 'body_too_large'])
    expect((await large.ask(`/records/${made[0]?.body.id}`)).body.data.n).toBe(0)
  })

  test.each([
    [
      'names of the language',
      '{"__proto__":{"admin":true},"constructor":1,"toString":null,"hasOwnProperty":[]}',
    ],
    ['every kind of value', '{"":0,"a":[null,true,false,-1.5e300,{"b":[]}],"c":"\\u0000\\n\\"\\\\/","-0":1}'],
    ['text in every script, not normalised', '{"\\u00e9":"e\\u0301","e\\u0301":"\\u00e9","😀":"\\u202e"}'],
  ])('with %s are given back as they came', async (_, text) => {
    const odd = await tenant.collection('odd')
    const made = await odd.ask('/records', 'POST', `{"data":${text}}`)
    expect(made.status).toBe(201)
    const { body } = await odd.ask(`/records/${made.body.id}`)
    expect(JSON.stringify(body.data)).toBe(JSON.stringify(JSON.parse(text)))
    const patch = await odd.ask(`/records/${made.body.id}`, 'PATCH', '{"data":{"__proto__":{"x":1}}}')
    expect(Object.hasOwn(patch.body.data, '__proto__')).toBe(true)
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })

  const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  test.each([
    ['no object', '{"data":[1]}', '/data'],
    ['nothing', '{}', '/data'],
    ['null', '{"data":null}', '/data'],
    ['a number beyond all numbers', '{"data":{"a":[1e999]}}', '/data/a/0'],
    ['a lone surrogate', '{"data":{"a/b":{"~":"\\ud800"}}}', '/data/a~1b/~0'],
    ['a lone surrogate in a name', '{"data":{"a":{"\\udc00":1}}}', '/data/a'],
    ['too many levels', `{"data":{"a":${deep(64)}}}`, `/data/a${'/0'.repeat(63)}`],
    ['very many levels', `{"data":{"a":${deep(200_000)}}}`, `/data/a${'/0'.repeat(63)}`],
    ['an expiry that has been', '{"data":{},"expiresAt":"2020-01-01T00:00:00Z"}', '/expiresAt'],
    ['an expiry that is none', '{"data":{},"expiresAt":"soon"}', '/expiresAt'],
    ['a field that there is not', '{"data":{},"id":"rec_1"}', '/id'],
  ])('that are %s are refused where they are wrong', async (_, text, pointer) => {
    const odd = await tenant.collection('odd')
    const { status, body } = await odd.ask('/records', 'POST', text)
    expect([status, body.code]).toEqual([422, 'validation_failed'])
    expect(body.errors[0].pointer).toBe(pointer)
  })

  test('of 64 levels are taken, and a patch can’t make them deeper', async () => {
    const odd = await tenant.collection('odd')
    const made = await odd.ask('/records', 'POST', `{"data":{"a":${deep(63)}}}`)
    expect(made.status).toBe(201)
    const nested = (levels: number): object => (levels === 0 ? {} : { a: nested(levels - 1) })
    const patch = await odd.ask(`/records/${made.body.id}`, 'PATCH', { data: nested(64) })
    expect([patch.status, patch.body.code]).toEqual([422, 'validation_failed'])
  })
})

test('a field twice in one object: the last one counts', async () => {
  const odd = await tenant.collection('odd')
  const made = await odd.ask('/records', 'POST', '{"data":{"a":1,"a":2}}')
  expect(made.body.data).toEqual({ a: 2 })
})

test('what is not there is 404, whatever else is wrong', async () => {
  const { ask } = tenant
  const project = await tenant.newProject()
  const odd = await tenant.collection('there', project)
  const nowhere = [
    `/v1/projects/${newId('prj')}/collections/a`,
    `/v1/projects/prj_x/collections/a`,
    `${odd.path}/records/${newId('rec')}`,
    `${odd.path}/records/rec_x`,
    `/v1/projects/${project}/collections/none/records/${newId('rec')}`,
    `/v1/projects/${project}/collections/a%2Fb/records`,
  ]
  for (const path of nowhere) {
    const { status, body } = await ask(path)
    expect([status, body.code], path).toEqual([404, 'not_found'])
  }
  const misnamed = await ask(`/v1/projects/${project}/collections/a%2Fb`, { method: 'PUT', body: {} })
  expect([misnamed.status, misnamed.body.code]).toEqual([400, 'malformed_request'])
})

describe('a batch', () => {
  test('does all of it, each seeing what those before it did', async () => {
    const batch = await tenant.collection('batch')
    await batch.declare({ indexes: [{ field: 'email', type: 'string', unique: true }] })
    const { body: first } = await batch.create({ email: 'a@x' })
    const { body: second } = await batch.create({ email: 'b@x', n: 1 })
    const operations = [
      { op: 'delete', id: first.id, ifMatch: '"1"' },
      { data: { email: 'a@x' } },
      { op: 'update', id: second.id, data: { n: 2 } },
      { op: 'update', id: second.id, data: { m: 3 }, ifMatch: '"2"' },
      { op: 'replace', id: second.id, data: { email: 'c@x' } },
      { op: 'create', data: { email: 'b@x' } },
    ]
    const done = await batch.ask('/records:batch', 'POST', { operations })
    expect(done.status, JSON.stringify(done.body)).toBe(200)
    expect(
      done.body.results.map(({ op, record }: { op: string; record: { version: number } }) => [
        op,
        record?.version,
      ]),
    ).toEqual([
      ['delete', undefined],
      ['create', 1],
      ['update', 2],
      ['update', 3],
      ['replace', 4],
      ['create', 1],
    ])
    const emails = (await batch.all('?order=email')).map(({ data }) => data.email)
    expect(emails).toEqual(['a@x', 'b@x', 'c@x'])
  })

  test('takes what it refuses for nobody’s value', async () => {
    const pairs = await tenant.collection('pairs')
    const unique = (field: string) => ({ field, type: 'string', unique: true })
    await pairs.declare({ indexes: [unique('a'), unique('b')] })
    await pairs.create({ a: '1', b: '1' })
    const operations = [{ data: { a: '2', b: '1' } }, { data: { a: '2', b: '2' } }]
    const { status, body } = await pairs.ask('/records:batch', 'POST', { operations })
    const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer)
    expect([status, pointers]).toEqual([409, ['/operations/0/data/b']])
  })

  test('makes records that are listed in its order', async () => {
    const ordered = await tenant.collection('ordered')
    const operations = Array.from({ length: 100 }, (_, n) => ({ data: { n } }))
    expect((await ordered.ask('/records:batch', 'POST', { operations })).status).toBe(200)
    expect((await ordered.all()).map(({ data }) => data)).toEqual(operations.map(({ data }) => data))
  })

  test('reads so many bytes at most of what it changes and deletes', async () => {
    const large = await tenant.collection('large-reads')
    const text = 'x'.repeat(1_000_000)
    const ids: string[] = []
    for (let i = 0; i < 17; i++) ids.push((await large.create({ text })).body.id)
    const deleting = (some: string[]) => ({ operations: some.map((id) => ({ op: 'delete', id })) })
    const refused = await large.ask('/records:batch', 'POST', deleting(ids))
    expect([refused.status, refused.body.code]).toEqual([413, 'body_too_large'])
    expect((await large.ask('/records:batch', 'POST', deleting(ids.slice(1)))).status).toBe(200)
    expect((await large.ask('')).body.records).toBe(1)
  })

  test('does nothing when one of it can’t be done, and says which', async () => {
    const batch = await tenant.collection('atomic')
    await batch.declare({ indexes: [{ field: 'email', type: 'string', unique: true }] })
    const { body: kept } = await batch.create({ email: 'a@x' })
    const operations = [
      { data: { email: 'new@x' } },
      { op: 'update', id: kept.id, data: { n: 1 } },
      { data: { email: 'a@x' } },
      { op: 'delete', id: newId('rec') },
      { op: 'update', id: kept.id, data: { n: 2 }, ifMatch: '"1"' },
      { data: { email: 'new@x' } },
    ]
    const refused = await batch.ask('/records:batch', 'POST', { operations })
    expect([refused.status, refused.body.code]).toEqual([409, 'unique_violation'])
    expect(
      refused.body.errors.map(({ pointer, code }: { pointer: string; code: string }) => [pointer, code]),
    ).toEqual([
      ['/operations/2/data/email', 'unique_violation'],
      ['/operations/3', 'not_found'],
      ['/operations/4', 'precondition_failed'],
      ['/operations/5/data/email', 'unique_violation'],
    ])
    expect(await batch.all()).toEqual([kept])
    const nothing = await batch.ask('/records:batch', 'POST', { operations: [{ op: 'update', id: kept.id }] })
    expect([nothing.status, nothing.body.errors[0].pointer]).toEqual([422, '/operations/0'])
    const malformed = await batch.ask('/records:batch', 'POST', { operations: [{ data: {} }, { data: 1 }] })
    expect([malformed.status, malformed.body.errors[0].pointer]).toEqual([422, '/operations/1/data'])
    const many = { operations: Array.from({ length: 101 }, () => ({ data: {} })) }
    expect((await batch.ask('/records:batch', 'POST', many)).status).toBe(422)
    expect((await batch.ask('/records:batch', 'POST', { operations: [] })).status).toBe(422)
  })
})

test('a deleted collection is gone at once, and one of the same name begins empty', async () => {
  const doomed = await tenant.collection('doomed')
  await doomed.declare({ indexes: [{ field: 'n', type: 'number' }] })
  for (let i = 0; i < 3; i++) {
    const operations = Array.from({ length: 100 }, (_, n) => ({ data: { n, text: 'x'.repeat(1_000) } }))
    expect((await doomed.ask('/records:batch', 'POST', { operations })).status).toBe(200)
  }
  const [{ id }] = await doomed.all('?where[n]=7')
  const deleted = await doomed.ask('', 'DELETE')
  expect(deleted.status).toBe(202)
  expect((await doomed.ask('')).status).toBe(404)
  expect((await doomed.ask(`/records/${id}`)).status).toBe(404)
  expect((await doomed.get()).body.data).toEqual([])
  const { body: fresh } = await doomed.create({ n: 1 })
  expect(await doomed.all()).toEqual([fresh])
  await finished(deleted.body.job)
  const { body: job } = await tenant.ask(`/v1/jobs/${deleted.body.job}`)
  expect(job).toMatchObject({ state: 'done', done: 300, total: 300 })
  expect(await doomed.all()).toEqual([fresh])
})

async function finished(job: string): Promise<void> {
  await eventually(async () => expect((await tenant.ask(`/v1/jobs/${job}`)).body.state).toBe('done'))
}
