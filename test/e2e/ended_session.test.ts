// The console asks the API from within the edge. A session that has ended is held back there as any other credential is: it
// takes nothing of its tenant's limits, and counts among what its address fails with.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { mintSession } from '../../shared/credentials/session_token.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { startRawEdge } from '../support/raw_edge.ts'
import { RegionSecrets } from '../support/region_client.ts'

const secrets = new RegionSecrets(['us'])
const claims = { tenant: asTenantNumber(7n), region: 'us' }
const asked: string[] = []
let counts = ''
/** Stands where the region would: no session holds, and every key does. */
const region = createServer(({ url = '', headers }, response) => {
  asked.push(url)
  counts += ` ${headers['coditect-edge-counts'] ?? ''}`
  response.setHeader('coditect-took', '1')
  response.setHeader('content-type', 'application/json')
  if (url.startsWith('/console/')) {
    response.statusCode = 401
    response.setHeader('coditect-credential-refused', 'session_ended')
  }
  response.end('{"code":"session_ended","detail":"It has ended."}')
})
let edge: { url: string; stop(): void }

beforeAll(async () => {
  await new Promise<void>((done) => region.listen(0, '127.0.0.1', done))
  const us = `http://127.0.0.1:${(region.address() as AddressInfo).port}`
  edge = await startRawEdge(await secrets.environment('us', { us }))
})
afterAll(() => {
  edge.stop()
  region.closeAllConnections()
  region.close()
})

test('the region is asked of an ended session once a second, and the address hears of each time', async () => {
  const roots = await Roots.import(secrets.signingRoots)
  const session = await mintSession({ ...claims, sessionId: newId('ses') }, roots)
  const headers = { cookie: `__Host-coditect-t-acme=${session.text}` }
  const fromMs = performance.now()
  for (let i = 0; i < 40; i++)
    await (await fetch(`${edge.url}/admin/acme/projects`, { headers, redirect: 'manual' })).text()
  const seconds = (performance.now() - fromMs) / 1_000
  const times = asked.filter((path) => path === '/console/v1/session').length
  expect(times).toBeGreaterThan(0)
  expect(times).toBeLessThanOrEqual(1 + seconds)
  const key = await mintApiKey('test', { ...claims, keyId: newId('key') }, roots)
  expect((await fetch(`${edge.url}/v1/tenant`, { headers: { 'x-api-key': key.text } })).status).toBe(200)
  const failed = [...counts.matchAll(/failed_attempts=(\d+)/g)].reduce(
    (sum, [, each]) => sum + Number(each),
    0,
  )
  expect(failed).toBe(40 - times)
})
