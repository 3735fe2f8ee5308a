// The event stream over the whole path: a client, the edge in workerd, a region as a process.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Stack, startStack } from './stack.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of several routes, each checked where it is used
type Body = any

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack.stop())

async function newTenant(slug: string): Promise<{ id: string; key: string }> {
  const { status, body } = await stack.call<Body>('/platform/v1/tenants', {
    method: 'POST',
    body: { slug, name: slug, region: 'us', plan: 'team', owner: { email: `owner@${slug}.example` } },
  })
  expect(status).toBe(201)
  return { id: body.tenant.id, key: body.apiKey.key }
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
  const made = await stack.call<Body>('/v1/api-keys', {
    as: key,
    method: 'POST',
    body: { name: 'reader', scopes: ['events:read'] },
  })
  const tail = await openTail(made.body.key)
  const { body } = await stack.call<Body>('/v1/projects', { as: key, method: 'POST', body: { name: 'live' } })
  await vi.waitFor(() => expect(tail.text()).toContain(body.id), { timeout: 20_000 })
  expect(tail.isOver()).toBe(false)
  await stack.call(`/v1/api-keys/${made.body.id}`, { as: key, method: 'DELETE' })
  await vi.waitFor(() => expect(tail.isOver()).toBe(true), { timeout: 20_000 })
  expect(tail.text()).toContain('event: end\ndata: {"code":"api_key_revoked"')
  expect(tail.text()).not.toContain('api_key.revoked"')
})

test('a stream holds one of its tenant’s slots, which is free again when the client leaves', async () => {
  const { id, key } = await newTenant('slots')
  await stack.call(`/platform/v1/tenants/${id}`, { method: 'PATCH', body: { limits: { streams: 1 } } })
  // The edge hears of it with the next answer.
  await stack.call('/v1/tenant', { as: key })
  const tail = await openTail(key)
  const another = () => stack.call<Body>('/v1/events', { as: key, headers: { accept: 'text/event-stream' } })
  const refused = await another()
  expect([refused.status, refused.body.code]).toEqual([429, 'too_many_streams'])
  tail.leave()
  await vi.waitFor(async () => (await openTail(key)).leave(), { timeout: 20_000, interval: 200 })
})
