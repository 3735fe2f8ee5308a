// The real command against the real platform: what is typed, what is printed, and how it ends.
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barOf } from '../../cli/jobs.ts'
import { terminalOutput } from '../../cli/output.ts'
import { COMPILED } from '../../dev/region.ts'
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
  {
    env = {},
    input,
    enough,
  }: { env?: Record<string, string>; input?: string | Uint8Array; enough?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [join(ROOT, 'cli/coditect.ts'), ...args], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILED, CODITECT_CONFIG: CONFIG, ...env },
  })
  const ended: Ended = { code: null, stdout: '', stderr: '' }
  let interrupted = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ended.stdout += text
    // Once: the second Ctrl-C ends it at once, whatever it does.
    if (enough !== undefined && ended.stdout.includes(enough) && !interrupted)
      interrupted = child.kill('SIGINT')
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
  const changed = await coditect(
    [
      'tenants',
      'update',
      'typed',
      '--plan',
      'team',
      '--limit',
      'projects=7',
      '--limit',
      'burst=2000',
      '--json',
    ],
    { env },
  )
  expect(json(changed)).toMatchObject([{ id: tenant.id, plan: 'team', limits: { projects: 7, burst: 2000 } }])
  const unlimited = ['tenants', 'update', 'typed', '--limit', 'projects=plan', '--json']
  expect(json(await coditect(unlimited, { env }))[0].limits.projects).toBeGreaterThan(7)
  expect((await coditect(['tenants', 'update', 'typed', '--limit', 'such=1'], { env })).code).toBe(2)
  expect((await coditect(['tenants', 'usage', 'typed'], { env })).stdout).toMatch(/members +1 of/)
  expect((await coditect(['tenants', 'show', 'type'], { env })).stderr).toContain('no organisation type')
  expect((await coditect(['tenants', 'list', '--order', 'cost', '--limit', '1'], { env })).stdout).toContain(
    'COST',
  )
  const both = await coditect(['tenants', 'list', '--order', 'cost', '--slug', 'ty'], { env })
  expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('--order cost goes without --slug')])
  expect((await coditect(['tenants', 'suspend', 'typed'], { env })).stdout).toMatch(/status +suspended/)
  const refused = await coditect(['projects', 'list'], { env: as(apiKey.key) })
  expect([refused.code, refused.stdout]).toEqual([1, ''])
  expect(refused.stderr).toMatch(/^coditect: .*tenant_suspended, req_/)
  expect((await coditect(['tenants', 'resume', tenant.id], { env })).code).toBe(0)
  expect((await coditect(['tenants', 'delete', tenant.id], { env })).code).toBe(2)
  const gone = await coditect(['tenants', 'delete', 'typed', '--yes', '--json'], { env })
  expect(json(gone)).toMatchObject([{ state: 'done', certificate: { tenant: tenant.id } }])
  expect((await coditect(['tenants', 'show', tenant.id], { env })).stderr).toContain('not_found')
})

test('organisations of a region that does not answer are not silently missing', async () => {
  const env = as(stack.operatorToken)
  await coditect(['tenants', 'create', 'far', '--email', 'o@far.example', '--region', 'eu'], { env })
  process.kill(stack.pid('eu'), 'SIGSTOP')
  try {
    const [listed, shown] = await Promise.all([
      coditect(['tenants', 'list'], { env }),
      coditect(['tenants', 'show', 'far'], { env }),
    ])
    expect([listed.code, shown.code]).toEqual([1, 1])
    expect(listed.stdout).toContain('demo')
    for (const { stderr } of [listed, shown]) expect(stderr).toContain('no answer from eu')
  } finally {
    process.kill(stack.pid('eu'), 'SIGCONT')
  }
  const { stdout } = await coditect(['tenants', 'list'], { env })
  expect(stdout).toMatch(/far .* eu/)
})

test('a key is made, rotated and revoked, and gives nothing that its maker does not have', async () => {
  const env = as(stack.demo.apiKey)
  const [made] = json(
    await coditect(
      ['keys', 'create', '--scope', 'api-keys:write', '--scope', 'projects:read', 'narrow', '--json'],
      { env },
    ),
  )
  const beyond = ['keys', 'create', 'wide', '--scope', 'projects:write']
  const refused = await coditect(beyond, { env: as(made.key) })
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('insufficient_scope')])
  const rotated = ['keys', 'rotate', made.id, '--overlap', '0', '--json']
  const [next] = json(await coditect(rotated, { env }))
  expect((await coditect(['keys', 'list'], { env: as(made.key) })).stderr).toContain('api_key_revoked')
  expect((await coditect(['keys', 'list'], { env: as(next.key) })).stdout).toContain(next.id)
  expect((await coditect(['keys', 'revoke', next.id], { env })).code).toBe(0)
  expect((await coditect(['keys', 'list'], { env: as(next.key) })).code).toBe(1)
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
  // The refusal names the index to declare; declaring waits until it is built.
  const declaration = /\{"field":"text","type":"string"\}/.exec(indexless.stderr)?.[0]
  expect(declaration, indexless.stderr).toBeDefined()
  const declared = await coditect(
    ['collections', 'declare', project.id, 'notes', `{"indexes": [${declaration}]}`, '--json'],
    { env },
  )
  expect(json(declared)).toMatchObject([{ name: 'notes', indexes: [{ state: 'ready' }] }])
  // What can't be built is said; then what is left of that declaration is ready, whatever became of its job.
  const place = [project.id, 'notes']
  const double = await coditect(['records', 'put', ...place, '{"text":"a","n":1}', '--json'], { env })
  const unique =
    '{"indexes": [{"field": "text", "type": "string", "unique": true}, {"field": "n", "type": "number"}]}'
  const twice = await coditect(['collections', 'declare', ...place, unique], { env })
  expect([twice.code, twice.stderr]).toEqual([1, expect.stringContaining('text could not be built')])
  const left = '{"indexes": [{"field": "n", "type": "number"}]}'
  const ready = await coditect(['collections', 'declare', ...place, left, '--json'], { env })
  expect([ready.code, ready.stderr]).toEqual([0, ''])
  const again = `{"indexes": [${declaration}]}`
  expect((await coditect(['collections', 'declare', ...place, again], { env })).code).toBe(0)
  expect((await coditect(['records', 'delete', ...place, json(double)[0].id], { env })).code).toBe(0)
  const [record] = json(put)
  const patch = ['records', 'patch', ...place, record.id, '{"more":1}', '--if-match', '"1"', '--json']
  expect(json(await coditect(patch, { env }))).toMatchObject([{ data: { text: 'a', more: 1 }, version: 2 }])
  expect((await coditect(patch, { env })).stderr).toContain('precondition_failed')
  // Such as of a variable that is not set: nothing is changed without the condition that was meant.
  expect((await coditect(patch.with(patch.indexOf('"1"'), ''), { env })).code).toBe(2)
  const bare = await coditect(patch.with(patch.indexOf('"1"'), '1'), { env })
  expect([bare.code, bare.stderr]).toEqual([2, expect.stringContaining('stands in quotation marks')])
  const replace = ['records', 'put', ...place, '{"text":"b"}', '--id', record.id, '--json']
  expect(json(await coditect(replace, { env }))).toMatchObject([{ data: { text: 'b' }, version: 3 }])
  const found = await coditect(['records', 'list', '--where', 'text=b', ...place, '--json'], { env })
  expect(json(found)).toMatchObject([{ id: record.id }])
  const typo = await coditect(['records', 'list', '--where', 'age>=18', ...place], { env })
  expect([typo.code, typo.stderr]).toEqual([2, expect.stringContaining('field[gte]=value')])
  // What may be long stands last: nothing is moved to the right by it.
  expect((await coditect(['records', 'list', ...place], { env })).stdout).toMatch(
    /^ID +UPDATEDAT +DATA\nrec_\w+ {2}\S+Z {2}\{"text":"b"\}\n$/,
  )
  expect((await coditect(['records', 'list', ...place, '--limit', '0'], { env })).stdout).toContain('(none)')
  expect((await coditect(['projects', 'archive', project.id], { env })).stdout).toMatch(/archivedAt +20/)
  expect((await coditect(['records', 'put', ...place, '{}'], { env })).stderr).toContain('project_archived')
  expect((await coditect(['projects', 'restore', project.id], { env })).code).toBe(0)

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

test('what is read is UTF-8, with or without a mark before it, or refused: nothing is stored with other letters', async () => {
  const env = as(stack.demo.apiKey)
  const [project] = json(await coditect(['projects', 'create', 'Letters', '--json'], { env }))
  const file = join(folder, 'letters')
  const put = (from: string, input?: Uint8Array) =>
    coditect(['records', 'put', project.id, 'notes', from, '--json'], { env, ...(input && { input }) })
  const marked = Buffer.from('\ufeff{"text":"ä"}')
  writeFileSync(file, marked)
  for (const told of [await put(`@${file}`), await put('-', marked)]) {
    expect(json(told)).toMatchObject([{ data: { text: 'ä' } }])
  }
  const latin = Buffer.from('{"text":"ä"}', 'latin1')
  writeFileSync(file, latin)
  const instructed = ['agents', 'create', project.id, 'A', '--instructions', `@${file}`]
  const run = ['agents', 'run', project.id, 'agt_1', '-']
  const refusals: Array<[Ended, string]> = [
    [await put(`@${file}`), file],
    [await put('-', latin), 'standard input'],
    [await coditect(instructed, { env }), file],
    [await coditect(run, { env, input: latin }), 'standard input'],
  ]
  for (const [{ code, stderr }, from] of refusals) {
    expect([code, stderr]).toEqual([2, `coditect: ${from} is not UTF-8\n`])
  }
})

test('an agent’s words are printed as they come', async () => {
  await stack.call('/platform/v1/models', { method: 'POST', body: { name: 'm', baseUrl: server.baseUrl } })
  const env = as(stack.demo.apiKey)
  const [project] = json(await coditect(['projects', 'create', 'P', '--json'], { env }))
  const create = ['agents', 'create', project.id, 'A', '--instructions', '-', '--json']
  const [agent] = json(await coditect(create, { env, input: 'Be short.' }))
  expect(agent.instructions).toBe('Be short.')
  expect((await coditect(['agents', 'models'], { env })).stdout).toMatch(/\nm +true/)
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
  const other = await coditect(['projects', 'list', '--profile', 'other'])
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('login --as other')])
  const operator = ['login', '--url', stack.edge, '--profile', 'operator']
  await coditect(operator, { input: stack.operatorToken })
  expect((await coditect(['tenants', 'list'])).code).toBe(0)
  expect((await coditect(['projects', 'list', '--profile', 'demo'])).code).toBe(0)
  const listed = await coditect(['profiles', 'list'])
  expect(listed.stdout).toMatch(/operator +http\S+ +true/)
  expect(listed.stdout).not.toContain(stack.operatorToken)
  expect((await coditect(['profiles', 'use', 'demo'])).code).toBe(0)
  expect((await coditect(['profiles', 'remove', 'operator'])).code).toBe(0)
  expect(readFileSync(CONFIG, 'utf8')).not.toContain(stack.operatorToken)
  chmodSync(CONFIG, 0o644)
  const open = await coditect(['projects', 'list'])
  expect([open.code, open.stderr]).toEqual([2, expect.stringContaining('chmod 600')])
})

test('a profile that is named is used whole, and half of the environment is none of it', async () => {
  const env = { CODITECT_CONFIG: join(folder, 'whole.json') }
  const login = ['login', '--url', stack.edge, '--as', 'dev']
  expect((await coditect(login, { env, input: stack.demo.apiKey })).code).toBe(0)
  // As if it were production: not one request goes there.
  const prod = { ...env, CODITECT_URL: 'http://127.0.0.1:9', CODITECT_TOKEN: 'x' }
  expect((await coditect(['projects', 'list', '--profile', 'dev'], { env: prod })).code).toBe(0)
  const chosen = { ...prod, CODITECT_PROFILE: 'dev' }
  expect((await coditect(['projects', 'list'], { env: chosen })).code).toBe(0)
  const absent = await coditect(['projects', 'list'], { env: { ...prod, CODITECT_PROFILE: 'other' } })
  expect([absent.code, absent.stderr]).toEqual([2, expect.stringContaining('no profile other')])
  expect((await coditect(['projects', 'list'], { env: prod })).code).toBe(3)
  for (const [set, missing] of [
    ['CODITECT_URL', 'CODITECT_TOKEN'],
    ['CODITECT_TOKEN', 'CODITECT_URL'],
  ] as const) {
    const half = await coditect(['projects', 'list'], { env: { ...env, [set]: prod[set] } })
    expect([half.code, half.stderr]).toEqual([
      2,
      expect.stringContaining(`${set} is set and ${missing} is not`),
    ])
  }
})

test('what can be no token is refused in one line that does not repeat it', async () => {
  for (const token of ['ck_dev_hidden\nck', 'ck dev hidden', 'ck_dev_hidden…']) {
    const refused = await coditect(['projects', 'list'], { env: as(token) })
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/^coditect: CODITECT_TOKEN [^\n]+\n$/),
    ])
    expect(refused.stderr).not.toContain('hidden')
  }
  const login = await coditect(['login', '--url', stack.edge], { input: 'ck dev hidden\n' })
  expect([login.code, login.stderr]).toEqual([
    2,
    expect.stringMatching(/^coditect: that is no token: (?!.*hidden)/),
  ])
  const nowhere = await coditect(['projects', 'list'], { env: { ...as('x'), CODITECT_URL: 'api' } })
  expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining('CODITECT_URL is not a URL')])
})

test('a place with a password in it is refused, in a line that does not repeat it', async () => {
  for (const url of [
    'https://u:hidden@api.example',
    'https://hidden@api.example',
    'https://api.example?hidden',
    'https://api.example/#hidden',
  ]) {
    const asked = await coditect(['projects', 'list'], { env: { ...as('x'), CODITECT_URL: url } })
    const login = await coditect(['login', '--url', url], { input: 'x' })
    for (const [{ code, stderr }, name] of [
      [asked, 'CODITECT_URL'],
      [login, '--url'],
    ] as const) {
      expect([code, stderr]).toEqual([2, expect.stringContaining(`${name} is not a URL`)])
      expect(stderr).not.toContain('hidden')
    }
  }
})

test('a profile is one that was kept, whatever it is called', async () => {
  const env = { XDG_CONFIG_HOME: join(folder, 'named'), CODITECT_CONFIG: '' }
  const login = (name: string) =>
    coditect(['login', '--url', stack.edge, '--as', name], { env, input: stack.demo.apiKey })
  expect((await login('work')).stdout).toContain(join(folder, 'named', 'coditect', 'profiles.json'))
  for (const args of [
    ['projects', 'list', '--profile', 'constructor'],
    ['profiles', 'use', 'constructor'],
  ]) {
    const { code, stderr } = await coditect(args, { env })
    expect([code, stderr]).toEqual([2, expect.stringContaining('there is no profile constructor')])
  }
  for (const name of ['__proto__', '', 'two words', '../up']) {
    const { code, stderr } = await login(name)
    expect([code, stderr]).toEqual([2, expect.stringContaining('a profile’s name is')])
  }
  expect((await login('constructor')).code).toBe(0)
  expect((await coditect(['projects', 'list', '--profile', 'constructor'], { env })).code).toBe(0)
  const nowhere = { ...env, XDG_CONFIG_HOME: '', HOME: join(folder, 'home') }
  const { stdout } = await coditect(['login', '--url', stack.edge], { env: nowhere, input: 'x' })
  expect(stdout).toContain(join(folder, 'home', '.config', 'coditect', 'profiles.json'))
})

test('profiles that are not as login writes them are told in one line, with the file and what to do', async () => {
  const file = join(folder, 'damaged.json')
  const env = { CODITECT_CONFIG: file }
  const profile = (token: string) => ({ current: 'a', profiles: { a: { url: stack.edge, token } } })
  for (const kept of ['{', '{}', JSON.stringify(profile('ck_dev_hidden\n'))]) {
    writeFileSync(file, kept, { mode: 0o600 })
    for (const args of [
      ['projects', 'list'],
      ['profiles', 'use', 'a'],
    ]) {
      const refused = await coditect(args, { env })
      expect([refused.code, refused.stdout]).toEqual([2, ''])
      expect(refused.stderr).toMatch(
        /^coditect: \S+damaged\.json is not what `login` writes .*log in again\n$/,
      )
      expect(refused.stderr).not.toContain('hidden')
    }
  }
})

test('whoever reads no further, as head does, is no error', async () => {
  const child = spawn(
    process.execPath,
    [join(ROOT, 'cli/coditect.ts'), 'events', 'tail', '--after', '0'.repeat(40)],
    {
      env: { PATH: process.env.PATH, ...as(stack.demo.apiKey) },
    },
  )
  child.stdout.once('data', () => child.stdout.destroy())
  // Something more to say, as often as it takes.
  const more = setInterval(() => {
    void stack.call('/v1/projects', { method: 'POST', body: { name: 'more' } })
  }, 200)
  const code = await new Promise((resolve) => child.once('exit', resolve))
  clearInterval(more)
  expect(code).toBe(0)
})

test('what cannot be reached, or is not there, is told and coded', async () => {
  const env = { CODITECT_URL: 'http://127.0.0.1:9', CODITECT_TOKEN: 'x' }
  const unreachable = await coditect(['projects', 'list'], { env })
  expect([unreachable.code, unreachable.stderr]).toEqual([
    3,
    expect.stringMatching(/ was not answered by http:\/\/127\.0\.0\.1:9: .*\bbad port\b/),
  ])
  expect((await coditect(['nonsense'])).code).toBe(2)
  const top = await coditect(['--help'])
  const commands = [...top.stdout.matchAll(/^ {2}([a-z]+) /gm)].flatMap(([, name]) => name ?? [])
  expect(commands.length).toBeGreaterThan(10)
  for (const args of [[], ['db', 'copy'], ...commands.map((name) => [name])]) {
    const help = args.at(-1) === 'help' ? top : await coditect([...args, '--help'])
    expect([help.code, help.stdout]).toEqual([0, expect.stringContaining('Usage: coditect')])
    // Every command says what it does.
    expect(help.stdout).not.toMatch(/^ {2}[a-z]+( \[options\])?( <\w+>)*$/m)
  }
})

test('a run whose connection breaks is told as nobody’s answer', async () => {
  const platform = createServer((request, response) => {
    response.writeHead(201, { 'content-type': 'text/event-stream' })
    response.write('event: delta\ndata: {"text":"Hel"}\n\n', () =>
      setTimeout(() => request.socket.destroy(), 50),
    )
  })
  await new Promise<void>((resolve) => platform.listen(0, '127.0.0.1', resolve))
  try {
    const env = {
      CODITECT_URL: `http://127.0.0.1:${(platform.address() as AddressInfo).port}`,
      CODITECT_TOKEN: 'x',
    }
    const broken = await coditect(['agents', 'run', 'prj_1', 'agt_1', 'Hello'], { env })
    expect([broken.code, broken.stdout]).toEqual([3, 'Hel'])
    expect(broken.stderr).toMatch(/^coditect: the answer broke off: .*\n$/)
  } finally {
    platform.close()
  }
})

test('whoever follows work and loses the platform is told how to go on', async () => {
  const platform = createServer((request, response) => {
    if (request.method !== 'DELETE') return void request.socket.destroy()
    response.writeHead(202, { 'content-type': 'application/json' })
    response.end('{"job":"job_1"}')
  })
  await new Promise<void>((resolve) => platform.listen(0, '127.0.0.1', resolve))
  try {
    const env = {
      CODITECT_URL: `http://127.0.0.1:${(platform.address() as AddressInfo).port}`,
      CODITECT_TOKEN: 'x',
    }
    const lost = await coditect(['projects', 'delete', 'prj_1'], { env })
    expect([lost.code, lost.stdout]).toEqual([3, ''])
    expect(lost.stderr).toMatch(/^coditect: .*\n {2}the work goes on: coditect jobs wait job_1\n$/)
  } finally {
    platform.close()
  }
})

test('a key that may begin work and not see how far it is, is told so', async () => {
  const env = as(stack.demo.apiKey)
  const [project] = json(await coditect(['projects', 'create', 'Gone', '--json'], { env }))
  const [{ key }] = json(
    await coditect(['keys', 'create', 'k', '--scope', 'projects:write', '--json'], { env }),
  )
  const deleted = await coditect(['projects', 'delete', project.id], { env: as(key) })
  expect([deleted.code, deleted.stdout]).toEqual([1, ''])
  expect(deleted.stderr).toMatch(/jobs:read.*\n {2}the work goes on: coditect jobs wait job_\w+\n$/)
})

test('a run whose first answer got lost is told whole', async () => {
  let asked = 0
  const platform = createServer((request, response) => {
    if (asked++ === 0) return void request.socket.destroy()
    response.writeHead(201, { 'content-type': 'text/event-stream' })
    response.end('event: done\ndata: {"id":"run_1","status":"succeeded","output":"Hello"}\n\n')
  })
  await new Promise<void>((resolve) => platform.listen(0, '127.0.0.1', resolve))
  try {
    const env = {
      CODITECT_URL: `http://127.0.0.1:${(platform.address() as AddressInfo).port}`,
      CODITECT_TOKEN: 'x',
    }
    const run = await coditect(['agents', 'run', 'prj_1', 'agt_1', 'Hello'], { env })
    expect([run.code, run.stdout]).toEqual([0, 'Hello\n'])
  } finally {
    platform.close()
  }
})

test('whoever waits for an erasure and hears no more of it is told how to follow it again', async () => {
  const platform = createServer((request, response) => {
    const [status, body] = request.method === 'DELETE' ? [202, { state: 'queued' }] : [401, { detail: 'no' }]
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => platform.listen(0, '127.0.0.1', resolve))
  try {
    const env = {
      CODITECT_URL: `http://127.0.0.1:${(platform.address() as AddressInfo).port}`,
      CODITECT_TOKEN: 'x',
    }
    const left = await coditect(['tenants', 'delete', 'ten_1', '--yes'], { env })
    expect([left.code, left.stdout]).toEqual([3, ''])
    expect(left.stderr).toContain('the work goes on: coditect tenants delete ten_1 --yes\n')
  } finally {
    platform.close()
  }
})

test('what a model says reaches a terminal without control characters, and anything else whole', () => {
  const said = 'a\tb\n\u001b]0;title\u0007c\u009b2J'
  const written: string[] = []
  const to = (isTTY: boolean) =>
    terminalOutput(false, { isTTY, write: (text: string) => written.push(text) > 0 })
  to(true).writeText(said)
  to(false).writeText(said)
  expect(written).toEqual(['a\tb\n\ufffd]0;title\ufffdc\ufffd2J', said])
})

test('progress is a bar where the end is known, and a count where it is not', () => {
  expect(barOf({ done: 5, total: 10 })).toMatch(/^█{12}░{12} 50 % {2}5 of 10$/)
  expect(barOf({ done: 1_500, total: null })).toBe('1,500 done')
  expect(barOf({ done: 1, total: 4, secondsLeft: 2.2 })).toMatch(/ 25 % {2}1 of 4, about 3 s left$/)
})
