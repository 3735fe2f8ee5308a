import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Collection, eventually, startRecords, type Tenant } from './records_support.ts'
import type { Answer, Regions } from './support.ts'

let regions: Regions
let newTenant: (slug: string) => Promise<Tenant>
let tenant: Tenant
beforeAll(async () => {
  const started = await startRecords()
  regions = started.regions
  newTenant = started.newTenant
  tenant = await newTenant('indexes')
})
afterAll(() => regions.close())

const N = { field: 'n', type: 'number' }

async function fill(
  collection: Collection,
  count: number,
  data = (n: number): object => ({ n }),
): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    const operations = Array.from({ length: Math.min(100, count - from) }, (_, i) => ({
      data: data(from + i),
    }))
    expect((await collection.ask('/records:batch', 'POST', { operations })).status).toBe(200)
  }
}

const job = async (id: string) => (await tenant.ask(`/v1/jobs/${id}`)).body

test('an index over what was there before is built while records change, and is right', async () => {
  const busy = await tenant.collection('busy')
  await fill(busy, 400)
  const ids = (await busy.all('?limit=100')).map(({ id }) => id)
  const declared = await busy.declare({ indexes: [N] })
  const [index] = declared.body.indexes
  expect(index).toMatchObject({ state: 'building', job: expect.stringMatching(/^job_/) })
  let building = true
  const changed = Array.from({ length: 4 }, async (_, writer) => {
    for (let i = writer; building || i < writer + 40; i += 4) {
      const id = ids[(i * 37) % ids.length]
      await Promise.all([
        busy.ask(`/records/${id}`, 'PATCH', { data: { n: i % 3 === 0 ? null : -i } }),
        busy.create({ n: 10_000 + i }),
        i % 5 === 0 && busy.ask(`/records/${ids[(i * 53) % ids.length]}`, 'DELETE'),
      ])
    }
  })
  const { body } = await busy.built().finally(() => {
    building = false
  })
  await Promise.all(changed)
  expect(body.indexes[0].state).toBe('ready')
  expect(await job(index.job)).toMatchObject({ kind: 'records.build-indexes', state: 'done' })
  const truth = (await busy.all('?limit=100'))
    .filter(({ data: { n } }) => typeof n === 'number')
    .map(({ id, data: { n } }) => [n, id])
    .sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1))
  expect((await busy.all('?order=n&limit=100')).map(({ id, data: { n } }) => [n, id])).toEqual(truth)
})

test('a query that needs an index still being built is told its job', async () => {
  const slow = await tenant.collection('slow')
  await fill(slow, 500)
  await caught(slow, async () => {
    const { body } = await slow.declare({ indexes: [N] })
    const answer = await slow.get('?where[n]=7')
    if (answer.status === 200) return false
    expect([answer.status, answer.body.code, answer.headers.get('retry-after')]).toEqual([
      409,
      'index_building',
      '1',
    ])
    expect(answer.body.detail).toContain(`/v1/jobs/${body.indexes[0].job}`)
    return true
  })
  await slow.built()
  expect((await slow.all('?where[n]=7')).length).toBe(1)
})

test('a value that only the index being built takes waits for it', async () => {
  const things = await tenant.collection('typed')
  const typed = (type: string) => ({ field: 'a', type })
  await things.declare({ indexes: [typed('number')] })
  await fill(things, 400, (n) => ({ a: `x${n}` }))
  await things.declare({ indexes: [typed('number'), typed('string')] })
  const asked = await things.get('?where[a]=x2')
  expect([asked.status, asked.body.code]).toEqual([409, 'index_building'])
  await things.built()
  expect((await things.all('?where[a]=x2')).length).toBe(1)
})

test('a build that was cancelled is told as ended, and begins again when its index is declared again', async () => {
  const slow = await tenant.collection('cancelled')
  await fill(slow, 500)
  await caught(slow, async () => {
    const { body } = await slow.declare({ indexes: [N] })
    return (await tenant.ask(`/v1/jobs/${body.indexes[0].job}`, { method: 'DELETE' })).status === 200
  })
  // Nobody waits for it.
  expect((await slow.ask('')).body.indexes).toMatchObject([{ state: 'failed', error: null }])
  const refused = await slow.get('?order=n')
  expect([refused.status, refused.body.code]).toEqual([422, 'index_required'])
  expect(refused.body.detail).toContain('send the collection’s declaration again')
  const { body } = await slow.declare({ indexes: [N] })
  expect(body.indexes[0].state).toBe('building')
  await slow.built()
  expect((await slow.all('?order=n&limit=100')).length).toBe(500)
})

test('a build whose index is dropped, or whose collection is deleted, is cancelled, and no failure', async () => {
  for (const [name, drop] of [
    ['dropping', (built: Collection) => built.declare({})],
    ['deleting', (built: Collection) => built.ask('', 'DELETE')],
  ] as const) {
    const slow = await tenant.collection(name)
    let id = ''
    await caught(slow, async () => {
      await fill(slow, 300)
      const { body } = await slow.declare({ indexes: [N] })
      id = body.indexes[0].job
      await drop(slow)
      await expect.poll(async () => (await job(id)).finishedAt, { timeout: 10_000 }).not.toBeNull()
      return (await job(id)).state !== 'done'
    })
    expect(await job(id)).toMatchObject({ state: 'cancelled', error: null })
    const told: Array<{ type: string; resource: string; data: object }> = []
    for (let after: string | null = '0'.repeat(40); after !== null; ) {
      const { body } = await tenant.ask(`/v1/events?types=job.*&limit=100&after=${after}`)
      told.push(...body.data)
      after = body.nextCursor
    }
    expect(told.filter(({ resource }) => resource === id)).toMatchObject([
      { type: 'job.cancelled', data: { kind: 'records.build-indexes' } },
    ])
  }
})

/** Tries until something was seen while an index was being built: building does not take long. */
async function caught(collection: Collection, seen: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    if (await seen()) return
    await collection.declare({})
  }
  throw new Error('never seen')
}

describe('a unique index', () => {
  const EMAIL = { field: 'user.email', type: 'string', unique: true }

  test('lets one of many at once have a value, and says where the others are wrong', async () => {
    const users = await tenant.collection('users')
    await users.declare({ indexes: [EMAIL] })
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => users.create({ user: { email: 'a@x' } })),
    )
    expect(answers.filter(({ status }) => status === 201).length).toBe(1)
    for (const { status, body } of answers.filter((each) => each.status !== 201)) {
      expect([status, body.code, body.errors[0].pointer]).toEqual([
        409,
        'unique_violation',
        '/data/user/email',
      ])
    }
    const [{ id }] = await users.all()
    const { body: other } = await users.create({ user: { email: 'b@x' } })
    const taken = await users.ask(`/records/${other.id}`, 'PATCH', { data: { user: { email: 'a@x' } } })
    expect([taken.status, taken.body.code]).toEqual([409, 'unique_violation'])
    // Its own value, and one that was given up, are free. So is having none.
    expect(
      (await users.ask(`/records/${id}`, 'PUT', { data: { user: { email: 'a@x' }, n: 1 } })).status,
    ).toBe(200)
    expect((await users.ask(`/records/${id}`, 'PATCH', { data: { user: null } })).status).toBe(200)
    expect(
      (await users.ask(`/records/${other.id}`, 'PATCH', { data: { user: { email: 'a@x' } } })).status,
    ).toBe(200)
    expect((await users.create({})).status).toBe(201)
    expect((await users.all('?where[user.email]=a@x')).map((each) => each.id)).toEqual([other.id])
  })

  test('that two records are against fails, names them, and can be declared again', async () => {
    const users = await tenant.collection('twice')
    await fill(users, 120, (n) => ({ user: { email: `${n % 100}@x` }, n }))
    const { body: declared } = await users.declare({ indexes: [EMAIL, N] })
    const { body } = await users.built()
    const [email, n] = body.indexes
    expect(n).toMatchObject({ state: 'ready', error: null })
    expect(email).toMatchObject({ state: 'failed', error: { code: 'unique_violation' } })
    expect(email.error.records.length).toBe(2)
    await eventually(async () =>
      expect(await job(declared.indexes[0].job)).toMatchObject({
        state: 'failed',
        error: email.error.detail,
      }),
    )
    // The feed tells of both.
    const events: Array<{ type: string; resource: string; data: object }> = []
    for (let after: string | null = '0'.repeat(40); after !== null; ) {
      const { body } = await tenant.ask(`/v1/events?types=collection.*,job.*&limit=100&after=${after}`)
      events.push(...body.data)
      after = body.nextCursor
    }
    const told = events.filter(({ resource }) => resource === 'twice' || resource === declared.indexes[0].job)
    expect(told.map(({ type, data }) => [type, data])).toEqual(
      expect.arrayContaining([
        ['collection.index_failed', { project: expect.any(String), fields: 'user.email' }],
        ['collection.index_ready', { project: expect.any(String), fields: 'n' }],
        ['job.failed', { kind: 'records.build-indexes' }],
      ]),
    )
    const refused = await users.get('?where[user.email]=1@x')
    expect([refused.status, refused.body.code]).toEqual([422, 'index_required'])
    expect(refused.body.detail).toContain(email.error.detail)
    // A failed index is kept up no more, so it is in nobody's way.
    expect((await users.create({ user: { email: '1@x' } })).status).toBe(201)
    for (const record of await users.all('?limit=100')) {
      const { n: number } = record.data
      if (number === undefined || number >= 100) await users.ask(`/records/${record.id}`, 'DELETE')
    }
    const again = await users.declare({ indexes: [EMAIL, N] })
    expect(again.body.indexes.map(({ state }: { state: string }) => state)).toEqual(['building', 'ready'])
    expect((await users.built()).body.indexes[0].state).toBe('ready')
    expect((await users.all('?where[user.email]=1@x')).length).toBe(1)
  })
})

test('long values in many indexes are built in steps that a transaction can hold', async () => {
  const wide = await tenant.collection('wide')
  // Each zero is two bytes of a key.
  const long = '\0'.repeat(985)
  await fill(wide, 50, (n) => ({
    long: `${long}${n}`,
    ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, 1])),
  }))
  const indexes = Array.from({ length: 20 }, (_, i) => ({
    fields: [
      { field: 'long', type: 'string' },
      { field: `f${i}`, type: 'number' },
    ],
    unique: true,
  }))
  const declared = await wide.declare({ indexes })
  const { body } = await wide.built()
  expect(new Set(body.indexes.map(({ state }: { state: string }) => state))).toEqual(new Set(['ready']))
  expect(await job(declared.body.indexes[0].job)).toMatchObject({ state: 'done', done: 50 })
  expect((await wide.all(`?where[long]=${encodeURIComponent(`${long}7`)}&order=f3`)).length).toBe(1)
})

test('what has expired and waits to be removed fails no build', async () => {
  const texts = await tenant.collection('expired-texts')
  const expiresAt = new Date(Date.now() + 1_000).toISOString()
  const { body: long } = await texts.create({ text: 'x'.repeat(1_001) }, { expiresAt })
  await texts.create({ text: 'short' })
  await eventually(async () => expect((await texts.ask(`/records/${long.id}`)).status).toBe(404))
  await texts.declare({ indexes: [{ field: 'text', type: 'string' }] })
  expect((await texts.built()).body.indexes[0]).toMatchObject({ state: 'ready', error: null })
})

test('values too long for an index are refused; where one is there already, its index can’t be built', async () => {
  const texts = await tenant.collection('texts')
  const TEXT = { field: 'text', type: 'string' }
  const { body: long } = await texts.create({ text: 'é'.repeat(501) })
  await texts.declare({ indexes: [TEXT] })
  const [index] = (await texts.built()).body.indexes
  expect(index).toMatchObject({ state: 'failed', error: { code: 'value_too_long', records: [long.id] } })
  await texts.ask(`/records/${long.id}`, 'DELETE')
  await texts.declare({ indexes: [TEXT] })
  await texts.built()
  const refused = await texts.create({ text: 'é'.repeat(501) })
  expect([refused.status, refused.body.code, refused.body.errors[0].pointer]).toEqual([
    422,
    'validation_failed',
    '/data/text',
  ])
  // The longest, of characters that take twice the space in a key: its cursors are still short enough to be sent.
  for (let i = 0; i < 3; i++) expect((await texts.create({ text: '\0'.repeat(1_000) })).status).toBe(201)
  expect((await texts.all('?order=-text&limit=1')).length).toBe(3)
})

test('an index that is declared no more is gone, and built anew when it is declared again', async () => {
  const once = await tenant.collection('once')
  await once.declare({ indexes: [N] })
  await fill(once, 30)
  expect((await once.all('?where[n][gte]=20')).length).toBe(10)
  await once.declare({})
  expect((await once.get('?where[n]=1')).status).toBe(422)
  await fill(once, 5)
  await once.declare({ indexes: [N] })
  await once.built()
  expect((await once.all('?where[n][lt]=5')).length).toBe(10)
  const same = await once.declare({ indexes: [N] })
  expect(same.headers.get('etag')).toBe((await once.ask('')).headers.get('etag'))
  const stale = await once.ask('', 'PUT', { indexes: [] }, { 'if-match': '"1"' })
  expect([stale.status, stale.body.code]).toEqual([412, 'precondition_failed'])
})

test('a collection that is not there is made for nobody who says If-Match, whatever it names', async () => {
  const nothing = await tenant.collection('nothing-yet')
  for (const tag of ['*', '"1"', '""']) {
    const refused = await nothing.ask('', 'PUT', { indexes: [] }, { 'if-match': tag })
    expect([tag, refused.status, refused.body.code]).toEqual([tag, 412, 'precondition_failed'])
  }
  expect((await nothing.ask('')).status).toBe(404)
  expect((await nothing.declare({ indexes: [] })).status).toBe(201)
  expect((await nothing.ask('', 'PUT', { indexes: [] }, { 'if-match': '*' })).status).toBe(200)
})

test('a cursor ends with its index, so nothing is skipped or found twice by the one that came after', async () => {
  const things = await tenant.collection('anew')
  await things.declare({ indexes: [N] })
  await fill(things, 9)
  await things.built()
  const { nextCursor } = (await things.get('?order=n&limit=4')).body
  await things.declare({ indexes: [N, { field: 'n', type: 'string' }] })
  await things.built()
  const kept = await things.get(`?order=n&limit=4&cursor=${nextCursor}`)
  expect(kept.body.data.map(({ data }: { data: { n: number } }) => data.n)).toEqual([4, 5, 6, 7])
  for (const indexes of [[{ field: 'n', type: 'string' }], [N]]) {
    await things.declare({ indexes })
    await things.built()
    const { status, body } = await things.get(`?order=n&limit=4&cursor=${nextCursor}`)
    expect([status, body.code]).toEqual([400, 'invalid_cursor'])
  }
})

test('an index is declared once: naming it twice is refused, and takes nothing from the one that is there', async () => {
  const things = await tenant.collection('twice')
  await things.declare({ indexes: [{ ...N, unique: true }] })
  await fill(things, 3)
  const twice = { indexes: [{ ...N, unique: true }, N, { fields: [N], unique: true }] }
  const { status, body } = await things.declare(twice)
  expect([status, body.code]).toEqual([422, 'validation_failed'])
  expect(body.errors).toEqual([{ pointer: '/indexes/2', detail: 'is declared twice' }])
  const again = await things.declare({ indexes: [N, { ...N, unique: true }] })
  expect(again.body.indexes.map(({ unique }: { unique: boolean }) => unique)).toEqual([false, true])
  await things.declare({ indexes: [{ ...N, unique: true }] })
  expect((await things.create({ n: 1 })).body.code).toBe('unique_violation')
  expect((await things.all('?where[n]=1')).length).toBe(1)
})

test('an index names each of its fields once', async () => {
  const things = await tenant.collection('one-field-twice')
  for (const type of ['number', 'string']) {
    const { status, body } = await things.declare({ indexes: [N, { fields: [N, { field: 'n', type }] }] })
    expect([status, body.code]).toEqual([422, 'validation_failed'])
    expect(body.errors).toEqual([{ pointer: '/indexes/1/fields/1/field', detail: 'names n a second time' }])
  }
})

test('the names of indexed fields have 8 KiB together at most', async () => {
  const things = await tenant.collection('names')
  const indexes = (last: number) =>
    Array.from({ length: 11 }, (_, i) => ({
      fields: Array.from({ length: 4 }, (_, j) => ({
        field: `${i}${j}`.padEnd(i === 10 && j === 3 ? last : 186, 'x'),
        type: 'string',
      })),
    }))
  const fits = 8 * 1024 - 43 * 186
  expect((await things.declare({ indexes: indexes(fits) })).status).toBe(201)
  const { status, body } = await things.declare({ indexes: indexes(fits + 1) })
  expect([status, body.code]).toEqual([422, 'validation_failed'])
  expect(body.errors).toEqual([
    { pointer: '/indexes', detail: 'names fields with more than 8192 bytes together' },
  ])
})

test('a page of collections ends early where they are large', async () => {
  const project = await tenant.newProject()
  const schema = { description: 'x'.repeat(32_000) }
  const indexes = Array.from({ length: 20 }, (_, i) => ({
    fields: Array.from({ length: 4 }, (_, j) => ({ field: `${i}_${j}`.padEnd(100, 'x'), type: 'string' })),
  }))
  const names = Array.from({ length: 100 }, (_, i) => `c${String(i).padStart(2, '0')}`)
  for (const name of names) {
    const collection = await tenant.collection(name, project)
    expect((await collection.declare({ schema, indexes })).status).toBe(201)
  }
  const list = `/v1/projects/${project}/collections?limit=100`
  const { body } = await tenant.ask(list)
  expect(body.data.length).toBeGreaterThan(50)
  expect(body.data.length).toBeLessThan(100)
  expect(JSON.stringify(body).length).toBeLessThan(4.01 * 1024 * 1024)
  const { body: rest } = await tenant.ask(`${list}&cursor=${body.nextCursor}`)
  expect([...body.data, ...rest.data].map(({ name }) => name)).toEqual(names)
  expect(rest.nextCursor).toBe(null)
})

describe('a query', () => {
  let things: Collection
  beforeAll(async () => {
    things = await tenant.collection('things')
    await things.declare({
      indexes: [N, { field: 's', type: 'string' }, { fields: [{ field: 's', type: 'string' }, N] }],
    })
    await fill(things, 9, (n) => ({ n, s: `s${n % 3}` }))
  })

  test.each([
    ['where[x]=1', '{"field":"x","type":"number"}'],
    ['where[x.y][prefix]=1', '{"field":"x.y","type":"string"}'],
    ['where[x]=true&order=n', '{"fields":[{"field":"x","type":"boolean"},{"field":"n","type":"number"}]}'],
    ['order=-x', '{"field":"x","type":"string"}'],
    ['where[n]=1&where[s][gt]=a', '{"fields":[{"field":"n","type":"number"},{"field":"s","type":"string"}]}'],
    ['where[n][prefix]=1', '{"field":"n","type":"number"}'],
    ['where[t][lt]=2026-01-01T00:00:00Z', '{"field":"t","type":"time"}'],
  ])('%s that no index answers is told which one to declare', async (query, index) => {
    const { status, body } = await things.get(`?${query}`)
    expect([status, body.code]).toEqual([422, 'index_required'])
    expect(body.detail).toContain(index)
    const empty = await tenant.collection('nothing')
    const none = (await empty.get(`?${query}`)).body
    expect(none.code).toBe('index_required')
    // What is declared already goes with a declaration that does not state it.
    expect([body.detail, none.detail].map((detail) => detail.includes('PUT states the whole'))).toEqual([
      true,
      false,
    ])
  })

  test.each([
    'where[n]=x',
    'where[n]=0x10',
    'where[n]=',
    'where[n]=Infinity',
    'where[n]=1&where[n]=2',
    'order=n&order=s',
    'limit=1&limit=2',
    'where[n][gt]=1&where[n][gte]=2',
    'where[n]=1&where[n][gt]=0',
    'where[n][ne]=1',
    'where[n][gt]=1&where[s][gt]=a',
    'where[s][prefix]=a&where[s][lt]=b',
    'where[]=1',
    'where[a..b]=1',
    'where[a][b][c]=1',
    'where=1',
    'where[a]=1&where[b]=1&where[c]=1&where[d]=1&order=e',
    'where[n][gt]=1&order=s',
    'order=',
    'order=-',
    'filter=1',
    'constructor=1',
    '__proto__=1',
    'limit=0',
    'limit=101',
    `where[${'a'.repeat(300)}]=1`,
    'where[n%00]=1',
  ])('%s is refused as malformed', async (query) => {
    const { status, body } = await things.get(`?${query}`)
    expect([status, body.code], JSON.stringify(body)).toEqual([400, 'malformed_request'])
  })

  test('goes by what the document itself has, whatever a field is called', async () => {
    const odd = await tenant.collection('odd')
    const names = [
      '__proto__.x',
      'constructor',
      'toString.length',
      'a b/c~d',
      "'; DROP",
      '😀',
      'é',
      'e\u0301',
    ]
    const declared = await odd.declare({ indexes: names.map((field) => ({ field, type: 'string' })) })
    expect(declared.status).toBe(201)
    await odd.create({})
    for (const name of names) {
      const query = `?where[${encodeURIComponent(name).replaceAll("'", '%27')}]=v`
      expect((await odd.get(query)).body.data, name).toEqual([])
      const nested = name
        .split('.')
        .reduceRight<string>((inner, key) => `{${JSON.stringify(key)}:${inner}}`, '"v"')
      const { body } = await odd.ask('/records', 'POST', `{"data":${nested}}`)
      expect(
        (await odd.get(query)).body.data.map(({ id }: { id: string }) => id),
        name,
      ).toEqual([body.id])
    }
  })

  test('with a cursor of another query, of another list, or altered, is refused or stays within its bounds', async () => {
    const cursor = async (query: string) => (await things.get(query)).body.nextCursor as string
    const ofS1 = await cursor('?where[s]=s1&limit=1')
    const others = [
      await cursor('?limit=1'),
      await cursor('?where[s]=s2&limit=1'),
      await cursor('?order=s&limit=1'),
      ofS1.slice(0, -3),
      'x',
    ]
    for (const other of others) {
      const { status, body } = await things.get(`?where[s]=s1&limit=1&cursor=${other}`)
      expect([status, body.code], other).toEqual([400, 'invalid_cursor'])
    }
    // One that was made up for this very list only begins elsewhere in it.
    const [list] = JSON.parse(Buffer.from(ofS1, 'base64url').toString())
    for (const value of ['', 's0', 's1', 's2', 'zzz']) {
      const place = [Buffer.from(value), Buffer.alloc(16)].map((part) => part.toString('base64url')).join('.')
      const made = Buffer.from(JSON.stringify([list, place])).toString('base64url')
      const { status, body } = await things.get(`?where[s]=s1&cursor=${made}`)
      expect(status).toBe(200)
      for (const { data } of body.data) expect(data.s).toBe('s1')
    }
  })
})

test('nothing of another tenant’s is found by its ids, names or cursors in one’s own project', async () => {
  const [victim, attacker] = await Promise.all([newTenant('victim'), newTenant('attacker')])
  const project = await victim.newProject()
  const theirs = await victim.collection('shared', project)
  const own = await attacker.collection('shared')
  for (const each of [theirs, own]) await each.declare({ indexes: [N] })
  const secrets: Answer[] = []
  for (let n = 0; n < 3; n++) secrets.push(await theirs.create({ n, secret: true }))
  const { body: mine } = await own.create({ n: 1 })
  for (const { body } of secrets) {
    for (const path of [`${own.records}/${body.id}`, `${theirs.records}/${body.id}`]) {
      for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
        const sent = method === 'PUT' || method === 'PATCH' ? { body: { data: {} } } : {}
        expect((await attacker.ask(path, { method, ...sent })).status, `${method} ${path}`).toBe(404)
      }
    }
  }
  for (const query of ['?limit=1', '?where[n][gte]=0&limit=1']) {
    const { nextCursor } = (await theirs.get(query)).body
    const used = await own.get(`${query}&cursor=${nextCursor}`)
    expect([used.status, used.body.code]).toEqual([400, 'invalid_cursor'])
  }
  expect((await attacker.ask(theirs.path, { method: 'PUT', body: {} })).status).toBe(404)
  expect((await attacker.ask(theirs.path, { method: 'DELETE' })).status).toBe(404)
  expect(await own.all()).toEqual([mine])
  expect(await theirs.all()).toEqual(secrets.map(({ body }) => body))
})

test('an index that fits neither form is told where it comes closest, and why', async () => {
  const strange = await tenant.collection('strange')
  const errorsOf = async (path: string, method: string, body: unknown) =>
    (await strange.ask(path, method, body)).body.errors
  const indexes = [{ field: 'a', type: 'text' }, { fields: [{ field: 'a..b', type: 'string' }] }, 5]
  expect(await errorsOf('', 'PUT', { indexes })).toEqual([
    { pointer: '/indexes/0/type', detail: expect.stringMatching(/^is none of "/) },
    { pointer: '/indexes/1/fields/0/field', detail: 'does not name a field, such as address.city' },
    { pointer: '/indexes/2', detail: 'is not an object' },
  ])
  expect(await errorsOf('/records:batch', 'POST', { operations: [{ op: 'upsert', data: {} }] })).toEqual([
    {
      pointer: '/operations/0/op',
      detail: 'is none of "create", "replace", "update", "delete"',
    },
  ])
})
