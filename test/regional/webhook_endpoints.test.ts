// Webhooks out: events reach the endpoints that want them, signed, again when they failed, in order where that is asked.
import { createPublicKey, verify } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { PLANS } from '../../shared/plans.ts'
import { eventually } from '../support/eventually.ts'
import { type Received, startReceiver, type WebhookReceiver } from '../support/webhook_receiver.ts'
import { type Answer, type Regions, startRegions } from './support.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS

let regions: Regions
let receiver: WebhookReceiver
/** Of the regions' clock, how far it is ahead. */
let aheadMs = 0
beforeAll(async () => {
  receiver = await startReceiver()
  regions = await startRegions({}, (environment) =>
    startRegion(readConfig({ ...environment, WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' }), {
      writeLog: () => {},
      now: () => Date.now() + aheadMs,
      outbound: { timeoutMs: 700 },
    }),
  )
})
afterAll(async () => {
  await regions.close()
  await receiver.close()
})

let tenants = 0
async function newTenant() {
  const { id, key } = await regions.newTenant(`hooks-out-${++tenants}`, 'eu')
  const ask = (method: string, path: string, body?: unknown, headers = {}): Promise<Answer> =>
    regions.ask('eu', { as: key, method, path, body, headers })
  const path = `/t${tenants}`
  return {
    ask,
    path,
    async endpoint(more: object = {}, at = path) {
      const url = receiver.url(at)
      const { status, body } = await ask('POST', '/v1/webhook-endpoints', {
        url,
        types: ['project.*'],
        ...more,
      })
      expect([status, body.code]).toEqual([201, undefined])
      return body
    },
    async projects(count: number, name = 'P'): Promise<string[]> {
      const ids: string[] = []
      for (let i = 0; i < count; i++) {
        ids.push((await ask('POST', '/v1/projects', { name: `${name} ${i}` })).body.id)
      }
      return ids
    },
    /** As the operator says. */
    limits: (limits: object) =>
      regions.ask('us', {
        as: 'operator',
        method: 'PATCH',
        path: `/platform/v1/tenants/${id}`,
        body: { limits },
      }),
    status: (status: string) =>
      regions.ask('us', {
        ...{ as: 'operator', method: 'PATCH', path: `/platform/v1/tenants/${id}`, body: { status } },
      }),
    deliveries: async (query = '') => (await ask('GET', `/v1/deliveries${query}`)).body.data,
    came: (at = path) => receiver.at(at),
    resources: (at = path) => receiver.at(at).map(({ body }) => body.data.resource),
  }
}

const isSigned = (secret: string, { text, headers }: Received): boolean => {
  try {
    return new Webhook(secret).verify(text, headers as Record<string, string>) !== undefined
  } catch {
    return false
  }
}

describe('what is sent', () => {
  test('an event reaches the endpoint that wants it, signed in both ways', async () => {
    const tenant = await newTenant()
    const endpoint = await tenant.endpoint({ headers: { 'X-Own': 'a value', Authorization: 'Bearer x' } })
    expect(endpoint).toMatchObject({
      secret: expect.stringMatching(/^whsec_/),
      headers: ['X-Own', 'Authorization'],
    })
    const [project] = await tenant.projects(1)
    await tenant.ask('POST', '/v1/api-keys', { name: 'unwanted', scopes: ['*'] })
    const [came] = await eventually(() => {
      expect(tenant.came()).toHaveLength(1)
      return tenant.came()
    })
    if (came === undefined) throw new Error('nothing came')
    const { data: events } = (await tenant.ask('GET', '/v1/events?types=project.*')).body
    expect(came.body).toEqual({
      type: 'project.created',
      timestamp: events[0].at,
      id: events[0].id,
      sequence: events[0].sequence,
      data: { resource: project, actor: events[0].actor },
    })
    expect(came.headers).toMatchObject({
      'webhook-id': events[0].id,
      'x-own': 'a value',
      authorization: 'Bearer x',
      'content-type': 'application/json',
    })
    expect(isSigned(endpoint.secret, came)).toBe(true)
    const v1a = String(came.headers['webhook-signature'])
      .split(' ')
      .find((each) => each.startsWith('v1a,'))
    const x = Buffer.from(endpoint.publicKey.slice('whpk_'.length), 'base64').toString('base64url')
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    const signed = `${came.headers['webhook-id']}.${came.headers['webhook-timestamp']}.${came.text}`
    expect(verify(null, Buffer.from(signed), key, Buffer.from(v1a?.slice(4) ?? '', 'base64'))).toBe(true)
    await eventually(async () =>
      expect(await tenant.deliveries()).toMatchObject([
        { endpointId: endpoint.id, eventId: events[0].id, status: 'delivered', attempts: 1 },
      ]),
    )
  })

  test('secrets are shown once, and values of headers never', async () => {
    const tenant = await newTenant()
    const { id, secret } = await tenant.endpoint({ headers: { 'X-Own': 'hush-hush' } })
    for (const path of ['', `/${id}`]) {
      const { body } = await tenant.ask('GET', `/v1/webhook-endpoints${path}`)
      expect(JSON.stringify(body)).not.toMatch(/whsec_|hush-hush|sealed/)
    }
    expect(secret).toMatch(/^whsec_/)
  })

  test('headers are as long together as receivers take them', async () => {
    const tenant = await newTenant()
    const headers = (bytes: number) =>
      Object.fromEntries(
        Array.from({ length: 8 }, (_, i) => [`X-Own-${i}`, 'x'.repeat(bytes - 'X-Own-0'.length)]),
      )
    const { id } = await tenant.endpoint({ headers: headers(1_024) })
    const refused = { status: 422, body: { errors: [{ pointer: '/headers' }] } }
    const more = { url: receiver.url(tenant.path), headers: headers(1_025) }
    expect(await tenant.ask('POST', '/v1/webhook-endpoints', more)).toMatchObject(refused)
    expect(await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, more)).toMatchObject(refused)
  })

  test('values of headers go to no other origin than whoever gave them said', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ headers: { 'X-Own': 'hush-hush' } })
    const change = async (body: object) => {
      const answer = await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, body)
      return answer.status === 200 ? answer.body.headers : answer.body.errors
    }
    const wrong = [{ pointer: '/headers', detail: expect.stringContaining('given again') }]
    const there = receiver.url(tenant.path)
    expect(await change({ url: `${there}/moved`, description: 'Same place' })).toEqual(['X-Own'])
    const { port } = new URL(there)
    for (const url of [
      `http://127.0.0.1:${Number(port) + 1}/`,
      `https://127.0.0.1:${port}/`,
      'https://x.test/',
    ]) {
      expect([url, await change({ url })]).toEqual([url, wrong])
    }
    const url = 'https://hooks.example.com/'
    expect(await change({ url, headers: { 'X-Other': 'new' } })).toEqual(['X-Other'])
    expect(await change({ url: there })).toEqual(wrong)
    expect(await change({ url: there, headers: {} })).toEqual([])
    expect(await change({ url })).toEqual([])
  })

  test('after a rotation both secrets sign until the old one’s time is over', async () => {
    const tenant = await newTenant()
    const first = await tenant.endpoint()
    const second = (
      await tenant.ask('POST', `/v1/webhook-endpoints/${first.id}/rotate`, { overlapSeconds: 3600 })
    ).body
    expect([second.publicKey === first.publicKey, second.secret === first.secret]).toEqual([false, false])
    const signedBy = async (count: number) => {
      await tenant.projects(1)
      const came = await eventually(() => {
        expect(tenant.came()).toHaveLength(count)
        return tenant.came().at(-1)
      })
      if (came === undefined) throw new Error('nothing came')
      // The library checks the time against its own clock.
      vi.useFakeTimers({ now: Date.now() + aheadMs, toFake: ['Date'] })
      try {
        return [first, second].map(({ secret }) => isSigned(secret, came))
      } finally {
        vi.useRealTimers()
      }
    }
    expect(await signedBy(1)).toEqual([true, true])
    aheadMs += HOUR_MS
    expect(await signedBy(2)).toEqual([false, true])
  })

  test('a test event comes at once, whatever the endpoint wants, and is tried once', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ mode: 'fifo' })
    const { status, body } = await tenant.ask('POST', `/v1/webhook-endpoints/${id}/test`)
    expect([status, body.test]).toEqual([202, true])
    await eventually(() => expect(tenant.came()).toMatchObject([{ body: { type: 'webhook_endpoint.test' } }]))
    receiver.answer(tenant.path, 500)
    const again = await tenant.ask('POST', `/v1/webhook-endpoints/${id}/test`)
    await eventually(async () =>
      expect((await tenant.ask('GET', `/v1/deliveries/${again.body.id}`)).body).toMatchObject({
        status: 'failed',
        attempts: [{ status: 500 }],
      }),
    )
    const retry = (delivery: string) => tenant.ask('POST', `/v1/deliveries/${delivery}/retry`)
    expect((await retry(again.body.id)).status).toBe(202)
    expect(await retry(body.id)).toMatchObject({
      status: 409,
      body: { detail: 'A test that has arrived is not kept: ask for another.' },
    })
  })

  test('a test comes before an endpoint is enabled, and past all that waits; one answered 410 is over, too', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ enabled: false })
    receiver.answer(tenant.path, 410)
    await tenant.projects(2)
    const { body: test } = await tenant.ask('POST', `/v1/webhook-endpoints/${id}/test`)
    const delivery = async () => (await tenant.ask('GET', `/v1/deliveries/${test.id}`)).body
    await eventually(async () =>
      expect(await delivery()).toMatchObject({ status: 'failed', attempts: [{ status: 410 }] }),
    )
    expect((await tenant.ask('POST', `/v1/deliveries/${test.id}/retry`)).status).toBe(202)
    await eventually(() => expect(tenant.came()).toHaveLength(2))
    // What it holds is still held.
    expect(tenant.came().map(({ body }) => body.type)).toEqual(Array(2).fill('webhook_endpoint.test'))
    expect((await tenant.ask('GET', `/v1/webhook-endpoints/${id}`)).body.disabled.reason).toBe('asked')
  })

  test('no URL into a private network is taken, however it is spelt, nor http', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ enabled: false })
    for (const host of [
      ...['10.0.0.1', '169.254.169.254', '2130706434', '0177.0.0.2', '0x7f.2', '127.2', '0', '192.168.1.1'],
      ...[
        '[::1]',
        '[::ffff:10.0.0.1]',
        '[::ffff:a9fe:a9fe]',
        '[fd00:ec2::254]',
        '[fe80::1]',
        '[64:ff9b::a00:1]',
      ],
    ]) {
      for (const [method, path] of [
        ['POST', '/v1/webhook-endpoints'],
        ['PATCH', `/v1/webhook-endpoints/${id}`],
      ] as const) {
        const { status, body } = await tenant.ask(method, path, { url: `https://${host}/` })
        expect([host, status, body.errors?.[0].pointer]).toEqual([host, 422, '/url'])
      }
    }
    const plain = await tenant.ask('POST', '/v1/webhook-endpoints', { url: 'http://hooks.example.com/' })
    expect(plain.status).toBe(422)
  })
})

describe('what fails', () => {
  test('is tried again by the schedule, and what came of it is kept', async () => {
    const tenant = await newTenant()
    await tenant.endpoint()
    receiver.answer(tenant.path, (_, response) => response.writeHead(500).end('x'.repeat(10_000)))
    await tenant.projects(1)
    const one = async () => (await tenant.deliveries())[0]
    const DELAYS = [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000]
    for (const [i, delay] of DELAYS.entries()) {
      const delivery = await eventually(async () => {
        const found = await one()
        expect(found).toMatchObject({ status: 'pending', attempts: i + 1 })
        return found
      })
      const waits = Date.parse(delivery.nextAttemptAt) - Date.parse(delivery.attemptedAt)
      expect(waits / delay).toBeGreaterThan(0.79)
      expect(waits / delay).toBeLessThan(1.2 + 1_000 / delay)
      aheadMs += waits + 1_000
    }
    const last = await eventually(async () => {
      const found = await one()
      expect(found).toMatchObject({ status: 'failed', attempts: 8, nextAttemptAt: null })
      return found
    })
    const { attempts } = (await tenant.ask('GET', `/v1/deliveries/${last.id}`)).body
    expect(attempts).toHaveLength(8)
    expect(attempts[7]).toMatchObject({
      number: 8,
      status: 500,
      error: null,
      answer: expect.stringMatching(/^x{1000,1024}$/),
    })

    receiver.answer(tenant.path, 200)
    expect((await tenant.ask('POST', `/v1/deliveries/${last.id}/retry`)).status).toBe(202)
    await eventually(async () => expect(await one()).toMatchObject({ status: 'delivered', attempts: 9 }))
    expect(new Set(tenant.came().map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  })

  test('an endpoint that is gone is disabled, and what is held comes when it is enabled', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint()
    receiver.answer(tenant.path, 410)
    const first = await tenant.projects(1)
    const endpoint = async () => (await tenant.ask('GET', `/v1/webhook-endpoints/${id}`)).body
    await eventually(async () =>
      expect(await endpoint()).toMatchObject({ enabled: false, disabled: { reason: 'gone' } }),
    )
    const calls = tenant.came().length
    const held = await tenant.projects(3)
    const { data: missed } = (await tenant.ask('GET', `/v1/webhook-endpoints/${id}/missed`)).body
    expect(missed.map(({ why }: { why: string }) => why)).toEqual(['pending', 'held', 'held', 'held'])
    const events = (await tenant.ask('GET', '/v1/events?types=webhook_endpoint.*')).body.data
    expect(events.map(({ type }: { type: string }) => type)).toEqual([
      'webhook_endpoint.created',
      'webhook_endpoint.disabled',
    ])
    const audit = (await tenant.ask('GET', '/v1/audit?action=webhook-endpoints.disable')).body.data
    expect(audit).toMatchObject([{ target: id, actor: { kind: 'system' } }])
    // Nor is anything sent that is asked for by hand, which is told.
    const { data: pending } = (await tenant.ask('GET', `/v1/deliveries?endpoint=${id}`)).body
    expect(await tenant.ask('POST', `/v1/deliveries/${pending[0].id}/retry`)).toMatchObject({
      ...{ status: 409, body: { code: 'conflict', detail: expect.stringContaining('disabled') } },
    })
    expect(tenant.came()).toHaveLength(calls)
    receiver.answer(tenant.path, 200)
    await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { enabled: true })
    await eventually(() => expect(new Set(tenant.resources())).toEqual(new Set([...first, ...held])))
    await eventually(async () =>
      expect((await tenant.ask('GET', `/v1/webhook-endpoints/${id}/missed`)).body.data).toEqual([]),
    )
  })

  test('an endpoint that fails for five days is told of, and disabled', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ mode: 'fifo' })
    receiver.answer(tenant.path, 503)
    await tenant.projects(2)
    const told = async () =>
      (await tenant.ask('GET', '/v1/events?types=webhook_endpoint.*')).body.data.map(
        ({ type }: { type: string }) => type.split('.')[1],
      )
    const tried = async (more: number) => {
      const [before] = await tenant.deliveries()
      aheadMs += more
      await eventually(async () =>
        expect((await tenant.deliveries())[0].attempts).toBeGreaterThan(before.attempts),
      )
    }
    await eventually(async () => expect(await tenant.deliveries()).toHaveLength(1))
    await tried(DAY_MS)
    await eventually(async () => expect(await told()).toEqual(['created', 'failing']))
    await tried(2 * DAY_MS)
    await tried(DAY_MS)
    await eventually(async () => expect(await told()).toEqual(['created', 'failing', 'failing', 'failing']))
    await tried(DAY_MS)
    await eventually(async () =>
      expect(await told()).toEqual(['created', 'failing', 'failing', 'failing', 'disabled']),
    )
    expect((await tenant.ask('GET', `/v1/webhook-endpoints/${id}`)).body).toMatchObject({
      enabled: false,
      disabled: { reason: 'failing' },
    })
    const audit = (await tenant.ask('GET', `/v1/audit?target=${id}`)).body.data
    expect(audit.map(({ action }: { action: string }) => action).toReversed()).toEqual([
      'webhook-endpoints.create',
      ...Array(3).fill('webhook-endpoints.warn'),
      'webhook-endpoints.disable',
    ])
  })

  test('one that is found failing only after six days is told of before it is disabled', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ mode: 'fifo' })
    receiver.answer(tenant.path, 500)
    await tenant.projects(1)
    const attempts = async () => (await tenant.deliveries())[0]?.attempts
    const told = async () =>
      (await tenant.ask('GET', `/v1/audit?target=${id}`)).body.data.map(
        ({ action }: { action: string }) => action.split('.')[1],
      )
    await eventually(async () => expect(await attempts()).toBe(1))
    aheadMs += 6 * DAY_MS
    await eventually(async () => expect(await attempts()).toBe(2))
    expect(await told()).toEqual(['warn', 'create'])
    aheadMs += DAY_MS / 2
    await eventually(async () => expect(await told()).toEqual(['disable', 'warn', 'create']))
  })

  test.each(['parallel', 'fifo'])(
    'enabled again, it gets at once what waited for its next try (%s)',
    async (mode) => {
      const tenant = await newTenant()
      const { id } = await tenant.endpoint({ mode })
      receiver.answer(tenant.path, 500)
      const ids = await tenant.projects(3)
      await eventually(async () =>
        expect((await tenant.deliveries('?status=pending')).length).toBeGreaterThan(0),
      )
      await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { enabled: false })
      aheadMs += 20_000
      const enable = () => tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { enabled: true })
      await enable()
      // The second failure: the next try would be minutes away.
      await eventually(async () =>
        expect(
          (await tenant.deliveries('?status=pending')).filter(
            ({ attempts, nextAttemptAt }: { attempts: number; nextAttemptAt: string }) =>
              attempts === 2 && Date.parse(nextAttemptAt) > Date.now() + aheadMs + 2_000,
          ).length,
        ).toBeGreaterThan(0),
      )
      await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { enabled: false })
      receiver.answer(tenant.path, 200)
      await enable()
      await eventually(async () => expect(await tenant.deliveries('?status=delivered')).toHaveLength(3))
      expect(new Set(tenant.resources())).toEqual(new Set(ids))
    },
  )

  test('with another URL nothing counts that another receiver said, or says yet', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint()
    const answering = Promise.withResolvers<void>()
    let calls = 0
    receiver.answer(tenant.path, async (_, response) => {
      if (++calls > 1) return void response.writeHead(429, { 'retry-after': '60' }).end()
      await answering.promise
      response.writeHead(410).end()
    })
    const ids = await tenant.projects(1)
    await eventually(() => expect(tenant.came()).toHaveLength(1))
    ids.push(...(await tenant.projects(1)))
    const endpoint = async () => (await tenant.ask('GET', `/v1/webhook-endpoints/${id}`)).body
    await eventually(async () => expect((await endpoint()).failingSince).not.toBeNull())
    ids.push(...(await tenant.projects(2)))
    const other = `${tenant.path}/other`
    await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { url: receiver.url(other) })
    expect(await endpoint()).toMatchObject({ failingSince: null })
    await eventually(() => expect(new Set(tenant.resources(other))).toEqual(new Set(ids.slice(1))))
    answering.resolve()
    await eventually(() => expect(new Set(tenant.resources(other))).toEqual(new Set(ids)))
    expect(await endpoint()).toMatchObject({ enabled: true, failingSince: null })
  })

  test('of one that is not to be reached nobody learns how long that took to find out', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ url: 'http://127.0.0.1:1/' })
    const { body: test } = await tenant.ask('POST', `/v1/webhook-endpoints/${id}/test`)
    await eventually(async () => {
      const { attempts, attemptedAt } = (await tenant.ask('GET', `/v1/deliveries/${test.id}`)).body
      expect(attempts).toEqual([
        { number: 1, at: attemptedAt, durationMs: null, status: null, error: 'unreachable', answer: null },
      ])
    })
  })

  test('a receiver that asks for less gets less, and no other one', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint()
    const other = `${tenant.path}/other`
    await tenant.endpoint({}, other)
    receiver.answer(tenant.path, (_, response) => response.writeHead(429, { 'retry-after': '8' }).end())
    await tenant.projects(1)
    const [delivery] = await eventually(async () => {
      const found = await tenant.deliveries(`?endpoint=${id}`)
      expect(found).toMatchObject([{ status: 'pending' }])
      return found
    })
    // Between the schedule's five seconds and twice those.
    const waits = Date.parse(delivery.nextAttemptAt) - Date.parse(delivery.attemptedAt)
    expect(waits / 8_000).toBeGreaterThan(0.99)
    expect(waits / 8_000).toBeLessThan(1.15)
    await tenant.projects(5)
    // Both would get them at the same time.
    await eventually(() => expect(tenant.came(other)).toHaveLength(6))
    expect(tenant.came()).toHaveLength(1)
  })
})

describe('order', () => {
  test('fifo: the first that fails keeps the rest waiting, and nothing is overtaken', async () => {
    const tenant = await newTenant()
    await tenant.endpoint({ mode: 'fifo' })
    let failing = 2
    receiver.answer(tenant.path, (_, response) => response.writeHead(failing-- > 0 ? 500 : 200).end())
    const ids = await tenant.projects(20)
    for (const [attempts, laterMs] of [
      [1, 10_000],
      [2, 10 * 60_000],
    ] as const) {
      await eventually(async () => expect(await tenant.deliveries()).toMatchObject([{ attempts }]))
      expect(tenant.came()).toHaveLength(attempts)
      aheadMs += laterMs
    }
    await eventually(() => expect(tenant.resources()).toEqual([ids[0], ids[0], ...ids]))
    const sequences = tenant.came().map(({ body }) => body.sequence)
    expect(sequences).toEqual(sequences.toSorted())
  })

  test.each(['fifo', 'parallel'])(
    'what has arrived and is sent again by hand is tried once: refused, it holds nothing up and is not missed (%s)',
    async (mode) => {
      const tenant = await newTenant()
      const { id } = await tenant.endpoint({ mode })
      const [first] = await tenant.projects(1)
      const delivered = (count: number) =>
        eventually(async () => expect(await tenant.deliveries('?status=delivered')).toHaveLength(count))
      await delivered(1)
      const [{ id: again }] = await tenant.deliveries()
      receiver.answer(tenant.path, ({ body }, response) =>
        response.writeHead(body.data.resource === first ? 409 : 204).end(),
      )
      expect(await tenant.ask('POST', `/v1/deliveries/${again}/retry`)).toMatchObject({
        ...{ status: 202, body: { status: 'pending' } },
      })
      await eventually(async () =>
        expect((await tenant.ask('GET', `/v1/deliveries/${again}`)).body).toMatchObject({
          ...{ status: 'delivered', nextAttemptAt: null, attempts: [{ status: 204 }, { status: 409 }] },
        }),
      )
      const [second] = await tenant.projects(1)
      await delivered(2)
      expect(tenant.resources()).toEqual([first, first, second])
      expect((await tenant.ask('GET', `/v1/webhook-endpoints/${id}/missed`)).body.data).toEqual([])
    },
  )

  test('an endpoint that becomes fifo gets in their order what was tried before, and then the rest', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint()
    receiver.answer(tenant.path, 500)
    const ids = await tenant.projects(4)
    await eventually(async () => expect(await tenant.deliveries('?status=pending')).toHaveLength(4))
    await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { enabled: false })
    receiver.answer(tenant.path, 200)
    ids.push(...(await tenant.projects(2)))
    const calls = tenant.came().length
    await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { enabled: true, mode: 'fifo' })
    await eventually(() => expect(tenant.resources().slice(calls)).toEqual(ids))
  })

  test('a disabled endpoint holds its events, in their order', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ mode: 'fifo', enabled: false })
    const ids = await tenant.projects(30)
    expect(tenant.came()).toEqual([])
    await tenant.ask('PATCH', `/v1/webhook-endpoints/${id}`, { enabled: true })
    await eventually(() => expect(tenant.resources()).toEqual(ids))
  })

  test('an endpoint gets no more a second than it may', async () => {
    const tenant = await newTenant()
    await tenant.endpoint({ rate: 5 })
    const ids = await tenant.projects(14)
    await eventually(() => expect(new Set(tenant.resources())).toEqual(new Set(ids)))
    const times = tenant.came().map(({ atMs }) => atMs)
    // As many as come are sent one after the other, without any at once.
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(2_400)
  })

  test('nor does it when somebody else delivers from now on', async () => {
    const tenant = await newTenant()
    await tenant.endpoint({ rate: 0.25 })
    await tenant.projects(1)
    await eventually(async () => expect(await tenant.deliveries('?status=delivered')).toHaveLength(1))
    await regions.stop('eu')
    await regions.start('eu')
    await tenant.projects(1)
    await eventually(() => expect(tenant.came()).toHaveLength(2))
    const times = tenant.came().map(({ atMs }) => atMs)
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(3_900)
  })
})

describe('what was missed', () => {
  test('is found by what it is, and is sent again', async () => {
    const tenant = await newTenant()
    const before = await tenant.projects(2, 'Before')
    const { id } = await tenant.endpoint()
    const since = new Date(Date.now() + aheadMs - HOUR_MS).toISOString()
    const { data } = (await tenant.ask('GET', `/v1/webhook-endpoints/${id}/missed?since=${since}`)).body
    expect(data).toMatchObject([{ why: 'not_sent' }, { why: 'not_sent' }])
    const { status, body } = await tenant.ask('POST', `/v1/webhook-endpoints/${id}/recover`, { since })
    expect(status).toBe(202)
    await eventually(() => expect(new Set(tenant.resources())).toEqual(new Set(before)))
    await eventually(async () =>
      expect((await tenant.ask('GET', `/v1/jobs/${body.job}`)).body).toMatchObject({
        state: 'done',
        done: 2,
      }),
    )
    // What it has got is not sent again.
    const again = await tenant.ask('POST', `/v1/webhook-endpoints/${id}/recover`, { since })
    await eventually(async () =>
      expect((await tenant.ask('GET', `/v1/jobs/${again.body.job}`)).body).toMatchObject({
        state: 'done',
        done: 0,
      }),
    )
    expect(tenant.came()).toHaveLength(2)
    for (const window of [
      { since: '2999-01-01T00:00:00.000Z' },
      { since, until: since },
      { since: 'yesterday' },
    ]) {
      const refused = await tenant.ask('POST', `/v1/webhook-endpoints/${id}/recover`, window)
      expect([refused.status, refused.body.errors?.[0].pointer]).toEqual([422, '/since'])
    }
  })

  test('what is on its way when the organisation is suspended is recorded, and nothing more is sent', async () => {
    const tenant = await newTenant()
    await tenant.endpoint({ mode: 'fifo' })
    const answering = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    receiver.answer(tenant.path, async (_, response) => {
      response.once('close', ended.resolve)
      await answering.promise
      response.writeHead(204).end()
    })
    const ids = await tenant.projects(2)
    await eventually(() => expect(tenant.came()).toHaveLength(1))
    expect((await tenant.status('suspended')).status).toBe(200)
    // Its answer comes a moment later: long after nothing more is read.
    setTimeout(answering.resolve, 300)
    await ended.promise
    expect((await tenant.status('active')).status).toBe(200)
    await eventually(() => expect(tenant.resources()).toEqual(ids))
    await eventually(async () =>
      expect(await tenant.deliveries('?status=delivered')).toMatchObject([{ attempts: 1 }, { attempts: 1 }]),
    )
    expect(tenant.came()).toHaveLength(2)
  })

  test('is sent again at once, even if it would be tried again later by itself', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint({ mode: 'fifo' })
    receiver.answer(tenant.path, 500)
    const ids = await tenant.projects(3)
    const failed = (attempts: number) =>
      eventually(async () => expect(await tenant.deliveries('?status=pending')).toMatchObject([{ attempts }]))
    await failed(1)
    aheadMs += 10_000
    // The next try is minutes away.
    await failed(2)
    receiver.answer(tenant.path, 200)
    const since = new Date(Date.now() + aheadMs - HOUR_MS).toISOString()
    await tenant.ask('POST', `/v1/webhook-endpoints/${id}/recover`, { since })
    await eventually(() => expect(tenant.resources().slice(2)).toEqual(ids))
  })

  test('deliveries are listed by endpoint, type, status and time', async () => {
    const tenant = await newTenant()
    const good = await tenant.endpoint()
    const bad = await tenant.endpoint({ types: [] }, `${tenant.path}/bad`)
    receiver.answer(`${tenant.path}/bad`, 500)
    await tenant.projects(3)
    const found = async (query: string) => (await tenant.deliveries(`?${query}`)).length
    await eventually(async () => expect(await found(`endpoint=${good.id}&status=delivered`)).toBe(3))
    await eventually(async () => expect(await found(`endpoint=${bad.id}&status=pending`)).toBe(3))
    expect(await found('type=project.created')).toBe(6)
    expect(await found('type=record.*')).toBe(0)
    expect(await found('status=pending')).toBe(3)
    expect(await found(`until=${new Date(Date.now() + aheadMs - HOUR_MS).toISOString()}`)).toBe(0)
    expect(await found(`since=${new Date(Date.now() + aheadMs - HOUR_MS).toISOString()}`)).toBe(6)
    expect(await found('since=1960-01-01T00:00:00Z')).toBe(6)
    const page = (await tenant.ask('GET', '/v1/deliveries?limit=4')).body
    const rest = (await tenant.ask('GET', `/v1/deliveries?limit=4&cursor=${page.nextCursor}`)).body
    const ids = [...page.data, ...rest.data].map(({ id }: { id: string }) => id)
    expect([new Set(ids).size, ids]).toEqual([6, ids.toSorted().toReversed()])
    expect(rest.nextCursor).toBeNull()
  })

  test('deliveries are forgotten with their events, tests and those that were recovered as well', async () => {
    const tenant = await newTenant()
    await tenant.projects(1, 'Before')
    const { id } = await tenant.endpoint()
    const since = new Date(Date.now() + aheadMs - HOUR_MS).toISOString()
    await tenant.ask('POST', `/v1/webhook-endpoints/${id}/recover`, { since })
    await tenant.ask('POST', `/v1/webhook-endpoints/${id}/test`)
    await tenant.projects(1)
    await eventually(async () => expect(await tenant.deliveries('?status=delivered')).toHaveLength(3))
    aheadMs += (PLANS.team.eventRetentionDays + 1) * DAY_MS
    await tenant.ask('POST', '/v1/api-keys', { name: 'Wakes the queue', scopes: ['*'] })
    await eventually(async () => expect(await tenant.deliveries()).toEqual([]))
  })

  test('deliveries stay as long as their events when the plan comes to keep these longer', async () => {
    const tenant = await newTenant()
    await tenant.limits({ eventRetentionDays: 7 })
    const { id } = await tenant.endpoint()
    await tenant.projects(1)
    await eventually(async () => expect(await tenant.deliveries('?status=delivered')).toHaveLength(1))
    expect((await tenant.limits({ eventRetentionDays: 30 })).status).toBe(200)

    // A key whose place is given back shows that its hour, and those before it, were swept.
    const used = async () => (await tenant.ask('GET', '/v1/usage')).body.quotas.apiKeys.used
    const expiresAt = new Date(Date.now() + aheadMs + 7 * DAY_MS + 3 * HOUR_MS).toISOString()
    await tenant.ask('POST', '/v1/api-keys', { name: 'Shows the sweep', scopes: ['*'], expiresAt })
    expect(await used()).toBe(2)
    aheadMs += 8 * DAY_MS
    await eventually(async () => expect(await used()).toBe(1))
    const since = new Date(Date.now() + aheadMs - 9 * DAY_MS).toISOString()
    const { data } = (await tenant.ask('GET', `/v1/webhook-endpoints/${id}/missed?since=${since}`)).body
    expect(data).toEqual([])
    expect(await tenant.deliveries('?status=delivered')).toHaveLength(1)

    aheadMs += 23 * DAY_MS
    await eventually(async () => expect(await tenant.deliveries()).toEqual([]))
  })

  test('an endpoint that was removed leaves nothing behind', async () => {
    const tenant = await newTenant()
    const { id } = await tenant.endpoint()
    await tenant.projects(3)
    await eventually(async () => expect(await tenant.deliveries('?status=delivered')).toHaveLength(3))
    expect((await tenant.ask('DELETE', `/v1/webhook-endpoints/${id}`)).status).toBe(204)
    await eventually(async () => expect(await tenant.deliveries()).toEqual([]))
    await tenant.projects(1)
    expect(tenant.came()).toHaveLength(3)
    expect((await tenant.ask('GET', `/v1/webhook-endpoints/${id}`)).status).toBe(404)
  })
})
