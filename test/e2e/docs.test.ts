// /docs: every operation of the document, on one page that asks no other host for anything.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startRawEdge } from '../support/raw_edge.ts'
import { RegionSecrets } from '../support/region_client.ts'
import { type Stack, startStack } from './stack.ts'

const secrets = new RegionSecrets(['us'])

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack.stop())

interface Document {
  paths: Record<string, Record<string, { operationId: string }>>
  webhooks: Record<string, object>
}

test('the page shows every operation, to anyone, with no script and nothing of another host', async () => {
  const answer = await fetch(`${stack.edge}/docs`)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toContain('text/html')
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
  const page = await answer.text()
  const { body: document } = await stack.call<Document>('/openapi.json', { as: null })
  for (const [path, methods] of Object.entries(document.paths)) {
    expect(page).toContain(`<code>${path}</code>`)
    for (const { operationId } of Object.values(methods)) expect(page).toContain(`id="${operationId}"`)
  }
  // What endpoints are sent, and examples of bodies and answers.
  for (const type of Object.keys(document.webhooks)) expect(page).toContain(`<code>${type}</code>`)
  expect(page).toContain('<pre><code>{\n  &quot;name&quot;: &quot;Northwind&quot;')
  // Every link leads somewhere on this page or this host.
  for (const [, href = ''] of page.matchAll(/(?:href|src)="([^"]*)"/g)) {
    if (href.startsWith('#')) expect(page, href).toContain(`id="${href.slice(1)}"`)
    else expect(href).toMatch(/^(?:\/|data:)/)
  }
  const style = /<link rel="stylesheet" href="([^"]+)"/.exec(page)?.[1] ?? ''
  expect((await fetch(stack.edge + style)).status).toBe(200)
  expect((await fetch(`${stack.edge}/docs`, { method: 'POST' })).status).toBe(405)
})

test.each(['/docs/', '/openapi.json/'])('%s is nothing, and that is said as everywhere', async (path) => {
  const answer = await fetch(stack.edge + path)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
  expect(await answer.json()).toMatchObject({ code: 'not_found' })
})

test('whoever has the description is told so', async () => {
  const ask = (init: RequestInit = {}) => fetch(`${stack.edge}/openapi.json`, init)
  const { status, headers } = await ask()
  const etag = headers.get('etag') ?? ''
  expect([status, headers.get('content-type')]).toEqual([200, 'application/json'])
  expect(headers.get('cache-control')).toBe('public, max-age=60')
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const answer = await ask({ headers: { 'if-none-match': known } })
    expect([answer.status, answer.headers.get('etag'), await answer.text()]).toEqual([304, etag, ''])
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  }
  expect((await ask({ headers: { 'if-none-match': '"other"' } })).status).toBe(200)
  const head = await ask({ method: 'HEAD' })
  expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, etag, ''])
  expect((await fetch(`${stack.edge}/docs`, { method: 'HEAD' })).status).toBe(200)
  expect((await ask({ method: 'POST' })).status).toBe(405)
})

test('before any region has answered, that is said as everywhere', async () => {
  const bare = await startRawEdge(await secrets.environment('us', { us: 'http://127.0.0.1:1' }))
  try {
    for (const path of ['/openapi.json', '/docs']) {
      const answer = await fetch(bare.url + path)
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2'])
      expect(await answer.json()).toMatchObject({ code: 'region_unavailable' })
      expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
    }
  } finally {
    bare.stop()
  }
})

/** How many requests the region has answered. */
async function answered(): Promise<number> {
  const text = await (await fetch(`${stack.regions.us}/metrics`)).text()
  const counts = text.matchAll(/^coditect_request_duration_seconds_count\S* (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

test('strangers who look at the description and its page cost no region anything, and need none', async () => {
  const title = async () => /<title>.*<\/title>/.exec(await (await fetch(`${stack.edge}/docs`)).text())?.[0]
  const first = await title()
  const before = await answered()
  expect(before).toBeGreaterThan(0)
  for (let i = 0; i < 25; i++) {
    expect(await title()).toBe(first)
    expect((await fetch(`${stack.edge}/openapi.json?${i}`)).status).toBe(200)
  }
  // One is the renewal of a minute’s end, if that comes to pass just now.
  expect(await answered()).toBeLessThan(before + 5)
  await stack.kill('us')
  expect(await title()).toBe(first)
  await stack.back('us')
})
