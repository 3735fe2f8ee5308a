// The edge where it is deployed: on one's own machines, run here as it is run there, and on Cloudflare, as far as wrangler
// goes without sending anything.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { claimable } from '../../dev/ports.ts'
import { WORKERD } from '../../dev/workerd.ts'
import { readConfig } from '../../regional/config.ts'
import { type Region, startRegion } from '../../regional/server.ts'
import { hashOperatorToken, newOperatorToken } from '../../shared/credentials/operator_token.ts'
import { ROOT } from '../e2e/stack.ts'
import { RegionSecrets } from '../support/region_client.ts'

const folder = mkdtempSync(join(tmpdir(), 'coditect-edge-'))
const operatorToken = newOperatorToken()
const stops: Array<() => void> = []
let environment: Record<string, string>
let region: Region

beforeAll(async () => {
  const port = await claimable(0)
  const url = `http://127.0.0.1:${port}`
  const operator = { id: 'ops', role: 'admin', secretHash: await hashOperatorToken(operatorToken) }
  environment = {
    ...(await new RegionSecrets(['us']).environment('us', { us: url })),
    OPERATORS: JSON.stringify([operator]),
    PUBLIC_ORIGIN: 'https://api.example',
  }
  const own = { PORT: String(port), DATA_DIR: join(folder, 'us') }
  region = await startRegion(readConfig({ ...environment, ...own }), { writeLog: () => {} })
})
afterAll(async () => {
  for (const stop of stops) stop()
  await region.close()
  rmSync(folder, { recursive: true, force: true })
})

/** The first commands that the documentation has for an edge of one's own: they build it and run it. */
const [, COMMANDS = ''] =
  /^## The edge on machines of your own\n.*?^```sh\n(.*?)^```/ms.exec(
    readFileSync(join(ROOT, 'docs', 'deploying.md'), 'utf8'),
  ) ?? []

/** Builds the edge, and runs it with the very words of the documentation, but for places, addresses and the port. */
async function runEdge(
  name: string,
  network: ReadonlyArray<string>,
  own: Record<string, string> = {},
): Promise<{ url: string; objects: string }> {
  const objects = join(folder, `${name}-objects`)
  const secrets = join(folder, `${name}.env`)
  writeFileSync(secrets, asLines({ ...environment, ...own }))
  const words: Record<string, string> = {
    'build/edge': join(folder, name),
    '/var/lib/coditect-edge': objects,
    'secrets/edge.env': secrets,
    ' --network 10.20.0.0/16': network.map((block) => ` --network ${block}`).join(''),
    'http=127.0.0.1:8787': 'http=127.0.0.1:0 --control-fd 3',
  }
  const commands = Object.entries(words).reduce((text, [theirs, ours]) => {
    expect(text).toContain(theirs)
    return text.replaceAll(theirs, ours)
  }, COMMANDS)
  const child = spawn('/bin/sh', ['-ec', commands], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    detached: true,
  })
  stops.push(() => endAll(child))
  const port = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`workerd ended with ${code}`)))
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      const [, found] = /"port":(\d+)/.exec(chunk.toString('utf8')) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  return { url: `http://127.0.0.1:${port}`, objects }
}

/** As deploy/new_secrets.ts writes them. */
const asLines = (variables: Record<string, string>): string =>
  Object.entries(variables)
    .map(([variable, value]) => `${variable}=${value}\n`)
    .join('')

/** Ends a process that was started `detached`, and whatever it started. */
function endAll({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, 'SIGKILL')
}

const asOperator = { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' }

async function makeTenant(url: string, slug: string): Promise<{ id: string; key: string }> {
  const made = await fetch(`${url}/platform/v1/tenants`, {
    method: 'POST',
    headers: asOperator,
    body: JSON.stringify({
      slug,
      name: slug,
      region: 'us',
      plan: 'team',
      owner: { email: 'a@acme.example' },
    }),
  })
  expect(made.status).toBe(201)
  const { tenant, apiKey } = (await made.json()) as { tenant: { id: string }; apiKey: { key: string } }
  return { id: tenant.id, key: apiKey.key }
}

test('an edge of one’s own makes tenants, serves them, and holds each to its rate', async () => {
  const { url, objects } = await runEdge('own', ['127.0.0.0/8'])
  const { id, key } = await makeTenant(url, 'acme')
  const limited = await fetch(`${url}/platform/v1/tenants/${id}`, {
    method: 'PATCH',
    headers: asOperator,
    body: JSON.stringify({ limits: { requestsPerSecond: 2, burst: 10 } }),
  })
  expect(limited.status).toBe(200)
  const headers = { authorization: `Bearer ${key}` }
  const statuses: number[] = []
  // The edge hears of the new limits with the first answers.
  for (let i = 0; i < 200 && !statuses.includes(429); i++) {
    statuses.push((await fetch(`${url}/v1/projects`, { headers })).status)
  }
  expect(statuses[0]).toBe(200)
  expect(statuses.at(-1)).toBe(429)
  expect(readdirSync(join(objects, 'TenantLimiter')).length).toBeGreaterThan(0)
})

/** What stands in a unit of systemd's. */
const setting = (unit: string, name: string): string => {
  const text = readFileSync(join(ROOT, 'deploy', 'workerd', unit), 'utf8')
  return new RegExp(`^${name}=(.+)$`, 'm').exec(text)?.[1] ?? ''
}

/** Holds a socket as systemd does, and keeps workerd running on it. */
async function underSystemd(config: string): Promise<{ url: string; current(): Promise<number> }> {
  const [host, port] = setting('coditect-edge.socket', 'ListenStream').split(':')
  expect([host, port]).toEqual(['127.0.0.1', '8787'])
  const socket = createServer().listen(0, host)
  await once(socket, 'listening')
  const url = `http://${host}:${(socket.address() as AddressInfo).port}`
  const command = setting('coditect-edge.service', 'ExecStart')
    .replace('/opt/coditect/workerd', `"${WORKERD}"`)
    .replace('/opt/coditect/edge/workerd.capnp', `"${config}"`)
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  const supervisor = spawn('/bin/sh', ['-c', `while :; do ${command} & echo $! >&4; wait $!; done`], {
    env: { ...environment, PATH: process.env.PATH },
    stdio: ['ignore', 'ignore', 'ignore', fd, 'pipe'],
    detached: true,
  })
  stops.push(() => endAll(supervisor))
  socket.close()
  const told = supervisor.stdio[4]
  if (!told) throw new Error('the supervisor says nothing')
  return { url, current: async () => Number(String((await once(told, 'data'))[0])) }
}

test('a restart under systemd refuses nobody, whatever is open, and cuts tails off in time', async () => {
  const built = join(folder, 'restarted')
  const objects = join(folder, 'restarted-objects')
  mkdirSync(objects)
  const build = [join(ROOT, 'deploy', 'workerd', 'build.ts'), built, '--objects', objects]
  await promisify(execFile)(process.execPath, [...build, '--network', '127.0.0.0/8'])
  const { url, current } = await underSystemd(join(built, 'workerd.capnp'))
  const first = await current()
  const { key } = await makeTenant(url, 'restarted')
  const headers = { authorization: `Bearer ${key}` }
  const tail = await fetch(`${url}/v1/events`, { headers: { ...headers, accept: 'text/event-stream' } })
  expect(tail.status).toBe(200)
  expect(tail.headers.get('x-accel-buffering')).toBe('no')
  const ended = tail.text().catch(() => 'cut off')

  const seconds = Number(setting('coditect-edge.service', 'TimeoutStopSec'))
  expect(seconds).toBeLessThanOrEqual(10)
  process.kill(first, 'SIGTERM')
  const next = current()
  const kill = setTimeout(() => process.kill(first, 'SIGKILL'), seconds * 1_000)
  // Each on a connection of its own: those that lay idle are closed with the signal.
  const ask = async () =>
    (await request(`${url}/v1/projects`, { headers, dispatcher: new Agent() })).statusCode
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([200, 200, 200])
  expect(await ended).toBe('cut off')
  expect(await next).not.toBe(first)
  clearTimeout(kill)
})

test('behind a proxy that is trusted each client is an address of its own, and behind any other all are one', async () => {
  const attempts = { FAILURE_LIMIT: '{"rate":0.01,"burst":3}' }
  const headers = { authorization: 'Bearer ck_test_invented' }
  const ask = async (url: string, address: string) =>
    (await fetch(`${url}/v1/projects`, { headers: { ...headers, 'x-forwarded-for': address } })).status
  for (const [block, ofOther] of [
    ['127.0.0.0/8, ::1', 401],
    ['10.0.0.0/8', 429],
  ] as const) {
    const { url } = await runEdge(`behind-${ofOther}`, [], { ...attempts, TRUSTED_PROXIES: block })
    for (let i = 0; i < 3; i++) expect(await ask(url, '192.0.2.1')).toBe(401)
    expect(await ask(url, '203.0.113.9, 192.0.2.1')).toBe(429)
    expect(await ask(url, '192.0.2.2')).toBe(ofOther)
  }
})

test('an edge that was told of no private network reaches none', async () => {
  const { url } = await runEdge('public', [])
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  const answer = await fetch(`${url}/platform/v1/regions`, { headers: asOperator })
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([
    503,
    'region_unavailable',
  ])
})

test('what weakens an edge for development can’t be switched on in one that is deployed', async () => {
  await runEdge('plain', [])
  const config = readFileSync(join(folder, 'plain', 'workerd.capnp'), 'utf8')
  expect(config).toContain('"SIGNING_ROOTS"')
  expect(config).not.toMatch(/DEVELOPMENT_ISSUERS|"LIMITS"/)
})

test.each(['staging', 'production'])('the environment %s is found where its clients are told', (name) => {
  const text = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8')
  const [, part = ''] = text.split(`[env.${name}]\n`)
  const [own = '', vars = ''] = part.split(`[env.${name}.vars]\n`)
  const [, host] = /^PUBLIC_ORIGIN = "https:\/\/([^"]+)"$/m.exec(vars) ?? []
  expect(host).toBeDefined()
  expect(own).toContain(`{ pattern = "${host}", custom_domain = true }`)
})

test.each(['staging', 'production'])(
  'wrangler takes the environment %s, with all that the edge needs',
  async (name) => {
    const wrangler = join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js')
    const args = [wrangler, 'deploy', '--dry-run', '--env', name, '--outdir', join(folder, name)]
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
    })
    for (const binding of ['TENANT_LIMITER (TenantLimiter)', 'PUBLIC_ORIGIN', 'REGIONS', 'CONTROL_REGION']) {
      expect(stdout).toContain(`env.${binding}`)
    }
    expect(stdout + stderr).not.toMatch(/warning/i)
    // Secrets come from `wrangler secret put`, and are nowhere in the file.
    expect(stdout).not.toMatch(/ASSERTION_KEYS|SIGNING_ROOTS|OPERATORS/)
  },
)
