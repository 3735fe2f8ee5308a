// The API's description, for strangers: correct, and at no cost of a region's. (The page that reads it: test/e2e/docs.test.ts.)
import { expect, onTestFinished, test, vi } from 'vitest'
import { edgeTo } from './support.ts'

const documentOf = (version: string) => ({
  openapi: '3.1.0',
  info: { title: `Coditect ${version}`, version },
  paths: {
    '/v1/things': { get: { operationId: 'listThings', responses: { 200: { description: 'Things' } } } },
  },
})

/** An edge on a clock of the test's, whose control region answers as the test says. */
async function newEdge() {
  const region = { asked: 0, down: false, version: '1' }
  const clock = { nowMs: 1_000_000_000 }
  const background: Promise<unknown>[] = []
  const fetching = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => {
    region.asked++
    return region.down ? new Response('', { status: 503 }) : Response.json(documentOf(region.version))
  })
  onTestFinished(() => fetching.mockRestore())
  const waitUntil = (work: Promise<unknown>) => void background.push(work)
  const edge = await edgeTo(undefined, undefined, {}, { waitUntil, now: () => clock.nowMs })
  const ask = async (path: string, init: RequestInit = {}) =>
    edge.request(new Request(`http://edge${path}`, init))
  return { region, clock, ask, settled: () => Promise.all(background.splice(0)) }
}

test('however many look at the description, a region is asked for it once a minute', async () => {
  const { region, clock, ask, settled } = await newEdge()
  for (let i = 0; i < 20; i++) {
    expect(await (await ask(`/openapi.json?${i}`)).json()).toEqual(documentOf('1'))
  }
  expect(region.asked).toBe(1)
  region.version = '2'
  clock.nowMs += 60_000
  await ask('/openapi.json')
  await settled()
  expect(await (await ask('/openapi.json')).json()).toEqual(documentOf('2'))
  expect(region.asked).toBe(2)
})

test('whoever has the description is told so', async () => {
  const { ask } = await newEdge()
  const { status, headers } = await ask('/openapi.json')
  const etag = headers.get('etag') ?? ''
  expect([status, headers.get('content-type')]).toEqual([200, 'application/json'])
  expect(headers.get('cache-control')).toBe('public, max-age=60')
  expect(headers.get('x-request-id')).toMatch(/^req_/)
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const answer = await ask('/openapi.json', { headers: { 'if-none-match': known } })
    expect([answer.status, answer.headers.get('etag'), await answer.text()]).toEqual([304, etag, ''])
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  }
  expect((await ask('/openapi.json', { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
  const head = await ask('/openapi.json', { method: 'HEAD' })
  expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, etag, ''])
})

test('while no region answers the last description holds, for a day; where there is none, that is said', async () => {
  const { region, clock, ask, settled } = await newEdge()
  region.down = true
  const answer = await ask('/openapi.json')
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2'])
  expect(await answer.json()).toMatchObject({ code: 'region_unavailable' })
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  clock.nowMs += 2_000
  region.down = false
  expect((await ask('/openapi.json')).status).toBe(200)
  region.down = true
  clock.nowMs += 24 * 3_600_000 - 1
  expect((await ask('/openapi.json')).status).toBe(200)
  await settled()
  clock.nowMs += 2_000
  expect((await ask('/openapi.json')).status).toBe(503)
})
