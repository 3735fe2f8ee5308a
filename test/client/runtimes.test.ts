// The client where its users run it: Node, a page of another origin in a real browser, and a worker in workerd, each against
// the whole stack.
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildWorker, launchWorkerd } from '../../dev/workerd.ts'
import { newPerson, startBrowser } from '../console/browser.ts'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { scenario, type Told, type Where } from './scenario.ts'

const fromHere = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

let stack: Stack
let server: ModelServer
let breaking: Server
let leading: Server
let where: Where
beforeAll(async () => {
  ;[stack, server] = await Promise.all([startStack(), startModelServer()])
  const operator = stack.client(stack.operatorToken)
  await operator.call('POST /platform/v1/models', { body: { name: 'm', baseUrl: server.baseUrl } })
  const client = stack.client()
  const { id: projectId } = await client.call('POST /v1/projects', { body: { name: 'P' } })
  const path = 'POST /v1/projects/{projectId}/agents'
  const { id: agentId } = await client.call(path, { params: { projectId }, body: { name: 'A' } })
  breaking = await startBreakingFeed()
  leading = await startLeading()
  where = {
    url: stack.edge,
    token: stack.demo.apiKey,
    agent: { projectId, agentId },
    breaking: originOf(breaking),
    leading: originOf(leading),
  }
})
afterAll(async () => {
  breaking.close()
  leading.close()
  await stack.stop()
  await server.close()
})

const originOf = (listening: Server): string =>
  `http://127.0.0.1:${(listening.address() as AddressInfo).port}`

/** Whoever comes back with a place gets the event behind it; each connection is cut after what it has told. */
async function startBreakingFeed(): Promise<Server> {
  const feed = createServer((request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', 'authorization, last-event-id')
    if (request.method === 'OPTIONS') return response.end()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const place = request.headers['last-event-id']
    const next = Number(place) + 1
    const told = place === undefined ? 'retry: 1000\nid: 0' : `id: ${next}\ndata: {"sequence":"${next}"}`
    response.write(`${told}\n\n`, () => setTimeout(() => request.socket.resetAndDestroy(), 50))
  })
  await new Promise<void>((resolve) => feed.listen(0, '127.0.0.1', resolve))
  return feed
}

async function startLeading(): Promise<Server> {
  const server = createServer((request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', 'authorization, content-type, idempotency-key')
    if (request.method === 'OPTIONS') return response.end()
    if (request.url === '/landed') return response.end('{"id":"prj_1"}')
    response.writeHead(302, { location: '/landed' }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

const EXPECTED: Told = {
  read: true,
  refusal: [412, 'precondition_failed', 'req_'],
  listedOnce: true,
  madeOnce: true,
  sentTwiceWithOneKey: true,
  tailed: ['project.created', 'project.updated'],
  spoken: 'Hello, world.',
  stored: 'Hello, world.',
  ended: 'enough',
  silent: true,
  resumed: ['1', '2'],
  led: 'an answer 302 that leads to /landed',
}

test('in Node', async () => {
  expect(await scenario(where)).toEqual(EXPECTED)
})

test('in a browser, on a page of an origin that the organisation has named', async () => {
  const bundle = await build({
    entryPoints: [fromHere('scenario.ts')],
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'client',
    platform: 'browser',
    logLevel: 'error',
  })
  const page = createServer((_, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(
      `<!doctype html><link rel="icon" href="data:,"><script>${bundle.outputFiles[0]?.text}</script>`,
    )
  })
  await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve))
  const origin = originOf(page)
  const browser = await startBrowser()
  try {
    await stack.client().call('PATCH /v1/tenant', { body: { corsOrigins: [origin] } })
    const person = await newPerson(browser, origin)
    await person.page.goto(origin)
    const told = await person.page.evaluate(
      (given) => (globalThis as unknown as { client: { scenario: typeof scenario } }).client.scenario(given),
      where,
    )
    expect(told).toEqual({ ...EXPECTED, led: 'an answer that leads elsewhere' })
  } finally {
    await browser.close()
    page.close()
  }
})

test('in a worker', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'coditect-client-'))
  const config = await buildWorker({ entry: fromHere('scenario_worker.ts'), folder, bindings: [] })
  const log = openSync(join(folder, 'worker.log'), 'a')
  const { child, ready } = launchWorkerd({ config, port: 0, environment: {}, log })
  try {
    const answer = await fetch(`http://127.0.0.1:${await ready}`, {
      method: 'POST',
      body: JSON.stringify(where),
    })
    expect(answer.status, await answer.clone().text()).toBe(200)
    expect(await answer.json()).toEqual(EXPECTED)
  } finally {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})
