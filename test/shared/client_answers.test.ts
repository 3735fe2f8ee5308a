// What a client makes of answers that begin well: a problem that comes after the head, a connection that breaks, a proxy's
// page. In Node and in workerd.
import { expect, test } from 'vitest'
import { type ClientOptions, Coditect, CoditectProblem, ConnectionError } from '../../shared/client/index.ts'

const RUNS = 'POST /v1/projects/{projectId}/agents/{agentId}/runs'
const input = { params: { projectId: 'prj_1', agentId: 'agt_1' }, body: { input: 'Hello' } }
const PROBLEM = {
  type: 'urn:coditect:problem:internal',
  title: 'Something went wrong on our side',
  status: 500,
  detail: 'Try again.',
  code: 'internal',
  requestId: 'req_1',
}
const refusal = { status: 500, code: 'internal', requestId: 'req_1' }

const utf8 = new TextEncoder()
type Ending = 'closed' | 'broken' | 'silent'

/** These parts, each after a while, and then an end. */
function bodyOf(parts: string[], ending: Ending = 'closed', everyMs = 0): ReadableStream<Uint8Array> {
  const left = [...parts]
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, everyMs))
      const part = left.shift()
      if (part !== undefined) return controller.enqueue(utf8.encode(part))
      if (ending === 'closed') controller.close()
      // As workerd says it; Node has a TypeError.
      if (ending === 'broken') controller.error(new Error('Network connection lost.'))
      if (ending === 'silent') await new Promise(() => {})
    },
  })
}
const json = (status: number, body: ReadableStream | string) =>
  new Response(body, { status, headers: { 'content-type': 'application/json' } })
const eventStream = (body: ReadableStream | string) =>
  new Response(body, { status: 201, headers: { 'content-type': 'text/event-stream' } })

/** A client that is answered so, in turn. */
function answered(answers: Array<() => Response | Promise<Response>>, options: Partial<ClientOptions> = {}) {
  const keys: Array<string | null> = []
  const fetch: ClientOptions['fetch'] = async (_, init) => {
    const answer = answers[keys.length]
    keys.push(new Headers(init?.headers).get('idempotency-key'))
    if (answer === undefined) throw new Error('asked once too often')
    return answer()
  }
  const client = new Coditect({ url: 'https://api.test', token: 'ck', fetch, random: () => 0, ...options })
  return { client, keys }
}

test('a problem that comes after the head is thrown, not answered, and not sent again', async () => {
  const called = answered([() => json(201, ` ${JSON.stringify(PROBLEM)}`)])
  const call = called.client.call(RUNS, input)
  await expect(call).rejects.toBeInstanceOf(CoditectProblem)
  await expect(call).rejects.toMatchObject(refusal)
  expect(called.keys).toHaveLength(1)
})

test('a redirect is told at once: asked again, it would lead there again', async () => {
  const headers = { location: 'https://elsewhere.test/' }
  const { client, keys } = answered([() => new Response(null, { status: 301, headers })])
  await expect(client.call('GET /v1/tenant')).rejects.toThrow('leads to https://elsewhere.test/')
  expect(keys).toHaveLength(1)
})

test('a stream that ends with a problem throws it, after what came before', async () => {
  const { client } = answered([
    () =>
      eventStream(`event: delta\ndata: {"text":"Hel"}\n\nevent: error\ndata: ${JSON.stringify(PROBLEM)}\n\n`),
  ])
  const told: unknown[] = []
  const streaming = (async () => {
    for await (const { data } of client.stream(RUNS, input)) told.push(data)
  })()
  await expect(streaming).rejects.toMatchObject(refusal)
  expect(told).toEqual([{ text: 'Hel' }])
})

test('an answer that breaks off is asked for again with the same key', async () => {
  const { client, keys } = answered([
    () => json(201, bodyOf([' ', '{"id":"r'], 'broken')),
    () => json(201, bodyOf(['{"id":"r', 'un_1"}'])),
  ])
  expect(await client.call(RUNS, input)).toEqual({ id: 'run_1' })
  expect(keys).toEqual([expect.any(String), keys[0]])
})

test('a run whose answer broke off is asked for until it is over or the time is, also when no try is left', async () => {
  const underWay = () => json(409, JSON.stringify({ ...PROBLEM, status: 409, code: 'request_in_progress' }))
  const { client } = answered(
    [
      () => json(201, bodyOf([' '], 'broken')),
      ...Array.from({ length: 4 }, () => underWay),
      () => json(201, '{"id":"run_1"}'),
    ],
    { retries: 1 },
  )
  expect(await client.call(RUNS, input)).toEqual({ id: 'run_1' })
  const endless = answered(
    Array.from({ length: 20 }, () => underWay),
    { retries: 0, timeoutMs: 200 },
  )
  await expect(endless.client.call(RUNS, input)).rejects.toMatchObject({ code: 'request_in_progress' })
  expect(endless.keys.length).toBeGreaterThan(1)
})

test('what breaks off every time, or is not the platform’s, is a ConnectionError that says where and why', async () => {
  const broken = answered([() => json(201, bodyOf([' '], 'broken'))], { retries: 0 })
  await expect(broken.client.call(RUNS, input)).rejects.toBeInstanceOf(ConnectionError)
  const page = answered([() => new Response('<!doctype html><p>Sign in to the network')], { retries: 0 })
  await expect(page.client.call('GET /v1/tenant')).rejects.toBeInstanceOf(ConnectionError)
  const cut = answered([() => eventStream(bodyOf(['event: delta\ndata: {}\n\n'], 'broken'))])
  const stream = cut.client.stream(RUNS, input)
  expect((await stream.next()).value).toEqual({ event: 'delta', data: {} })
  await expect(stream.next()).rejects.toBeInstanceOf(ConnectionError)
  const refused = answered(
    [() => Promise.reject(new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') }))],
    { url: 'https://name:secret@api.test/', retries: 0 },
  )
  await expect(refused.client.call('GET /v1/tenant')).rejects.toThrow(
    /^GET \/v1\/tenant was not answered by https:\/\/api\.test: connect ECONNREFUSED$/,
  )
})

test('work that takes longer than the time for an answer to begin is waited for while there are signs of life', async () => {
  const beats = Array.from({ length: 10 }, () => ' ')
  const { client } = answered([() => json(201, bodyOf([...beats, '{"id":"run_1"}'], 'closed', 20))], {
    timeoutMs: 50,
    silenceMs: 1_000,
  })
  expect(await client.call(RUNS, input)).toEqual({ id: 'run_1' })
  const silent = answered([() => json(201, bodyOf([' '], 'silent'))], { retries: 0, silenceMs: 30 })
  await expect(silent.client.call(RUNS, input)).rejects.toThrow('nothing came for 30 ms')
})

test('times without end are none that are over at once', async () => {
  const endless = { timeoutMs: Number.POSITIVE_INFINITY, silenceMs: 2 ** 31 }
  const fetch: ClientOptions['fetch'] = async (_, init) => {
    await new Promise((resolve) => setTimeout(resolve, 20))
    init?.signal?.throwIfAborted()
    return json(201, bodyOf(['{"id":"r', 'un_1"}'], 'closed', 20))
  }
  const { client } = answered([], { ...endless, fetch, retries: 0 })
  expect(await client.call(RUNS, input)).toEqual({ id: 'run_1' })
  const stop = new AbortController()
  const busy = { status: 503, headers: { 'retry-after': '3000000' } }
  const waiting = answered([() => Response.json({ ...PROBLEM, status: 503 }, busy)], endless)
  const call = waiting.client.call(RUNS, { ...input, signal: stop.signal })
  setTimeout(() => stop.abort(new Error('enough')), 30)
  await expect(call).rejects.toThrow('enough')
})

test('what cannot be sent is told at once as the mistake that it is', async () => {
  const circle: Record<string, unknown> = {}
  circle.again = circle
  for (const wrong of [circle, 1n]) {
    const { client, keys } = answered([])
    const call = client.call(RUNS, { ...input, body: { input: wrong as unknown as string } })
    await expect(call).rejects.toBeInstanceOf(TypeError)
    expect(keys).toEqual([])
  }
  const { client, keys } = answered([], { token: 'ck\nck' })
  await expect(client.call('GET /v1/tenant')).rejects.toBeInstanceOf(TypeError)
  expect(keys).toEqual([])
})

test('a call that is given up while its answer comes ends with the reason', async () => {
  const stop = new AbortController()
  const { client } = answered([
    () => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) =>
          stop.signal.addEventListener('abort', () => controller.error(new Error('aborted'))),
      })
      return json(201, body)
    },
  ])
  const call = client.call(RUNS, { ...input, signal: stop.signal })
  setTimeout(() => stop.abort(new Error('enough')), 10)
  await expect(call).rejects.toThrow('enough')
})

test('what no waiting helps is not asked for again', async () => {
  const problem = { ...PROBLEM, code: 'no_model_configured', status: 503 }
  const { client, keys } = answered([() => json(503, JSON.stringify(problem))])
  await expect(client.call(RUNS, input)).rejects.toMatchObject({ code: 'no_model_configured' })
  expect(keys).toHaveLength(1)
})

test('a thing is read with its ETag, and what has none says so', async () => {
  const { client } = answered([
    () => Response.json({ id: 'prj_1' }, { headers: { etag: '"7"' } }),
    () => Response.json({ id: 'job_1' }),
  ])
  const params = { id: 'prj_1' }
  expect(await client.read('GET /v1/projects/{id}', { params })).toEqual({
    body: { id: 'prj_1' },
    etag: '"7"',
  })
  await expect(client.read('GET /v1/jobs/{id}', { params })).rejects.toThrow('without an ETag')
})

test('a list that regions left something out of ends with an error that names them', async () => {
  const page = (id: string, nextCursor: string | null, unreachable: string[]) => () =>
    Response.json({ data: [{ id }], nextCursor, unreachable })
  const { client } = answered([page('a', 'next', ['eu']), page('b', null, [])])
  const ids: string[] = []
  const listing = (async () => {
    for await (const { id } of client.all('GET /platform/v1/tenants')) ids.push(id)
  })()
  await expect(listing).rejects.toThrow(/no answer from eu/)
  expect(ids).toEqual(['a', 'b'])
})
