// What an isolate knows of where tenants live and whose tokens they take: how old that may be, on a clock of the test's.
import { expect, onTestFinished, test, vi } from 'vitest'
import { readBindings } from '../../edge/env.ts'
import { TenantDirectory } from '../../edge/locate/tenant_directory.ts'
import type { TenantName } from '../../shared/edge_calls.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { bindings } from './support.ts'

const [OLD, NEW] = [asTenantNumber(1n), asTenantNumber(2n)]
const SECOND = 1_000
const HOUR = 3_600 * SECOND

const OF_REGION = { headers: { 'coditect-took': '0.1' } }

/** Of regions that say what the test says: by their path, or 503. */
async function steered() {
  const config = await readBindings(await bindings())
  const clock = { nowMs: 1_000_000_000 }
  const background: Promise<unknown>[] = []
  const region = { asked: 0, down: false, owner: OLD, issuer: 'https://a.example' }
  const fetching = vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) => {
    region.asked++
    if (region.down) return new Response('', { status: 503 })
    const [, ofPlace, name] = /\/edge\/v1\/(tenants)?.*\/([^/]+)$/.exec(String(input)) ?? []
    if (ofPlace === undefined) {
      const provider = { id: newId('idp'), issuer: region.issuer, audience: 'app', roleClaim: null }
      return Response.json({ outcome: 'known', providers: [provider] }, OF_REGION)
    }
    const number = /^\d+$/.test(name ?? '') ? name : String(region.owner)
    return Response.json({ tenant: name === 'nobody' ? null : { number, region: 'us' } }, OF_REGION)
  })
  onTestFinished(() => fetching.mockRestore())
  const directory = new TenantDirectory({
    config,
    waitUntil: (work) => void background.push(work),
    now: () => clock.nowMs,
  })
  const placeOf = async (name: TenantName) => {
    const had = await directory.placeOf(name, undefined)
    return had.outcome === 'had' ? had.value.number : had.outcome
  }
  const issuerOf = async (tenant: typeof OLD) => {
    const had = await directory.providersOf(tenant, undefined)
    return had.outcome === 'had' ? had.value[0]?.issuer : had.outcome
  }
  return { clock, region, placeOf, issuerOf, settled: () => Promise.all(background.splice(0)) }
}

test.each<TenantName>([{ slug: 'acme' }, { domain: 'api.acme.example' }])(
  'whoever has %o now is whom it names, a minute after it changed hands at the latest',
  async (name) => {
    const { clock, region, placeOf, settled } = await steered()
    expect(await placeOf(name)).toBe(OLD)
    region.owner = NEW
    clock.nowMs += 44 * SECOND
    expect(await placeOf(name)).toBe(OLD)
    await settled()
    expect(region.asked).toBe(1)
    clock.nowMs += 16 * SECOND
    expect(await placeOf(name)).toBe(NEW)
  },
)

test('what is asked for all the time is renewed before it has to be waited for', async () => {
  const { clock, region, placeOf, settled } = await steered()
  await placeOf({ slug: 'acme' })
  region.owner = NEW
  clock.nowMs += 45 * SECOND
  expect(await placeOf({ slug: 'acme' })).toBe(OLD)
  await settled()
  expect(await placeOf({ slug: 'acme' })).toBe(NEW)
  expect(region.asked).toBe(2)
})

test('while nobody can tell, the last that was known holds for an hour', async () => {
  const { clock, region, placeOf, issuerOf, settled } = await steered()
  const known = () => Promise.all([placeOf({ slug: 'acme' }), issuerOf(OLD)])
  await known()
  region.down = true
  clock.nowMs += HOUR - 1
  expect(await known()).toEqual([OLD, 'https://a.example'])
  await settled()
  clock.nowMs += 1
  expect(await known()).toEqual(['unavailable', 'unavailable'])
})

test('the first token after a minute is judged by the providers of now', async () => {
  const { clock, region, issuerOf } = await steered()
  expect(await issuerOf(OLD)).toBe('https://a.example')
  region.issuer = 'https://b.example'
  clock.nowMs += 44 * SECOND
  expect(await issuerOf(OLD)).toBe('https://a.example')
  clock.nowMs += 16 * SECOND
  expect(await issuerOf(OLD)).toBe('https://b.example')
})

test('a number is one tenant’s for ever, so nobody waits for where it lives', async () => {
  const { clock, region, placeOf, settled } = await steered()
  expect(await placeOf({ number: OLD })).toBe(OLD)
  clock.nowMs += HOUR - 1
  const asked = region.asked
  expect(await placeOf({ number: OLD })).toBe(OLD)
  await settled()
  expect(region.asked).toBe(asked + 1)
})

test('a name of nobody is remembered for two seconds', async () => {
  const { clock, region, placeOf } = await steered()
  expect(await placeOf({ slug: 'nobody' })).toBe('absent')
  clock.nowMs += 2 * SECOND - 1
  expect(await placeOf({ slug: 'nobody' })).toBe('absent')
  expect(region.asked).toBe(1)
  clock.nowMs += 1
  expect(await placeOf({ slug: 'nobody' })).toBe('absent')
  expect(region.asked).toBe(2)
})

test('of more than a thousand tenants that ask all the time, each one’s providers are those of the last minute', async () => {
  const { clock, region, placeOf, issuerOf, settled } = await steered()
  const tenants = Array.from({ length: 1_100 }, (_, i) => asTenantNumber(BigInt(i + 1)))
  const known = async () => {
    const issuers = []
    for (const number of tenants) {
      await placeOf({ number })
      issuers.push(await issuerOf(number))
    }
    await settled()
    return issuers
  }
  const seconds = async (count: number) => {
    for (let i = 0; i < count; i++) {
      clock.nowMs += SECOND
      await known()
    }
  }
  // Each of them is met for the first time, at the pace at which anybody's names are looked up.
  await seconds(70)
  expect(new Set(await known())).toEqual(new Set(['https://a.example']))
  region.issuer = 'https://b.example'
  await seconds(60)
  expect(new Set(await known())).toEqual(new Set(['https://b.example']))
})

test('an isolate that has just started meets a thousand tenants at once, and nobody’s invented ones without end', async () => {
  const { clock, region, placeOf, issuerOf } = await steered()
  const meet = async (from: number, to: number) => {
    const numbers = Array.from({ length: to - from }, (_, i) => asTenantNumber(BigInt(from + i)))
    const places = await Promise.all(numbers.map((number) => placeOf({ number })))
    const issuers = await Promise.all(numbers.map((number) => issuerOf(number)))
    return { places, issuers }
  }
  const { places, issuers } = await meet(1, 1_001)
  expect(places).not.toContain('unavailable')
  expect(new Set(issuers)).toEqual(new Set(['https://a.example']))
  expect(region.asked).toBe(2_000)
  expect(new Set((await meet(1_001, 2_001)).places)).toEqual(new Set(['unavailable']))
  expect(region.asked).toBe(2_000)
  clock.nowMs += SECOND
  const later = await meet(2_001, 3_001)
  expect(later.places.filter((place) => place !== 'unavailable')).toHaveLength(200)
})
