// The real command against the real platform: what is typed, what is printed, and how it ends.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barOf } from '../../cli/jobs.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { ROOT, type Stack, startStack } from './stack.ts'

let stack: Stack
let server: ModelServer
const folder = mkdtempSync(join(tmpdir(), 'coditect-cli-'))
const CONFIG = join(folder, 'profiles.json')

beforeAll(async () => {
  stack = await startStack()
  server = await startModelServer()
})
afterAll(async () => {
  await stack.stop()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** @param enough ends the command, as Ctrl-C does, once it has printed this */
function coditect(
  args: string[],
  { env = {}, input, enough }: { env?: Record<string, string>; input?: string; enough?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [join(ROOT, 'cli/coditect.ts'), ...args], {
    env: { PATH: process.env.PATH, CODITECT_CONFIG: CONFIG, ...env },
  })
  const ended: Ended = { code: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ended.stdout += text
    if (enough !== undefined && ended.stdout.includes(enough)) child.kill('SIGINT')
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ended.stderr += text
  })
  child.stdin.end(input ?? '')
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...ended, code })))
}

const as = (token: string) => ({ CODITECT_URL: stack.edge, CODITECT_TOKEN: token })
const json = ({ stdout }: Ended) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

test('an operator makes an organisation, looks at it, suspends it and erases it', async () => {
  const env = as(stack.operatorToken)
  const made = await coditect(['tenants', 'create', 'typed', '--email', 'o@typed.example', '--json'], { env })
  expect(made.code).toBe(0)
  const [{ tenant, apiKey }] = json(made)
  expect(tenant).toMatchObject({ slug: 'typed', plan: 'free', region: 'us' })
  const listed = await coditect(['tenants', 'list'], { env })
  expect(listed.stdout).toMatch(/^ID +SLUG +PLAN/)
  expect(listed.stdout).toContain(tenant.id)
  expect((await coditect(['tenants', 'suspend', tenant.id], { env })).stdout).toMatch(/status +suspended/)
  const refused = await coditect(['projects', 'list'], { env: as(apiKey.key) })
  expect([refused.code, refused.stdout]).toEqual([1, ''])
  expect(refused.stderr).toMatch(/^coditect: .*tenant_suspended, req_/)
  expect((await coditect(['tenants', 'resume', tenant.id], { env })).code).toBe(0)
  expect((await coditect(['tenants', 'delete', tenant.id], { env })).code).toBe(2)
  expect((await coditect(['tenants', 'delete', tenant.id, '--yes'], { env })).code).toBe(0)
})

test('a tenant works with projects and records, and sees what changed', async () => {
  const env = as(stack.demo.apiKey)
  const [project] = json(await coditect(['projects', 'create', 'Typed', '--json'], { env }))
  const put = await coditect(['records', 'put', project.id, 'notes', '-', '--json'], {
    env,
    input: '{"text":"a"}',
  })
  expect(json(put)).toMatchObject([{ data: { text: 'a' } }])
  const list = await coditect(['records', 'list', project.id, 'notes', '--json'], { env })
  expect(json(list)).toMatchObject([{ data: { text: 'a' } }])
  const indexless = await coditect(['records', 'list', project.id, 'notes', '--where', 'text=a'], { env })
  expect([indexless.code, indexless.stderr]).toEqual([1, expect.stringContaining('index_required')])
  expect((await coditect(['records', 'put', project.id, 'notes', 'nonsense'], { env })).code).toBe(2)

  const [first] = (await stack.call<{ data: Array<{ id: string }> }>('/v1/events?limit=1')).body.data
  const tail = await coditect(['events', 'tail', '--after', first?.id ?? '', '--types', 'record.*'], {
    env,
    enough: 'record.created',
  })
  expect(tail.code).toBe(0)
  expect(tail.stdout).toMatch(/record\.created {2}rec_/)
  expect((await coditect(['usage'], { env })).stdout).toMatch(/projects +[\d,]+ of [\d,]+/)
  const gone = await coditect(['projects', 'delete', project.id, '--json'], { env })
  expect(json(gone)).toMatchObject([{ state: 'done' }])
  expect((await coditect(['projects', 'show', project.id], { env })).stderr).toContain('not_found')
})

test('an agent’s words are printed as they come', async () => {
  await stack.call('/platform/v1/models', { method: 'POST', body: { name: 'm', baseUrl: server.baseUrl } })
  const project = (await stack.call<{ id: string }>('/v1/projects', { method: 'POST', body: { name: 'P' } }))
    .body
  const path = `/v1/projects/${project.id}/agents`
  const agent = (await stack.call<{ id: string }>(path, { method: 'POST', body: { name: 'A' } })).body
  const env = as(stack.demo.apiKey)
  const run = await coditect(['agents', 'run', project.id, agent.id, 'Hello'], { env })
  expect([run.code, run.stdout]).toEqual([0, 'Hello, world.\n'])
  const failed = await coditect(['agents', 'run', project.id, agent.id, 'failing'], { env })
  expect([failed.code, failed.stderr]).toEqual([1, 'coditect: The model’s server failed.\n'])
})

test('a profile keeps the token in a file of one’s own', async () => {
  const nothing = await coditect(['projects', 'list'])
  expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining('coditect login')])
  const kept = await coditect(['login', '--url', stack.edge, '--as', 'demo'], { input: stack.demo.apiKey })
  expect(kept.code).toBe(0)
  expect(statSync(CONFIG).mode & 0o777).toBe(0o600)
  expect((await coditect(['projects', 'list'])).code).toBe(0)
  expect((await coditect(['projects', 'list', '--profile', 'other'])).code).toBe(2)
})

test('what cannot be reached, or is not there, is told and coded', async () => {
  const env = { CODITECT_URL: 'http://127.0.0.1:9', CODITECT_TOKEN: 'x' }
  const unreachable = await coditect(['projects', 'list'], { env })
  expect([unreachable.code, unreachable.stderr]).toEqual([3, expect.stringContaining('was not answered')])
  expect((await coditect(['nonsense'])).code).toBe(2)
  for (const args of [['--help'], ['tenants', '--help'], ['db', 'copy', '--help']]) {
    const help = await coditect(args)
    expect([help.code, help.stdout]).toEqual([0, expect.stringContaining('Usage: coditect')])
  }
})

test('progress is a bar where the end is known, and a count where it is not', () => {
  expect(barOf({ done: 5, total: 10 })).toMatch(/^█{12}░{12} 50 % {2}5 of 10$/)
  expect(barOf({ done: 1_500, total: null })).toBe('1,500 done')
})
