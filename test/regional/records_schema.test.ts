import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Schemas } from '../../regional/services/records/json_schema.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { startRecords, type Tenant } from './records_support.ts'
import type { Regions } from './support.ts'

let regions: Regions
let newTenant: (slug: string) => Promise<Tenant>
let tenant: Tenant
beforeAll(async () => {
  const started = await startRecords()
  regions = started.regions
  newTenant = started.newTenant
  tenant = await newTenant('schemas')
})
afterAll(() => regions.close())

const person = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1 },
    email: { type: 'string', format: 'email' },
    friends: { type: 'array', items: { $ref: '#/$defs/friend' } },
    pair: { prefixItems: [{ type: 'number' }, { type: 'string' }], items: false },
  },
  $defs: { friend: { type: 'object', properties: { 'a/b': { type: 'integer' } }, required: ['since'] } },
  unevaluatedProperties: false,
}

test('what does not fit the schema is refused where it does not, by every way of writing', async () => {
  const people = await tenant.collection('people')
  const declared = await people.declare({ schema: person })
  expect([declared.status, declared.body.schema]).toEqual([201, person])
  const made = await people.create({ name: 'Ada', friends: [{ since: 1833, 'a/b': 2 }], pair: [1, 'x'] })
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  const at = `/records/${made.body.id}`
  const wrong = { email: 'no', friends: [{ 'a/b': 1.5 }], other: 1, pair: [1, 'x', 2] }
  const pointers = [
    '/data/name',
    '/data/email',
    '/data/friends/0/since',
    '/data/friends/0/a~1b',
    '/data/pair',
    '/data/other',
  ]
  for (const [method, path] of [
    ['POST', '/records'],
    ['PUT', at],
  ] as const) {
    const { status, body } = await people.ask(path, method, { data: wrong })
    expect([status, body.code]).toEqual([422, 'validation_failed'])
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual(
      [...pointers].sort(),
    )
  }
  const patched = await people.ask(at, 'PATCH', { data: { name: null } })
  expect([patched.status, patched.body.errors[0].pointer]).toEqual([422, '/data/name'])
  const operations = [{ data: { name: 'Bob' } }, { data: {} }]
  const batch = await people.ask('/records:batch', 'POST', { operations })
  expect([batch.status, batch.body.errors[0].pointer]).toEqual([422, '/operations/1/data/name'])
  expect((await people.all()).length).toBe(1)
})

test('a change of the schema counts from its answer on, and taking it away too', async () => {
  const things = await tenant.collection('things')
  const schemaOf = (type: string) => ({ schema: { properties: { a: { type } } } })
  await things.declare(schemaOf('string'))
  expect((await things.create({ a: 1 })).status).toBe(422)
  await things.declare(schemaOf('number'))
  expect((await things.create({ a: 1 })).status).toBe(201)
  expect((await things.create({ a: 'x' })).status).toBe(422)
  await things.declare(schemaOf('string'))
  expect((await things.create({ a: 1 })).status).toBe(422)
  await things.declare({})
  expect((await things.create({ a: 1 })).status).toBe(201)
  expect((await things.ask('')).body.schema).toBeNull()
})

test('a schema may refer to itself, and what it says beyond the standard is no more than a remark', async () => {
  const trees = await tenant.collection('trees')
  const schema = {
    $defs: {
      node: {
        $dynamicAnchor: 'node',
        properties: { children: { items: { $dynamicRef: '#node' } } },
        required: ['label'],
      },
    },
    $ref: '#/$defs/node',
    properties: { colour: { type: 'string', format: 'colour', 'x-widget': 'picker' } },
  }
  expect((await trees.declare({ schema })).status).toBe(201)
  const leaf = { label: 'leaf' }
  expect(
    (await trees.create({ label: 'root', colour: 'red', children: [leaf, { ...leaf, children: [leaf] }] }))
      .status,
  ).toBe(201)
  const { status, body } = await trees.create({
    label: 'root',
    children: [leaf, { label: 'a', children: [{}] }],
  })
  expect([status, body.errors[0].pointer]).toEqual([422, '/data/children/1/children/0/label'])
})

test('a schema may refer to all of itself, and by the names that it gives its parts', async () => {
  const nests = await tenant.collection('nests')
  const schema = {
    $defs: { egg: { $anchor: 'egg', type: 'integer' } },
    properties: { nest: { $ref: '#' }, eggs: { $ref: '#egg' } },
  }
  expect((await nests.declare({ schema })).status).toBe(201)
  expect((await nests.create({ eggs: 1, nest: { nest: { eggs: 2 } } })).status).toBe(201)
  const { status, body } = await nests.create({ nest: { nest: { eggs: 'two' } } })
  expect([status, body.errors[0].pointer]).toEqual([422, '/data/nest/nest/eggs'])
})

test('prices are multiples of a hundredth', async () => {
  const prices = await tenant.collection('prices')
  await prices.declare({ schema: { properties: { price: { multipleOf: 0.01 } } } })
  for (const price of [19.99, 0.07, 0.3, 123456789.01]) {
    expect((await prices.create({ price })).status, `${price}`).toBe(201)
  }
  const { status, body } = await prices.create({ price: 19.995 })
  expect([status, body.errors]).toEqual([
    422,
    [{ pointer: '/data/price', detail: 'must be multiple of 0.01' }],
  ])
})

test('dates and times are those that there are', async () => {
  const days = await tenant.collection('days')
  const format = (name: string) => ({ type: 'string', format: name })
  const properties = { date: format('date'), at: format('date-time'), time: format('time') }
  await days.declare({ schema: { properties } })
  const right = { date: '2024-02-29', at: '2024-02-29T23:59:59.5+01:00', time: '23:59:59Z' }
  expect((await days.create(right)).status).toBe(201)
  for (const wrong of [
    { date: '2023-02-29' },
    { date: '2024-13-01' },
    { at: '2024-02-30T00:00:00Z' },
    { at: '2024-02-29T25:00:00Z' },
    { time: '29:00:00Z' },
  ]) {
    expect((await days.create(wrong)).status, JSON.stringify(wrong)).toBe(422)
  }
})

test('words that only the validator or an older draft knows say nothing', async () => {
  const things = await tenant.collection('own-words')
  const schema = {
    id: 'thing',
    nullable: true,
    properties: {
      a: { type: 'string', nullable: true },
      nullable: { type: 'integer' },
      b: { type: 'null', nullable: false },
    },
  }
  expect((await things.declare({ schema })).status).toBe(201)
  expect((await things.create({ a: 'x', nullable: 1, b: null })).status).toBe(201)
  expect((await things.create({ a: null })).status).toBe(422)
  expect((await things.create({ nullable: 'x' })).status).toBe(422)
})

test('a word of the standard may be the name of a field', async () => {
  const words = await tenant.collection('words')
  const text = { type: 'string' }
  const schema = {
    properties: { $id: text, $ref: text, $async: text, default: text, const: { properties: { enum: text } } },
    default: { $id: 'no schema' },
  }
  expect((await words.declare({ schema })).status).toBe(201)
  expect((await words.create({ $id: 'a', $ref: 'b', default: 'c' })).status).toBe(201)
  const { body } = await words.create({ $id: 1, default: 1, const: { enum: 1 } })
  expect(body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
    '/data/$id',
    '/data/const/enum',
    '/data/default',
  ])
})

test.each([
  ['at once', { $dynamicRef: '#' }],
  [
    'by way of another part',
    {
      $defs: { a: { allOf: [{ $ref: '#/$defs/b' }] }, b: { allOf: [{ $ref: '#/$defs/a' }] } },
      $ref: '#/$defs/a',
    },
  ],
])('a schema that comes back to itself %s and never ends lets no document in', async (_, schema) => {
  const things = await tenant.collection('endless')
  expect((await things.declare({ schema })).status).toBe(201)
  const { status, body } = await things.create({ a: 1 })
  expect([status, body.errors]).toEqual([
    422,
    [{ pointer: '/data', detail: expect.stringContaining('without end') }],
  ])
  await things.declare({})
  expect((await things.create({ a: 1 })).status).toBe(201)
})

describe('no schema that', () => {
  const nested = (levels: number): object => (levels === 0 ? {} : { not: nested(levels - 1) })
  test.each([
    ['is none', { type: 'strin' }, '/schema'],
    ['has a pattern that is none', { pattern: '(' }, '/schema'],
    [
      'refers to another host',
      { properties: { a: { $ref: 'http://127.0.0.1:1/x.json' } } },
      '/schema/properties/a/$ref',
    ],
    ['refers to a file', { $ref: 'file:///etc/passwd' }, '/schema/$ref'],
    ['refers to what is not there', { $ref: '#/$defs/none' }, '/schema'],
    ['has an id', { $defs: { a: { $id: 'https://example.com/a' } } }, '/schema/$defs/a/$id'],
    [
      'has an id in a part called like a word that holds documents',
      { properties: { default: { $defs: { const: { $id: 'https://example.com/a' } } } } },
      '/schema/properties/default/$defs/const/$id',
    ],
    ['is of another dialect', { $schema: 'http://json-schema.org/draft-07/schema#' }, '/schema/$schema'],
    ['answers with a promise', { $async: true }, '/schema/$async'],
    [
      'has a long pattern',
      { properties: { a: { pattern: 'a'.repeat(501) } } },
      '/schema/properties/a/pattern',
    ],
    [
      'names fields by a long pattern',
      { patternProperties: { ['a'.repeat(501)]: true } },
      '/schema/patternProperties',
    ],
    ['is too large', { description: 'x'.repeat(33_000) }, '/schema'],
    ['is too deep', nested(100), /^\/schema\/not\/not/],
  ])('%s is taken', async (_, schema, pointer) => {
    const things = await tenant.collection('none')
    const { status, body } = await things.declare({ schema })
    expect([status, body.code], JSON.stringify(body)).toEqual([422, 'validation_failed'])
    if (typeof pointer === 'string') expect(body.errors[0].pointer).toBe(pointer)
    else expect(body.errors[0].pointer).toMatch(pointer)
    expect((await things.ask('')).status).toBe(404)
  })
})

describe('a schema that would take forever', () => {
  // Each level asks the next one twice.
  const doubling = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [
      `d${i}`,
      { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
    ]),
  )
  test.each([
    [
      'by its pattern',
      { properties: { a: { type: 'string', pattern: '^(a+)+$' } } },
      { a: `${'a'.repeat(50)}!` },
    ],
    [
      'by its references',
      { $ref: '#/$defs/d0', $defs: { ...doubling, d40: { type: 'object' } } },
      { a: 'b' },
    ],
    [
      'by comparing everything with everything',
      { properties: { a: { type: 'array', uniqueItems: true } } },
      { a: Array.from({ length: 60_000 }, (_, i) => ({ i })) },
    ],
  ])(
    '%s is stopped, and its tenant’s other collections and other tenants go on',
    async (name, schema, data) => {
      const slow = await newTenant(`slow-${name.replaceAll(' ', '-').slice(-10)}`)
      const things = await slow.collection('things')
      const usual = await slow.collection('usual')
      expect((await things.declare({ schema })).status).toBe(201)
      expect((await usual.declare({ schema: person })).status).toBe(201)
      expect((await usual.create({ name: 'Ada' })).status).toBe(201)
      for (let i = 0; i < 2; i++) {
        const { status, body } = await things.create(data)
        expect([status, body.errors?.[0]]).toEqual([
          422,
          { pointer: '/data', detail: expect.stringContaining('too long') },
        ])
      }
      expect((await usual.create({ name: 'Bob' })).status).toBe(201)
      const people = await tenant.collection('unmoved')
      expect((await people.declare({ schema: person })).status).toBe(201)
      expect((await people.create({ name: 'Eve' })).status).toBe(201)
    },
  )
})

/** Milliseconds of this thread, in which the region runs. */
async function threadMsOf(work: () => Promise<unknown>): Promise<number> {
  const from = process.threadCpuUsage()
  await work()
  const { user, system } = process.threadCpuUsage(from)
  return (user + system) / 1_000
}

describe('no pattern holds up the region that', () => {
  test.each([
    ['has many branches', `${'a?'.repeat(100)}${'a'.repeat(100)}`, 'a'.repeat(100)],
    ['may begin with any letter', '\\p{L}'.repeat(100), '\u4e00'.repeat(300)],
    ['may begin with all but letters', '[^\\p{L}]'.repeat(55), '\u4e00'.repeat(300)],
  ])('%s', async (name, pattern, a) => {
    const patient = await newTenant(name.replaceAll(' ', '-'))
    const things = await patient.collection('things')
    for (const [schema, data] of [
      [{ properties: { a: { pattern } } }, { a }],
      [{ patternProperties: { [pattern]: false } }, { [a]: 1 }],
    ]) {
      expect((await things.declare({ schema })).status).toBeLessThan(300)
      expect(await threadMsOf(() => things.create(data))).toBeLessThan(1_000)
    }
  })

  test('a document says is one', async () => {
    const things = await tenant.collection('patterns')
    await things.declare({ schema: { properties: { a: { format: 'regex' } } } })
    expect((await things.create({ a: '^a+$' })).status).toBe(201)
    expect((await things.create({ a: '(' })).status).toBe(422)
    const took = await threadMsOf(async () => {
      expect((await things.create({ a: '\\p{L}'.repeat(100_000) })).status).toBe(422)
    })
    expect(took).toBeLessThan(1_000)
  })
})

test('a pattern is found anywhere in a text, and stays within its own bounds', async () => {
  const texts = await tenant.collection('texts')
  await texts.declare({ schema: { properties: { a: { pattern: '(b)\\1|c$' } } } })
  for (const a of ['bb', 'a😀\nbbx', 'a\nc']) expect((await texts.create({ a })).status).toBe(201)
  for (const a of ['', 'b', 'ca']) expect((await texts.create({ a })).status).toBe(422)
  // Taken for what it is by itself, wherever it stands.
  const schema = { $ref: '#/x-own/part', 'x-own': { part: { pattern: 'x)|(?:y' } } }
  expect((await texts.declare({ schema })).status).toBe(422)
})

test('a schema from before patterns had a length goes on', async () => {
  const owner = { tenant: asTenantNumber(1n), uid: '0', version: 1 }
  const load = async () => ({ properties: { a: { pattern: `^${'a'.repeat(600)}` } } })
  const check = (a: string) => new Schemas(Date.now).check(owner, load, { a }, { ms: 0 })
  expect((await check('a'.repeat(600))).fits).toBe(true)
  expect((await check('a')).fits).toBe(false)
})

test('a tenant’s compiled schemas are not pushed out by those of one who has more', async () => {
  const schemas = new Schemas(Date.now)
  let loaded = 0
  const check = (tenant: bigint, uid: string, schema: object) =>
    schemas.check(
      { tenant: asTenantNumber(tenant), uid, version: 1 },
      async () => {
        loaded++
        return schema
      },
      {},
      { ms: 0 },
    )
  const few = () => check(1n, '0', { description: 'x'.repeat(30_000) })
  await few()
  for (const tenant of [2n, 3n, 4n]) {
    for (let i = 0; i < 40; i++) await check(tenant, `${i}`, { description: 'x'.repeat(32_000) })
  }
  loaded = 0
  expect((await few()).fits).toBe(true)
  expect(loaded).toBe(0)
  await check(4n, '39', {})
  expect(loaded).toBe(0)
  // Whoever has too many keeps those that were used last.
  await check(4n, '0', {})
  expect(loaded).toBe(1)
})

test('the same declaration again compiles nothing', async () => {
  const again = await newTenant('again')
  const things = await again.collection('things')
  const schema = {
    patternProperties: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`^a${i}`, { minimum: i }])),
  }
  const first = await things.declare({ schema })
  expect(first.status).toBe(201)
  for (let i = 0; i < 40; i++) expect((await things.declare({ schema })).status).toBe(200)
  // Its time would be used up.
  expect((await things.create({ a0: 1 })).status).toBe(201)
})

test('a tenant whose schemas took too much time is told when to try again, and nobody else is', async () => {
  const greedy = await newTenant('greedy')
  const things = await greedy.collection('things')
  const usual = await greedy.collection('usual')
  expect((await usual.declare({ schema: person })).status).toBe(201)
  expect((await things.declare({ schema: { properties: { a: { pattern: '^(a+)+$' } } } })).status).toBe(201)
  const slow = { a: `${'a'.repeat(50)}!` }
  const first = await things.create(slow)
  expect(first.body.errors[0].detail).toContain('too complex')
  let last = first
  for (let i = 0; i < 100 && last.status === 422; i++) last = await things.create(slow)
  for (const { status, body, headers } of [
    last,
    await usual.create({ name: 'Ada' }),
    await usual.ask('/records:batch', 'POST', { operations: [{ data: { name: 'Ada' } }] }),
    await usual.declare({ schema: { type: 'object' } }),
  ]) {
    // Nothing is wrong with it: whoever sends it again later is not told to give up.
    expect([status, body.code, body.errors]).toEqual([429, 'rate_limited', undefined])
    expect(body.detail).toMatch(/Try again in \d+ s\.$/)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  }
  const people = await tenant.collection('others')
  expect((await people.declare({ schema: person })).status).toBe(201)
  expect((await people.create({ name: 'Eve' })).status).toBe(201)
})

test('the documents of a batch are checked for so long together', async () => {
  const many = await newTenant('many')
  const things = await many.collection('things')
  await things.declare({ schema: { properties: { a: { pattern: '^(a+)+$' } } } })
  const operations = Array.from({ length: 100 }, () => ({ data: { a: `${'a'.repeat(50)}!` } }))
  const took = await threadMsOf(async () => {
    const { status, body } = await things.ask('/records:batch', 'POST', { operations })
    expect([status, body.errors.length]).toEqual([422, 100])
    expect(body.errors.at(-1)).toMatchObject({
      pointer: '/operations/99/data',
      detail: expect.stringContaining('fewer at once'),
    })
  })
  expect(took).toBeLessThan(1_000)
})

describe('what every object of JavaScript’s has', () => {
  test('is no field of a document’s', async () => {
    const things = await tenant.collection('members')
    const text = { type: 'string' }
    await things.declare({
      schema: { properties: { constructor: text }, dependentRequired: { toString: ['a'] } },
    })
    expect((await things.create({})).status).toBe(201)
    expect((await things.create({ constructor: 1 })).body.errors[0].pointer).toBe('/data/constructor')
    expect((await things.create({ toString: 1 })).status).toBe(422)
    await things.declare({ schema: { required: ['valueOf', '__proto__'] } })
    expect((await things.create({})).body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/data/valueOf',
      '/data/__proto__',
    ])
    const sent = '{"data":{"valueOf":1,"__proto__":2}}'
    expect((await things.ask('/records', 'POST', sent)).status).toBe(201)
  })

  test('is no format', async () => {
    const things = await tenant.collection('formats')
    const format = (name: string) => ({ properties: { a: { format: name } } })
    for (const name of ['hasOwnProperty', '__proto__', '__defineGetter__']) {
      expect((await things.declare({ schema: format(name) })).status).toBeLessThan(300)
      expect((await things.create({ a: 'x' })).status).toBe(201)
    }
  })

  test.each([
    ['properties', '{"properties":{"__proto__":{"type":"string"}}}', '/schema/properties/__proto__'],
    ['a dependency', '{"dependentRequired":{"__proto__":["a"]}}', '/schema/dependentRequired'],
    ['an anchor', '{"$defs":{"a":{"$dynamicAnchor":"constructor"}}}', '/schema/$defs/a/$dynamicAnchor'],
    ['a reference', '{"$dynamicRef":"#valueOf"}', '/schema/$dynamicRef'],
  ])('is refused as the name of %s where it could not be told apart', async (_, schema, pointer) => {
    const things = await tenant.collection('named')
    const { status, body } = await things.ask('', 'PUT', `{"schema":${schema}}`)
    expect([status, body.errors?.[0].pointer]).toEqual([422, pointer])
  })
})

test('a document that is too large is not checked first', async () => {
  const things = await tenant.collection('large')
  await things.declare({ schema: { additionalProperties: false } })
  expect((await things.create({ ['a'.repeat(1_100_000)]: 1 })).status).toBe(413)
})

test.each([
  ['in many errors', (name: string) => ({ data: { [name]: Array.from({ length: 100 }, () => 1) } })],
  [
    'that nobody asked for',
    (name: string) => ({
      data: {},
      ...Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`${i} ${name.slice(0, 300)}`, 1])),
    }),
  ],
])('the names that a client chose are not repeated at length, %s', async (_, bodyWith) => {
  const things = await tenant.collection('names')
  const texts = { items: { type: 'string' } }
  await things.declare({ schema: { additionalProperties: texts } })
  const { status, body } = await things.ask('/records', 'POST', bodyWith('a'.repeat(900_000)))
  expect([status, body.errors[0].pointer.slice(0, 1)]).toEqual([422, '/'])
  expect(JSON.stringify(body).length).toBeLessThan(110_000)
})
