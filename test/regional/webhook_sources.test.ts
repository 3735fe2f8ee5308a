// What third parties sent is kept as long as the plan keeps events, and then known no more.
import { createHmac } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { auditOf } from '../../regional/tenancy/audit.ts'
import { RefusalLog } from '../../regional/tenancy/refusals.ts'
import { sourceCounts } from '../../regional/tenancy/webhook_sources.ts'
import { newId } from '../../shared/ids.ts'
import { openQueue } from '../jobs/support.ts'
import { type Regions, startRegions } from './support.ts'

const DAY_MS = 24 * 60 * 60 * 1000
let aheadMs = 0
let regions: Regions
beforeAll(async () => {
  regions = await startRegions({ now: () => Date.now() + aheadMs })
})
afterAll(() => regions.close())

test('a type that the source does not name is the provider’s own word, whatever the word', async () => {
  const { key } = await regions.newTenant('words', 'us')
  const ask = (path: string, method = 'GET', body?: unknown) =>
    regions.ask('us', { as: key, method, path, ...(body !== undefined && { body }) })
  const secret = 'a-secret-of-ours'
  const typesOf = async (eventTypes: Record<string, string>) => {
    const given = { name: 'Code', provider: 'github', secret, eventTypes }
    const source = (await ask('/v1/webhook-sources', 'POST', given)).body
    const types: unknown[] = []
    for (const word of ['push', 'constructor', '__proto__', 'toString']) {
      const body = JSON.stringify({ word })
      const signature = createHmac('sha256', secret).update(body).digest('hex')
      const headers = { 'x-hub-signature-256': `sha256=${signature}`, 'x-github-event': word }
      const { body: sent } = await regions.ask('us', {
        ...{ as: source.url, method: 'POST', path: '', body, headers },
      })
      types.push((await ask(`/v1/webhook-sources/${source.id}/received/${sent.id}`)).body.type)
    }
    return types
  }
  expect(await typesOf({ push: 'code.pushed' })).toEqual([
    ...['code.pushed', 'constructor', '__proto__', 'toString'],
  ])
  expect(await typesOf({ '*': 'code.other' })).toEqual(Array(4).fill('code.other'))
})

test('a webhook that an edge sends again, because its answer was lost, was kept once and is answered as it was', async () => {
  const { key } = await regions.newTenant('lost', 'us')
  const given = { name: 'Code', provider: 'github', secret: 'a-secret-of-ours' }
  const { body: source } = await regions.ask('us', {
    ...{ as: key, method: 'POST', path: '/v1/webhook-sources', body: given },
  })
  const body = '{}'
  const signature = createHmac('sha256', given.secret).update(body).digest('hex')
  const headers = { 'x-hub-signature-256': `sha256=${signature}`, 'x-github-delivery': 'd-1' }
  const sent = { as: source.url, method: 'POST', path: '', body, headers, requestId: newId('req') }
  const [first, second] = [await regions.ask('us', sent), await regions.ask('us', sent)]
  expect([first.status, second.status]).toEqual([200, 200])
  expect(second.body).toEqual(first.body)
})

test('a secret that is none of its provider’s is refused, of a new source and of one that is changed', async () => {
  const { key } = await regions.newTenant('secrets', 'us')
  const ask = (path: string, method: string, body: unknown) =>
    regions.ask('us', { as: key, method, path, body })
  const refused = { status: 422, body: { code: 'validation_failed', errors: [{ pointer: '/secret' }] } }
  const given = { name: 'Shop', provider: 'standard', secret: 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }
  const path = '/v1/webhook-sources'
  const { body: source } = await ask(path, 'POST', given)
  const long = 'A'.repeat(32)
  // What is none in base64, or in base64url, is not what its provider signs with.
  const others = [`whsec_${long}!`, `whsec_-_${long}==`, `${long}====`, `whsec_whsec_${long}`]
  for (const secret of ['########', 'whsec_short', 'whsec_########', ...others]) {
    expect(await ask(path, 'POST', { ...given, secret })).toMatchObject(refused)
    expect(await ask(`${path}/${source.id}`, 'PATCH', { secret })).toMatchObject(refused)
  }
  for (const secret of [long, `whsec_${long}AA==`, `whsec_${long}AA`, `whsec_${long}AB`]) {
    expect([secret, (await ask(`${path}/${source.id}`, 'PATCH', { secret })).status]).toEqual([secret, 200])
  }
  const { body: other } = await ask(path, 'POST', { ...given, provider: 'hmac' })
  expect((await ask(`${path}/${other.id}`, 'PATCH', { secret: '########' })).status).toBe(200)
})

test('a secret that somebody has chosen is any text: GitHub’s own example, and one of another script', async () => {
  const { key } = await regions.newTenant('chosen', 'us')
  const create = (provider: string, secret: string) =>
    regions.ask('us', {
      ...{ as: key, method: 'POST', path: '/v1/webhook-sources', body: { name: 'Chosen', provider, secret } },
    })
  const body = 'Hello, World!'
  const theirs = '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
  const ours = createHmac('sha256', Buffer.from('пароль ключ', 'utf8')).update(body).digest('hex')
  for (const [provider, secret, header, signature] of [
    ['github', "It's a Secret to Everybody", 'x-hub-signature-256', `sha256=${theirs}`],
    ['hmac', 'пароль ключ', 'x-signature', ours],
    ['hmac', 'x', 'x-signature', createHmac('sha256', 'x').update(body).digest('hex')],
  ] as const) {
    const { status, body: source } = await create(provider, secret)
    expect([provider, status]).toEqual([provider, 201])
    const sent = { as: source.url, method: 'POST', path: '', body, headers: { [header]: signature } }
    expect((await regions.ask('us', sent)).status).toBe(200)
  }
  for (const [provider, secret] of [
    ['github', ''],
    ['hmac', 'a\nb'],
    ['hmac', 'x'.repeat(513)],
    ['stripe', 'whsec_ copied'],
    ['slack', 'short'],
  ] as const) {
    expect([secret, await create(provider, secret)]).toMatchObject([
      ...[secret, { status: 422, body: { errors: [{ pointer: '/secret' }] } }],
    ])
  }
})

test('after its secret was changed a source takes what either signs, until the time of the one of before is over', async () => {
  const { key } = await regions.newTenant('overlap', 'us')
  const ask = (path: string, method: string, body?: unknown) =>
    regions.ask('us', {
      as: key,
      method,
      path: `/v1/webhook-sources${path}`,
      ...(body !== undefined && { body }),
    })
  const given = { name: 'Code', provider: 'github', secret: 'the first' }
  const { body: source } = await ask('', 'POST', given)
  expect(source.formerSecretUntil).toBeNull()
  let n = 0
  const taken = async (...secrets: string[]) => {
    const sent = secrets.map(async (secret) => {
      const body = JSON.stringify({ n: n++ })
      const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
      const headers = { 'x-hub-signature-256': signature }
      return (await regions.ask('us', { as: source.url, method: 'POST', path: '', body, headers })).status
    })
    return Promise.all(sent)
  }
  const change = (body: object) => ask(`/${source.id}`, 'PATCH', body)
  const { body: changed } = await change({ secret: 'the second' })
  const lastsMs = Date.parse(changed.formerSecretUntil) - Date.parse(changed.updatedAt)
  expect(lastsMs).toBe(DAY_MS)
  expect(await taken('the first', 'the second', 'another')).toEqual([200, 200, 401])
  expect((await change({ secret: 'the third', overlapSeconds: 3_600 })).status).toBe(200)
  expect(await taken('the first', 'the second', 'the third')).toEqual([200, 200, 200])
  aheadMs += 3_600_000
  expect(await taken('the first', 'the second', 'the third')).toEqual([401, 401, 200])
  expect((await ask(`/${source.id}`, 'GET')).body.formerSecretUntil).toBeNull()
  await change({ secret: 'the fourth', overlapSeconds: 0 })
  expect(await taken('the third', 'the fourth')).toEqual([401, 200])
  expect(await change({ overlapSeconds: 60 })).toMatchObject({
    ...{ status: 422, body: { errors: [{ pointer: '/overlapSeconds' }] } },
  })
})

test('what came of a webhook is not received again, so that nothing feeds itself', async () => {
  const one = await regions.newTenant('feeds-itself', 'us')
  const other = await regions.newTenant('feeds-another', 'us')
  const secret = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  const receiving = async (key: string) => {
    const given = { name: 'Loop', provider: 'standard', secret }
    const made = { as: key, method: 'POST', path: '/v1/webhook-sources', body: given }
    const { url } = (await regions.ask('us', made)).body
    return async (id: string, type = 'webhook.received') => {
      const body = JSON.stringify({ id, type })
      const now = new Date(Date.now() + aheadMs)
      const headers = {
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
        'webhook-signature': new Webhook(secret).sign(id, now, body),
      }
      const answer = await regions.ask('us', { as: url, method: 'POST', path: '', body, headers })
      return [answer.status, answer.body.id]
    }
  }
  const [back, across] = [await receiving(one.key), await receiving(other.key)]
  const { data } = (await regions.ask('us', { as: one.key, path: '/v1/events' })).body
  for (const type of ['webhook.received', 'run.succeeded', 'job.failed'])
    expect([type, await back(data[0].id, type)]).toEqual([type, [200, null]])
  const taken = [200, expect.stringMatching(/^del_/)]
  expect(await back(data[0].id, 'project.created')).toEqual(taken)
  expect(await across(data[0].id)).toEqual(taken)
  expect(await back('evt_of-somebody-else')).toEqual(taken)
  expect(await back(newId('evt'))).toEqual(taken)
})

test('organisations that send each other what came of their webhooks come to an end', async () => {
  const { key } = await regions.newTenant('end', 'us')
  const secret = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  // An agent that is not there: of its job an event comes, too.
  const agent = { projectId: newId('prj'), agentId: newId('agt') }
  const given = { name: 'Partner', provider: 'standard', secret, agent }
  const made = { as: key, method: 'POST', path: '/v1/webhook-sources', body: given }
  const { url } = (await regions.ask('us', made)).body
  const receive = async (type: string, data: object) => {
    const id = newId('evt')
    const body = JSON.stringify({ id, type, data })
    const now = new Date(Date.now() + aheadMs)
    const headers = {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': new Webhook(secret).sign(id, now, body),
    }
    return (await regions.ask('us', { as: url, method: 'POST', path: '', body, headers })).body.id
  }
  const hops = async (type: string) =>
    (await regions.ask('us', { as: key, path: `/v1/events?types=${type}` })).body.data.map(
      ({ data }: { data: { hops?: number } }) => data.hops,
    )
  await receive('project.created', {})
  await receive('webhook.received', {})
  await receive('run.succeeded', { hops: 2 })
  await receive('webhook.received', { hops: 'many' })
  expect(await hops('webhook.received')).toEqual([undefined, 2, 3, 2])
  for (const type of ['webhook.received', 'run.succeeded', 'job.failed']) {
    expect([await receive(type, { hops: 3 }), await receive(type, { hops: 1e9 })]).toEqual([null, null])
  }
  expect(await receive('project.created', { hops: 3 })).toMatch(/^del_/)
  await expect
    .poll(async () => (await hops('job.failed')).toSorted(), { timeout: 10_000 })
    .toEqual([2, 2, 3, undefined, undefined])
})

test('what is forged is refused, told together in the audit trail, and counted', async () => {
  const { key } = await regions.newTenant('forged', 'us')
  const ask = (path: string, method = 'GET', body?: unknown) =>
    regions.ask('us', { as: key, method, path, ...(body !== undefined && { body }) })
  const given = { name: 'Code', provider: 'github', secret: 'a-secret-of-ours' }
  const path = '/v1/webhook-sources'
  const { body: source } = await ask(path, 'POST', given)
  const send = () =>
    regions.ask('us', { as: source.url, method: 'POST', path: '', body: '{}', headers: { 'x-hub': 'none' } })
  const forged = await Promise.all(Array.from({ length: 20 }, send))
  expect(new Set(forged.map(({ status, body }) => `${status} ${body.code}`))).toEqual(
    new Set(['401 signature_invalid']),
  )
  // It is the source's URL all the same, and the edge goes on taking what comes by it.
  expect(forged.some(({ headers }) => headers.has('coditect-credential-refused'))).toBe(false)
  const rejected = async () => (await ask(`${path}/${source.id}`)).body.rejected
  await expect.poll(rejected, { timeout: 20_000 }).toBe(20)
  const { data } = (await ask('/v1/audit?action=webhook-sources.receive')).body
  expect(data.length).toBeLessThan(20)
  for (const entry of data) {
    expect(entry).toMatchObject({
      ...{ outcome: 'refused', code: 'signature_invalid' },
      actor: { kind: 'webhook_source', id: source.id },
    })
  }
  expect(data.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(20)
})

test('a refusal that is written after its source was removed brings nothing of it back', async () => {
  const { database, tenant: newTenant, inTenant, close } = await openQueue()
  try {
    const tenant = await newTenant(1)
    const refusals = new RefusalLog(database)
    const sourceId = newId('whs')
    refusals.note(tenant, {
      ...{ at: new Date().toISOString(), action: 'webhook-sources.receive', target: null, ip: null },
      ...{ actor: { kind: 'webhook_source', id: sourceId }, requestId: newId('req') },
      ...{ outcome: 'refused', code: 'signature_invalid' },
    })
    await refusals.flush()
    const left = await inTenant(tenant, async (scope) => ({
      told: (await auditOf(scope).page(10)).entries.length,
      counted: await scope.service('webhook-sources').counters(sourceCounts).get([sourceId, 'rejected']),
    }))
    expect(left).toEqual({ told: 1, counted: undefined })
  } finally {
    await close()
  }
})

test('what came is forgotten when its time is over, with its bytes and its marks', {
  timeout: 60_000,
}, async () => {
  const { key } = await regions.newTenant('forgetting', 'us')
  const ask = (path: string, method = 'GET', body?: unknown) =>
    regions.ask('us', { as: key, method, path, ...(body !== undefined && { body }) })
  const given = { name: 'Code', provider: 'github', secret: 'a-secret-of-ours' }
  const source = (await ask('/v1/webhook-sources', 'POST', given)).body
  const stored = async () => (await ask('/v1/usage')).body.quotas.storedBytes.used
  const send = async (text: string, delivery: string) => {
    const body = JSON.stringify({ text })
    const signature = createHmac('sha256', given.secret).update(body).digest('hex')
    const headers = { 'x-hub-signature-256': `sha256=${signature}`, 'x-github-delivery': delivery }
    const answer = await regions.ask('us', { as: source.url, method: 'POST', path: '', body, headers })
    expect(answer.status).toBe(200)
    return answer.body.id
  }
  const received = `/v1/webhook-sources/${source.id}/received`
  const first = await send('first', 'd-1')
  expect(await send('first', 'd-1')).toBe(first)
  expect(await stored()).toBeGreaterThan(0)

  aheadMs = 29 * DAY_MS
  const second = await send('second', 'd-2')
  expect((await ask(received)).body.data.map(({ id }: { id: string }) => id)).toEqual([second, first])

  aheadMs = 31 * DAY_MS
  await ask('/v1/projects', 'POST', { name: 'Wakes the tenant’s queue' })
  const ids = async () => (await ask(received)).body.data.map(({ id }: { id: string }) => id)
  await expect.poll(ids, { timeout: 30_000 }).toEqual([second])
  expect((await ask(`${received}/${first}`)).status).toBe(404)
  expect(await stored()).toBe(JSON.stringify({ text: 'second' }).length)
  expect(await send('first', 'd-1')).not.toBe(first)
})

test('what came is kept by the plan of now, be that a larger or a smaller one than when it came', {
  timeout: 60_000,
}, async () => {
  const { id, key } = await regions.newTenant('replanned', 'us')
  const ask = (path: string, method = 'GET', body?: unknown) =>
    regions.ask('us', { as: key, method, path, ...(body !== undefined && { body }) })
  const keepFor = async (eventRetentionDays: number) => {
    const path = `/platform/v1/tenants/${id}`
    const body = { limits: { eventRetentionDays } }
    expect((await regions.ask('us', { as: 'operator', method: 'PATCH', path, body })).status).toBe(200)
  }
  const given = { name: 'Code', provider: 'github', secret: 'a-secret-of-ours' }
  const { body: source } = await ask('/v1/webhook-sources', 'POST', given)
  const send = async (body: string) => {
    const signature = createHmac('sha256', given.secret).update(body).digest('hex')
    const headers = { 'x-hub-signature-256': `sha256=${signature}` }
    return (await regions.ask('us', { as: source.url, method: 'POST', path: '', body, headers })).body.id
  }
  const path = `/v1/webhook-sources/${source.id}/received`
  const received = async () => (await ask(path)).body.data.map(({ id }: { id: string }) => id)

  await keepFor(2)
  const first = await send('{"n":1}')
  const expiresAt = new Date(Date.now() + aheadMs + 3 * DAY_MS).toISOString()
  await ask('/v1/api-keys', 'POST', { name: 'Shows what is swept', scopes: ['projects:read'], expiresAt })
  await keepFor(30)
  aheadMs += 4 * DAY_MS
  const second = await send('{"n":2}')
  const keys = async () => (await ask('/v1/usage')).body.quotas.apiKeys.used
  await expect.poll(keys, { timeout: 30_000 }).toBe(1)
  expect(await received()).toEqual([second, first])

  await keepFor(1)
  aheadMs += 8 * DAY_MS
  await ask('/v1/projects', 'POST', { name: 'Wakes the tenant’s queue' })
  await expect.poll(received, { timeout: 30_000 }).toEqual([])
})

test('Standard Webhooks with one body are told apart by their ids, which are signed; others are not', async () => {
  const { key } = await regions.newTenant('signed-ids', 'us')
  const secret = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  const source = async (provider: string) => {
    const body = { name: 'Same', provider, secret }
    const made = { as: key, method: 'POST', path: '/v1/webhook-sources', body }
    return (await regions.ask('us', made)).body.url
  }
  const [standard, hmac] = [await source('standard'), await source('hmac')]
  const body = '{"type":"tick"}'
  const receive = async (id: string) => {
    const now = new Date(Date.now() + aheadMs)
    const headers = {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': new Webhook(secret).sign(id, now, body),
    }
    return (await regions.ask('us', { as: standard, method: 'POST', path: '', body, headers })).body.id
  }
  const first = await receive('msg_1')
  const second = await receive('msg_2')
  expect(first).toMatch(/^del_/)
  expect(second).not.toBe(first)
  expect([await receive('msg_1'), await receive('msg_2')]).toEqual([first, second])
  const signature = createHmac('sha256', secret).update(body).digest('hex')
  const unsigned = async (id: string) => {
    const headers = { 'x-signature': signature, 'x-event-id': id }
    return (await regions.ask('us', { as: hmac, method: 'POST', path: '', body, headers })).body.id
  }
  expect(await unsigned('2')).toBe(await unsigned('1'))
})

test('webhooks of Shopify are told apart by their topics, even with one body, and forgotten each by itself', {
  timeout: 60_000,
}, async () => {
  const { key } = await regions.newTenant('topics', 'us')
  const ask = (path: string, method = 'GET', body?: unknown) =>
    regions.ask('us', { as: key, method, path, ...(body !== undefined && { body }) })
  const given = { name: 'Shop', provider: 'shopify', secret: 'a-secret-of-ours' }
  const { body: source } = await ask('/v1/webhook-sources', 'POST', given)
  const body = '{"id":1}'
  const signature = createHmac('sha256', given.secret).update(body).digest('base64')
  const send = async (topic: string, id: string) => {
    const headers = {
      ...{ 'x-shopify-hmac-sha256': signature, 'x-shopify-topic': topic, 'x-shopify-webhook-id': id },
    }
    return (await regions.ask('us', { as: source.url, method: 'POST', path: '', body, headers })).body.id
  }
  const created = await send('orders/create', 'w-1')
  const paid = await send('orders/paid', 'w-2')
  expect(paid).not.toBe(created)
  expect([await send('orders/create', 'w-3'), await send('orders/paid', '')]).toEqual([created, paid])

  aheadMs += 31 * DAY_MS
  await ask('/v1/projects', 'POST', { name: 'Wakes the tenant’s queue' })
  const received = async () => (await ask(`/v1/webhook-sources/${source.id}/received`)).body.data
  await expect.poll(received, { timeout: 30_000 }).toEqual([])
  expect([created, paid]).not.toContain(await send('orders/create', 'w-4'))
})
