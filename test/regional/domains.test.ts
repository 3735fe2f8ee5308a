// Domains of a tenant's own: nobody's until the DNS says so, and one tenant's at a time.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Directory } from '../../regional/platform/directory.ts'
import { newId } from '../../shared/ids.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { openQueue, tenantNumber } from '../jobs/support.ts'
import { type Regions, startRegions } from './support.ts'

/** What the DNS says, by name. */
const dns = new Map<string, string[][] | 'down'>()
/** What it says to those who ask next. */
const next = new Map<string, Array<() => Promise<string[][]>>>()
let regions: Regions

const noAnswer = () => Object.assign(new Error('no answer'), { code: 'ETIMEOUT' })

beforeAll(async () => {
  regions = await startRegions({
    async resolveTxt(name) {
      const first = next.get(name)?.shift()
      if (first !== undefined) return first()
      const records = dns.get(name)
      if (records === 'down') throw noAnswer()
      if (records === undefined) throw Object.assign(new Error('nothing'), { code: 'ENOTFOUND' })
      return records
    },
  })
})
afterAll(() => regions.close())

async function tenantOf(slug: string, region = 'us') {
  const tenant = await regions.newTenant(slug, region)
  const ask = (path: string, init: { method?: string; body?: unknown } = {}) =>
    regions.ask(region, { as: tenant.key, path, ...init })
  const add = async (domain: string) => (await ask('/v1/domains', { method: 'POST', body: { domain } })).body
  const verify = async (id: string) => (await ask(`/v1/domains/${id}/verify`, { method: 'POST' })).body
  return { ...tenant, ask, add, verify }
}

/** As an edge would ask the control region. */
const ownerOf = async (domain: string): Promise<string | undefined> => {
  const { body } = await regions.ask('us', {
    as: { kind: 'edge' },
    path: `/edge/v1/tenants/domain/${domain}`,
  })
  return body.tenant?.number
}

test('a domain is found by edges from its verification on, and until it is taken away', async () => {
  const { ask, add, verify } = await tenantOf('one', 'eu')
  const made = await add('api.one.example')
  expect(made).toMatchObject({ domain: 'api.one.example', status: 'pending', lastCheck: null })
  expect(made.record).toMatchObject({ type: 'TXT', name: '_coditect.api.one.example' })
  expect(await verify(made.id)).toMatchObject({ status: 'pending', lastCheck: { outcome: 'not_found' } })
  dns.set(made.record.name, [['something else']])
  expect(await verify(made.id)).toMatchObject({ status: 'pending', lastCheck: { outcome: 'wrong_value' } })
  dns.set(made.record.name, 'down')
  expect(await verify(made.id)).toMatchObject({ status: 'pending', lastCheck: { outcome: 'lookup_failed' } })
  expect(await ownerOf('api.one.example')).toBeUndefined()

  // Long texts come in parts.
  dns.set(made.record.name, [['v=spf1 -all'], [made.record.value.slice(0, 9), made.record.value.slice(9)]])
  expect(await verify(made.id)).toMatchObject({ status: 'verified', lastCheck: { outcome: 'verified' } })
  expect(await ownerOf('api.one.example')).toBeDefined()
  expect((await ask(`/v1/domains/${made.id}`)).body.status).toBe('verified')

  expect((await ask(`/v1/domains/${made.id}`, { method: 'DELETE' })).status).toBe(204)
  await expect.poll(() => ownerOf('api.one.example')).toBeUndefined()
  expect((await ask('/v1/domains')).body.data).toEqual([])
})

test('of two tenants that show the same domain to be theirs, the first has it', async () => {
  const [first, second] = [await tenantOf('first'), await tenantOf('second', 'eu')]
  const [ofFirst, ofSecond] = [await first.add('shop.example'), await second.add('shop.example')]
  expect(ofFirst.record.value).not.toBe(ofSecond.record.value)
  dns.set(ofFirst.record.name, [[ofFirst.record.value], [ofSecond.record.value]])
  expect((await first.verify(ofFirst.id)).status).toBe('verified')
  expect(await second.verify(ofSecond.id)).toMatchObject({
    status: 'pending',
    lastCheck: { outcome: 'taken' },
  })

  await regions.ask('us', { as: 'operator', method: 'DELETE', path: `/platform/v1/tenants/${first.id}` })
  await expect.poll(() => ownerOf('shop.example'), { timeout: 20_000 }).toBeUndefined()
  expect((await second.verify(ofSecond.id)).status).toBe('verified')
})

test('a domain that was sold is its buyer’s, once its DNS says so and no more that it is the seller’s', async () => {
  const { seller, buyer, domain, sold, bought, lost, status, owner } = await soldBy('seller', 'buyer')

  // Whoever does not show it to be theirs has nobody looked at; nor does one who does, as long as the other's is there too.
  expect((await buyer.verify(bought.id)).lastCheck.outcome).toBe('wrong_value')
  const both = async () => [[sold.record.value], [bought.record.value]]
  // For the buyer, and for the look at the seller's that this asks for.
  next.set(sold.record.name, [both, both])
  const taken = await buyer.verify(bought.id)
  expect(taken).toMatchObject({ status: 'pending', lastCheck: { outcome: 'taken' } })
  expect(JSON.stringify(taken)).not.toContain(seller.id)
  await expect.poll(() => next.get(sold.record.name)).toEqual([])
  expect(await status()).toBe('verified')

  dns.set(sold.record.name, [[bought.record.value]])
  await expect.poll(async () => (await buyer.verify(bought.id)).status).toBe('verified')
  expect(await ownerOf(domain)).not.toBe(owner)
  await expect.poll(lost).toBe(true)
  expect((await seller.ask(`/v1/domains/${sold.id}`)).body).toMatchObject({
    status: 'pending',
    verifiedAt: null,
    lastCheck: { outcome: 'wrong_value' },
  })
  expect((await seller.verify(sold.id)).status).toBe('pending')
  // As it was.
  expect((await buyer.verify(bought.id)).status).toBe('verified')
})

/** One who has a domain, and one who has bought it. */
async function soldBy(sellerSlug: string, buyerSlug: string) {
  const [seller, buyer] = [await tenantOf(sellerSlug, 'eu'), await tenantOf(buyerSlug)]
  const domain = `${sellerSlug}.example`
  const [sold, bought] = [await seller.add(domain), await buyer.add(domain)]
  dns.set(sold.record.name, [[sold.record.value]])
  expect((await seller.verify(sold.id)).status).toBe('verified')
  const lost = async () =>
    (await seller.ask('/v1/events')).body.data.some(({ type }: { type: string }) => type === 'domain.lost')
  const status = async () => (await seller.ask(`/v1/domains/${sold.id}`)).body.status
  return { seller, buyer, domain, sold, bought, lost, status, owner: await ownerOf(domain) }
}

test('a domain whose record is gone, as after a restore, is free for whoever shows it to be theirs', async () => {
  const [before, after] = [await tenantOf('forgotten', 'eu'), await tenantOf('remembered')]
  const body = { number: String(tenantNumberOf(before.id)), domain: 'left.example', id: newId('dom') }
  const claim = { as: 'region', method: 'POST', path: '/internal/v1/claimDomain', body } as const
  expect((await regions.ask('us', claim)).body).toBe(true)
  const { id, record } = await after.add('left.example')
  dns.set(record.name, [[record.value]])
  expect((await after.verify(id)).lastCheck.outcome).toBe('taken')
  await expect.poll(async () => (await after.verify(id)).status, { timeout: 10_000 }).toBe('verified')
  expect(await ownerOf('left.example')).toBe(String(tenantNumberOf(after.id)))
})

test('a DNS that does not answer takes a domain from nobody', async () => {
  const { buyer, domain, bought, lost, status, owner } = await soldBy('holder', 'wanting')
  const { name, value } = bought.record
  const down = () => Promise.reject(noAnswer())
  next.set(name, [async () => [[value]], down])
  expect((await buyer.verify(bought.id)).lastCheck.outcome).toBe('taken')
  await expect.poll(() => next.get(name)).toEqual([])
  // One more look of its own, so that what came of that one is there.
  expect((await buyer.verify(bought.id)).lastCheck.outcome).toBe('wrong_value')
  expect([await ownerOf(domain), await status(), await lost()]).toEqual([owner, 'verified', false])
})

test('one who shows a domain to be theirs again while it is looked at keeps it', async () => {
  const { seller, buyer, domain, sold, bought, lost, status, owner } = await soldBy('back', 'hasty')
  const { name, value } = bought.record
  let answer = (_: string[][]) => {}
  const late = new Promise<string[][]>((resolve) => {
    answer = resolve
  })
  next.set(name, [async () => [[value]], () => late])
  expect((await buyer.verify(bought.id)).lastCheck.outcome).toBe('taken')
  await expect.poll(() => next.get(name)).toEqual([])
  expect((await seller.verify(sold.id)).status).toBe('verified')
  let looks = 0
  next.set(name, [
    async () => {
      looks++
      return [[sold.record.value]]
    },
  ])
  answer([[value]])
  await expect.poll(() => looks).toBe(1)
  await expect.poll(() => ownerOf(domain)).toBe(owner)
  expect([await status(), await lost()]).toEqual(['verified', false])
})

test('an erased tenant’s domains are free, however many they are', async () => {
  const { database, close } = await openQueue()
  try {
    const directory = new Directory(database)
    const [gone, other] = [tenantNumber(1), tenantNumber(2)]
    await directory.claim(gone, { slug: 'gone', region: 'us' })
    const domains = Array.from({ length: 1_100 }, (_, i) => `d${i}.example`)
    await Promise.all(domains.map((domain) => directory.claimDomain(gone, domain, 'dom_1')))
    await directory.release(gone, 'us')
    expect(await directory.claimDomain(gone, 'd0.example', 'dom_1')).toBe(false)
    const claimed = await Promise.all(domains.map((domain) => directory.claimDomain(other, domain, 'dom_2')))
    expect(claimed.filter((isTheirs) => !isTheirs)).toEqual([])
  } finally {
    await close()
  }
})

test('the same domain twice is one, and the plan’s number of them holds', async () => {
  const { add, ask } = await tenantOf('twice')
  expect((await add('twice.example')).id).toBe((await add('twice.example')).id)
  for (let i = 0; i < 9; i++) await add(`d${i}.example`)
  expect((await ask('/v1/domains', { method: 'POST', body: { domain: 'd9.example' } })).body.code).toBe(
    'quota_exceeded',
  )
})

test.each([
  'UPPER.example',
  'no-dot',
  '127.0.0.1',
  'api.test',
  'x.api.test',
  'a..b',
  '-a.example',
  'ä.example',
  'a.example.',
  `${'a'.repeat(64)}.example`,
])('%s is not a domain to have', async (domain) => {
  const { ask } = await tenantOf(`bad-${Math.random().toString(36).slice(2)}`)
  const { status, body } = await ask('/v1/domains', { method: 'POST', body: { domain } })
  expect([status, body.code, body.errors?.[0].pointer]).toEqual([422, 'validation_failed', '/domain'])
})

test('origins are the tenant’s to name, and reach the edge with the next answer', async () => {
  const { ask } = await tenantOf('origins')
  const corsOrigins = ['https://app.example', 'http://localhost:3000']
  expect((await ask('/v1/tenant', { method: 'PATCH', body: { corsOrigins } })).body.corsOrigins).toEqual(
    corsOrigins,
  )
  expect((await ask('/v1/tenant')).headers.get('coditect-snapshot')).toContain('https://app.example')
  for (const bad of ['*', 'null', 'https://app.example/', 'ftp://x.example', 'https://App.example']) {
    const { status } = await ask('/v1/tenant', { method: 'PATCH', body: { corsOrigins: [bad] } })
    expect([bad, status]).toEqual([bad, 422])
  }
})

test('however many origins a tenant names, its answers’ headers fit into what proxies take', async () => {
  const { ask } = await tenantOf('many-origins')
  const named = async (length: number) => {
    const corsOrigins = Array.from({ length: 20 }, (_, i) => `https://${i + 10}.${'a'.repeat(length - 11)}`)
    return ask('/v1/tenant', { method: 'PATCH', body: { corsOrigins } })
  }
  const { status, body } = await named(103)
  expect([status, body.code, body.errors?.[0].pointer]).toEqual([422, 'validation_failed', '/corsOrigins'])
  expect((await named(102)).status).toBe(200)
  const { headers } = await ask('/v1/tenant')
  expect(headers.get('coditect-snapshot')).toContain('https://29.')
  const bytes = [...headers].reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)
  expect(bytes).toBeLessThan(3_000)
})
