// What a browser holds of the console, and an operator of the platform: no text but the one that was given is one, and
// none makes a reader throw.
import fc from 'fast-check'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { readCookie, readSessionCookie, setSessionCookie } from '../../edge/console/cookie.ts'
import { identifySession } from '../../edge/console/identity.ts'
import {
  journeyOf,
  keepJourney,
  MOST_UNDER_WAY,
  readJourney,
  writeJourney,
} from '../../edge/console/journey.ts'
import { identifyOperatorSession, mintOperatorSession } from '../../edge/console/operator/session.ts'
import { identifyOperator } from '../../edge/identify/operator_token.ts'
import { hashOperatorToken, newOperatorToken } from '../../shared/credentials/operator_token.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { mintSession } from '../../shared/credentials/session_token.ts'
import { newId } from '../../shared/ids.ts'
import { ROOTS, TENANT_NUMBER } from './support.ts'

const SLUG = 'acme'
const roots = await Roots.import(ROOTS)
const app = new Hono()
  .get('/set/:text', (c) => {
    setSessionCookie(c, SLUG, c.req.param('text'))
    return c.body(null)
  })
  .get('/session', (c) => c.json({ text: readSessionCookie(c, SLUG) ?? null }))
  .get('/begin/:slug', (c) => {
    const [state = '', slug] = [c.req.query('state'), c.req.param('slug')]
    keepJourney(c, slug, { provider: 'p', state, nonce: 'n', verifier: 'v', redirectUri: 'u' })
    return c.body(null)
  })
  .get('/journey/:slug', (c) => {
    const journey = journeyOf(c, c.req.param('slug'), c.req.query('state') ?? '')
    return c.json({ text: journey?.state ?? null })
  })
  .get('/any', (c) => c.json({ text: readCookie(c, 'any') ?? null }))

const read = async (cookie: string, path = '/session'): Promise<string | null> =>
  (await (await app.request(path, { headers: { cookie } })).json<{ text: string | null }>()).text

const session = await mintSession({ tenant: TENANT_NUMBER, region: 'us', sessionId: newId('ses') }, roots)
const given = (await app.request(`/set/${session.text}`)).headers.get('set-cookie')?.split(';')[0] ?? ''
const name = given.split('=')[0] ?? ''
const token = newOperatorToken()
const operators = [{ id: 'ops', role: 'admin', secretHash: await hashOperatorToken(token) }] as const

const change = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  by: fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom(...'"=;, .%_-0Az', '%41', '%2e', '\u00a0', '"')),
  over: fc.constantFrom(0, 1, 2),
})
type Change = { at: number; by: string; over: number }
const altered = (text: string, { at, by, over }: Change): string => {
  const from = Math.floor(at * (text.length + 1))
  return text.slice(0, from) + by + text.slice(from + over)
}
/** As a header can hold it. */
const isHeader = (text: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(text) && text.trim() === text

test('a session’s cookie is the one spelling of it, however the header is filled', async () => {
  expect(await read(given)).toBe(session.text)
  expect(await read(`a=1; ${given};b="2"`)).toBe(session.text)
  const spellings = [
    `${name}="${session.text}"`,
    `${name}=${session.text.replace('_', '%5F')}`,
    `${name}=${session.text.replace(/.$/, (end) => `%${end.charCodeAt(0).toString(16)}`)}`,
    `${name} =${session.text}`,
    `${name}= ${session.text}`,
    `${given}; ${given}`,
    `${name}=x; ${given}`,
    `x${given}`,
  ]
  for (const spelling of spellings) expect(await read(spelling), spelling).not.toBe(session.text)
  await fc.assert(
    fc.asyncProperty(change, async (how) => {
      const value = altered(session.text, how)
      fc.pre(value !== session.text && isHeader(value) && !value.startsWith(`${session.text};`))
      const text = await read(`${name}=${value}`)
      expect(text).not.toBe(session.text)
      expect(text === null ? undefined : await identifySession(text, roots)).toBeUndefined()
    }),
    { numRuns: 500 },
  )
})

test('no Cookie header makes the reader throw, and what is read is what was set', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), async (text) => {
      const header = `any=${text}`
      fc.pre(isHeader(header))
      const found = await read(header, '/any')
      if (found !== null) expect(header.split(';')[0]).toBe(`any=${encodeURIComponent(found)}`)
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme' }), async (text) => {
      fc.pre(text.isWellFormed())
      expect(await read(`b=1; any=${encodeURIComponent(text)}`, '/any')).toBe(text)
    }),
  )
})

test('an operator’s token is no other text, and none makes its reader throw', async () => {
  expect(await identifyOperator(token, operators)).toMatchObject({ kind: 'operator' })
  const invented = fc.oneof(fc.string(), fc.stringMatching(/^co_[0-9A-Za-z]{40,46}$/))
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        change.map((how) => altered(token, how)),
        invented,
      ),
      async (text) => {
        fc.pre(text !== token)
        expect(await identifyOperator(text, operators)).toBeUndefined()
      },
    ),
    { numRuns: 1_000 },
  )
})

test('an operator’s session is no other text, and none makes its reader throw', async () => {
  const identity = await identifyOperator(token, operators)
  if (identity === undefined) throw new Error('no operator')
  const nowMs = Date.now()
  const text = await mintOperatorSession(identity, roots, nowMs)
  const isOne = async (each: string) =>
    (await identifyOperatorSession(each, operators, roots, nowMs)) !== undefined
  expect(await isOne(text)).toBe(true)
  const invented = fc.oneof(fc.string(), fc.stringMatching(/^(ops|other)?\.[0-9A-Za-z_-]{60,80}$/))
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        change.map((how) => altered(text, how)),
        invented,
      ),
      async (each) => {
        fc.pre(each !== text)
        expect(await isOne(each)).toBe(false)
      },
    ),
    { numRuns: 1_000 },
  )
})

const stateOf = (n: number): string => `${n}`.padStart(43, 'A').split('').reverse().join('')

test('a browser has so many journeys to identity providers under way, and the oldest give way', async () => {
  const jar = new Map([['__Host-coditect-sign-in-acme-@', 'not ours']])
  const header = () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
  const slugOf = (n: number) => ['acme', 'other'][n % 2]
  for (let n = 0; n < MOST_UNDER_WAY + 3; n++) {
    const path = `/begin/${slugOf(n)}?state=${stateOf(n)}`
    const answer = await app.request(path, { headers: { cookie: header() } })
    expect(answer.status).toBe(200)
    for (const each of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? []
      if (each.includes('Max-Age=0')) jar.delete(name)
      else jar.set(name, value)
    }
    expect(jar.size - 1).toBe(Math.min(n + 1, MOST_UNDER_WAY))
  }
  for (let n = 0; n < MOST_UNDER_WAY + 3; n++) {
    const there = await read(header(), `/journey/${slugOf(n)}?state=${stateOf(n)}`)
    expect([n, there]).toEqual([n, n < 3 ? null : stateOf(n)])
    expect(await read(header(), `/journey/${slugOf(n + 1)}?state=${stateOf(n)}`)).toBe(null)
  }
})

test('a journey to an identity provider leads back with its very state', () => {
  const any = fc.oneof(fc.string(), fc.stringMatching(/^[\w-]{12,43}$/))
  return fc.assert(
    fc.asyncProperty(any, async (state) => {
      fc.pre(state !== stateOf(1))
      const begun = await app.request(`/begin/acme?state=${stateOf(1)}`)
      const cookie = begun.headers.get('set-cookie')?.split(';')[0] ?? ''
      expect(await read(cookie, `/journey/acme?state=${stateOf(1)}`)).toBe(stateOf(1))
      const others = [state, stateOf(1).slice(0, 12) + state, `${stateOf(1)}${state}x`]
      for (const other of others) {
        fc.pre(other !== stateOf(1))
        expect(await read(cookie, `/journey/acme?state=${encodeURIComponent(other)}`)).toBe(null)
      }
    }),
  )
})

test('a journey to an identity provider is read as it was written, and nothing else makes its reader throw', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((each) => each.isWellFormed())
  const fields = { provider: text, state: text, nonce: text, verifier: text, redirectUri: text }
  fc.assert(
    fc.property(fc.record(fields), change, (journey, how) => {
      const written = writeJourney(journey)
      expect(readJourney(written)).toEqual(journey)
      const other = readJourney(altered(written, how))
      if (other !== undefined) {
        for (const field of Object.keys(fields)) expect(Reflect.get(other, field)).toBeTypeOf('string')
      }
    }),
    { numRuns: 300 },
  )
  const json = fc.json().map((each) => btoa(unescape(encodeURIComponent(each))).replaceAll('=', ''))
  fc.assert(fc.property(fc.oneof(fc.string(), json), (each) => readJourney(each) === undefined))
})
