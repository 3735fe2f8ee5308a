// What regions ask each other while instances come and go.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { remoteCalls } from '../../regional/platform/calls.ts'
import { importAssertionKey } from '../../shared/assertion.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function callsTo(...urls: string[]) {
  const assertionKey = await importAssertionKey([{ kid: 'a', secret: toBase64url(randomBytes(32)) }])
  return remoteCalls('eu', { region: 'us', urls, assertionKey })
}

const leaving: RequestListener = (_, response) => {
  response.writeHead(503, { 'coditect-draining': '1', connection: 'close' }).end('{}')
}
const here: RequestListener = (_, response) => void response.end('true')
const claim = { number: 1n, slug: 'acme', region: 'eu' } as never

test('who balances an only address has time to notice that an instance leaves', async () => {
  let asked = 0
  const calls = await callsTo(await serve((...of) => (++asked < 4 ? leaving(...of) : here(...of))))
  expect(await calls.claim(claim)).toBe(true)
  expect(asked).toBe(4)
})

test('of several instances, one that leaves or is gone is passed over', async () => {
  const calls = await callsTo(await serve(leaving), 'http://127.0.0.1:1', await serve(here))
  expect(await calls.claim(claim)).toBe(true)
})

test('a region that is gone is told at once', async () => {
  const calls = await callsTo('http://127.0.0.1:1')
  await expect(calls.claim(claim)).rejects.toMatchObject({ code: 'region_unavailable' })
})

/** `HEADER_TIMEOUT_MS` of the edge. */
const EDGE_GIVES_UP_MS = 10_000

const silent: RequestListener = () => undefined
/** As a load balancer with nobody behind it. */
const balancer: RequestListener = (_, response) =>
  void response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>502 Bad Gateway</h1>')
/** Its keys are others, or its clock. */
const unbelieving: RequestListener = (_, response) =>
  void response
    .writeHead(401, { 'content-type': 'application/problem+json' })
    .end(JSON.stringify({ code: 'assertion_invalid', detail: 'Regions answer to the edge only.' }))
/** Begins to answer, and goes away. */
const brokenOff: RequestListener = (_, response) => {
  response.writeHead(200, { 'content-length': '4' })
  response.write('tr', () => response.destroy())
}

test.each([
  ['silent', silent],
  ['not believing whoever asks', unbelieving],
  ['a load balancer with nobody behind it', balancer],
  ['gone in the middle of its answer', brokenOff],
])('an instance that is %s is passed over, and then asked last', async (_, listener) => {
  let asked = 0
  const first = await serve((...of) => {
    asked++
    listener(...of)
  })
  const calls = await callsTo(first, await serve(here))
  expect(await calls.claim(claim)).toBe(true)
  expect(await calls.claim(claim)).toBe(true)
  expect(asked).toBe(1)
})

test('a region that is silent is told before an edge gives up, however many instances it has', async () => {
  const calls = await callsTo(await serve(silent), await serve(silent), await serve(silent))
  const fromMs = performance.now()
  await expect(calls.claim(claim)).rejects.toMatchObject({ code: 'region_unavailable' })
  expect(performance.now() - fromMs).toBeLessThan(EDGE_GIVES_UP_MS)
})

test.each([
  ['a load balancer with nobody behind it', balancer],
  ['one that does not believe whoever asks', unbelieving],
])('%s, and no other instance: the region is unavailable, not the request wrong', async (_, listener) => {
  const calls = await callsTo(await serve(listener))
  await expect(calls.claim(claim)).rejects.toMatchObject({ code: 'region_unavailable' })
})

test('a refusal comes as it is, with how long to wait', async () => {
  const busy: RequestListener = (_, response) =>
    void response
      .writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '7' })
      .end(JSON.stringify({ code: 'overloaded', detail: 'Too much.' }))
  await expect((await callsTo(await serve(busy))).claim(claim)).rejects.toMatchObject({
    code: 'overloaded',
    detail: 'Too much.',
    extras: { headers: { 'retry-after': '7' } },
  })
})
