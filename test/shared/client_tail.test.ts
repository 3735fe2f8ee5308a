// A tail over connections that break in every way there is: nothing is missed, and it ends where going on would be in vain.
// In Node and in workerd.
import { expect, test } from 'vitest'
import { type ClientOptions, Coditect, ConnectionError } from '../../shared/client/index.ts'

const utf8 = new TextEncoder()
type Ending = 'closed' | 'broken' | 'silent'

const stream = (text: string, ending: Ending) => (): Response => {
  let said = false
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!said) {
          said = true
          return controller.enqueue(utf8.encode(text))
        }
        if (ending === 'closed') controller.close()
        // As workerd says it; Node has a TypeError.
        if (ending === 'broken') controller.error(new Error('Network connection lost.'))
        if (ending === 'silent') await new Promise(() => {})
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}
const refusal = (status: number, code: string) => () =>
  Response.json({ code, detail: 'No.', requestId: 'req_1' }, { status })
const event = (sequence: string) => `id: ${sequence}\ndata: ${JSON.stringify({ sequence })}\n\n`
const beginning = (place: string) => `retry: 1000\nid: ${place}\n\n`
const unreachable = () => Promise.reject(new TypeError('fetch failed'))

/** Follows the feed of a platform that answers so in turn, until so many events have come. */
async function followed(
  answers: Array<() => Response | Promise<Response>>,
  wanted: number,
  options: Partial<ClientOptions> = {},
) {
  const places: Array<string | null> = []
  const fetch: ClientOptions['fetch'] = async (_, init) => {
    const answer = answers[places.length]
    places.push(new Headers(init?.headers).get('last-event-id'))
    if (answer === undefined) throw new Error('asked once too often')
    return answer()
  }
  const client = new Coditect({
    url: 'https://api.test',
    token: 'ck',
    fetch,
    retries: 0,
    random: () => 0,
    ...options,
  })
  const got: string[] = []
  const tailing = (async () => {
    for await (const { sequence } of client.tail('GET /v1/events')) {
      got.push(sequence)
      if (got.length === wanted) break
    }
  })()
  return { got, places, failure: await tailing.catch((error: unknown) => error) }
}

test('a tail from now on that broke before anything happened is taken up where it began', async () => {
  const { got, places } = await followed(
    [stream(beginning('07'), 'closed'), stream(beginning('07') + event('08'), 'closed')],
    1,
  )
  expect(places).toEqual([null, '07'])
  expect(got).toEqual(['08'])
})

test('what was passed over moves its place, too', async () => {
  const passing = `${beginning('01')}${event('02')}id: 09\n\n`
  const { got, places } = await followed([stream(passing, 'broken'), stream(event('10'), 'closed')], 2)
  expect(places).toEqual([null, '09'])
  expect(got).toEqual(['02', '10'])
})

test('a broken or dead connection, a platform that is away and one that is busy are waited for', async () => {
  const { got, places } = await followed(
    [
      stream(beginning('01') + event('02'), 'broken'),
      unreachable,
      refusal(503, 'region_unavailable'),
      refusal(429, 'too_many_streams'),
      stream(event('03'), 'silent'),
      stream(event('04'), 'closed'),
    ],
    3,
    { silenceMs: 30 },
  )
  expect(got).toEqual(['02', '03', '04'])
  expect(places).toEqual([null, '02', '02', '02', '02', '03'])
})

test('a tail ends when it is refused, before and after it has begun', async () => {
  const revoked = refusal(401, 'api_key_revoked')
  expect((await followed([revoked], 1)).failure).toMatchObject({ code: 'api_key_revoked' })
  const later = await followed([stream(event('01'), 'closed'), revoked], 2)
  expect(later.failure).toMatchObject({ code: 'api_key_revoked' })
})

test('a tail that cannot begin says so: nobody there, a proxy’s page, a platform that stays busy', async () => {
  const nobody = await followed([unreachable, unreachable], 1, { retries: 1 })
  expect([nobody.failure instanceof ConnectionError, nobody.places.length]).toEqual([true, 2])
  const page = () => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } })
  expect((await followed([page], 1)).failure).toBeInstanceOf(ConnectionError)
  const busy = await followed([refusal(503, 'overloaded')], 1)
  expect(busy.failure).toMatchObject({ code: 'overloaded' })
})

test('a tail that is ended ends with the reason, also before it begins', async () => {
  const fetch: ClientOptions['fetch'] = async () => stream(event('01'), 'closed')()
  const client = new Coditect({ url: 'https://api.test', token: 'ck', fetch })
  const given = { signal: AbortSignal.abort(new Error('enough')) }
  await expect(client.tail('GET /v1/events', given).next()).rejects.toThrow('enough')
  const stop = new AbortController()
  const tail = client.tail('GET /v1/events', { signal: stop.signal })
  expect((await tail.next()).value).toMatchObject({ sequence: '01' })
  stop.abort(new Error('enough'))
  await expect(tail.next()).rejects.toThrow('enough')
})
