// Agents on shared models: whatever the upstream does, a run has a typed outcome and an exact price.
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { AT_ONCE } from '../../regional/instance.ts'
import { type Region, startRegion } from '../../regional/server.ts'
import { newId } from '../../shared/ids.ts'
import { PLANS } from '../../shared/plans.ts'
import { type ModelServer, startModelServer } from '../support/model_server.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of several routes, each checked where it is used
type Body = any

let server: ModelServer
let regions: Regions
let eu: Region
let tenants = 0
const logged: string[] = []

beforeAll(async () => {
  server = await startModelServer()
  // Upstreams of this machine, over http.
  regions = await startRegions({}, async (environment) => {
    const region = await startRegion(readConfig({ ...environment, DEVELOPMENT_ISSUERS: 'on' }), {
      writeLog: (line) => void logged.push(line),
      modelTimes: { firstTextMs: 2_500, silenceMs: 2_500 },
    })
    if (environment.REGION === 'eu') eu = region
    return region
  })
})
afterAll(async () => {
  await regions.close()
  await server.close()
})

const operator = (method: string, path: string, body?: unknown) =>
  regions.ask('us', { as: 'operator', method, path: `/platform/v1${path}`, body })

const addModel = (name: string, more: object = {}) =>
  operator('POST', '/models', { name, baseUrl: server.baseUrl, apiKey: 'upstream-secret', ...more })

async function agentOf(agent: object = {}, region = 'us') {
  const tenant = await regions.newTenant(`agents-${++tenants}`, region)
  const ask = (
    path: string,
    init: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
  ) => regions.ask(region, { as: tenant.key, path, ...init })
  const project = (await ask('/v1/projects', { method: 'POST', body: { name: 'P' } })).body
  const path = `/v1/projects/${project.id}/agents`
  const made = await ask(path, { method: 'POST', body: { name: 'A', ...agent } })
  const runs = `${path}/${made.body.id}/runs`
  const run = async (input: unknown, headers: Record<string, string> = {}): Promise<Body> =>
    (await ask(runs, { method: 'POST', body: { input }, headers })).body
  const tokens = async (): Promise<number> => (await ask('/v1/usage')).body.quotas.tokens.used
  /** Runs the agent with a webhook. */
  const webhook = async (body: string): Promise<void> => {
    const secret = 'a-secret-of-ours'
    const agent = { projectId: project.id, agentId: made.body.id }
    const given = { name: 'Code', provider: 'github', secret, agent }
    const source = await ask('/v1/webhook-sources', { method: 'POST', body: given })
    const signature = createHmac('sha256', secret).update(body).digest('hex')
    await regions.ask(region, {
      ...{ as: source.body.url, method: 'POST', path: '', body },
      headers: { 'x-hub-signature-256': `sha256=${signature}` },
    })
  }
  return { ...tenant, project, path, runs, ask, run, tokens, webhook, agent: made.body }
}

test('without any model a run says what is missing, and costs nothing', async () => {
  const { ask, runs, tokens } = await agentOf()
  const { status, body } = await ask(runs, { method: 'POST', body: { input: 'Hello' } })
  expect([status, body.code]).toEqual([503, 'no_model_configured'])
  expect(body.detail).toContain('/platform/v1/models')
  expect(await tokens()).toBe(0)
  // Nothing of the region's has failed.
  const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
  expect(text).toMatch(/^coditect_request_duration_seconds_count\{.*class="outside",status="5xx"\} 0$/m)
  expect(text).toMatch(/^coditect_problems_total\{code="no_model_configured",.*\} 1$/m)
})

describe('the catalogue', () => {
  test('is the operator’s; tenants of every region see names and prices, and nobody the key', async () => {
    const made = await addModel('small', {
      inputTokenPrice: 0.5,
      outputTokenPrice: 1.5,
      upstreamModel: 'gpt',
    })
    expect([made.status, made.body.hasApiKey, made.body.upstreamModel]).toEqual([201, true, 'gpt'])
    await addModel('large', { plans: ['enterprise'] })
    expect((await addModel('small')).body.code).toBe('conflict')
    expect((await operator('PATCH', '/models/large', { maxConcurrent: 3 })).body.maxConcurrent).toBe(3)
    for (const answer of [made, await operator('GET', '/models'), await operator('GET', '/models/small')]) {
      expect(JSON.stringify(answer.body)).not.toContain('upstream-secret')
    }
    for (const region of ['us', 'eu']) {
      const { ask } = await agentOf({}, region)
      await expect
        .poll(async () => (await ask('/v1/models')).body.data, { timeout: 10_000 })
        .toEqual([
          { name: 'large', inputTokenPrice: 0, outputTokenPrice: 0, plans: ['enterprise'], available: false },
          {
            name: 'small',
            inputTokenPrice: 0.5,
            outputTokenPrice: 1.5,
            plans: ['free', 'team', 'enterprise'],
            available: true,
          },
        ])
    }
  })

  test('is listed by pages, for tenants and operators', async () => {
    for (const name of ['page-c', 'page-a', 'page-b']) {
      const model = { name, baseUrl: server.baseUrl }
      expect((await operator('POST', '/models', model)).status).toBe(201)
    }
    const { key } = await regions.newTenant(`agents-${++tenants}`, 'us')
    const lists: Array<[as: string, list: string]> = [
      ['operator', '/platform/v1/models'],
      [key, '/v1/models'],
    ]
    for (const [as, list] of lists) {
      const names: string[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const path = `${list}?limit=2${cursor && `&cursor=${cursor}`}`
        const { body } = await regions.ask('us', { as, path })
        expect(body.data.length).toBeLessThanOrEqual(2)
        names.push(...body.data.map(({ name }: { name: string }) => name))
        cursor = body.nextCursor
      }
      expect(names).toEqual(expect.arrayContaining(['page-a', 'page-b', 'page-c']))
      expect(names).toEqual([...new Set(names)].toSorted())
    }
    for (const name of ['page-a', 'page-b', 'page-c']) await operator('DELETE', `/models/${name}`)
  })

  test.each<[string, () => Partial<Ask>]>([
    ['by an edge, because its answer was lost', () => ({ requestId: newId('req') })],
    ['with its Idempotency-Key', () => ({ headers: { 'idempotency-key': newId('req') } })],
  ])('changes once by a request that is sent again %s', async (_, newIdentity) => {
    const twice = async (method: string, path: string, body?: unknown) => {
      const asked = { as: 'operator', method, path: `/platform/v1/models${path}`, body, ...newIdentity() }
      return [await regions.ask('us', asked), await regions.ask('us', asked)] as const
    }
    const made = await twice('POST', '', { name: 'twice', baseUrl: server.baseUrl })
    expect(made.map(({ status }) => status)).toEqual([201, 201])
    expect(made[1].body).toEqual(made[0].body)
    const changed = await twice('PATCH', '/twice', { maxConcurrent: 3 })
    expect(changed[1].body).toEqual(changed[0].body)
    expect((await twice('DELETE', '/twice')).map(({ status }) => status)).toEqual([204, 204])
    expect((await operator('GET', '/models/twice')).status).toBe(404)
  })

  test('is known in a region that has just begun, before the control region goes away', async () => {
    await regions.stop('eu')
    await regions.start('eu')
    const { key } = await regions.newTenant(`agents-${++tenants}`, 'eu')
    await regions.stop('us')
    const { status, body } = await regions.ask('eu', { as: key, path: '/v1/models' })
    await regions.start('us')
    expect([status, body.data?.length > 0]).toEqual([200, true])
  })

  test('sends a kept key to no other host, unless it is given again', async () => {
    await addModel('moving')
    const elsewhere = server.baseUrl.replace('127.0.0.1', 'localhost')
    const change = (body: object) => operator('PATCH', '/models/moving', body)
    const refused = await change({ baseUrl: elsewhere })
    expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, '/apiKey'])
    expect((await operator('GET', '/models/moving')).body.baseUrl).toBe(server.baseUrl)
    expect((await change({ baseUrl: `${server.baseUrl}/other` })).status).toBe(200)
    expect((await change({ baseUrl: elsewhere, apiKey: 'another' })).body.hasApiKey).toBe(true)
    expect((await change({ baseUrl: server.baseUrl, apiKey: null })).body.hasApiKey).toBe(false)
    expect((await change({ baseUrl: elsewhere })).status).toBe(200)
    await operator('DELETE', '/models/moving')
    const lines = logged.map((line) => JSON.parse(line))
    const asked = lines.filter(({ route, method }) => route?.endsWith('/models/{name}') && method === 'PATCH')
    expect(asked.at(-1)).toMatchObject({ principal: 'operator', operator: 'ops' })
  })

  test('hears no other request under a key that was used', async () => {
    const ask = (name: string) =>
      regions.ask('us', {
        ...{ as: 'operator', method: 'POST', path: '/platform/v1/models' },
        ...{ body: { name, baseUrl: server.baseUrl }, headers: { 'idempotency-key': 'used' } },
      })
    expect((await ask('first')).status).toBe(201)
    expect((await ask('second')).body.code).toBe('idempotency_key_reuse')
    const otherRoute = { method: 'DELETE', path: '/platform/v1/models/first' }
    const headers = { 'idempotency-key': 'used' }
    expect((await regions.ask('us', { as: 'operator', ...otherRoute, headers })).status).toBe(204)
  })

  test('is checked at its fields, and not found where there is nothing', async () => {
    const bad = await addModel('bad name', { baseUrl: 'ftp://x', maxConcurrent: 0 })
    const pointers = bad.body.errors.map(({ pointer }: { pointer: string }) => pointer)
    expect(pointers.toSorted()).toEqual(['/baseUrl', '/maxConcurrent', '/name'])
    expect(bad.body.errors).toContainEqual({ pointer: '/baseUrl', detail: 'is an http or https URL' })
    for (const method of ['GET', 'DELETE']) {
      expect((await operator(method, '/models/nothing')).status).toBe(404)
    }
  })
})

describe('a run', () => {
  test('is stored with its texts and tokens, and answered when it is over', async () => {
    const { run, ask, runs, agent, tokens } = await agentOf({
      instructions: 'Be short.',
      parameters: { temperature: 0.2, maxOutputTokens: 50 },
    })
    const made = await run('Hello')
    expect(made).toMatchObject({
      agentId: agent.id,
      model: 'small',
      status: 'succeeded',
      error: null,
      input: [{ role: 'user', content: 'Hello' }],
      output: 'Hello, world.',
      inputTokens: 11,
      outputTokens: 4,
      usageEstimated: false,
    })
    expect(await tokens()).toBe(15)
    expect((await ask(`${runs}/${made.id}`)).body).toEqual(made)
    const { input: _, output: __, ...listed } = made
    expect((await ask(runs)).body.data).toEqual([listed])
    const { authorization, body } = server.last()
    expect(authorization).toBe('Bearer upstream-secret')
    expect(body).toMatchObject({ model: 'gpt', max_tokens: 50, temperature: 0.2 })
    expect(body.messages).toEqual([
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'Hello' },
    ])
  })

  test.each([
    ['one text', {}],
    ['events', { accept: 'text/event-stream' }],
  ])('says to proxies on the way not to gather it: %s', async (_, headers) => {
    const { key, runs } = await agentOf()
    const asking = { as: key, method: 'POST', path: runs, body: { input: 'Hello' }, headers }
    const response = await regions.open('us', asking)
    expect(response.headers.get('x-accel-buffering')).toBe('no')
    await response.text()
  })

  test('streams as the model speaks', async () => {
    const { key, runs } = await agentOf()
    const response = await regions.open('us', {
      as: key,
      method: 'POST',
      path: runs,
      body: { input: 'Hello' },
      headers: { accept: 'text/event-stream' },
    })
    expect(response.status).toBe(201)
    const events = (await response.text())
      .split('\n\n')
      .filter((text) => text.startsWith('event: '))
      .map((text) => {
        const [event = '', data = ''] = text.split('\n')
        return [event.slice(7), JSON.parse(data.slice(6))] as const
      })
    expect(events.map(([event]) => event)).toEqual(['run', 'delta', 'delta', 'delta', 'delta', 'done'])
    const text = events.flatMap(([event, data]) => (event === 'delta' ? [data.text] : [])).join('')
    expect(text).toBe('Hello, world.')
    expect(events.at(-1)?.[1]).toMatchObject({ id: events[0]?.[1].id, status: 'succeeded', output: text })
  })

  test.each([
    ['rate-limited', 'upstream_rate_limited', 0],
    ['refused', 'upstream_refused', 0],
    ['status 401', 'upstream_misconfigured', 0],
    ['status 404', 'upstream_misconfigured', 0],
    ['failing', 'upstream_failed', 0],
    // It may have been at work on what it was sent.
    ['silent', 'upstream_timeout', 2],
    ['reset', 'upstream_unavailable', 0],
    ['garbage', 'upstream_failed', 0],
  ])('of a %s upstream fails as %s, and costs %i tokens', async (input, code, cost) => {
    const { run, tokens } = await agentOf()
    expect(await run(input)).toMatchObject({ status: 'failed', error: { code }, output: '' })
    expect(await tokens()).toBe(cost)
  })

  test('whose model is broken is told to the operator: counted, and once in the log, without a word of it', async () => {
    await addModel('wrong-key')
    const { run } = await agentOf({ model: 'wrong-key' })
    for (let i = 0; i < 2; i++) {
      const { status, error } = await run('status 401 of a word')
      expect([status, error.code]).toEqual(['failed', 'upstream_misconfigured'])
      expect(error.detail).toContain('operator')
    }
    const counted = async () => {
      const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
      const series = text.matchAll(
        /^coditect_model_calls_total\{model="wrong-key",outcome="(\w+)".*\} (\d+)$/gm,
      )
      return Object.fromEntries(Array.from(series, ([, outcome, count]) => [outcome, Number(count)]))
    }
    expect(await counted()).toMatchObject({ upstream_misconfigured: 2, succeeded: 0, upstream_timeout: 0 })
    const lines = logged.filter((line) => line.includes('"wrong-key"'))
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 'error', model: 'wrong-key', outcome: 'upstream_misconfigured', status: 401 },
    ])
    expect(lines[0]).not.toMatch(/of a word|no: 401|upstream-secret/)
    await operator('DELETE', '/models/wrong-key')
    await expect.poll(counted).toEqual({})
  })

  test.each([
    ['broken-off', 'upstream_broken_off'],
    ['stalled', 'upstream_timeout'],
  ])('%s in the middle keeps what came, and is charged for it', async (input, code) => {
    const { run, tokens } = await agentOf()
    const made = await run(input)
    expect(made).toMatchObject({
      status: 'failed',
      error: { code },
      output: 'Hello, world.',
      usageEstimated: true,
    })
    expect(made.outputTokens).toBe(4)
    expect(await tokens()).toBe(made.inputTokens + made.outputTokens)
  })

  test('of an upstream that does not count is charged by estimate', async () => {
    const { run, tokens } = await agentOf()
    const made = await run('uncounted')
    expect(made).toMatchObject({ status: 'succeeded', usageEstimated: true, inputTokens: 3, outputTokens: 4 })
    expect(await tokens()).toBe(7)
  })

  test('of a model that the plan may not use, or that is not there, is refused', async () => {
    for (const model of ['large', 'nothing']) {
      const { run } = await agentOf({ model })
      expect((await run('Hello')).code).toBe('model_unavailable')
    }
  })

  test('the same key is in progress while it runs, and the stored run afterwards', async () => {
    const { run, tokens } = await agentOf()
    const headers = { 'idempotency-key': 'k' }
    const before = server.served.length
    const first = run('wait once', headers)
    await expect.poll(() => server.served.length).toBe(before + 1)
    expect((await run('wait once', headers)).code).toBe('request_in_progress')
    server.release()
    const made = await first
    expect(await run('wait once', headers)).toEqual(made)
    expect(server.served.length).toBe(before + 1)
    expect(await tokens()).toBe(15)
  })

  test('whose answer is too large to be kept is read again for the same key, and for no other request', async () => {
    const { ask, runs, tokens } = await agentOf()
    const send = (input: string) =>
      ask(runs, { method: 'POST', body: { input }, headers: { 'idempotency-key': 'long' } })
    const made = await send('long '.repeat(4_000))
    expect(made.body).toMatchObject({ status: 'succeeded', output: 'Hello, world.' })
    const again = await send('long '.repeat(4_000))
    expect([again.status, again.body]).toEqual([201, made.body])
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect((await send('short')).body.code).toBe('idempotency_key_reuse')
    expect(await tokens()).toBe(15)
  })

  test('is cancelled from elsewhere, told of once; what it took is charged', async () => {
    const { run, ask, runs, tokens } = await agentOf()
    const going = run('wait long')
    await expect.poll(async () => (await ask(runs)).body.data.length).toBe(1)
    const { id } = (await ask(runs)).body.data[0]
    await expect.poll(server.underWay).toBe(1)
    expect((await ask(`${runs}/${id}/cancel`, { method: 'POST' })).status).toBe(202)
    const made = await going
    expect(made).toMatchObject({ status: 'cancelled', output: 'Wait' })
    expect(await tokens()).toBe(made.inputTokens + made.outputTokens)
    await expect.poll(server.underWay).toBe(0)
    expect((await ask(`${runs}/${id}/cancel`, { method: 'POST' })).body).toEqual(made)
    const told = (await ask('/v1/events?types=run.*')).body.data
    expect(told.map(({ type }: { type: string }) => type)).toEqual([
      ...['run.started', 'run.cancelling', 'run.cancelled'],
    ])
  })

  test('whose credential is revoked ends at once; what it took is charged', async () => {
    const { ask, runs, tokens } = await agentOf()
    const post = (path: string, body: object) => ask(path, { method: 'POST', body })
    const { id, key } = (await post('/v1/api-keys', { name: 'short', scopes: ['agents:write'] })).body
    const input = { body: { input: 'wait long' } }
    const going = regions.ask('us', { as: key, method: 'POST', path: runs, ...input })
    await expect.poll(server.underWay).toBe(1)
    await ask(`/v1/api-keys/${id}`, { method: 'DELETE' })
    const made = (await going).body
    expect(made).toMatchObject({ status: 'cancelled', output: 'Wait' })
    expect(await tokens()).toBe(made.inputTokens + made.outputTokens)
    await expect.poll(server.underWay).toBe(0)
  })

  test.each(['agent', 'project'])(
    'whose %s is deleted ends at once; what it took is charged, and nothing is kept',
    async (what) => {
      const { ask, run, path, agent, project, tokens } = await agentOf()
      const stored = async () => (await ask('/v1/usage')).body.quotas.storedBytes.used
      await run('Hello')
      const going = run('wait deleted')
      await expect.poll(server.underWay).toBe(1)
      const deleted = what === 'agent' ? `${path}/${agent.id}` : `/v1/projects/${project.id}`
      expect((await ask(deleted, { method: 'DELETE' })).status).toBe(what === 'agent' ? 204 : 202)
      const made = await going
      expect(made).toMatchObject({ status: 'cancelled', output: 'Wait' })
      expect(await tokens()).toBe(15 + made.inputTokens + made.outputTokens)
      await expect.poll(server.underWay).toBe(0)
      await expect.poll(stored, { timeout: 10_000 }).toBe(0)
    },
  )

  test('whose model says more than it was asked for is stored as failed, and is charged', async () => {
    const { ask, runs, run, tokens } = await agentOf({ parameters: { maxOutputTokens: 32_768 } })
    const made = await run('flood of text')
    expect(made).toMatchObject({ status: 'failed', error: { code: 'upstream_failed' } })
    expect((await ask(`${runs}/${made.id}`)).body).toEqual(made)
    expect(made.output.length).toBeGreaterThan(500_000)
    expect(await tokens()).toBeGreaterThan(32_000)
  })

  test('fifty at once are charged exactly, and none beyond the quota', async () => {
    const { run, id, tokens } = await agentOf({ parameters: { maxOutputTokens: 100 } })
    await operator('PATCH', `/tenants/${id}`, { limits: { tokens: 2_000 } })
    const made = await Promise.all(Array.from({ length: 50 }, () => run('Hello')))
    const done = made.filter(({ status }) => status === 'succeeded').length
    // A machine that is busy with other tests is no finding.
    const refusals = new Set(['quota_exceeded', 'overloaded', 'contention'])
    const refused = made.filter(({ code }) => refusals.has(code)).length
    expect(done + refused).toBe(50)
    expect(done).toBeGreaterThan(0)
    expect(await tokens()).toBe(15 * done)
    expect(PLANS.team.tokens).toBeGreaterThan(2_000)
  })

  test('one tenant’s runs do not use up the shared pool', async () => {
    await addModel('narrow', { maxConcurrent: 4 })
    const greedy = await agentOf({ model: 'narrow' })
    const modest = await agentOf({ model: 'narrow' })
    const from = server.served.length
    const most = Array.from({ length: 16 }, () => greedy.run('greedy wait'))
    await expect.poll(() => server.served.length).toBe(from + 3)
    // While none of them ends, there is a place for somebody else.
    expect(await modest.run('modest')).toMatchObject({ status: 'succeeded' })
    expect(server.served.slice(from)).toEqual(['greedy', 'greedy', 'greedy', 'modest'])
    // And when all are taken, the next that is free goes to whoever has fewer.
    const another = await agentOf({ model: 'narrow' })
    const held = modest.run('modest wait')
    await expect.poll(() => server.served.length).toBe(from + 5)
    const last = another.run('another')
    await expect.poll(async () => (await another.ask(another.runs)).body.data.length).toBe(1)
    server.release()
    expect(await last).toMatchObject({ status: 'succeeded' })
    expect(server.served.slice(from).indexOf('another')).toBe(5)
    await held
    const releasing = setInterval(() => server.release(), 20)
    await Promise.all(most)
    clearInterval(releasing)
    expect(server.served.slice(from).length).toBe(19)
  })

  test('of a tenant that has many wait is refused as too many of its own, and no failure of the region', async () => {
    await addModel('one-place', { maxConcurrent: 1 })
    const greedy = await agentOf({ model: 'one-place', parameters: { maxOutputTokens: 100 } })
    const first = greedy.run('thinking, then wait')
    await expect.poll(server.underWay).toBe(1)
    const others = Array.from({ length: 30 }, () => greedy.run('one of many'))
    const listed = async () => (await greedy.ask(`${greedy.runs}?limit=100`)).body.data.length
    await expect.poll(listed).toBeGreaterThan(20)
    const refused = await greedy.ask(greedy.runs, { method: 'POST', body: { input: 'Hello' } })
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    const releasing = setInterval(() => server.release(), 20)
    await Promise.all([first, ...others])
    clearInterval(releasing)
    await operator('DELETE', '/models/one-place')
  })

  test('that a webhook starts has its place in the same pool as those that somebody waits for', async () => {
    await addModel('one-pool', { maxConcurrent: 4 })
    const { ask, runs, run, webhook } = await agentOf({ model: 'one-pool' })
    const from = server.served.length
    const waited = [run('waited wait'), run('waited wait'), run('waited wait')]
    await expect.poll(() => server.served.length).toBe(from + 3)
    await webhook('{}')
    await expect.poll(async () => (await ask(runs)).body.data.length).toBe(4)
    const somebodyElse = await agentOf({ model: 'one-pool' })
    for (let i = 0; i < 10; i++) await somebodyElse.run('else')
    // Its tenant has its three quarters of the pool.
    expect(server.served.slice(from)).not.toContain('A')
    server.release()
    await Promise.all(waited)
    await expect.poll(() => server.served.slice(from)).toContain('A')
  })

  test('that a webhook started is cancelled at once, and its job is none that could be', async () => {
    const { ask, runs, webhook, tokens } = await agentOf()
    await webhook('{"please": "wait"}')
    await expect.poll(server.underWay).toBe(1)
    const [{ id }] = (await ask(runs)).body.data
    const [started] = (await ask('/v1/events?types=run.*')).body.data
    const job = `/v1/jobs/${started.actor.id}`
    expect((await ask(job, { method: 'DELETE' })).body.code).toBe('conflict')
    expect((await ask(`${runs}/${id}/cancel`, { method: 'POST' })).status).toBe(202)
    await expect.poll(async () => (await ask(`${runs}/${id}`)).body.status).toBe('cancelled')
    await expect.poll(server.underWay).toBe(0)
    const { inputTokens, outputTokens } = (await ask(`${runs}/${id}`)).body
    expect(inputTokens).toBeGreaterThan(0)
    expect(await tokens()).toBe(inputTokens + outputTokens)
  })

  test('that a webhook started ends with its agent; what it took is charged, and nothing is kept', async () => {
    const { ask, path, agent, webhook, tokens } = await agentOf()
    await webhook('{"please": "wait"}')
    await expect.poll(server.underWay).toBe(1)
    await ask(`${path}/${agent.id}`, { method: 'DELETE' })
    await expect.poll(server.underWay).toBe(0)
    const told = async () => (await ask('/v1/events?types=run.*')).body.data.at(-1).type
    await expect.poll(told).toBe('run.cancelled')
    const held = 1_024
    expect(await tokens()).toBeGreaterThan(0)
    expect(await tokens()).toBeLessThan(held)
  })

  test('that a webhook started tells its model what it began with, whatever its agent says by then', async () => {
    const { ask, path, agent, runs, webhook } = await agentOf({ model: 'small', instructions: 'As it was.' })
    const from = server.served.length
    await webhook('{"wait": 0}')
    await expect.poll(server.underWay).toBe(1)
    for (let i = 1; i <= 5; i++) await webhook(`{"wait": ${i}}`)
    server.release()
    // Four jobs of an organisation go on side by side: the last run has begun, and waits for them.
    await expect.poll(server.underWay).toBe(4)
    await expect.poll(async () => (await ask(runs)).body.data.length).toBe(6)
    const change = { instructions: 'Not any more.', parameters: { maxOutputTokens: 32_768 } }
    await ask(`${path}/${agent.id}`, { method: 'PATCH', body: change })
    server.release()
    await expect.poll(() => server.served.length, { timeout: 10_000 }).toBe(from + 6)
    const { messages, max_tokens } = server.last().body
    expect([messages[0]?.content, max_tokens]).toEqual(['As it was.', 1_024])
    server.release()
    await expect.poll(server.underWay).toBe(0)
  })

  test('that a webhook was to start, and for which there is no room, takes nothing', async () => {
    const { id, ask, tokens, webhook } = await agentOf({ model: 'small' })
    await operator('PATCH', `/tenants/${id}`, { limits: { storedBytes: 5_000 } })
    await webhook('{"no": "room"}')
    const failed = async () => {
      const { data } = (await ask('/v1/events?types=job.failed')).body
      return data.length
    }
    await expect.poll(failed).toBe(1)
    expect(await tokens()).toBe(0)
  })

  test('that a webhook started comes before those that have not begun: few hold what they may take', async () => {
    const { ask, runs, webhook } = await agentOf({ model: 'small' })
    await webhook('{"wait": 0}')
    await expect.poll(server.underWay).toBe(1)
    for (let i = 1; i <= 24; i++) await webhook(`{"wait": ${i}}`)
    server.release()
    await expect.poll(server.underWay).toBe(4)
    expect((await ask(`${runs}?limit=100`)).body.data.length).toBeLessThan(20)
    const releasing = setInterval(() => server.release(), 20)
    const done = async () => {
      const { data } = (await ask(`${runs}?limit=100`)).body
      return data.filter(({ status }: { status: string }) => status === 'succeeded').length
    }
    await expect.poll(done, { timeout: 20_000 }).toBe(25)
    clearInterval(releasing)
  })

  test('that a webhook started waits with its organisation, and is done anew when that is resumed', async () => {
    const { id, ask, runs, webhook, tokens } = await agentOf()
    const from = server.served.length
    await webhook('{"please": "wait"}')
    await expect.poll(server.underWay).toBe(1)
    await operator('PATCH', `/tenants/${id}`, { status: 'suspended' })
    await expect.poll(server.underWay).toBe(0)
    await operator('PATCH', `/tenants/${id}`, { status: 'active' })
    await expect.poll(() => server.served.length, { timeout: 10_000 }).toBe(from + 2)
    server.release()
    const run = async () => (await ask(runs)).body.data[0].status
    await expect.poll(run, { timeout: 10_000 }).toBe('succeeded')
    expect(await tokens()).toBe(15)
  })

  test('of a region that stops is settled first', async () => {
    const { run, ask, runs, tokens } = await agentOf({}, 'eu')
    await expect.poll(async () => (await ask('/v1/models')).body.data.length).toBeGreaterThan(0)
    const going = run('wait stop')
    await expect.poll(server.underWay).toBe(1)
    await regions.stop('eu')
    const interrupted = { status: 'failed', error: { code: 'interrupted' } }
    expect(await going).toMatchObject(interrupted)
    await regions.start('eu')
    expect((await ask(runs)).body.data).toMatchObject([interrupted])
    expect(await tokens()).toBeLessThan(100)
  })

  test.each([
    ['plain', {}],
    ['streamed', { accept: 'text/event-stream' }],
  ])('of an instance that is replaced is interrupted, by our fault, and charged: %s', async (_, accept) => {
    const { ask, key, runs, tokens } = await agentOf({}, 'eu')
    await expect.poll(async () => (await ask('/v1/models')).body.data.length).toBeGreaterThan(0)
    const failed = async () => {
      const text = await (await fetch(`${regions.url('eu')}/metrics`)).text()
      return Number(
        /^coditect_request_duration_seconds_count\{.*class="outside",status="5xx"\} (\d+)$/m.exec(text)?.[1],
      )
    }
    const before = (await failed()) || 0
    const once = { ...accept, 'idempotency-key': 'once' }
    const asking = { as: key, method: 'POST', path: runs, body: { input: 'wait restart' }, headers: once }
    const going = regions.open('eu', asking)
    await expect.poll(server.underWay).toBe(1)
    const answered = (await going).text()
    await eu.restartInstance(0, AT_ONCE)

    // The body is one text, or the last event's.
    const made: Body = JSON.parse((await answered).split('data: ').at(-1) ?? '')
    expect(made).toMatchObject({ status: 'failed', error: { code: 'interrupted' }, output: 'Wait' })
    expect((await ask(`${runs}/${made.id}`)).body).toEqual(made)
    expect(await tokens()).toBe(made.inputTokens + made.outputTokens)
    const told = (await ask('/v1/events?types=run.*')).body.data
    expect(told.map(({ type }: { type: string }) => type)).toEqual(['run.started', 'run.failed'])
    await expect.poll(failed).toBe(before + 1)
    await expect.poll(async () => (await ask('/v1/usage')).body.history[0].errors, { timeout: 5_000 }).toBe(1)
    const again = await regions.ask('eu', asking)
    expect([again.status, again.body.code]).toEqual([409, 'conflict'])
  })
})

test('a cursor belongs to the agents of one project, and to the runs of one agent', async () => {
  await addModel('paged')
  const { ask, path, runs, run } = await agentOf({ model: 'paged' })
  await ask(path, { method: 'POST', body: { name: 'B', model: 'paged' } })
  for (let i = 0; i < 2; i++) await run('Hello')
  const project = (await ask('/v1/projects', { method: 'POST', body: { name: 'Q' } })).body.id
  const agents = `/v1/projects/${project}/agents`
  const other = (await ask(agents, { method: 'POST', body: { name: 'C', model: 'paged' } })).body.id
  for (const [list, another] of [
    [path, agents],
    [runs, `${agents}/${other}/runs`],
  ] as const) {
    const { nextCursor } = (await ask(`${list}?limit=1`)).body
    expect((await ask(`${list}?cursor=${nextCursor}`)).body.data).toHaveLength(1)
    expect((await ask(`${another}?cursor=${nextCursor}`)).body.code).toBe('invalid_cursor')
  }
})

describe('what agents and runs keep', () => {
  const OVERHEAD = 500
  const storedIn = ({ input, output }: Body): number =>
    OVERHEAD + Buffer.byteLength(JSON.stringify({ input, output }))

  test('counts as stored exactly, failed or not, and is given back with them', async () => {
    const { ask, path, agent, run, project } = await agentOf({ instructions: '€€' })
    const stored = async () => (await ask('/v1/usage')).body.quotas.storedBytes.used
    expect(await stored()).toBe(OVERHEAD + 6)
    await ask(`${path}/${agent.id}`, { method: 'PATCH', body: { instructions: '€' } })
    expect(await stored()).toBe(OVERHEAD + 3)
    const told = await run('Hello')
    expect(told.output).toBe('Hello, world.')
    const failed = await run('refused')
    expect(await stored()).toBe(OVERHEAD + 3 + storedIn(told) + storedIn(failed))
    const second = await ask(path, { method: 'POST', body: { name: 'B' } })
    const ran = (await ask(`${path}/${second.body.id}/runs`, { method: 'POST', body: { input: 'Hi' } })).body
    await ask(`${path}/${agent.id}`, { method: 'DELETE' })
    await expect.poll(stored, { timeout: 10_000 }).toBe(OVERHEAD + storedIn(ran))
    await ask(`/v1/projects/${project.id}`, { method: 'DELETE' })
    await expect.poll(stored, { timeout: 10_000 }).toBe(0)
  })

  test('of a run that has ended can be deleted, and is given back; what goes on is cancelled first', async () => {
    const { ask, run, runs, tokens } = await agentOf()
    const stored = async () => (await ask('/v1/usage')).body.quotas.storedBytes.used
    const before = await stored()
    const kept = await run('Hello')
    const both = await stored()
    const doomed = await run('refused')
    const remove = (id: string, headers = {}) => ask(`${runs}/${id}`, { method: 'DELETE', headers })
    expect((await remove(doomed.id, { 'if-match': '"another"' })).status).toBe(412)
    const once = { 'idempotency-key': 'once' }
    expect([(await remove(doomed.id, once)).status, (await remove(doomed.id, once)).status]).toEqual([
      204, 204,
    ])
    expect((await remove(doomed.id)).status).toBe(404)
    expect((await ask(`${runs}/${doomed.id}`)).status).toBe(404)
    expect((await ask(runs)).body.data.map(({ id }: Body) => id)).toEqual([kept.id])
    expect(await stored()).toBe(both)
    const told = (await ask('/v1/events?types=run.deleted')).body.data
    expect(told).toMatchObject([{ resource: doomed.id }])
    const audit = (await ask('/v1/audit?action=agents.delete-run')).body.data
    expect(audit).toMatchObject([{ target: doomed.id, outcome: 'done' }])

    const going = run('wait for the end')
    await expect.poll(server.underWay).toBe(1)
    const { id } = (await ask(runs)).body.data[0]
    const refused = await remove(id)
    expect([refused.status, refused.body.code]).toEqual([409, 'conflict'])
    server.release()
    expect((await going).status).toBe('succeeded')
    for (const each of [id, kept.id]) expect((await remove(each)).status).toBe(204)
    expect(await stored()).toBe(before)
    expect(await tokens()).toBe(30)
  })

  test('has room while a run goes on, or the run does not begin', async () => {
    const { ask, id, path, runs, tokens } = await agentOf({ parameters: { maxOutputTokens: 1_000 } })
    await operator('PATCH', `/tenants/${id}`, { limits: { storedBytes: 5_000 } })
    const post = (at: string, body: object) => ask(at, { method: 'POST', body })
    expect((await post(path, { name: 'B', instructions: 'x'.repeat(5_000) })).body.code).toBe(
      'quota_exceeded',
    )
    expect((await post(runs, { input: 'Hello' })).body.code).toBe('quota_exceeded')
    expect(await tokens()).toBe(0)
  })
})

test('an agent is changed, found and deleted like any resource, with its runs', async () => {
  const { ask, path, agent, run, runs } = await agentOf()
  const one = `${path}/${agent.id}`
  await run('Hello')
  const { headers } = await ask(one)
  const changed = await ask(one, {
    method: 'PATCH',
    body: { instructions: 'Now.' },
    headers: { 'if-match': headers.get('etag') ?? '' },
  })
  expect([changed.status, changed.body.instructions]).toEqual([200, 'Now.'])
  const stale = await ask(one, { method: 'DELETE', headers: { 'if-match': '"1"' } })
  expect(stale.status).toBe(412)
  expect((await ask(one, { method: 'DELETE' })).status).toBe(204)
  expect((await ask(one)).status).toBe(404)
  expect((await ask(runs)).status).toBe(404)
})
