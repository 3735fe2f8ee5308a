// The event feed: every change, once, in the order of the commits, to its own tenant alone.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { wanted } from '../../regional/services/events/routes.ts'
import { FEED_BEGINNING, type TenantEvent } from '../../regional/tenancy/service.ts'
import { EVENT_TYPES } from '../../shared/event_types.ts'
import { newId } from '../../shared/ids.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of several routes
type Body = any

let regions: Regions
beforeAll(async () => {
  regions = await startRegions()
})
afterAll(() => regions.close())

const ask = async (as: string, method: string, path: string, body?: unknown) => {
  const answer = await regions.ask('us', { as, method, path, ...(body !== undefined && { body }) })
  return answer as { status: number; body: Body }
}
const feed = (as: string, query = '') => ask(as, 'GET', `/v1/events${query}`)
const types = (answer: { body: Body }) => answer.body.data.map(({ type }: { type: string }) => type)

test('concurrent changes are each told once, in one order that pages and filters keep', async () => {
  const { key } = await regions.newTenant('ordered', 'us')
  const made = await Promise.all(
    Array.from({ length: 30 }, (_, i) => ask(key, 'POST', '/v1/projects', { name: `p${i}` })),
  )
  await ask(key, 'POST', '/v1/api-keys', { name: 'k', scopes: ['events:read'] })
  const seen: Body[] = []
  for (let after: string | null = ''; after !== null; ) {
    const { status, body } = await feed(key, `?limit=7${after === '' ? '' : `&after=${after}`}`)
    expect(status).toBe(200)
    seen.push(...body.data)
    after = body.nextCursor
  }
  const created = seen.filter(({ type }) => type === 'project.created')
  expect(created.map(({ resource }) => resource).sort()).toEqual(made.map(({ body }) => body.id).sort())
  expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map(({ sequence }) => sequence).toSorted())
  expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length)
  expect(types(await feed(key, '?types=api_key.*'))).toEqual(['api_key.created'])
  const tenth = seen[9]
  const behind = await feed(key, `?after=${tenth.sequence}&limit=100`)
  expect(behind.body.data).toEqual(seen.slice(10))
  expect((await feed(key, `?after=${tenth.id}&limit=100`)).body.data).toEqual(seen.slice(10))
})

test('a tenant’s making and what an operator changes are told to the tenant', async () => {
  const { id, key } = await regions.newTenant('paused', 'us')
  for (const status of ['suspended', 'active']) {
    const path = `/platform/v1/tenants/${id}`
    const answer = await regions.ask('us', { as: 'operator', method: 'PATCH', path, body: { status } })
    expect(answer.status).toBe(200)
  }
  const both = { status: 'suspended', name: 'Paused again' }
  await regions.ask('us', { as: 'operator', method: 'PATCH', path: `/platform/v1/tenants/${id}`, body: both })
  await regions.ask('us', {
    as: 'operator',
    method: 'PATCH',
    path: `/platform/v1/tenants/${id}`,
    body: { status: 'active' },
  })
  const told = await feed(key)
  expect(types(told)).toEqual([
    'tenant.created',
    'tenant.suspended',
    'tenant.resumed',
    'tenant.updated',
    'tenant.suspended',
    'tenant.resumed',
  ])
  for (const event of told.body.data) {
    expect(event).toMatchObject({ resource: id, actor: { kind: 'operator', id: 'ops' } })
  }
})

test('where a page ended goes before where the list began, in pages and in streams', async () => {
  const { key } = await regions.newTenant('pages', 'us')
  for (const name of ['A', 'B', 'C']) await ask(key, 'POST', '/v1/projects', { name })
  const [first, ...rest] = (await feed(key)).body.data
  const query = `?after=${first.sequence}&limit=2`
  const page = (await feed(key, query)).body
  const { data } = (await feed(key, `${query}&cursor=${page.nextCursor}`)).body
  expect([...page.data, ...data]).toEqual(rest)
  const tail = await openTail(key, `?after=${first.sequence}&cursor=${page.nextCursor}`)
  expect((await tail.next())?.data).toEqual(rest[2])
  tail.leave()
})

test('a place that is none of the feed’s, a wrong type and a missing scope are refused', async () => {
  const { key } = await regions.newTenant('strict', 'us')
  const { sequence } = (await feed(key)).body.data.at(-1)
  const notYet = [sequence.slice(0, 16).padEnd(40, 'f'), 'f'.repeat(40)].map((place) => `?after=${place}`)
  const types = ['UPPER', '*', 'projects.created', 'project.created,nonsense.*', 'project.'].map(
    (types) => `?types=${types}`,
  )
  for (const query of ['?after=nonsense', '?after=WyJhIiwiYiJd', '?limit=0', ...notYet, ...types]) {
    expect((await feed(key, query)).status, query).toBe(400)
    const headers = { accept: 'text/event-stream' }
    expect((await regions.open('us', { as: key, path: `/v1/events${query}`, headers })).status).toBe(400)
  }
  expect((await feed(key, `?after=${'f'.repeat(40)}`)).body.code).toBe('invalid_cursor')
  expect((await feed(key, `?after=${sequence}`)).body.data).toEqual([])
  const narrow = await ask(key, 'POST', '/v1/api-keys', { name: 'narrow', scopes: ['projects:read'] })
  expect((await feed(narrow.body.key)).body.code).toBe('insufficient_scope')
})

test('a rare type is looked for in a few reads, however few of it are asked for', async () => {
  const reads: number[] = []
  const event = { type: 'project.created', sequence: FEED_BEGINNING } as TenantEvent
  const feed = {
    async page(limit: number) {
      reads.push(limit)
      return { events: Array.from({ length: limit }, () => event), more: true }
    },
  }
  const none = await wanted(feed, 1, undefined, () => false)
  expect([none.events, none.more]).toEqual([[], true])
  expect(reads.length).toBeLessThan(10)
  reads.length = 0
  expect((await wanted(feed, 1, undefined, () => true)).events).toEqual([event])
  expect(reads).toEqual([1])
})

test('another tenant’s place names nothing of theirs', async () => {
  const one = await regions.newTenant('one', 'us')
  const other = await regions.newTenant('other', 'us')
  await ask(one.key, 'POST', '/v1/projects', { name: 'theirs' })
  const [event] = (await feed(one.key)).body.data
  const { data } = (await feed(other.key, `?after=${event.sequence}`)).body
  expect(data.filter(({ resource }: Body) => resource !== other.id)).toEqual([])
  expect((await feed(other.key, `?after=${event.id}`)).body.code).toBe('invalid_cursor')
})

/** Reads a stream message by message. */
class Tail {
  private readonly reader: ReadableStreamDefaultReader<string>
  private readonly stop: AbortController
  private text = ''
  lastId = ''

  constructor(response: Response, stop: AbortController) {
    this.stop = stop
    if (response.body === null) throw new Error('a stream has a body')
    this.reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  }

  /** The next message with data; undefined at the end. */
  async next(): Promise<{ event: string | undefined; data: Body } | undefined> {
    for (;;) {
      const end = this.text.indexOf('\n\n')
      if (end < 0) {
        const { done, value } = await this.reader.read()
        if (done) return undefined
        this.text += value
        continue
      }
      const lines = this.text.slice(0, end).split('\n')
      this.text = this.text.slice(end + 2)
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      this.lastId = field('id') ?? this.lastId
      const data = field('data')
      if (data !== undefined) return { event: field('event'), data: JSON.parse(data) }
    }
  }

  async until(isLast: (event: Body) => boolean): Promise<Body[]> {
    const seen: Body[] = []
    for (;;) {
      const message = await this.next()
      if (message === undefined) throw new Error('the stream ended')
      seen.push(message.data)
      if (isLast(message.data)) return seen
    }
  }

  leave(): void {
    this.stop.abort()
    this.reader.cancel().catch(() => {})
  }
}

async function openTail(as: Ask['as'], query = '', lastEventId?: string): Promise<Tail> {
  const stop = new AbortController()
  const headers = {
    accept: 'text/event-stream',
    ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
  }
  const response = await regions.open('us', { as, path: `/v1/events${query}`, headers }, stop.signal)
  expect(response.status, await (response.ok ? '' : response.clone().text())).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  return new Tail(response, stop)
}

test('a stream tells of changes as they come, only those of its types, and goes on where it broke off', async () => {
  const { key } = await regions.newTenant('tailed', 'us')
  await ask(key, 'POST', '/v1/projects', { name: 'before' })
  const tail = await openTail(key, '?types=project.*')
  await ask(key, 'POST', '/v1/api-keys', { name: 'k', scopes: ['projects:read'] })
  const made = await ask(key, 'POST', '/v1/projects', { name: 'now' })
  expect((await tail.next())?.data).toMatchObject({ type: 'project.created', resource: made.body.id })
  tail.leave()
  const missed = await ask(key, 'POST', '/v1/projects', { name: 'missed' })
  const again = await openTail(key, '', tail.lastId)
  expect((await again.next())?.data.resource).toBe(missed.body.id)
  again.leave()
})

test('a stream begins nowhere before its URL says, which may be signed, whatever its reader says to have had', async () => {
  const { key } = await regions.newTenant('signed-for', 'us')
  for (const name of ['A', 'B', 'C']) await ask(key, 'POST', '/v1/projects', { name })
  const events: Body[] = (await feed(key)).body.data
  const [, first, second] = events
  const sign = async (query: string) =>
    (await ask(key, 'POST', '/v1/signed-urls', { method: 'GET', path: `/v1/events${query}`, expiresIn: 60 }))
      .body.url
  const firstAfter = async (lastEventId: string, query: string) => {
    const tail = await openTail(await sign(query), query, lastEventId)
    const message = await tail.next()
    tail.leave()
    return message?.data
  }
  const before = '0'.repeat(first?.sequence.length)
  for (const place of [first?.id, first?.sequence]) {
    expect(await firstAfter(before, `?after=${place}`)).toEqual(second)
  }
  expect(await firstAfter(second?.sequence, `?after=${first?.id}`)).toEqual(events[3])
  // Signed without a place, it is for the feed as such.
  expect(await firstAfter(before, '')).toEqual(events[0])
})

test('a stream is for who asks for one and wants JSON no more than that, however it is written', async () => {
  const { key } = await regions.newTenant('accepting', 'us')
  const typeFor = async (accept: string) => {
    const stop = new AbortController()
    const asked = { as: key, path: '/v1/events', headers: { accept } }
    const { headers, body } = await regions.open('us', asked, stop.signal)
    await body?.cancel()
    stop.abort()
    return headers.get('content-type')
  }
  for (const accept of ['TEXT/EVENT-STREAM', 'application/json;q=0.5, text/event-stream'])
    expect([accept, await typeFor(accept)]).toEqual([accept, 'text/event-stream'])
  for (const accept of ['text/event-stream;q=0', 'application/json, text/event-stream;q=0.5', '*/*'])
    expect([accept, await typeFor(accept)]).toEqual([accept, 'application/json'])
})

test.each([11, 12, 13])('random reconnects miss and double nothing (seed %i)', async (seed) => {
  let state = seed
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state % below
  }
  const { key } = await regions.newTenant(`reconnects-${seed}`, 'us')
  let tail = await openTail(key)
  const TOTAL = 40
  const writers = Promise.all(
    Array.from({ length: 4 }, async (_, w) => {
      for (let i = 0; i < TOTAL / 4; i++) await ask(key, 'POST', '/v1/projects', { name: `${w}-${i}` })
    }),
  )
  const seen: Body[] = []
  while (seen.length < TOTAL) {
    for (let i = 0; i <= random(5) && seen.length < TOTAL; i++) seen.push((await tail.next())?.data)
    tail.leave()
    tail = await openTail(key, '', tail.lastId === '' ? seen.at(-1)?.sequence : tail.lastId)
  }
  await writers
  tail.leave()
  const all = [...(await feed(key, '?limit=100')).body.data]
  expect(all[0].type).toBe('tenant.created')
  expect(seen).toEqual(all.slice(1))
})

test('many streams of one tenant see the same, in the same order', async () => {
  const { key } = await regions.newTenant('many', 'us')
  const tails = await Promise.all(Array.from({ length: 20 }, () => openTail(key)))
  for (let i = 0; i < 5; i++) await ask(key, 'POST', '/v1/projects', { name: `${i}` })
  const last = (await feed(key)).body.data.at(-1)
  const seen = await Promise.all(tails.map((tail) => tail.until(({ id }) => id === last.id)))
  for (const one of seen) expect(one).toEqual(seen[0])
  expect(seen[0]).toHaveLength(5)
  for (const tail of tails) tail.leave()
})

test('a revoked key and a suspended tenant end their streams at once, with no event after that commit', async () => {
  const { id, key } = await regions.newTenant('ended', 'us')
  const reader = await ask(key, 'POST', '/v1/api-keys', { name: 'reader', scopes: ['events:read'] })
  const [revoked, suspended] = [await openTail(reader.body.key), await openTail(key)]
  await ask(key, 'DELETE', `/v1/api-keys/${reader.body.id}`)
  expect(await revoked.next()).toMatchObject({ event: 'end', data: { code: 'api_key_revoked' } })
  expect(await revoked.next()).toBeUndefined()
  expect((await suspended.next())?.data.type).toBe('api_key.revoked')
  const path = `/platform/v1/tenants/${id}`
  await regions.ask('us', { as: 'operator', method: 'PATCH', path, body: { status: 'suspended' } })
  expect(await suspended.next()).toMatchObject({ event: 'end', data: { code: 'tenant_suspended' } })
  expect(await suspended.next()).toBeUndefined()
})

test('a stream is one request, however much it reads, and its end is no refusal of anything asked', async () => {
  const { key } = await regions.newTenant('one-request', 'us')
  const reader = (await ask(key, 'POST', '/v1/api-keys', { name: 'reader', scopes: ['events:read'] })).body
  const tail = await openTail(reader.key)
  for (let i = 0; i < 20; i++) {
    await ask(key, 'POST', '/v1/projects', { name: `${i}` })
    await tail.next()
  }
  await ask(key, 'DELETE', `/v1/api-keys/${reader.id}`)
  expect((await tail.next())?.data.code).toBe('api_key_revoked')

  // What is asked after it is told after it.
  await ask(reader.key, 'GET', '/v1/projects')
  const refused = async () =>
    (await ask(key, 'GET', '/v1/audit?outcome=refused')).body.data.map(({ action }: Body) => action)
  await expect.poll(refused, { timeout: 10_000 }).toEqual(['projects.list'])
  let asked = 0
  const used = async (metric: 'reads' | 'errors'): Promise<number> => {
    asked++
    const { history } = (await ask(key, 'GET', '/v1/usage')).body
    return history.reduce((sum: number, hour: Body) => sum + hour[metric], 0)
  }
  const reads = () => used('reads')
  const first = await reads()
  await expect.poll(reads, { timeout: 10_000, interval: 500 }).toBeGreaterThan(first)
  expect(await reads()).toBeLessThanOrEqual(1 + asked)
  expect(await used('errors')).toBe(1)
})

test('the stream of a session that is ended, and of an organisation that is erased, ends at once', async () => {
  const { key, id } = await regions.newTenant('leaving', 'us')
  const link = await ask(key, 'POST', '/v1/admin-links', { role: 'admin' })
  const sessionId = newId('ses')
  const secretHash = 'S'.repeat(43)
  const entering = { begins: { sessionId, secretHash } }
  const entered = await regions.ask('us', {
    ...{ as: link.body.url, method: 'POST', path: '/console/v1/entry', entering },
    body: { userAgent: 'a browser' },
  })
  expect(entered.status).toBe(201)
  const tenant = tenantNumberOf(id)
  if (tenant === undefined) throw new Error('a tenant has a number')
  const signedIn = await openTail({ kind: 'session', tenant, sessionId, secretHash })
  const keyed = await openTail(key)
  expect((await ask(key, 'DELETE', `/v1/sessions/${sessionId}`)).status).toBe(204)
  expect((await signedIn.next())?.data.code).toBe('credential_invalid')
  expect(await signedIn.next()).toBeUndefined()
  expect((await keyed.next())?.data.type).toBe('session.ended')
  expect((await ask(key, 'DELETE', '/v1/tenant?confirm=leaving')).status).toBe(202)
  expect((await keyed.next())?.data.code).toBe('tenant_erased')
  expect(await keyed.next()).toBeUndefined()
})

test('a reader that pauses is sent everything all the same, once and in order', async () => {
  const { key } = await regions.newTenant('pausing', 'us')
  const { through } = (await feed(key)).body
  const tail = await openTail(key)
  const names = Array.from({ length: 400 }, (_, i) => `p${i}`)
  for (let i = 0; i < names.length; i += 50) {
    await Promise.all(names.slice(i, i + 50).map((name) => ask(key, 'POST', '/v1/projects', { name })))
  }
  const ended = await ask(key, 'POST', '/v1/api-keys', { name: 'the end', scopes: ['events:read'] })
  const seen = await tail.until(({ resource }) => resource === ended.body.id)
  tail.leave()
  // A few may have been refused, where the machine is busy.
  expect(seen.length).toBeGreaterThan(names.length / 2)
  const all: Body[] = []
  for (let after: string | null = through; after !== null; ) {
    const { body } = await feed(key, `?limit=100&after=${after}`)
    all.push(...body.data)
    after = body.nextCursor
  }
  expect(seen).toEqual(all)
})

test('a region that stops ends its streams with a word, and waits for none', async () => {
  const own = await startRegions()
  const { key } = await own.newTenant('drained', 'us')
  const headers = { accept: 'text/event-stream' }
  const tail = new Tail(await own.open('us', { as: key, path: '/v1/events', headers }), new AbortController())
  const stopping = own.stop('us')
  expect(await tail.next()).toMatchObject({ event: 'end', data: { code: 'region_unavailable' } })
  await stopping
  await own.close()
})

test('the documentation lists every type of event, with what it says', () => {
  const documented = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8')
  for (const [type, says] of Object.entries(EVENT_TYPES)) {
    expect(documented).toContain(`| \`${type}\` | ${says} |`)
  }
})
