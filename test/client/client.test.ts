// The client over the whole stack: the edge in workerd, and regions.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Coditect, CoditectProblem, ConnectionError } from '../../shared/client/index.ts'
import { type Stack, startStack } from '../e2e/stack.ts'
import { startModelServer } from '../support/model_server.ts'

let stack: Stack
let client: Coditect
const lost: Array<Record<string, string | null>> = []
beforeAll(async () => {
  stack = await startStack()
  client = new Coditect({ url: stack.edge, token: stack.demo.apiKey })
})
afterAll(() => stack.stop())

/** Lets each request through and loses the first answers. */
const losing = (times: number): typeof fetch => {
  let left = times
  return async (input, init) => {
    const answer = await fetch(input, init)
    if (left-- <= 0) return answer
    lost.push({ key: new Headers(init?.headers).get('idempotency-key') })
    await answer.body?.cancel()
    throw new TypeError('the answer got lost')
  }
}

test('makes, reads, changes with If-Match, and deletes', async () => {
  const made = await client.call('POST /v1/projects', { body: { name: 'Client', description: '' } })
  const params = { id: made.id }
  expect(await client.call('GET /v1/projects/{id}', { params })).toEqual(made)
  const changed = client.call('PATCH /v1/projects/{id}', { params, ifMatch: '"7"', body: { name: 'No' } })
  await expect(changed).rejects.toMatchObject({ status: 412, code: 'precondition_failed' })
  // On the wire it would be no condition at all.
  const empty = client.call('PATCH /v1/projects/{id}', { params, ifMatch: ' ', body: { name: 'No' } })
  await expect(empty).rejects.toThrow(TypeError)
  const { etag } = await client.read('GET /v1/projects/{id}', { params })
  const body = { description: 'known' }
  expect(await client.call('PATCH /v1/projects/{id}', { params, ifMatch: etag, body })).toMatchObject(body)
  const again = client.call('PATCH /v1/projects/{id}', { params, ifMatch: etag, body })
  await expect(again).rejects.toMatchObject({ code: 'precondition_failed' })
  const { job } = await client.call('DELETE /v1/projects/{id}', { params })
  expect((await client.call('GET /v1/jobs/{id}', { params: { id: job } })).kind).toBe('projects.delete')
})

test('a refusal is an error with the problem’s code, its place in the body and the request’s id', async () => {
  const refused = client.call('POST /v1/projects', { body: { name: '', description: '' } })
  await expect(refused).rejects.toBeInstanceOf(CoditectProblem)
  await expect(refused).rejects.toMatchObject({
    status: 422,
    code: 'validation_failed',
    errors: [{ pointer: '/name' }],
    requestId: expect.stringMatching(/^req_/),
  })
})

test('in a page that is no secure context, too, a change has a key of its own', async () => {
  const { randomUUID } = crypto
  const keys: Array<string | null> = []
  const noting: typeof fetch = (input, init) => {
    keys.push(new Headers(init?.headers).get('idempotency-key'))
    return fetch(input, init)
  }
  const insecure = new Coditect({ url: stack.edge, token: stack.demo.apiKey, fetch: noting })
  Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true, writable: true })
  try {
    for (const name of ['One', 'Two']) await insecure.call('POST /v1/projects', { body: { name } })
    await insecure.call('GET /v1/projects')
  } finally {
    Object.defineProperty(crypto, 'randomUUID', { value: randomUUID, configurable: true, writable: true })
  }
  expect(keys).toEqual([expect.stringMatching(/^[\da-f]{32}$/), expect.stringMatching(/^[\da-f]{32}$/), null])
  expect(keys[0]).not.toBe(keys[1])
})

test('an answer that got lost is asked for again with the same key: the project is made once', async () => {
  const lossy = new Coditect({ url: stack.edge, token: stack.demo.apiKey, fetch: losing(2), random: () => 0 })
  const made = await lossy.call('POST /v1/projects', { body: { name: 'Once', description: '' } })
  expect(new Set(lost.map(({ key }) => key)).size).toBe(1)
  expect(lost).toHaveLength(2)
  const all = await Array.fromAsync(client.all('GET /v1/projects'))
  expect(all.filter(({ name }) => name === 'Once').map(({ id }) => id)).toEqual([made.id])
})

test('a list goes on over its pages, each thing once', async () => {
  const made: string[] = []
  for (let i = 0; i < 5; i++) {
    made.push((await client.call('POST /v1/projects', { body: { name: `P${i}`, description: '' } })).id)
  }
  const listed = await Array.fromAsync(client.all('GET /v1/projects', { query: { limit: 2 } }))
  expect(listed.map(({ id }) => id).filter((id) => made.includes(id))).toEqual(made)
})

test('a query’s conditions reach the records', async () => {
  const { id: projectId } = await client.call('POST /v1/projects', { body: { name: 'R', description: '' } })
  const params = { projectId, name: 'people' }
  await client.call('PUT /v1/projects/{projectId}/collections/{name}', {
    params,
    body: { indexes: [{ field: 'age', type: 'number' }] },
  })
  for (const age of [3, 30]) {
    await client.call('POST /v1/projects/{projectId}/collections/{name}/records', {
      params,
      body: { data: { age } },
    })
  }
  const old = client.all('GET /v1/projects/{projectId}/collections/{name}/records', {
    params,
    query: { where: { age: { gt: 10 } } },
  })
  expect((await Array.fromAsync(old)).map(({ data }) => data)).toEqual([{ age: 30 }])
})

test('a condition is a time, too, and one without a value is refused: left out, it would find everything', async () => {
  const { id: projectId } = await client.call('POST /v1/projects', { body: { name: 'W' } })
  const params = { projectId, name: 'people' }
  await client.call('PUT /v1/projects/{projectId}/collections/{name}', {
    params,
    body: { indexes: [{ field: 'born', type: 'time' }] },
  })
  const all = [{ born: '1990-01-01T00:00:00Z' }, { born: '2020-01-01T00:00:00Z' }]
  for (const data of all) {
    await client.call('POST /v1/projects/{projectId}/collections/{name}/records', { params, body: { data } })
  }
  const list = async (where: Record<string, unknown> | undefined) => {
    const query = where === undefined ? {} : { where }
    const found = client.all('GET /v1/projects/{projectId}/collections/{name}/records', { params, query })
    return (await Array.fromAsync(found)).map(({ data }) => data)
  }
  expect(await list({ born: { lt: new Date('2000-01-01') } })).toEqual(all.slice(0, 1))
  expect(await list({ born: new Date('2020-01-01') })).toEqual(all.slice(1))
  for (const born of [undefined, null, {}, [], { lt: undefined }, { lt: new Date('no time') }]) {
    await expect(list({ born })).rejects.toThrow(TypeError)
  }
  for (const none of [undefined, {}]) expect(await list(none)).toEqual(all)
})

test('an answer without anything in it is none, where there is to be something', async () => {
  const empty = new Coditect({
    url: stack.edge,
    token: stack.demo.apiKey,
    retries: 0,
    fetch: async () => new Response(''),
  })
  await expect(empty.call('GET /v1/tenant')).rejects.toThrow(ConnectionError)
})

test('what cannot be followed is no stream to TypeScript', () => {
  const mistakes = [
    // @ts-expect-error: a list that has no stream.
    () => client.tail('GET /v1/projects'),
    // @ts-expect-error: it would make the project, and fail.
    () => client.stream('POST /v1/projects', { body: { name: 'P' } }),
  ]
  expect(mistakes).toHaveLength(2)
})

test('a tail that breaks off is taken up again: no event is missed or doubled', async () => {
  let breaks = 0
  /** Ends each stream in the middle of its third event. */
  const breaking: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init)
    if (answer.body === null || !answer.headers.get('content-type')?.includes('event-stream')) return answer
    let seen = ''
    const cut = new TransformStream<string, string>({
      transform(chunk, controller) {
        const before = seen.length
        seen += chunk
        const [first = '', second, third] = seen.split('\n\n')
        if (second === undefined || third === undefined || third.length < 10) return controller.enqueue(chunk)
        breaks++
        controller.enqueue(seen.slice(before, first.length + second.length + 14))
        controller.terminate()
      },
    })
    const text = answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(cut)
    return new Response(text.pipeThrough(new TextEncoderStream()), answer)
  }
  const stop = new AbortController()
  const flaky = new Coditect({ url: stack.edge, token: stack.demo.apiKey, fetch: breaking, random: () => 0 })
  const [first] = (await client.call('GET /v1/events', { query: { limit: 1 } })).data
  const tail = flaky.tail('GET /v1/events', { query: { after: first?.sequence ?? '' }, signal: stop.signal })
  const wanted: string[] = []
  // A page each: the place that a page gives goes before the one that the list began from.
  for await (const { sequence } of client.all('GET /v1/events', {
    query: { after: first?.sequence ?? '', limit: 1 },
  })) {
    expect(wanted).not.toContain(sequence)
    wanted.push(sequence)
  }
  const got: string[] = []
  for await (const { sequence } of tail) {
    got.push(sequence)
    if (got.length === wanted.length) break
  }
  expect(got).toEqual(wanted)
  expect(breaks).toBeGreaterThan(1)
})

test('a call ends at its deadline, and at once when it is aborted', async () => {
  const silent: typeof fetch = (_, init) =>
    new Promise((_resolve, reject) => {
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
    })
  const waiting = new Coditect({ url: stack.edge, token: 'x', fetch: silent, timeoutMs: 50 })
  await expect(waiting.call('GET /v1/tenant')).rejects.toBeInstanceOf(ConnectionError)
  const stop = new AbortController()
  const patient = new Coditect({ url: stack.edge, token: 'x', fetch: silent })
  const asked = patient.call('GET /v1/tenant', { signal: stop.signal })
  stop.abort(new Error('enough'))
  await expect(asked).rejects.toThrow('enough')
})

test('a run is waited for beyond the time that its answer has to begin, and a problem after its head is thrown', async () => {
  const server = await startModelServer()
  try {
    const operator = stack.client(stack.operatorToken)
    await operator.call('POST /platform/v1/models', { body: { name: 'm', baseUrl: server.baseUrl } })
    const { tenant, apiKey } = await operator.call('POST /platform/v1/tenants', {
      body: { slug: 'runs', name: 'Runs', region: 'us', plan: 'team', owner: { email: 'o@runs.example' } },
    })
    const own = new Coditect({ url: stack.edge, token: apiKey.key, timeoutMs: 1_000, retries: 0 })
    const { id: projectId } = await own.call('POST /v1/projects', { body: { name: 'Runs' } })
    const agents = 'POST /v1/projects/{projectId}/agents'
    const { id: agentId } = await own.call(agents, { params: { projectId }, body: { name: 'A' } })
    const run = async () => {
      const runs = 'POST /v1/projects/{projectId}/agents/{agentId}/runs'
      const running = own.call(runs, { params: { projectId, agentId }, body: { input: 'wait' } })
      await vi.waitFor(() => expect(server.underWay()).toBe(1), { timeout: 5_000 })
      return { running }
    }
    const long = await run()
    setTimeout(() => server.release(), 2_000)
    expect(await long.running).toMatchObject({ status: 'succeeded', output: 'WaitHello, world.' })

    const orphaned = await run()
    const outcome = expect(orphaned.running).rejects.toMatchObject({ status: 410, code: 'tenant_erased' })
    await operator.call('DELETE /platform/v1/tenants/{id}', { params: { id: tenant.id } })
    server.release()
    await outcome
  } finally {
    await server.close()
  }
})

test('waits as long as the platform says', async () => {
  const at: number[] = []
  const busy: typeof fetch = async (input, init) => {
    at.push(performance.now())
    if (at.length > 1) return fetch(input, init)
    const problem = { code: 'rate_limited', detail: 'Later.', requestId: 'req_1' }
    return Response.json(problem, { status: 429, headers: { 'retry-after': '1' } })
  }
  await new Coditect({ url: stack.edge, token: stack.demo.apiKey, fetch: busy }).call('GET /v1/tenant')
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(990)
})
