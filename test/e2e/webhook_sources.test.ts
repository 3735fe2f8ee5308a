// Webhooks in: genuine ones are kept once, whatever the provider repeats; all others are refused and counted.
import { createHmac } from 'node:crypto'
import { sign as signAsGitHub } from '@octokit/webhooks-methods'
import Stripe from 'stripe'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkSignature, type Provider } from '../../regional/services/webhook-sources/providers.ts'
import { startModelServer } from '../support/model_server.ts'
import { startReceiver } from '../support/webhook_receiver.ts'
import { type Stack, startStack } from './stack.ts'

// biome-ignore lint/suspicious/noExplicitAny: bodies of several routes, each checked where it is used
type Body = any

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const check = (
  provider: Provider,
  secret: string,
  headers: Record<string, string>,
  body: string,
  nowSeconds = 0,
) =>
  checkSignature(
    provider,
    [secret],
    { header: (name) => headers[name], body: bytes(body) },
    nowSeconds * 1_000,
  )

describe('the providers’ own vectors', () => {
  test('Standard Webhooks', () => {
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1a,bm90IHRoaXM= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    }
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    const body = '{"test": 2432232314}'
    expect(check('standard', secret, headers, body, 1_614_265_330)).toMatchObject({
      outcome: 'genuine',
      eventId: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    })
    expect(check('standard', secret, headers, body, 1_614_265_330 + 301)).toEqual({ outcome: 'stale' })
    expect(check('standard', secret, headers, `${body} `, 1_614_265_330)).toEqual({ outcome: 'forged' })
    expect(check('standard', secret, {}, body)).toEqual({ outcome: 'forged' })
  })

  test('GitHub', () => {
    const headers = {
      'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
      'x-github-delivery': '72d3162e',
      'x-github-event': 'push',
    }
    const secret = "It's a Secret to Everybody"
    expect(check('github', secret, headers, 'Hello, World!')).toEqual({
      outcome: 'genuine',
      eventId: '72d3162e',
      type: 'push',
    })
    expect(check('github', 'another', headers, 'Hello, World!')).toEqual({ outcome: 'forged' })
  })

  test('Slack', () => {
    const headers = {
      'x-slack-request-timestamp': '1531420618',
      'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    }
    const body =
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c'
    const secret = '8f742231b10e8888abcd99yyyzzz85a5'
    expect(check('slack', secret, headers, body, 1_531_420_618).outcome).toBe('genuine')
    expect(check('slack', secret, headers, body, 1_531_420_618 - 301).outcome).toBe('stale')
  })

  test('Stripe’s and Shopify’s constructions', () => {
    const secret = 'a-secret-of-theirs'
    const body = '{"id":"evt_1","type":"invoice.paid"}'
    const mac = (text: string) => createHmac('sha256', secret).update(text)
    const stripe = {
      'stripe-signature': `t=1000,v1=${'0'.repeat(64)},v1=${mac(`1000.${body}`).digest('hex')},v0=x`,
    }
    expect(check('stripe', secret, stripe, body, 1_100)).toEqual({
      outcome: 'genuine',
      eventId: 'evt_1',
      type: 'invoice.paid',
    })
    expect(check('stripe', secret, stripe, body, 1_301).outcome).toBe('stale')
    const signature = mac(body).digest('base64')
    const shopify = { 'x-shopify-hmac-sha256': signature, 'x-shopify-topic': 'orders/create' }
    expect(check('shopify', secret, shopify, body)).toMatchObject({
      outcome: 'genuine',
      type: 'orders/create',
    })
    const padded = { 'x-shopify-hmac-sha256': `${signature}=` }
    expect(check('shopify', secret, padded, body).outcome).toBe('forged')
  })
})

test('a plain HMAC is taken in small letters or capitals, with or without the name of its hash', () => {
  const mac = createHmac('sha256', 'a-secret-of-theirs').update('{}').digest('hex')
  const verdict = (signature: string) =>
    check('hmac', 'a-secret-of-theirs', { 'x-signature': signature, 'x-event-id': 'e-1' }, '{}').outcome
  for (const signature of [mac, mac.toUpperCase(), `sha256=${mac}`, `sha256=${mac.toUpperCase()}`]) {
    expect([signature, verdict(signature)]).toEqual([signature, 'genuine'])
  }
  for (const signature of ['', mac.slice(2), `${mac}00`, `${mac}zz`, ` ${mac}`, mac.replace(/^./, 'K')]) {
    expect([signature, verdict(signature)]).toEqual([signature, 'forged'])
  }
})

test('an empty id or type is none, and a type has 200 characters at most', () => {
  const mac = createHmac('sha256', 'a-secret-of-theirs').update('{}').digest('hex')
  const verdict = (id: string, type: string) => {
    const headers = { 'x-signature': mac, 'x-event-id': id, 'x-event-type': type }
    return check('hmac', 'a-secret-of-theirs', headers, '{}')
  }
  expect(verdict('', '')).toEqual({ outcome: 'genuine', eventId: undefined, type: undefined })
  expect(verdict('0', 'x'.repeat(15_000))).toMatchObject({ eventId: '0', type: 'x'.repeat(200) })
})

describe('the providers’ own libraries', () => {
  test('Stripe’s signs what is taken', async () => {
    const payload = JSON.stringify({ id: 'evt_1', type: 'invoice.paid' })
    const secret = 'whsec_of_stripe'
    const timestamp = 1_700_000_000
    const header = Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp })
    const headers = { 'stripe-signature': header }
    expect(check('stripe', secret, headers, payload, timestamp + 10)).toEqual({
      outcome: 'genuine',
      eventId: 'evt_1',
      type: 'invoice.paid',
    })
    expect(check('stripe', secret, headers, `${payload} `, timestamp).outcome).toBe('forged')
  })

  test('GitHub’s signs what is taken', async () => {
    const body = JSON.stringify({ ref: 'refs/heads/main', text: 'ü' })
    const headers = { 'x-hub-signature-256': await signAsGitHub('secret', body), 'x-github-delivery': 'd' }
    expect(check('github', 'secret', headers, body).outcome).toBe('genuine')
    expect(check('github', 'secret', headers, body.replace('ü', 'u')).outcome).toBe('forged')
  })
})

describe('through the edge', () => {
  const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  let stack: Stack
  let key: string
  let tenants = 0
  beforeAll(async () => {
    stack = await startStack({ WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' })
  })
  afterAll(() => stack.stop())

  async function sourceOf(provider: Provider, secret: string, more: object = {}): Promise<Body> {
    const slug = `hooks-${++tenants}`
    const made = await stack.call<Body>('/platform/v1/tenants', {
      method: 'POST',
      body: { slug, name: slug, region: 'eu', plan: 'team', owner: { email: `o@${slug}.example` } },
    })
    key = made.body.apiKey.key
    const body = { name: 'Theirs', provider, secret, ...more }
    const source = await stack.call<Body>('/v1/webhook-sources', { method: 'POST', as: key, body })
    expect(source.status).toBe(201)
    return source.body
  }

  const send = async (url: string, body: string, headers: Record<string, string>) => {
    const { pathname } = new URL(url)
    const answer = await fetch(stack.edge + pathname, { method: 'POST', body, headers })
    return { status: answer.status, body: (await answer.json()) as Body }
  }
  const read = async (path: string): Promise<Body> => (await stack.call<Body>(path, { as: key })).body

  const signed = (id: string, body: string, seconds = Math.floor(Date.now() / 1_000)) => ({
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${createHmac('sha256', Buffer.from(SECRET.slice(6), 'base64'))
      .update(`${id}.${seconds}.${body}`)
      .digest('base64')}`,
  })

  test('a genuine webhook is kept once, told of in the feed, and read as it was sent', async () => {
    const source = await sourceOf('standard', SECRET, { eventTypes: { 'order.paid': 'shop.paid' } })
    expect(JSON.stringify(await read(`/v1/webhook-sources/${source.id}`))).not.toMatch(/whsec_|hooks\/cw_/)
    const body = '{"type":"order.paid","ü":1}'
    const first = await send(source.url, body, signed('msg_1', body))
    expect(first.status).toBe(200)
    // As the provider repeats it.
    expect(await send(source.url, body, signed('msg_1', body))).toEqual(first)
    const other = '{"type":"other"}'
    expect((await send(source.url, other, signed('msg_1', other))).body).toEqual(first.body)

    const { data } = await read(`/v1/webhook-sources/${source.id}/received`)
    expect(data).toMatchObject([{ id: first.body.id, type: 'shop.paid', providerType: 'order.paid' }])
    expect(await read(`/v1/webhook-sources/${source.id}/received/${first.body.id}`)).toMatchObject({
      body,
      encoding: 'utf-8',
      providerEventId: 'msg_1',
    })
    const events = (await read('/v1/events?types=webhook.*')).data
    expect(events).toMatchObject([
      { resource: first.body.id, data: { source: source.id, type: 'shop.paid' } },
    ])
  })

  test('of many copies at once one is kept', async () => {
    const source = await sourceOf('standard', SECRET)
    const headers = signed('msg_many', '{}')
    const all = await Promise.all(Array.from({ length: 12 }, () => send(source.url, '{}', headers)))
    expect(new Set(all.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1)
    expect((await read(`/v1/webhook-sources/${source.id}`)).received).toBe(1)
  })

  test('what is forged, or of another time, is 401 and counted; what is too large is 413', async () => {
    const source = await sourceOf('standard', SECRET)
    const forged = await send(source.url, '{}', { ...signed('m', '{}'), 'webhook-id': 'n' })
    expect([forged.status, forged.body.code]).toEqual([401, 'signature_invalid'])
    const old = await send(source.url, '{}', signed('m', '{}', Math.floor(Date.now() / 1_000) - 400))
    expect([old.status, old.body.code]).toEqual([401, 'signature_invalid'])
    const large = 'x'.repeat(1024 * 1024 + 1)
    expect((await send(source.url, large, signed('m', large))).status).toBe(413)
    const counted = async () => {
      const { received, rejected } = await read(`/v1/webhook-sources/${source.id}`)
      return { received, rejected }
    }
    await expect.poll(counted, { timeout: 20_000 }).toEqual({ received: 0, rejected: 2 })
    expect((await read(`/v1/webhook-sources/${source.id}/received`)).data).toEqual([])
  })

  test('a refusal ends with what was wrong, whatever idempotency key its provider sends', async () => {
    const source = await sourceOf('standard', 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')
    const headers = { ...signed('msg_1', '{}'), 'idempotency-key': 'theirs' }
    expect((await send(source.url, '{}', headers)).status).toBe(401)
    const path = `/v1/webhook-sources/${source.id}`
    await stack.call(path, { method: 'PATCH', as: key, body: { secret: SECRET } })
    expect((await send(source.url, '{}', headers)).status).toBe(200)
  })

  test('what its provider says in headers that are ours means nothing here', async () => {
    const source = await sourceOf('standard', SECRET)
    const other = { 'idempotency-key': 'ü '.repeat(1_000), 'x-tenant': 'another' }
    expect((await send(source.url, '{}', { ...signed('msg_1', '{}'), ...other })).status).toBe(200)
  })

  test('what came in goes out to the endpoints that want it, once', async () => {
    const receiver = await startReceiver()
    try {
      const source = await sourceOf('standard', SECRET, { eventTypes: { '*': 'shop.news' } })
      const endpoint = { url: receiver.url('/'), types: ['webhook.received', 'project.created'] }
      await stack.call('/v1/webhook-endpoints', { method: 'POST', as: key, body: endpoint })
      const body = '{"type":"order.paid"}'
      const { body: first } = await send(source.url, body, signed('msg_out', body))
      await send(source.url, body, signed('msg_out', body))
      await stack.call('/v1/projects', { method: 'POST', as: key, body: { name: 'The last to come' } })
      await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(2)
      const news = receiver.received.filter(({ body: { type } }) => type === 'webhook.received')
      expect(news.map(({ body: { data } }) => data)).toMatchObject([
        { resource: first.id, source: source.id, provider: 'standard', type: 'shop.news' },
      ])
    } finally {
      await receiver.close()
    }
  })

  test('two organisations that send each other all of their events come to an end', async () => {
    const sources: Body[] = []
    const keys: string[] = []
    for (let i = 0; i < 2; i++) {
      sources.push(await sourceOf('standard', SECRET))
      keys.push(key)
    }
    const ask = (i: number, path: string, body?: object) =>
      stack.call<Body>(path, { as: keys[i] ?? '', ...(body && { method: 'POST', body }) })
    for (const i of [0, 1]) {
      const url = stack.edge + new URL(sources[1 - i].url).pathname
      const made = await ask(i, '/v1/webhook-endpoints', { url, secret: SECRET })
      expect(made.status).toBe(201)
    }
    await ask(0, '/v1/projects', { name: 'The spark' })
    // The last one was delivered, and nothing came of it.
    const last = expect.objectContaining({ hops: 3 })
    const told = async () => {
      const both = await Promise.all([0, 1].map((i) => ask(i, '/v1/events?types=webhook.received')))
      return both.flatMap(({ body }) => body.data)
    }
    await expect.poll(told, { timeout: 20_000 }).toContainEqual(expect.objectContaining({ data: last }))
    const unsent = async () => {
      const events = await Promise.all([0, 1].map((i) => ask(i, '/v1/events')))
      const sent = await Promise.all([0, 1].map((i) => ask(i, '/v1/deliveries?status=delivered&limit=100')))
      const ids = new Set(sent.flatMap(({ body }) => body.data.map(({ eventId }: Body) => eventId)))
      const wanted = events.flatMap(({ body }) =>
        body.data.filter(({ type }: Body) => type.startsWith('webhook.')),
      )
      return wanted.filter(({ id }: Body) => !ids.has(id)).length
    }
    await expect.poll(unsent, { timeout: 20_000 }).toBe(0)
    expect(Math.max(...(await told()).map(({ data }: Body) => data.hops ?? 1))).toBe(3)
  })

  test('a URL that was altered, or whose source was removed, leads nowhere', async () => {
    const source = await sourceOf('standard', SECRET)
    const path = new URL(source.url).pathname
    for (const at of [10, 40, path.length - 1]) {
      const altered = path.slice(0, at) + (path[at] === 'a' ? 'b' : 'a') + path.slice(at + 1)
      expect((await send(stack.edge + altered, '{}', signed('m', '{}'))).status).toBe(404)
    }
    expect((await stack.call(path, { as: null })).status).toBe(405)
    expect((await send(`${stack.edge}/hooks/receive`, '{}', {})).status).toBe(404)
    await stack.call(`/v1/webhook-sources/${source.id}`, { method: 'DELETE', as: key })
    expect((await send(source.url, '{}', signed('m', '{}'))).status).toBe(401)
  })

  test('a webhook runs the agent that its source names, once, and only for who may run agents', async () => {
    const models = await startModelServer()
    try {
      const model = { name: 'small', baseUrl: models.baseUrl }
      expect((await stack.call('/platform/v1/models', { method: 'POST', body: model })).status).toBe(201)
      const source = await sourceOf('standard', SECRET)
      const post = (path: string, body: object, as = key) =>
        stack.call<Body>(path, { method: 'POST', as, body })
      const project = (await post('/v1/projects', { name: 'P' })).body.id
      const agents = `/v1/projects/${project}/agents`
      const agent = { projectId: project, agentId: (await post(agents, { name: 'A' })).body.id }
      const narrow = (await post('/v1/api-keys', { name: 'n', scopes: ['webhook-sources:write'] })).body.key
      const change = (as: string) =>
        stack.call<Body>(`/v1/webhook-sources/${source.id}`, { method: 'PATCH', as, body: { agent } })
      expect((await change(narrow)).body.code).toBe('insufficient_scope')
      expect((await change(key)).body.agent).toEqual(agent)
      const body = '{"type":"order.paid","total":7}'
      for (let i = 0; i < 3; i++) {
        expect((await send(source.url, body, signed('msg_run', body))).status).toBe(200)
      }
      const runs = `${agents}/${agent.agentId}/runs`
      await expect
        .poll(async () => (await read(runs)).data, { timeout: 20_000 })
        .toMatchObject([{ status: 'succeeded', inputTokens: 11 }])
      const [{ id }] = (await read(runs)).data
      const run = await read(`${runs}/${id}`)
      expect(run.input[0].content).toBe(`A webhook came: order.paid\n\n${body}`)
      expect(run.output).toBe('Hello, world.')
      expect((await read('/v1/usage')).quotas.tokens.used).toBe(15)
    } finally {
      await models.close()
    }
  })

  test('Slack’s question at the registration is answered', async () => {
    const secret = '8f742231b10e8888abcd99yyyzzz85a5'
    const source = await sourceOf('slack', secret)
    const body = JSON.stringify({ type: 'url_verification', challenge: '3eZbrw1a' })
    const seconds = Math.floor(Date.now() / 1_000)
    const signature = createHmac('sha256', secret).update(`v0:${seconds}:${body}`).digest('hex')
    const headers = {
      'x-slack-request-timestamp': String(seconds),
      'x-slack-signature': `v0=${signature}`,
    }
    expect(await send(source.url, body, headers)).toEqual({ status: 200, body: { challenge: '3eZbrw1a' } })
  })
})
