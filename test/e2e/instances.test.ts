// A region of two instances behind an edge in raw workerd: what a client notices when one of them goes.

import { once } from 'node:events'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Launched } from '../../dev/part.ts'
import { claimable } from '../../dev/ports.ts'
import { buildWorker, launchWorkerd } from '../../dev/workerd.ts'
import { readConfig } from '../../regional/config.ts'
import { type Region, startRegion } from '../../regional/server.ts'
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { RegionClient, RegionSecrets } from '../support/region_client.ts'
import { ROOT } from './stack.ts'

const folder = mkdtempSync(join(tmpdir(), 'coditect-'))
const secrets = new RegionSecrets(['us', 'eu', 'ap', 'sa', 'af'])
/** Stands where `eu` would, and streams without an end. */
const streaming = createServer()
const open = new Set<string>()
/** Takes connections, and says nothing to anybody. */
const hanging = createServer()
const unheard: string[] = []
let region: Region
let edge: Launched<number>
let origin: string
let key: string

/** Of a region that minted it, as its edge takes it. */
async function keyOf(name: string, number: bigint): Promise<string> {
  const claims = { keyId: newId('key'), tenant: asTenantNumber(number), region: name }
  return (await mintApiKey('test', claims, await Roots.import(secrets.signingRoots))).text
}

const listen = (server: Server): Promise<string> =>
  new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    ),
  )

beforeAll(async () => {
  streaming.on('request', (request, response) => {
    const path = String(request.url)
    open.add(path)
    response.on('close', () => open.delete(path))
    if (path.includes('silent')) return
    response.setHeader('coditect-took', '0.1')
    response.write('first')
  })
  const eu = await listen(streaming)
  hanging.on('request', ({ url }) => unheard.push(String(url)))
  const ap = [await listen(hanging), eu]
  const port = await claimable(0)
  const environment = await secrets.environment('us', { us: `http://127.0.0.1:${port}`, eu })
  const own = { PORT: String(port), DATA_DIR: join(folder, 'us'), REGION_INSTANCES: '2' }
  region = await startRegion(readConfig({ ...environment, ...own }), { writeLog: () => {} })
  const client = new RegionClient(secrets, () => region.urls[0] ?? '')
  ;({ key } = await client.newTenant('acme', 'us'))

  const edgePort = (await claimable(0)) ?? 0
  origin = `http://127.0.0.1:${edgePort}`
  const bindings = {
    PUBLIC_ORIGIN: origin,
    // Of `sa` and `af` the first instance is one of `us`: it has other keys than this edge has for them.
    REGIONS: JSON.stringify({
      us: region.urls,
      eu: [eu],
      ap,
      sa: region.urls.slice(1),
      af: [...region.urls.slice(1), eu],
    }),
    CONTROL_REGION: 'eu',
    ASSERTION_KEYS: JSON.stringify(secrets.assertionKeys),
    SIGNING_ROOTS: JSON.stringify(secrets.signingRoots),
    OPERATORS: environment.OPERATORS ?? '[]',
    LIMITS: 'off',
  }
  const config = await buildWorker({
    entry: join(ROOT, 'edge', 'worker.ts'),
    folder,
    bindings: Object.keys(bindings),
    objects: { classes: { TENANT_LIMITER: 'TenantLimiter' }, folder: join(folder, 'limits') },
  })
  const log = openSync(join(folder, 'workerd.log'), 'a')
  edge = launchWorkerd({ config, port: edgePort, environment: bindings, log })
  await edge.ready
})
afterAll(async () => {
  edge.child.kill('SIGTERM')
  streaming.closeAllConnections()
  streaming.close()
  hanging.closeAllConnections()
  hanging.close()
  await region.close()
  rmSync(folder, { recursive: true, force: true })
})

test('one of two instances going away fails no request, with a key or without, and none is done twice', async () => {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const statuses: number[] = []
  const made = new Set<string>()
  let going = true
  const clients = Array.from({ length: 6 }, async (_, client) => {
    while (going) {
      if (client % 2 === 0) {
        statuses.push((await fetch(`${origin}/v1/projects`, { headers })).status)
        continue
      }
      const name = newId('prj')
      const answer = await fetch(`${origin}/v1/projects`, {
        method: 'POST',
        headers: { ...headers, ...(client % 3 === 0 && { 'idempotency-key': name }) },
        body: JSON.stringify({ name }),
      })
      statuses.push(answer.status)
      if (answer.ok) made.add(((await answer.json()) as { name: string }).name)
    }
  })
  const more = async (count: number) => {
    const enough = statuses.length + count
    await vi.waitUntil(() => statuses.length >= enough, { timeout: 20_000 })
  }
  await more(100)
  await region.dropInstance(0)
  await more(200)
  going = false
  await Promise.all(clients)
  expect(statuses.filter((status) => status !== 200 && status !== 201)).toEqual([])

  const kept: string[] = []
  let cursor = ''
  do {
    const answer = await fetch(`${origin}/v1/projects?limit=100${cursor && `&cursor=${cursor}`}`, { headers })
    const page = (await answer.json()) as { data: Array<{ name: string }>; nextCursor: string | null }
    kept.push(...page.data.map(({ name }) => name))
    cursor = page.nextCursor ?? ''
  } while (cursor !== '')
  expect(kept.toSorted()).toEqual([...made].toSorted())
})

test('one of two instances that hangs keeps clients waiting for two seconds, and then nobody', async () => {
  const text = await keyOf('ap', 8n)
  const ask = async () => {
    const fromMs = performance.now()
    const answer = await fetch(`${origin}/v1/projects?streams`, { headers: { 'x-api-key': text } })
    await answer.body?.cancel()
    expect(answer.status).toBe(200)
    return performance.now() - fromMs
  }
  expect(Math.max(...(await Promise.all(Array.from({ length: 8 }, ask))))).toBeLessThan(5_000)
  const probes = () => unheard.filter((path) => path === '/alive').length
  const before = probes()
  while (probes() < before + 3) expect(await ask()).toBeLessThan(2_000)
})

test.each(['/v1/projects?silent', '/v1/projects?streams'])(
  'a client that hangs up ends its request at the region: %s',
  async (path) => {
    const text = await keyOf('eu', 7n)
    const socket = connect(Number(new URL(origin).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${path} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer ${text}\r\n\r\n`)
    if (path.endsWith('streams')) await once(socket, 'data')
    await vi.waitUntil(() => open.has(path), { timeout: 5_000 })
    // With a reset: a connection that only says it sends no more may still be listening, and workerd takes it so.
    socket.resetAndDestroy()
    await vi.waitUntil(() => !open.has(path), { timeout: 5_000 })
  },
)

test('no client hears that the edge is not believed: another instance is asked, or the region counts as silent', async () => {
  const ask = async (name: string, method: string) =>
    fetch(`${origin}/v1/projects?streams`, { method, headers: { 'x-api-key': await keyOf(name, 9n) } })
  for (const method of ['GET', 'POST', 'GET', 'POST']) {
    const answer = await ask('af', method)
    await answer.body?.cancel()
    expect(answer.status).toBe(200)
  }
  for (const method of ['GET', 'POST']) {
    const answer = await ask('sa', method)
    const { code } = (await answer.json()) as { code: string }
    expect([answer.status, code]).toEqual([503, 'region_unavailable'])
    expect(answer.headers.has('www-authenticate')).toBe(false)
  }
  await fetch(`${origin}/v1/projects`, { headers: { 'x-api-key': key } })
  const told = async () => {
    const metrics = await (await fetch(`${region.urls[1]}/metrics`)).text()
    return /decision="unanswered",of="sa"[^}]*} (\d+)/.exec(metrics)?.[1]
  }
  // Whoever reads a series for the first time finds it at 0.
  await told()
  expect(await told()).toBe('2')
})
