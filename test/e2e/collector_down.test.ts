// A collector of traces that is down is no reason for a region to stop otherwise than it should; what that costs is counted.
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { claimable } from '../../dev/ports.ts'
import { launchRegion } from '../../dev/region.ts'
import { RegionClient, RegionSecrets } from '../support/region_client.ts'

const DRAIN_MS = 5_000
const folder = mkdtempSync(join(tmpdir(), 'coditect-'))
const secrets = new RegionSecrets(['us'])
let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
  server = undefined
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function collector(answer: RequestListener): Promise<string> {
  const made = createServer(answer)
  server = made
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`
}

async function regionWith(name: string, endpoint: string) {
  const port = await claimable(0)
  const url = `http://127.0.0.1:${port}`
  const environment: Record<string, string> = {
    ...(await secrets.environment('us', { us: url })),
    PORT: String(port),
    DATA_DIR: join(folder, name),
    DRAIN_MS: String(DRAIN_MS),
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  }
  const logFile = join(folder, `${name}.log`)
  const { child, ready } = launchRegion({ ...process.env, ...environment }, openSync(logFile, 'a'))
  await ready
  const client = new RegionClient(secrets, () => url)
  const { key } = await client.newTenant('acme', 'us')
  const read = async (times: number) => {
    for (let i = 0; i < times; i++) await client.ask('us', { as: key, path: '/v1/projects' })
  }
  const lost = async () => {
    const text = await (await fetch(`${url}/metrics`)).text()
    return Number(/^coditect_spans_lost_total\{region="us"\} (\d+)$/m.exec(text)?.[1])
  }
  const logged = () =>
    readFileSync(logFile, 'utf8')
      .split('\n')
      .filter((line) => !line.includes('"message":"request"'))
      .join('\n')
  const stop = async () => {
    const exited = once(child, 'exit')
    const from = performance.now()
    child.kill('SIGTERM')
    const [code] = await exited
    return { code, ms: performance.now() - from }
  }
  return { read, lost, logged, stop }
}

const times = (text: string, part: string): number => text.split(part).length - 1

const hang: RequestListener = () => {}
const refuse: RequestListener = (request, response) => {
  request.resume()
  response.writeHead(503).end()
}
test.each([
  ['is not there', async () => `http://127.0.0.1:${await claimable(0)}`],
  ['hangs', () => collector(hang)],
  ['answers 503', () => collector(refuse)],
])('a region whose collector %s stops in order and in time, and says so once', async (name, endpoint) => {
  const region = await regionWith(name.replaceAll(' ', '_'), await endpoint())
  await region.read(50)
  const { code, ms } = await region.stop()
  expect(region.logged()).toContain('"message":"stopped"')
  expect(code).toBe(0)
  expect(ms).toBeLessThan(DRAIN_MS)
  expect(times(region.logged(), '"message":"traces cannot be exported"')).toBe(1)
})

test('spans that are lost are counted; the log says when that begins and when it is over', async () => {
  let up = false
  const endpoint = await collector((request, response) => {
    if (!up) return refuse(request, response)
    request.resume()
    response.setHeader('content-type', 'application/json').end('{}')
  })
  const region = await regionWith('comes_back', endpoint)
  await region.read(5)
  await vi.waitUntil(async () => (await region.lost()) > 0, { timeout: 20_000 })
  const first = await region.lost()
  await region.read(5)
  await vi.waitUntil(async () => (await region.lost()) > first, { timeout: 20_000 })
  up = true
  await region.read(5)
  await vi.waitUntil(() => region.logged().includes('traces are exported again'), { timeout: 20_000 })
  const total = await region.lost()
  expect(times(region.logged(), '"message":"traces cannot be exported"')).toBe(1)
  expect(region.logged()).toMatch(new RegExp(`"lost":${total},"message":"traces are exported again"`))
  expect((await region.stop()).code).toBe(0)
})
