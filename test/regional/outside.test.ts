// Work that outlives its transaction: while it goes on nobody does it twice, and whatever happens it is settled.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JwtPrincipal } from '../../shared/principal.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { brewery } from './brewing_service.ts'
import { type Regions, startRegions } from './support.ts'

const brewing = brewery()
let regions: Regions
let aheadMs = 0
let tenant: { id: string; key: string }

beforeAll(async () => {
  regions = await startRegions({ extraServices: [brewing.service], now: () => Date.now() + aheadMs })
  tenant = await regions.newTenant('brewers', 'us')
})
afterAll(() => regions.close())

const asking = (name: string, headers: Record<string, string> = {}) => ({
  as: tenant.key,
  method: 'POST',
  path: '/v1/brews',
  body: { name },
  headers,
})
const projectsInUse = async (): Promise<number> =>
  (await regions.ask('us', { as: tenant.key, path: '/v1/usage' })).body.quotas.projects.used
const stream = { accept: 'text/event-stream' }

describe('while it goes on', () => {
  test('the same request is told that it is in progress, and then the answer of the first', async () => {
    const headers = { 'idempotency-key': 'one' }
    const first = regions.ask('us', asking('tea', headers))
    await brewing.begun('tea')
    expect(await projectsInUse()).toBe(1)

    const second = await regions.ask('us', asking('tea', headers))
    expect([second.status, second.body.code]).toEqual([409, 'request_in_progress'])
    expect(second.headers.get('retry-after')).toBe('1')
    const other = await regions.ask('us', asking('coffee', headers))
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reuse'])

    await brewing.pour('tea')
    const answer = await first
    expect([answer.status, answer.body]).toEqual([201, { id: 'tea', outcome: 'poured' }])
    expect(answer.headers.get('location')).toBe('/v1/brews/tea')
    const again = await regions.ask('us', asking('tea', headers))
    expect([again.status, again.body]).toEqual([201, answer.body])
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(again.headers.get('location')).toBe('/v1/brews/tea')
    expect(brewing.times('tea')).toBe(1)
    expect(await projectsInUse()).toBe(0)
  })

  test('of many at once with one key, one does the work', async () => {
    const headers = { 'idempotency-key': 'many' }
    const all = Array.from({ length: 8 }, () => regions.ask('us', asking('milk', headers)))
    await brewing.pour('milk')
    const answers = await Promise.all(all)
    const codes = answers.map(({ status, body }) => (status === 201 ? 'done' : body.code))
    expect(codes.filter((code) => code === 'done').length).toBeGreaterThanOrEqual(1)
    expect(new Set(codes).difference(new Set(['done', 'request_in_progress'])).size).toBe(0)
    expect(brewing.times('milk')).toBe(1)
  })

  const newKey = async (more: object = {}) =>
    (
      await regions.ask('us', {
        as: tenant.key,
        method: 'POST',
        path: '/v1/api-keys',
        body: { name: 'short', scopes: ['projects:write'], ...more },
      })
    ).body
  const revoke = ({ id }: { id: string }) =>
    regions.ask('us', { as: tenant.key, method: 'DELETE', path: `/v1/api-keys/${id}` })

  test('revoking its key ends it at once, and it is settled all the same', async () => {
    const key = await newKey()
    const first = regions.ask('us', { ...asking('soup'), as: key.key })
    await brewing.begun('soup')
    await revoke(key)
    expect((await first).body).toEqual({ id: 'soup', outcome: 'ended by client' })
    expect(await projectsInUse()).toBe(0)
  })

  describe('for somebody whose provider’s record changes meanwhile', () => {
    let made = 0
    async function begunByAnn(name: string) {
      const { id, key } = await regions.newTenant(`people-${++made}`, 'us')
      const number = tenantNumberOf(id)
      if (number === undefined) throw new Error('no number')
      const owner = (method: string, path: string, body?: unknown) =>
        regions.ask('us', { as: key, method, path, body })
      const provider = (
        await owner('POST', '/v1/identity-providers', {
          ...{ name: 'Login', issuer: 'https://login.example.com/', createMembers: true },
          ...{ roleClaim: 'groups', roleMapping: { dev: 'member' } },
        })
      ).body
      const ann: JwtPrincipal = {
        ...{ kind: 'jwt', tenant: number, providerId: provider.id, issuer: provider.issuer },
        ...{ audience: provider.audience, subject: 'ann', expiresAtMs: Date.now() + aheadMs + 600_000 },
        roles: { claim: 'groups', values: ['dev'] },
      }
      const answer = regions.ask('us', { ...asking(name), as: ann })
      await brewing.begun(name)
      const { body } = await owner('GET', '/v1/members')
      const member = body.data.find(({ identity }: { identity: unknown }) => identity !== null)
      const takeRolesElsewhere = () =>
        owner('PATCH', `/v1/identity-providers/${provider.id}`, { roleClaim: 'roles' })
      return { owner, key, id, answer, member: `/v1/members/${member.id}`, takeRolesElsewhere }
    }

    test('it goes on', async () => {
      const { key, owner, answer, takeRolesElsewhere } = await begunByAnn('cider')
      expect((await takeRolesElsewhere()).status).toBe(200)
      // Another's, which ends by what comes after that: by then that has been looked at.
      const { body: other } = await owner('POST', '/v1/api-keys', { name: 'other', scopes: ['*'] })
      const second = regions.ask('us', { ...asking('perry'), as: other.key })
      await brewing.begun('perry')
      await regions.ask('us', { as: key, method: 'DELETE', path: `/v1/api-keys/${other.id}` })
      expect((await second).body.outcome).toBe('ended by client')
      await brewing.pour('cider')
      expect((await answer).body).toEqual({ id: 'cider', outcome: 'poured' })
    })

    test.each<[string, (by: Awaited<ReturnType<typeof begunByAnn>>) => Promise<unknown>]>([
      ['they are removed', ({ owner, member }) => owner('DELETE', member)],
      ['they become less', ({ owner, member }) => owner('PATCH', member, { role: 'viewer' })],
      [
        'the organisation is suspended',
        ({ id }) =>
          regions.ask('us', {
            ...{ as: 'operator', method: 'PATCH', path: `/platform/v1/tenants/${id}` },
            body: { status: 'suspended' },
          }),
      ],
    ])('it ends all the same when %s', async (why, end) => {
      const begun = await begunByAnn(why)
      await begun.takeRolesElsewhere()
      await end(begun)
      expect((await begun.answer).body.outcome).toBe('ended by client')
    })
  })

  test('suspending the organisation ends it at once, and it is settled all the same', async () => {
    const { id, key } = await regions.newTenant('stopped-brewers', 'us')
    const first = regions.ask('us', { ...asking('stew'), as: key })
    await brewing.begun('stew')
    const change = (status: string) =>
      regions.ask('us', {
        ...{ as: 'operator', method: 'PATCH', path: `/platform/v1/tenants/${id}`, body: { status } },
      })
    await change('suspended')
    expect((await first).body).toEqual({ id: 'stew', outcome: 'ended by client' })
    await change('active')
    expect((await regions.ask('us', { as: key, path: '/v1/usage' })).body.quotas.projects.used).toBe(0)
  })

  test.each(['contention', 'region_unavailable'] as const)(
    'it is settled although there is %s again and again',
    async (code) => {
      const name = `toddy-${code}`
      brewing.crowd(name, 5, code)
      const first = regions.ask('us', asking(name))
      await brewing.pour(name)
      expect((await first).body).toEqual({ id: name, outcome: 'poured' })
      expect([brewing.times(name), await projectsInUse()]).toEqual([1, 0])
    },
  )

  test('a credential that only runs out meanwhile was good for all of it', async () => {
    const expiresAt = new Date(Date.now() + 60 * 60_000).toISOString()
    const [old, other] = [await newKey({ expiresAt }), await newKey()]
    const first = regions.ask('us', { ...asking('punch'), as: old.key })
    const second = regions.ask('us', { ...asking('mead'), as: other.key })
    await Promise.all([brewing.begun('punch'), brewing.begun('mead')])
    aheadMs = 2 * 60 * 60_000
    expect((await regions.ask('us', { ...asking('punch'), as: old.key })).body.code).toBe('api_key_expired')
    // Both are looked at after this.
    await revoke(other)
    expect((await second).body.outcome).toBe('ended by client')
    await brewing.pour('punch')
    expect((await first).body.outcome).toBe('poured')
    aheadMs = 0
  })

  test('its time ends it, and it is answered as what it then came to', async () => {
    const port = { ...asking('port', { 'idempotency-key': 'late' }), path: '/v1/short-brews' }
    const first = await regions.ask('us', port)
    expect(first.body).toEqual({ id: 'port', outcome: 'ended by time' })
    expect((await regions.ask('us', port)).body).toEqual(first.body)
    expect(await projectsInUse()).toBe(0)
  })

  test('input that does not fit begins nothing', async () => {
    const { status, body } = await regions.ask('us', { ...asking(''), body: { cup: 1 } })
    expect([status, body.code]).toEqual([422, 'validation_failed'])
  })
})

describe('as a stream', () => {
  test('what the work sends comes as it happens, and the answer is the last event', async () => {
    const headers = { ...stream, 'idempotency-key': 'streamed' }
    const response = await regions.open('us', asking('cocoa', headers))
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const reader = (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('\n\n')) text += (await reader.read()).value
    expect(text).toBe('event: steam\ndata: {"name":"cocoa"}\n\n')
    await brewing.pour('cocoa')
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value
    const done = 'event: done\ndata: {"id":"cocoa","outcome":"poured"}\n\n'
    expect(text.endsWith(done)).toBe(true)

    const again = await regions.open('us', asking('cocoa', headers))
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(await again.text()).toBe(done)
  })

  test('a client that goes away ends the work, which is settled all the same', async () => {
    const leaving = new AbortController()
    const response = await regions.open('us', asking('water', stream), leaving.signal)
    await brewing.begun('water')
    leaving.abort()
    await response.body?.cancel().catch(() => {})
    expect(await brewing.settled('water')).toBe('ended by client')
    await expect.poll(projectsInUse).toBe(0)
  })
})

test.each([{}, stream])(
  'work that fails by our fault is a failed request, though its head said otherwise: %o',
  async (accept) => {
    const { key } = await regions.newTenant(`spillers-${Object.keys(accept).length}`, 'us')
    const failed = async () => {
      const text = await (await fetch(`${regions.url('us')}/metrics`)).text()
      return Number(
        /^coditect_request_duration_seconds_count\{region="us",class="outside",status="5xx"\} (\d+)$/m.exec(
          text,
        )?.[1] ?? 0,
      )
    }
    const before = await failed()
    const name = `spilt ${Object.keys(accept).length}`
    const answering = regions.open('us', { ...asking(name, accept), as: key })
    await brewing.spill(name)
    const answer = await answering
    expect([answer.ok, await answer.text()]).toEqual([true, expect.stringContaining('"code":"internal"')])
    await expect.poll(failed).toBe(before + 1)
  },
)

test('what broke off is not done again under its key, although it is known to go on no more', async () => {
  const { key } = await regions.newTenant('spilling-once', 'us')
  const wine = { ...asking('wine', { 'idempotency-key': 'broken-off' }), as: key }
  const first = regions.ask('us', wine)
  await brewing.spill('wine')
  await first
  const again = async () => {
    const { status, body } = await regions.ask('us', wine)
    return `${status} ${body.code}`
  }
  expect(await again()).toBe('409 request_in_progress')
  // Its own minute, and the time to settle.
  aheadMs = 91_000
  expect(await again()).toBe('409 conflict')
  aheadMs = 23 * 60 * 60_000
  expect(await again()).toBe('409 conflict')
  aheadMs = 0
  expect(brewing.times('wine')).toBe(1)
})

test('a region that stops settles what goes on first', async () => {
  const beer = asking('beer', { 'idempotency-key': 'stopped' })
  const first = regions.ask('us', beer)
  await brewing.begun('beer')
  await regions.stop('us')
  expect((await first).body).toEqual({ id: 'beer', outcome: 'ended by region' })
  await regions.start('us')
  expect(await projectsInUse()).toBe(0)
  // As after a crash.
  const again = await regions.ask('us', beer)
  expect([again.status, again.body.code, brewing.times('beer')]).toEqual([409, 'conflict', 1])
})

test('a region that stops settles what begins meanwhile, too', async () => {
  const { held, letGo } = brewing.hold('ale')
  const first = regions.ask('us', asking('ale'))
  await held
  const stopped = regions.stop('us')
  // Its stop signal comes before it closes what nobody waits on.
  await new Promise((resolve) => setTimeout(resolve, 100))
  letGo()
  expect((await first).body).toEqual({ id: 'ale', outcome: 'ended by region' })
  await stopped
  await regions.start('us')
  expect(await projectsInUse()).toBe(0)
})
