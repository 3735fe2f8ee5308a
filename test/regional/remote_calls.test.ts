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
