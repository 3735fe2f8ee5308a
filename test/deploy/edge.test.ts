// The edge where it is deployed: on one's own machines, run here as it is run there, and on Cloudflare, as far as wrangler
// goes without sending anything.
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
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

/** Builds the edge, and runs it with the very words of the documentation. */
async function runEdge(
  name: string,
  network: ReadonlyArray<string>,
): Promise<{ url: string; objects: string }> {
  const [built, objects] = [join(folder, name), join(folder, `${name}-objects`)]
  mkdirSync(objects)
  const blocks = network.flatMap((block) => ['--network', block])
  const build = [join(ROOT, 'deploy', 'workerd', 'build.ts'), built, '--objects', objects, ...blocks]
  const { stdout } = await promisify(execFile)(process.execPath, build)
  const serve = ['serve', stdout.trim(), '--socket-addr', 'http=127.0.0.1:0', '--control-fd', '3']
  const child = spawn(WORKERD, serve, { env: environment, stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  stops.push(() => child.kill('SIGKILL'))
  const port = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`workerd ended with ${code}`)))
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      const [, found] = /"port":(\d+)/.exec(chunk.toString('utf8')) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  return { url: `http://127.0.0.1:${port}`, objects }
}

const asOperator = { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' }

test('an edge of one’s own makes tenants, serves them, and holds each to its rate', async () => {
  const { url, objects } = await runEdge('own', ['127.0.0.0/8'])
  const made = await fetch(`${url}/platform/v1/tenants`, {
    method: 'POST',
    headers: asOperator,
    body: JSON.stringify({
      slug: 'acme',
      name: 'Acme',
      region: 'us',
      plan: 'team',
      owner: { email: 'a@acme.example' },
    }),
  })
  expect(made.status).toBe(201)
  const { tenant, apiKey } = (await made.json()) as { tenant: { id: string }; apiKey: { key: string } }
  const limited = await fetch(`${url}/platform/v1/tenants/${tenant.id}`, {
    method: 'PATCH',
    headers: asOperator,
    body: JSON.stringify({ limits: { requestsPerSecond: 2, burst: 10 } }),
  })
  expect(limited.status).toBe(200)
  const headers = { authorization: `Bearer ${apiKey.key}` }
  const statuses: number[] = []
  // The edge hears of the new limits with the first answers.
  for (let i = 0; i < 200 && !statuses.includes(429); i++) {
    statuses.push((await fetch(`${url}/v1/projects`, { headers })).status)
  }
  expect(statuses[0]).toBe(200)
  expect(statuses.at(-1)).toBe(429)
  expect(readdirSync(join(objects, 'TenantLimiter')).length).toBeGreaterThan(0)
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
