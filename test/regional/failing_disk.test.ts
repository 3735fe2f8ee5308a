import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterEach, expect, test, vi } from 'vitest'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { selectApiVersion } from '../../regional/storage/foundationdb.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { toBase64url } from '../../shared/bytes.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import { damagePage } from '../support/damage.ts'
import { type Regions, startRegions } from './support.ts'

/** The engine's threads, as they are started. */
const { threads } = vi.hoisted(() => ({ threads: new Map<Worker, string>() }))
vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>()
  class KnownWorker extends real.Worker {
    constructor(...given: ConstructorParameters<typeof Worker>) {
      super(...given)
      threads.set(this, String(given[0]))
    }
  }
  return { ...real, Worker: KnownWorker }
})

let regions: Regions
afterEach(async () => {
  await regions.close()
  vi.useRealTimers()
})

const create = (key: string, path: string, body: unknown) =>
  regions.ask('us', { as: key, method: 'POST', path, body })

async function endWriters(): Promise<void> {
  for (const [thread, file] of threads) if (file.includes('writer_thread')) await thread.terminate()
}

async function readiness(): Promise<[number, string]> {
  const answer = await fetch(`${regions.url('us')}/readyz`)
  return [answer.status, ((await answer.json()) as { status: string }).status]
}

const messagesOf = (lines: ReadonlyArray<string>): string[] =>
  lines.map((line) => JSON.parse(line)).flatMap(({ level, message }) => (level === 'error' ? [message] : []))

test('on a full disk a change is refused and not made, and what was made is there', async () => {
  const lines: string[] = []
  const open: typeof openEngine = async ({ dataDir = '', ...told }) => {
    selectApiVersion(720)
    const engine = await openEmbedded({ dataDir, maxPages: 300, ...told })
    return {
      kind: 'embedded',
      native: engine.database(),
      overwriteCleared: engine.overwriteCleared,
      close: engine.close,
    }
  }
  regions = await startRegions({ open, writeLog: (line) => void lines.push(line) })
  const { key } = await regions.newTenant('acme', 'us')
  const { body: project } = await create(key, '/v1/projects', { name: 'Large' })
  const records = `/v1/projects/${project.id}/collections/c/records`
  let created = 0
  let answer = await create(key, records, { data: { text: 'x'.repeat(60_000) } })
  for (; answer.status === 201; created++) {
    answer = await create(key, records, { data: { text: 'x'.repeat(60_000) } })
  }
  expect(created).toBeGreaterThan(3)
  expect(answer).toMatchObject({
    status: 503,
    body: { code: 'region_unavailable', detail: expect.stringContaining('Nothing was done.') },
  })
  expect(answer.headers.get('retry-after')).toBe('5')
  const { body: page } = await regions.ask('us', { as: key, path: `${records}?limit=100` })
  expect(page.data).toHaveLength(created)
  expect(await readiness()).toEqual([200, 'ready'])
  expect(messagesOf(lines)).toContainEqual(
    expect.stringMatching(/^changes could not be stored: see whether the disk is full, and make room/),
  )
  expect(messagesOf(lines)).not.toContain('a request failed')
})

test('a region whose file is damaged in one place says so once, is not ready, and serves whoever has no data there', async () => {
  const lines: string[] = []
  regions = await startRegions({ open: openEngine, writeLog: (line) => void lines.push(line) })
  const hit = await regions.newTenant('acme', 'us')
  const other = await regions.newTenant('other', 'us')
  const { body: project } = await create(hit.key, '/v1/projects', { name: 'Hit' })
  const records = `/v1/projects/${project.id}/collections/c/records`
  const ids: string[] = []
  for (let i = 0; i < 40; i++) {
    const { body } = await create(hit.key, records, { data: { text: `MARK${i}.${'x'.repeat(2_500)}` } })
    ids.push(body.id)
  }
  await regions.stop('us')
  const marks = ids.map((_, i) => `MARK${i}.`)
  const lost = marks.indexOf(await damagePage(join(regions.dataDir('us'), 'data.sqlite'), marks.slice(20)))
  await regions.start('us')

  const path = `${records}/${ids[lost]}`
  const refused = { status: 503, body: { code: 'region_unavailable' } }
  for (let i = 0; i < 3; i++) {
    expect(await regions.ask('us', { as: hit.key, path })).toMatchObject(refused)
    const changes = { method: 'PUT', path, body: { data: { i } } }
    const [ofHit, ofOther] = await Promise.all([
      regions.ask('us', { as: hit.key, ...changes }),
      create(other.key, '/v1/projects', { name: `Other ${i}` }),
    ])
    expect(ofHit).toMatchObject(refused)
    expect(ofOther.status).toBe(201)
  }
  expect((await regions.ask('us', { as: hit.key, path: `${records}/${ids[0]}` })).status).toBe(200)
  expect(await readiness()).toEqual([503, 'no_database'])
  const told = messagesOf(lines)
  expect(told.filter((message) => message.startsWith('THE DATA FILE IS DAMAGED'))).toHaveLength(1)
  expect(told).not.toContain('a request failed')
})

test('a session goes on reading while nothing can be stored: that it is used is written down apart from what it asks', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  threads.clear()
  regions = await startRegions({ open: openEngine })
  const { id, key } = await regions.newTenant('acme', 'us')
  const { body: link } = await create(key, '/v1/admin-links', { role: 'viewer' })
  const begins = { sessionId: newId('ses'), secretHash: toBase64url(randomBytes(32)) }
  const entry = { method: 'POST', path: '/console/v1/entry', body: { userAgent: 'a browser' } }
  expect((await regions.ask('us', { as: link.url, entering: { begins }, ...entry })).status).toBe(201)
  vi.setSystemTime(Date.now() + 2 * 60_000)
  await endWriters()
  const tenant = tenantNumberOf(id) ?? asTenantNumber(0n)
  const session = { kind: 'session' as const, tenant, ...begins }
  expect((await regions.ask('us', { as: session, path: '/v1/tenant' })).status).toBe(200)
})

test('a region whose writer has ended is not ready, and says that it cannot store', async () => {
  const lines: string[] = []
  threads.clear()
  regions = await startRegions({ open: openEngine, writeLog: (line) => void lines.push(line) })
  const { key } = await regions.newTenant('acme', 'us')
  expect(await readiness()).toEqual([200, 'ready'])
  await endWriters()
  expect(await create(key, '/v1/projects', { name: 'Late' })).toMatchObject({
    status: 503,
    body: { code: 'region_unavailable' },
  })
  expect(await readiness()).toEqual([503, 'no_database'])
  const told = await regions.ask('us', { as: 'operator', path: '/platform/v1/regions' })
  expect(told.body.data[0]).toMatchObject({ name: 'us', status: 'up', load: { readiness: 'no_database' } })
  expect((await regions.ask('us', { as: key, path: '/v1/projects' })).status).toBe(200)
  const ends = 'the database takes no more changes: check the disk. The process ends, to be started again'
  expect(messagesOf(lines).filter((message) => message === ends)).toHaveLength(2)
})

test('a region process whose disk fails ends with exit code 1, and the next one has all that was acknowledged', async () => {
  const lines: string[] = []
  let blocks = '4000'
  const processes: ChildProcess[] = []
  regions = await startRegions({}, async (environment) => {
    // In blocks of 1 KiB: no file may grow larger.
    const limited = ['-c', `ulimit -f ${blocks}; exec "$@"`, 'bash', process.execPath, 'regional/server.ts']
    const child = spawn('bash', limited, {
      env: { ...process.env, ...environment, DRAIN_MS: '500' },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    processes.push(child)
    child.stdout?.on('data', (chunk: Buffer) => lines.push(...chunk.toString().split('\n').filter(Boolean)))
    await once(child, 'message')
    return {
      async close() {
        if (child.exitCode !== null) return
        child.kill('SIGTERM')
        await once(child, 'exit')
      },
    }
  })
  const { key } = await regions.newTenant('acme', 'us')
  const { body: project } = await create(key, '/v1/projects', { name: 'Large' })
  const records = `/v1/projects/${project.id}/collections/c/records`
  const [us] = processes
  if (us === undefined) throw new Error('no region was started')
  const ended = once(us, 'exit')
  let acknowledged = 0
  let answer = await create(key, records, { data: { text: 'x'.repeat(60_000) } })
  for (; answer.status === 201; acknowledged++) {
    answer = await create(key, records, { data: { text: 'x'.repeat(60_000) } })
  }
  expect(acknowledged).toBeGreaterThan(10)
  expect(answer).toMatchObject({ status: 503, body: { code: 'region_unavailable' } })
  expect((await ended)[0]).toBe(1)
  const ends = messagesOf(lines).filter((message) => message.startsWith('the database takes no more changes'))
  expect(ends).toHaveLength(1)

  blocks = 'unlimited'
  await regions.start('us')
  const { body: page } = await regions.ask('us', { as: key, path: `${records}?limit=100` })
  // The last one was in doubt.
  expect([acknowledged, acknowledged + 1]).toContain(page.data.length)
})
