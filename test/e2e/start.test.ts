// What `npm start` promises: one command, nothing kept but the data, nothing left behind.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, get } from 'node:http'
import { createServer } from 'node:net'
import { getPriority } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { DataDir } from '../../dev/data_dir.ts'
import { demoWay } from '../../dev/demo.ts'
import { Part } from '../../dev/part.ts'
import { claimable } from '../../dev/ports.ts'
import { eventually } from '../support/eventually.ts'
import { isAlive, launch, newDataDir, type PartName, ROOT, type Stack, startStack } from './stack.ts'

const isLinux = process.platform === 'linux'
const PARTS: ReadonlyArray<PartName> = ['edge', 'us', 'eu']
const modeOf = (...path: string[]): string => (statSync(join(...path)).mode & 0o777).toString(8)

describe('a running stack', () => {
  let stack: Stack
  beforeAll(async () => {
    stack = await startStack()
  })
  afterAll(() => stack.stop())

  test('dev.json says where everything is and how to get in', () => {
    const file = JSON.parse(readFileSync(join(stack.dataDir, 'dev.json'), 'utf8'))
    const url = expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(file).toEqual({
      edge: url,
      operatorToken: expect.stringMatching(/^co_\w{43}$/),
      regions: { us: url, eu: url },
      demo: {
        tenantId: expect.stringMatching(/^ten_/),
        apiKey: expect.stringMatching(/^ck_dev_/),
        adminUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/admin\/enter\?link=cl_\w+$/),
      },
    })
  })

  test('secrets are for their owner alone', () => {
    for (const file of ['secrets.json', 'dev.json', 'run/us.pid', 'logs/us.log']) {
      expect([file, modeOf(stack.dataDir, file)]).toEqual([file, '600'])
    }
    expect(modeOf(stack.dataDir)).toBe('700')
  })

  test('the demo key opens the demo tenant, through edge and region', async () => {
    const { status, body } = await stack.call<{ id: string; slug: string }>('/v1/tenant')
    expect(status).toBe(200)
    expect(body).toMatchObject({ id: stack.demo.tenantId, slug: 'demo' })
  })

  test('an organisation is found at <slug>.localhost, and nobody else there', async () => {
    const { body } = await stack.call<{ apiKey: { key: string } }>('/platform/v1/tenants', {
      method: 'POST',
      body: {
        slug: 'acme',
        name: 'Acme',
        region: 'eu',
        plan: 'team',
        owner: { email: 'owner@acme.example' },
      },
    })
    const ask = (host: string, key: string) => {
      const headers = { host: `${host}:${new URL(stack.edge).port}`, authorization: `Bearer ${key}` }
      return new Promise<{ status: number | undefined; code: unknown }>((resolve, reject) => {
        // fetch sets the Host itself.
        get(`${stack.edge}/v1/tenant`, { headers }, async (answer) => {
          const { slug, code = slug } = JSON.parse((await answer.toArray()).join(''))
          resolve({ status: answer.statusCode, code })
        }).on('error', reject)
      })
    }
    const { apiKey: demo } = stack.demo
    const acme = body.apiKey.key
    const mismatch = { status: 403, code: 'tenant_mismatch' }
    expect(await ask('demo.localhost', demo)).toEqual({ status: 200, code: 'demo' })
    expect(await ask('acme.localhost', acme)).toEqual({ status: 200, code: 'acme' })
    expect(await ask('demo.localhost', acme)).toEqual(mismatch)
    expect(await ask('nobody.localhost', acme)).toEqual(mismatch)
    for (const host of ['127.0.0.1', 'localhost'])
      expect(await ask(host, acme)).toEqual({ status: 200, code: 'acme' })
  })

  test.skipIf(!isLinux)(
    `in a region V8's threads make way for the one that answers${isLinux ? '' : ' (skipped: needs Linux)'}`,
    () => {
      const threads = `/proc/${stack.pid('us')}/task`
      const nicenessOf = (name: string) =>
        readdirSync(threads)
          .filter((thread) => readFileSync(join(threads, thread, 'comm'), 'utf8').trim() === name)
          .map((thread) => getPriority(Number(thread)))
      expect(nicenessOf('V8Worker')).toContain(getPriority(stack.pid('us')) + 10)
      expect(new Set(nicenessOf('V8Worker')).size).toBe(1)
      expect(nicenessOf('WorkerThread')).toContain(getPriority(stack.pid('us')))
    },
  )

  test('a second start on the same data is refused in one line, and the first goes on', async () => {
    const second = launch({ DATA_DIR: stack.dataDir })
    expect(await second.exited).toBe(1)
    expect(second.output.stderr).toMatch(/^coditect: .*in use by another start.*\n$/)
    expect((await stack.call('/v1/tenant')).status).toBe(200)
    expect(existsSync(join(stack.dataDir, 'dev.json'))).toBe(true)
  })

  test('a part that is killed comes back where it was', async () => {
    for (const part of PARTS) {
      const before = stack.pid(part)
      await stack.kill(part)
      await stack.back(part)
      expect(stack.pid(part)).not.toBe(before)
      await eventually(async () => expect((await stack.call('/v1/tenant')).status).toBe(200))
    }
  })
})

test('a region of several instances that is killed comes back where it was, and an edge with a stream open goes on', async () => {
  const stack = await startStack({ REGION_INSTANCES: '3' })
  try {
    const before = stack.pid('edge')
    const owner = { email: 'owner@acme.example' }
    const made = await stack.call<{ apiKey: { key: string } }>('/platform/v1/tenants', {
      ...{ method: 'POST', body: { slug: 'acme', name: 'Acme', region: 'eu', plan: 'team', owner } },
    })
    const stream = await fetch(`${stack.edge}/v1/events`, {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${made.body.apiKey.key}` },
    })
    expect(stream.status).toBe(200)
    const addresses = () =>
      readFileSync(join(stack.dataDir, 'logs', 'us.log'), 'utf8')
        .split('\n')
        .flatMap((line) => (line.includes('"listening"') ? [JSON.parse(line).urls] : []))
    await stack.kill('us')
    await stack.back('us')
    await eventually(() => expect(addresses()).toHaveLength(2))
    expect(addresses()[0]).toHaveLength(3)
    expect(addresses()[1]).toEqual(addresses()[0])
    // All of them are asked, in turn.
    await eventually(async () => {
      for (let i = 0; i < 6; i++) expect((await stack.call('/v1/tenant')).status).toBe(200)
    })
    expect(stack.pid('edge')).toBe(before)
    await stream.body?.cancel()
  } finally {
    await stack.stop()
  }
})

describe('the next start', () => {
  const dataDir = newDataDir()
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

  test('keeps the data, the keys and the operator', async () => {
    const first = await startStack({ DATA_DIR: dataDir })
    const created = await first.call<{ id: string }>('/v1/projects', {
      method: 'POST',
      body: { name: 'Kept' },
    })
    expect(created.status).toBe(201)
    expect(await first.stop()).toBe(0)
    expect(existsSync(join(dataDir, 'dev.json'))).toBe(false)

    const second = await startStack({ DATA_DIR: dataDir })
    expect(second.operatorToken).toBe(first.operatorToken)
    const { adminUrl: _, ...demo } = first.demo
    expect(second.demo).toMatchObject(demo)
    // A link works once, so every start has its own.
    expect(second.demo.adminUrl).not.toBe(first.demo.adminUrl)
    const read = await second.call<{ name: string }>(`/v1/projects/${created.body.id}`)
    expect(read.body).toMatchObject({ name: 'Kept' })
    expect(await second.stop()).toBe(0)
  })

  test('that is stopped before it is ready leaves no dev.json, whatever was still to be answered', async () => {
    const port = await claimable(0)
    const { child, output, exited } = launch({ DATA_DIR: dataDir, PORT: String(port) })
    const pidOf = (part: PartName) => Number(readFileSync(join(dataDir, 'run', `${part}.pid`), 'utf8'))
    // Regions are ready before the edge starts, and asked for the link to the console when it is.
    await vi.waitUntil(() => existsSync(join(dataDir, 'run', 'edge.pid')), { timeout: 30_000, interval: 1 })
    process.kill(pidOf('us'), 'SIGSTOP')
    await eventually(async () => expect((await fetch(`http://127.0.0.1:${port}/healthz`)).ok).toBe(true))
    child.kill('SIGTERM')
    process.kill(pidOf('us'), 'SIGCONT')
    expect(await exited).toBe(0)
    expect(existsSync(join(dataDir, 'dev.json'))).toBe(false)
    expect(output.stdout).toBe('')
  })

  test('refuses secrets that are not what it wrote, in one line that does not repeat them', async () => {
    const secrets = readFileSync(join(dataDir, 'secrets.json'), 'utf8')
    writeFileSync(join(dataDir, 'secrets.json'), secrets.replace('"co_', '"xx_'))
    const { output, exited } = launch({ DATA_DIR: dataDir })
    expect(await exited).toBe(1)
    expect(output.stderr).toMatch(/^coditect: .*secrets\.json is damaged.*\n$/)
    expect(output.stderr).not.toContain('xx_')
  })

  test('says what to do where the data is there and its secrets are not', async () => {
    rmSync(join(dataDir, 'secrets.json'))
    const { output, exited } = launch({ DATA_DIR: dataDir })
    expect(await exited).toBe(1)
    expect(output.stderr).toMatch(
      /^coditect: .*put the secrets\.json .* back, or start with an empty DATA_DIR\n$/,
    )
  })
})

test.each<[number, RegExp]>([
  [401, /^The demo tenant lets nobody in/],
  [503, /^There is no link into the demo tenant's console: 503 .*region_unavailable/],
])('why there is no link into the demo tenant is said: %i', async (status, line) => {
  const edge = createHttpServer((_, answer) => answer.writeHead(status).end('region_unavailable'))
  await new Promise<void>((done) => edge.listen(0, '127.0.0.1', done))
  const address = edge.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const way = await demoWay(`http://127.0.0.1:${port}`, { tenantId: 'ten_1', apiKey: 'ck_dev_1' })
  edge.close()
  expect(way).toEqual({ adminUrl: null, refused: expect.stringMatching(line) })
})

describe('what cannot start', () => {
  test('databases without their secrets, whatever is in them: new ones would open nothing', async () => {
    const lost = newDataDir()
    mkdirSync(join(lost, 'eu'), { recursive: true })
    const { output, exited } = launch({ DATA_DIR: lost })
    expect(await exited).toBe(1)
    expect(output.stderr).toMatch(/^coditect: .*put the secrets\.json .* back.*\n$/)
    expect(existsSync(join(lost, 'secrets.json'))).toBe(false)
    rmSync(lost, { recursive: true, force: true })
  })

  test('a part that ends with an uncaught error is told by that, not by the version of Node', async () => {
    const dir = new DataDir(newDataDir())
    const script = "throw Object.assign(new TypeError('no such thing'), { code: 'E' })"
    const part = new Part({
      name: 'us',
      dir,
      launch: (log) => ({
        child: spawn(process.execPath, ['-e', script], { stdio: ['ignore', log, log] }),
        ready: new Promise<never>(() => {}),
      }),
      say: () => {},
    })
    await expect(part.start()).rejects.toThrow(/^us: TypeError: no such thing$/)
    dir.release()
    rmSync(dir.path, { recursive: true, force: true })
  })

  test('a part whose pid file cannot be written runs all the same, and no file names another process', async () => {
    const dir = new DataDir(newDataDir())
    const said: string[] = []
    const part = new Part({
      name: 'us',
      dir,
      launch: (log) => ({
        child: spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: ['ignore', log, log] }),
        ready: Promise.resolve(),
      }),
      say: (line) => said.push(line),
    })
    dir.write('run/us.pid', '1\n')
    // In the way of what is written first.
    mkdirSync(dir.file('run/us.pid.partial'))
    await part.start()
    expect(said).toEqual([expect.stringMatching(/^us runs as process \d+, which can't be written/)])
    expect(existsSync(dir.file('run/us.pid'))).toBe(false)
    await part.stop(1_000)
    dir.release()
    rmSync(dir.path, { recursive: true, force: true })
  })

  const dataDir = newDataDir()
  /** A data directory with a file in it that nobody can use. */
  const withFile = (...path: string[]): string => {
    const directory = join(dataDir, path.join('-'))
    mkdirSync(dirname(join(directory, ...path)), { recursive: true })
    writeFileSync(join(directory, ...path), 'of no use'.repeat(1_000))
    return directory
  }
  const file = join(dataDir, 'a-file')
  writeFileSync(file, '')
  const busy = createServer()
  let taken = ''
  beforeAll(async () => {
    await new Promise<void>((done) => busy.listen(0, '127.0.0.1', done))
    const address = busy.address()
    taken = typeof address === 'object' ? String(address?.port) : ''
  })
  afterAll(() => {
    busy.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test.each<[string, () => Record<string, string>, RegExp]>([
    ['a taken port of the edge', () => ({ PORT: taken }), /port \d+ is taken.*; PORT chooses another/],
    ['a taken port of a region', () => ({ REGION_PORTS: `0,${taken}` }), /port \d+ is taken.*; REGION_PORTS/],
    // A file in the way, and a file system without files, stop root too.
    ['a directory below a file', () => ({ DATA_DIR: join(file, 'data') }), /DATA_DIR: .*can't be written/],
    ['a directory that is a file', () => ({ DATA_DIR: file }), /DATA_DIR: .*can't be written/],
    ['a directory in /proc', () => ({ DATA_DIR: '/proc/coditect' }), /DATA_DIR: .*can't be written/],
    ['a port that is none', () => ({ PORT: '80x' }), /PORT: 80x is not a port/],
    ['one port for both', () => ({ REGION_PORTS: '9101,9101' }), /REGION_PORTS has the port 9101 twice/],
    ['a port for one region only', () => ({ REGION_PORTS: '9101' }), /REGION_PORTS has a port for each/],
    ['no instances', () => ({ REGION_INSTANCES: '0' }), /REGION_INSTANCES/],
    ['operators that are not JSON', () => ({ OPERATORS: '[' }), /: OPERATORS is not JSON/],
    [
      'an operator whose token stands there, and not its hash',
      () => ({ OPERATORS: '[{"id":"ops","role":"admin","secretHash":"co_hidden"}]' }),
      /: OPERATORS\.0\.secretHash: (?!.*hidden)/,
    ],
    [
      'a limit of failures that lets nothing fail',
      () => ({ FAILURE_LIMIT: '{"rate":5}' }),
      /: FAILURE_LIMIT\.burst: /,
    ],
    [
      'a lock that is none',
      () => ({ DATA_DIR: withFile('run', 'lock') }),
      /run\/lock is damaged .*: delete it/,
    ],
    [
      'secrets that are a directory',
      () => ({ DATA_DIR: withFile('secrets.json', 'a') }),
      /secrets\.json can't be read \(.*\); put it back/,
    ],
    [
      'a damaged limiter',
      () => ({ DATA_DIR: withFile('limits', 'TenantLimiter', 'metadata.sqlite') }),
      /\/limits is damaged: delete it/,
    ],
  ])('%s is one clear line and exit code 1', async (_, variables, line) => {
    const { output, exited } = launch({ DATA_DIR: join(dataDir, 'data'), ...variables() })
    expect(await exited).toBe(1)
    expect(output.stderr).toMatch(/^coditect: [^\n]+\n$/)
    expect(output.stderr).toMatch(line)
    const run = join(dataDir, 'data', 'run')
    if (existsSync(run)) expect(readdirSync(run).filter((name) => name.endsWith('.pid'))).toEqual([])
  })
})

describe('the end', () => {
  let started: { npm: ChildProcess; dataDir: string } | undefined
  afterEach(() => {
    if (started?.npm.exitCode === null && started.npm.pid) process.kill(-started.npm.pid, 'SIGKILL')
    if (started) rmSync(started.dataDir, { recursive: true, force: true })
  })

  /** As a terminal does it: npm leads a process group of its own. */
  async function npmStart() {
    const dataDir = newDataDir()
    const npm = spawn('npm', ['start'], {
      cwd: ROOT,
      env: { ...process.env, PORT: '0', REGION_PORTS: '0,0', DATA_DIR: dataDir },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    started = { npm, dataDir }
    let stdout = ''
    npm.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    const exited = new Promise<number | null>((resolve) => npm.once('exit', resolve))
    await vi.waitUntil(() => stdout.includes('Ctrl-C stops everything.'), { timeout: 30_000 })
    const run = join(dataDir, 'run')
    const pids = PARTS.map((part) => Number(readFileSync(join(run, `${part}.pid`), 'utf8')))
    return { npm, dataDir, stdout, exited, pids }
  }

  test.each<[string, NodeJS.Signals, 'npm' | 'group']>([
    ['Ctrl-C in the terminal', 'SIGINT', 'group'],
    ['SIGTERM to npm', 'SIGTERM', 'npm'],
  ])('%s stops every process within 5 s, with exit code 0', async (_, signal, to) => {
    const { npm, exited, pids, dataDir } = await npmStart()
    const from = performance.now()
    process.kill((npm.pid ?? 0) * (to === 'group' ? -1 : 1), signal)
    expect(await exited).toBe(0)
    expect(performance.now() - from).toBeLessThan(5_000)
    expect(pids.filter(isAlive)).toEqual([])
    expect(existsSync(join(dataDir, 'dev.json'))).toBe(false)
  })

  test('a launcher that is killed takes everything with it', async () => {
    const stack = await startStack()
    const pids = PARTS.map(stack.pid)
    stack.launcher.kill('SIGKILL')
    await vi.waitUntil(() => !pids.some(isAlive), { timeout: 5_000 })
    await stack.stop()
  })

  test('the printed curl line works when pasted, and no secret was printed', async () => {
    const { stdout, dataDir, npm, exited } = await npmStart()
    const line = stdout.split('\n').find((text) => text.includes('curl')) ?? ''
    const { stdout: answer } = await promisify(execFile)('/bin/sh', ['-c', line])
    expect(JSON.parse(answer)).toMatchObject({ slug: 'demo' })
    const { operatorToken, demo } = JSON.parse(readFileSync(join(dataDir, 'dev.json'), 'utf8'))
    expect(stdout).not.toContain(operatorToken)
    expect(stdout).not.toContain(demo.apiKey)
    npm.kill('SIGTERM')
    expect(await exited).toBe(0)
  })
})

test('--help says what can be set', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'dev', 'start.ts'), '--help'])
  for (const setting of ['PORT', 'REGION_PORTS', 'DATA_DIR', 'FDB_CLUSTER_FILE'])
    expect(stdout).toContain(setting)
})
