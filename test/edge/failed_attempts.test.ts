import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FailedAttempts } from '../../edge/identify/failed_attempts.ts'
import { addressBlock } from '../../shared/address_block.ts'
import { bearer, edgeTo, newKey, newSignedTarget, OPERATOR_TOKEN } from './support.ts'

const BURST = 5
const limited = { FAILURE_LIMIT: JSON.stringify({ rate: 0.01, burst: BURST }) }

/** An edge, and a way to ask it from an address. */
async function edgeWithLimit() {
  const edge = await edgeTo(undefined, undefined, limited)
  return (address: string, headers: Record<string, string>, path = '/v1/projects') =>
    edge.request(new Request(`http://edge${path}`, { headers, cf: { clientIp: `${address}:50000` } }))
}

const invented = () => bearer('ck_test_invented')

test('after so many failed attempts an address is told to wait, and only for failing', async () => {
  const ask = await edgeWithLimit()
  for (let i = 0; i < BURST; i++) expect((await ask('192.0.2.1', invented())).status).toBe(401)
  const throttled = await ask('192.0.2.1', invented())
  expect(throttled.status).toBe(429)
  expect(throttled.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
  expect(throttled.headers.get('content-type')).toBe('application/problem+json')
  expect(await throttled.json()).toMatchObject({ code: 'too_many_failures' })

  expect((await ask('192.0.2.1', bearer(await newKey()))).status).toBe(200)
  expect((await ask('192.0.2.1', bearer(OPERATOR_TOKEN), '/platform/v1/tenants')).status).toBe(200)
  expect((await ask('192.0.2.1', {}, await newSignedTarget('/v1/projects'))).status).toBe(200)
  expect((await ask('192.0.2.2', invented())).status).toBe(401)
})

test('a clock that goes back keeps no address out for longer than it was to wait', () => {
  const attempts = new FailedAttempts({ rate: 1, burst: 1 })
  const nowMs = 1_795_000_000_000
  for (const allowed of [true, false]) expect(attempts.note('192.0.2.1', nowMs) === undefined).toBe(allowed)
  const backMs = nowMs - 3_600_000
  expect(attempts.note('192.0.2.1', backMs)).toMatchObject({ retryAfterMs: 1_000 })
  expect(attempts.note('192.0.2.1', backMs + 1_000)).toBeUndefined()
})

test.each<[string, () => Promise<[Record<string, string>, string?]>]>([
  ['a missing credential', async () => [{}]],
  ['two credentials', async () => [{ ...bearer(await newKey()), 'x-api-key': await newKey() }]],
  [
    'a signed URL whose time is over',
    async () => [{}, await newSignedTarget('/v1/x', { expiresAtMs: 1_000 })],
  ],
  ['a path that is not there', async () => [invented(), '/nothing']],
])('%s does not count', async (_, request) => {
  const ask = await edgeWithLimit()
  const [headers, path] = await request()
  for (let i = 0; i < 2 * BURST; i++) expect((await ask('192.0.2.1', headers, path)).status).not.toBe(429)
  expect((await ask('192.0.2.1', invented())).status).toBe(401)
})

test.each<[string, Record<string, string>, string]>([
  ['an invented key', invented(), '/v1/projects'],
  ['an altered signed URL', {}, '/v1/projects?signature=cs_AAAA'],
  ['an invented operator token', bearer('co_x'), '/platform/v1/tenants'],
  ['a scheme that is none', { authorization: 'Basic YTpi' }, '/v1/projects'],
])('%s counts', async (_, headers, path) => {
  const ask = await edgeWithLimit()
  for (let i = 0; i < BURST; i++) expect((await ask('192.0.2.1', headers, path)).status).toBe(401)
  expect((await ask('192.0.2.1', headers, path)).status).toBe(429)
})

test('a key of a compromised root that the region knows nothing of counts, and no other answer of a region’s', async () => {
  const ask = await edgeWithLimit()
  for (let i = 0; i < 2 * BURST; i++) {
    expect((await ask('192.0.2.1', bearer(await newKey('us', 1)), '/v1/refusing')).status).toBe(401)
    expect((await ask('192.0.2.1', bearer(await newKey('us', 2)))).status).toBe(200)
  }
  for (let i = 0; i < BURST; i++) {
    expect((await ask('192.0.2.1', bearer(await newKey('us', 2)), '/v1/refusing')).status).toBe(401)
  }
  expect((await ask('192.0.2.1', bearer(await newKey('us', 2)), '/v1/refusing')).status).toBe(429)
  expect((await ask('192.0.2.1', bearer(await newKey('us', 2)))).status).toBe(200)
})

test('an IPv6 customer can’t take another address of its own for each attempt', async () => {
  const ask = await edgeWithLimit()
  for (let i = 0; i < BURST; i++) expect((await ask(`[2001:db8:0:1::${i}]`, invented())).status).toBe(401)
  expect((await ask('[2001:db8:0:1:ffff::1]', invented())).status).toBe(429)
  expect((await ask('[2001:db8:0:2::1]', invented())).status).toBe(401)
})

test('in any stretch of time no address fails more often than the limit says, and it may again in time', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 2_000 }), { minLength: 1, maxLength: 300 })
  const limit = { rate: 3, burst: 10 }
  fc.assert(
    fc.property(gaps, (all) => {
      const attempts = new FailedAttempts(limit)
      const unthrottled: number[] = []
      let nowMs = 0
      for (const gap of all) {
        nowMs += gap
        const throttled = attempts.note('192.0.2.1', nowMs)
        if (throttled === undefined) unthrottled.push(nowMs)
        else {
          const { retryAfterMs } = throttled
          expect(retryAfterMs).toBeGreaterThan(0)
          expect(retryAfterMs).toBeLessThanOrEqual(1_000 / limit.rate + 1)
        }
      }
      for (const [i, from] of unthrottled.entries()) {
        for (const [j, to] of unthrottled.entries()) {
          if (j >= i)
            expect(j - i + 1).toBeLessThanOrEqual(limit.burst + ((to - from) / 1_000) * limit.rate + 1e-6)
        }
      }
    }),
    { numRuns: 30 },
  )
})

test('any number of addresses is bounded in memory: the one that failed longest ago is forgotten', () => {
  const attempts = new FailedAttempts({ rate: 0.001, burst: 1 })
  expect(attempts.note('192.0.2.1', 0)).toBeUndefined()
  expect(attempts.note('192.0.2.1', 0)).toBeDefined()
  for (let i = 0; i < 20_000; i++) attempts.note(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 0)
  expect(attempts.note('192.0.2.1', 0)).toBeUndefined()
})

test('an address that the runtime does not tell is nobody’s', () => {
  const attempts = new FailedAttempts({ rate: 0.001, burst: 1 })
  for (let i = 0; i < 5; i++) expect(attempts.note(undefined, 0)).toBeUndefined()
})

test('a /64 has one name, whatever the spelling; another has another', () => {
  const group = fc.integer({ min: 0, max: 0xffff })
  const spelt = (groups: number[], padded: boolean, upper: boolean) => {
    const text = groups.map((each) => each.toString(16).padStart(padded ? 4 : 1, '0')).join(':')
    return upper ? text.toUpperCase() : text
  }
  const block = fc.tuple(group, group, group, group)
  fc.assert(
    fc.property(block, block, block, fc.boolean(), fc.boolean(), (net, host, other, padded, upper) => {
      // The parser of URLs knows the canonical spelling, with `::` where that is shortest.
      const canonical = new URL(`http://[${spelt([...net, ...host], false, false)}]/`).hostname.slice(1, -1)
      const name = addressBlock(canonical)
      if (!canonical.startsWith('::ffff:'))
        expect(addressBlock(spelt([...net, ...other], padded, upper))).toBe(name)
      const elsewhere = net.map((each, i) => (i === 3 ? each ^ 1 : each))
      expect(addressBlock(spelt([...elsewhere, ...host], padded, upper))).not.toBe(name)
    }),
  )
  expect(addressBlock('2001:db8::1')).toBe(addressBlock('2001:DB8:0:0:ffff::'))
  expect(addressBlock('::1')).toBe(addressBlock('0:0:0:0:0:0:0:2'))
  expect(addressBlock('::ffff:192.0.2.1')).toBe('192.0.2.1')
  expect(addressBlock('64:ff9b::192.0.2.1')).toBe('64:ff9b:0:0::/64')
})
