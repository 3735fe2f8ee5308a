// The event stream over the whole path: a client, the edge in workerd, a region as a process.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Coditect } from '../../shared/client/index.ts'
import { type Stack, startStack } from './stack.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of several routes, each checked where it is used
type Body = any

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack.stop())

async function newTenant(slug: string): Promise<{ id: string; key: string }> {
  const { tenant, apiKey } = await stack.client(stack.operatorToken).call('POST /platform/v1/tenants', {
    body: { slug, name: slug, region: 'us', plan: 'team', owner: { email: `owner@${slug}.example` } },
  })
  return { id: tenant.id, key: apiKey.key }
}

async function openTail(key: string) {
  const stop = new AbortController()
  const response = await fetch(`${stack.edge}/v1/events`, {
    headers: { authorization: `Bearer ${key}`, accept: 'text/event-stream' },
    signal: stop.signal,
  })
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  let text = ''
  let over = false
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true })
  })()
  reading.then(
    () => {
      over = true
    },
    () => {
      over = true
    },
  )
  return { text: () => text, isOver: () => over, leave: () => stop.abort() }
}

test('an event comes through the edge while the stream is open, and a revocation ends it', async () => {
  const { key } = await newTenant('streamed')
  const client = stack.client(key)
  const reader = await client.call('POST /v1/api-keys', { body: { name: 'reader', scopes: ['events:read'] } })
  const tail = await openTail(reader.key)
  const { id } = await client.call('POST /v1/projects', { body: { name: 'live' } })
  await vi.waitFor(() => expect(tail.text()).toContain(id), { timeout: 20_000 })
  expect(tail.isOver()).toBe(false)
  await client.call('DELETE /v1/api-keys/{id}', { params: { id: reader.id } })
  await vi.waitFor(() => expect(tail.isOver()).toBe(true), { timeout: 20_000 })
  expect(tail.text()).toContain('event: end\ndata: {"code":"api_key_revoked"')
  expect(tail.text()).not.toContain('api_key.revoked"')
})

test('the client’s tail ends with the problem when its key is revoked, or its organisation suspended', async () => {
  const operator = stack.client(stack.operatorToken)
  const ends = {
    api_key_revoked: (_: string, keyId: string, client: Coditect) =>
      client.call('DELETE /v1/api-keys/{id}', { params: { id: keyId } }),
    tenant_suspended: (id: string) =>
      operator.call('PATCH /platform/v1/tenants/{id}', { params: { id }, body: { status: 'suspended' } }),
  }
  for (const [code, end] of Object.entries(ends)) {
    const { id, key } = await newTenant(code.replaceAll('_', '-'))
    const client = stack.client(key)
    const reader = await client.call('POST /v1/api-keys', { body: { name: 'r', scopes: ['events:read'] } })
    const tail = stack.client(reader.key).tail('GET /v1/events', { query: { after: '0'.repeat(40) } })
    expect((await tail.next()).value).toMatchObject({ type: 'tenant.created' })
    expect((await tail.next()).value).toMatchObject({ type: 'api_key.created' })
    const next = tail.next()
    const outcome = expect(next).rejects.toMatchObject({ code })
    await end(id, reader.id, client)
    await outcome
  }
})

test('a stream holds one of its tenant’s slots, which is free again when the client leaves', async () => {
  const { id, key } = await newTenant('slots')
  const operator = stack.client(stack.operatorToken)
  const body = { limits: { streams: 1 } }
  await operator.call('PATCH /platform/v1/tenants/{id}', { params: { id }, body })
  // The edge hears of it with the next answer.
  await stack.client(key).call('GET /v1/tenant')
  const tail = await openTail(key)
  const another = () => stack.call<Body>('/v1/events', { as: key, headers: { accept: 'text/event-stream' } })
  const refused = await another()
  expect([refused.status, refused.body.code]).toEqual([429, 'too_many_streams'])
  tail.leave()
  await vi.waitFor(async () => (await openTail(key)).leave(), { timeout: 20_000, interval: 200 })
})

test('an edge that ends takes its streams with it: their slots are free when it is back', async () => {
  const { id, key } = await newTenant('restarted')
  const operator = stack.client(stack.operatorToken)
  const body = { limits: { streams: 1 } }
  await operator.call('PATCH /platform/v1/tenants/{id}', { params: { id }, body })
  await openTail(key)
  await stack.kill('edge')
  // Well below the minute and a half after which a slot that nobody renews runs out.
  await vi.waitFor(async () => (await openTail(key)).leave(), { timeout: 30_000, interval: 200 })
})
