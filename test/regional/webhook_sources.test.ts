// What third parties sent is kept as long as the plan keeps events, and then known no more.
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
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

test('a secret that is none of its provider’s is refused, of a new source and of one that is changed', async () => {
  const { key } = await regions.newTenant('secrets', 'us')
  const ask = (path: string, method: string, body: unknown) =>
    regions.ask('us', { as: key, method, path, body })
  const refused = { status: 422, body: { code: 'validation_failed', errors: [{ pointer: '/secret' }] } }
  const given = { name: 'Shop', provider: 'standard', secret: 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }
  const path = '/v1/webhook-sources'
  const { body: source } = await ask(path, 'POST', given)
  for (const secret of ['########', 'whsec_short', 'whsec_########']) {
    expect(await ask(path, 'POST', { ...given, secret })).toMatchObject(refused)
    expect(await ask(`${path}/${source.id}`, 'PATCH', { secret })).toMatchObject(refused)
  }
  const { body: other } = await ask(path, 'POST', { ...given, provider: 'hmac' })
  expect((await ask(`${path}/${other.id}`, 'PATCH', { secret: '########' })).status).toBe(200)
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
