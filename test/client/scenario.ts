// What every runtime has to be able to do with the client: the same steps in Node, a browser and a worker. Nothing in here
// knows where it runs; what happened is answered as JSON.
import { Coditect, CoditectProblem, ConnectionError } from '../../shared/client/index.ts'

export interface Where {
  url: string
  token: string
  /** Of an agent whose model speaks in four words. */
  agent: { projectId: string; agentId: string }
  /** A feed whose every connection breaks after one step: first it tells its place alone, and then one event at a time. */
  breaking: string
  /** Sends whoever asks somewhere else, where everybody is told that all is well. */
  leading: string
}

export interface Told {
  read: boolean
  refusal: unknown
  listedOnce: boolean
  madeOnce: boolean
  sentTwiceWithOneKey: boolean
  tailed: string[]
  spoken: string
  stored: string
  ended: string
  silent: boolean
  resumed: string[]
  led: string
}

export async function scenario({ url, token, agent, breaking, leading }: Where): Promise<Told> {
  const client = new Coditect({ url, token })
  const mark = `by ${crypto.randomUUID()}`
  const named = async () =>
    (await Array.fromAsync(client.all('GET /v1/projects', { query: { limit: 2 } }))).filter(
      ({ name }) => name === mark,
    )

  // A feed that is open meanwhile; it begins behind an event that is there.
  const start = await client.call('GET /v1/events', { query: { limit: 1 } })
  const stop = new AbortController()
  const tail = client.tail('GET /v1/events', {
    query: { after: start.data[0]?.id ?? '', types: 'project.*' },
    signal: stop.signal,
  })

  // The first answer gets lost: the same key again, and one project.
  const keys: Array<string | null> = []
  const losing: typeof fetch = async (input, init) => {
    keys.push(new Headers(init?.headers).get('idempotency-key'))
    const answer = await fetch(input, init)
    if (keys.length > 1) return answer
    await answer.body?.cancel()
    throw new TypeError('the answer got lost')
  }
  const lossy = new Coditect({ url, token, fetch: losing, random: () => 0 })
  const made = await lossy.call('POST /v1/projects', { body: { name: mark } })
  const all = await named()

  const params = { id: made.id }
  const read = await client.call('GET /v1/projects/{id}', { params })
  const refusal = await client
    .call('PATCH /v1/projects/{id}', { params, ifMatch: '"7"', body: { name: 'No' } })
    .catch((error: unknown) => error)
  await client.call('PATCH /v1/projects/{id}', { params, ifMatch: '"1"', body: { description: 'changed' } })

  const tailed: string[] = []
  for await (const { type, resource } of tail) {
    if (resource === made.id) tailed.push(type)
    if (tailed.length === 2) break
  }

  let spoken = ''
  let stored = ''
  const runs = 'POST /v1/projects/{projectId}/agents/{agentId}/runs'
  for await (const { event, data } of client.stream(runs, { params: agent, body: { input: 'Hello' } })) {
    if (event === 'delta') spoken += (data as { text: string }).text
    if (event === 'done') stored = (data as { output: string }).output
  }

  // A call that is given up, and one whose platform is not there.
  const enough = new AbortController()
  const asked = client.tail('GET /v1/events', { signal: enough.signal }).next()
  enough.abort(new Error('enough'))
  const ended = await asked.then(
    () => 'answered',
    (error: unknown) => (error as Error).message,
  )
  const nowhere = new Coditect({ url: 'http://127.0.0.1:9', token, retries: 1, random: () => 0 })
  const silent = await nowhere.call('GET /v1/tenant').catch((error: unknown) => error)

  // A connection that breaks, as this runtime says it.
  const resumed: string[] = []
  for await (const { sequence } of new Coditect({ url: breaking, token }).tail('GET /v1/events')) {
    resumed.push(sequence)
    if (resumed.length === 2) break
  }

  // A place that is another one by now.
  const led = await new Coditect({ url: leading, token })
    .call('POST /v1/projects', { body: { name: mark } })
    .catch((error: unknown) => error)

  return {
    read: read.name === mark,
    refusal: refusal instanceof CoditectProblem && [
      refusal.status,
      refusal.code,
      refusal.requestId.slice(0, 4),
    ],
    listedOnce: new Set(all.map(({ id }) => id)).size === all.length,
    madeOnce: all.length === 1 && all[0]?.id === made.id,
    sentTwiceWithOneKey: keys.length === 2 && keys[0] !== null && keys[0] === keys[1],
    tailed,
    spoken,
    stored,
    ended,
    silent: silent instanceof ConnectionError,
    resumed,
    led: led instanceof ConnectionError ? led.message : 'answered',
  }
}
