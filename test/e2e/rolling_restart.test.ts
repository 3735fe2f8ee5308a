// Every instance of a region is restarted, one after the other, while clients read, write and listen through the edge: none
// of them is told of it. And a region that is stopped by a signal finishes what it has begun.
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { claimable } from '../../dev/ports.ts'
import { launchRegion } from '../../dev/region.ts'
import { readConfig } from '../../regional/config.ts'
import { AT_ONCE, drainWithin, Instance } from '../../regional/instance.ts'
import { type Region, startRegion } from '../../regional/server.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { leaseSpace } from '../../regional/tenancy/pointers.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { newId } from '../../shared/ids.ts'
import { startRawEdge } from '../support/raw_edge.ts'
import { RegionClient, RegionSecrets } from '../support/region_client.ts'

const INSTANCES = 3
const DRAIN_MS = 3_000

const folder = mkdtempSync(join(tmpdir(), 'coditect-'))
const secrets = new RegionSecrets(['us'])
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function environmentOf(name: string): Promise<Record<string, string>> {
  const port = await claimable(0)
  const environment = await secrets.environment('us', { us: `http://127.0.0.1:${port}` })
  return { ...environment, PORT: String(port), DATA_DIR: join(folder, name), DRAIN_MS: String(DRAIN_MS) }
}

test('a rolling restart of every instance under load fails no request, whatever it is', async () => {
  const environment = { ...(await environmentOf('rolling')), REGION_INSTANCES: String(INSTANCES) }
  const region: Region = await startRegion(readConfig(environment), { writeLog: () => {} })
  const edge = await startRawEdge({
    ...environment,
    REGIONS: JSON.stringify({ us: region.urls }),
    LIMITS: 'off',
  })
  try {
    const client = new RegionClient(secrets, () => region.urls[0] ?? '')
    const { key } = await client.newTenant('acme', 'us')
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const statuses = { read: [] as number[], write: [] as number[], once: [] as number[] }
    const streams: string[] = []
    const made = new Set<string>()
    let going = true
    const read = async () => {
      const answer = await fetch(`${edge.url}/v1/projects?limit=5`, { headers })
      await answer.text()
      statuses.read.push(answer.status)
    }
    const write = async (list: number[], more: Record<string, string>) => {
      const name = newId('prj')
      const body = JSON.stringify({ name })
      const answer = await fetch(`${edge.url}/v1/projects`, {
        method: 'POST',
        headers: { ...headers, ...more },
        body,
      })
      list.push(answer.status)
      await answer.text()
      if (answer.ok) made.add(name)
    }
    const listen = async () => {
      const answer = await fetch(`${edge.url}/v1/events`, {
        headers: { ...headers, accept: 'text/event-stream' },
      })
      expect(answer.status).toBe(200)
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
        if (done) break
        text = (text + value).slice(-500)
        if (!going) return void (await reader?.cancel())
      }
      streams.push(text)
    }
    const again = async (work: () => Promise<void>) => {
      while (going) await work()
    }
    const clients = [
      ...[again(read), again(read), again(listen), again(listen), again(listen)],
      again(() => write(statuses.write, { 'idempotency-key': newId('req') })),
      // Could not be sent twice if anything had been done.
      ...[again(() => write(statuses.once, {})), again(() => write(statuses.once, {}))],
    ]
    const all = () => Object.values(statuses).flat()
    const more = (count: number) => {
      const enough = all().length + count
      return vi.waitUntil(() => all().length >= enough, { timeout: 30_000 })
    }
    await more(60)
    for (let i = 0; i < INSTANCES; i++) {
      await region.restartInstance(i, drainWithin(DRAIN_MS))
      await more(60)
    }
    going = false
    await Promise.all(clients)
    for (const list of Object.values(statuses)) expect(list.length).toBeGreaterThan(10)
    expect(all().filter((status) => status !== 200 && status !== 201)).toEqual([])
    // Streams end with a word, and nobody's was cut.
    expect(streams.length).toBeGreaterThan(0)
    for (const text of streams) expect(text).toContain('event: end\ndata: {"code":"region_unavailable"')
    const kept = await names(edge.url, headers)
    expect(kept.toSorted()).toEqual([...made].toSorted())
  } finally {
    edge.stop()
    await region.close()
  }
})

async function names(origin: string, headers: Record<string, string>): Promise<string[]> {
  const found: string[] = []
  let cursor = ''
  do {
    const answer = await fetch(`${origin}/v1/projects?limit=100${cursor && `&cursor=${cursor}`}`, { headers })
    const page = (await answer.json()) as { data: Array<{ name: string }>; nextCursor: string | null }
    found.push(...page.data.map(({ name }) => name))
    cursor = page.nextCursor ?? ''
  } while (cursor !== '')
  return found
}

test('a region that is told to end finishes what it began, refuses the rest in words, and hands its jobs back', async () => {
  const environment: Record<string, string> = { ...(await environmentOf('stopped')), DRAIN_MS: '6000' }
  const logFile = join(folder, 'stopped.log')
  const run = async () => {
    const { child, ready } = launchRegion({ ...process.env, ...environment }, openSync(logFile, 'a'))
    await ready
    return child
  }
  const child = await run()
  const url = `http://127.0.0.1:${environment.PORT}`
  const client = new RegionClient(secrets, () => url)
  const { key } = await client.newTenant('acme', 'us')
  const make = (path: string, body: unknown) => client.ask('us', { as: key, method: 'POST', path, body })
  const full = await Promise.all(
    Array.from({ length: 4 }, async (_, i) => {
      const { body } = await make('/v1/projects', { name: `full ${i}` })
      const records = `/v1/projects/${body.id}/collections/things/records`
      await Promise.all(Array.from({ length: 60 }, () => make(records, { data: { i } })))
      return body.id as string
    }),
  )

  const made: string[] = []
  const failed: unknown[] = []
  let refused = 0
  const clients = Array.from({ length: 12 }, async () => {
    for (;;) {
      const answer = await make('/v1/projects', { name: 'made' }).catch((error: unknown) => {
        failed.push(error)
      })
      if (answer?.status !== 201) {
        if (answer?.status === 503 && answer.headers.get('coditect-draining') === '1') refused++
        else failed.push(answer?.body)
        return
      }
      made.push(answer.body.id)
    }
  })
  await vi.waitUntil(() => made.length > 50, { timeout: 20_000 })
  const deleted = await Promise.all(
    full.map((id) => client.ask('us', { as: key, method: 'DELETE', path: `/v1/projects/${id}` })),
  )
  expect(deleted.map(({ status }) => status)).toEqual([202, 202, 202, 202])
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await vi.waitUntil(async () => (await fetch(`${url}/readyz`)).status === 503, {
    timeout: 2_000,
    interval: 5,
  })
  await Promise.all(clients)
  expect(await exited).toEqual([0, null])
  expect([refused, failed]).toEqual([12, []])
  expect(readFileSync(logFile, 'utf8')).toMatch(/"message":"stopped"\}\n$/)

  const engine = await openEngine({ dataDir: environment.DATA_DIR ?? '' })
  const database = new RegionDatabase(engine.native, keySpace(''), () => {})
  const leases = await database.region(async (scope) => ({
    value: (await scope.space(leaseSpace).page({ limit: 100 })).entries,
    commit: false,
  }))
  await engine.close()
  expect(leases).toEqual([])

  const again = await run()
  const found = await Promise.all(made.map((id) => client.ask('us', { as: key, path: `/v1/projects/${id}` })))
  expect(found.filter(({ status }) => status !== 200)).toEqual([])
  const gone = once(again, 'exit')
  again.kill('SIGTERM')
  expect(await gone).toEqual([0, null])
})

test('a connection on which nothing was ever asked holds nobody up', async () => {
  const environment = await environmentOf('silent')
  const region = await startRegion(readConfig(environment), { writeLog: () => {} })
  const socket = connect(Number(environment.PORT), '127.0.0.1')
  await once(socket, 'connect')
  const closed = once(socket, 'close')
  socket.resume()
  const cut = new Promise<string>((resolve) => setTimeout(resolve, 8_000, 'still there').unref())
  expect(await Promise.race([region.close().then(() => 'closed'), cut])).toBe('closed')
  await closed
})

test('a connection that was made just before the listener closed is answered', async () => {
  const instance = await Instance.start('127.0.0.1', 0, async (draining) => ({
    fetch: () => new Response(draining() ? 'leaving' : 'here'),
    endStreams() {},
    async endWork() {},
    startJobs: () => ({ waiting: 0, async stop() {} }),
  }))
  const socket = connect(Number(new URL(instance.url).port), '127.0.0.1')
  await once(socket, 'connect')
  // Who is answered on a later connection was let in later.
  await (await fetch(instance.url)).text()
  const drained = instance.drain(AT_ONCE)
  await new Promise((resolve) => setImmediate(resolve))
  socket.write('GET / HTTP/1.1\r\nHost: region\r\n\r\n')
  const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
  expect(String(answer)).toContain('leaving')
  await drained
})
