// Signing in at an organisation's identity provider, as the region speaks to it: whatever a provider does, the edge has its
// answer in time, and no visitor makes the region call a provider, or hold connections to it, without bound.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { REQUEST_DEADLINE } from '../../shared/headers.ts'
import { signInCall } from '../../shared/sign_in.ts'
import { type TenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, type Regions, startRegions } from './support.ts'

interface TestProvider {
  origin: string
  /** How many requests came to `/<name>/<what>`. */
  asked(name: string, what: string): number
  /** The time that each answer takes of `/<name>`; infinite for none at all. */
  delayMs: Map<string, number>
  /** By `<name>/<what>`: how much stands in an answer, encoded twice, beside what has to. */
  padBytes: Map<string, number>
  close(): Promise<void>
}

/** Any number of issuers by path. None lets anybody in but for a code that is {@link codeFor} a token. */
async function startProvider(): Promise<TestProvider> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] }
  const asked = new Map<string, number>()
  const delayMs = new Map<string, number>()
  const padBytes = new Map<string, number>()
  const idToken = (issuer: string, { nonce, exp }: Coded): Promise<string> =>
    new SignJWT({ nonce, exp })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(issuer)
      .setSubject('ann')
      .setAudience('console')
      .setIssuedAt()
      .sign(privateKey)
  async function answer(issuer: string, what: string, asked: string, response: ServerResponse) {
    const code = codeIn(asked)
    const isRefused = what === 'token' && code === undefined
    const description = {
      ...{ issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` },
      ...{ jwks_uri: `${issuer}/keys`, id_token_signing_alg_values_supported: ['ES256'] },
    }
    const tokens = code && { access_token: 'x', token_type: 'bearer', id_token: await idToken(issuer, code) }
    const body =
      what === 'token' ? (tokens ?? { error: 'invalid_grant' }) : what === 'keys' ? jwks : description
    const pad = 'x'.repeat(padBytes.get(`${issuer.slice(origin.length + 1)}/${what}`) ?? 0)
    const isPadded = pad !== ''
    const sent = JSON.stringify(isPadded ? { ...body, pad } : body)
    response
      .writeHead(isRefused ? 400 : 200, {
        'content-type': 'application/json',
        ...(isPadded && { 'content-encoding': 'gzip, gzip' }),
      })
      .end(isPadded ? gzipSync(gzipSync(sent)) : sent)
  }
  const server = createServer((request, response) => {
    const [, name = '', what = ''] = (request.url ?? '').split('/')
    const key = `${name}/${what}`
    asked.set(key, (asked.get(key) ?? 0) + 1)
    const delay = delayMs.get(name) ?? 0
    if (delay === Number.POSITIVE_INFINITY) return
    const sent = text(request).catch(() => '')
    setTimeout(async () => answer(`${origin}/${name}`, what, await sent, response), delay)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    asked: (name, what) => asked.get(`${name}/${what}`) ?? 0,
    delayMs,
    padBytes,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** What a token is to say. */
interface Coded {
  nonce: string
  /** In seconds since 1970. */
  exp: number
}

const codeFor = (coded: Coded): string => toBase64url(new TextEncoder().encode(JSON.stringify(coded)))

function codeIn(form: string): Coded | undefined {
  const code = new URLSearchParams(form).get('code') ?? ''
  return code === '' || code === 'made-up' ? undefined : JSON.parse(Buffer.from(code, 'base64url').toString())
}

let regions: Regions
let provider: TestProvider
/** Of the region's clock, how far it is ahead. */
let aheadMs = 0
beforeAll(async () => {
  provider = await startProvider()
  regions = await startRegions({}, (environment) =>
    startRegion(readConfig({ ...environment, DEVELOPMENT_ISSUERS: 'on' }), {
      writeLog: () => {},
      now: () => Date.now() + aheadMs,
    }),
  )
})
afterAll(async () => {
  await regions.close()
  await provider.close()
})

interface SignIn {
  begin(withinMs?: number): Promise<Answer>
  finish(withinMs?: number): Promise<Answer>
  /** With a token that has been over for so long. */
  finishLate(seconds: number): Promise<Answer>
  rename(): Promise<void>
}

let tenants = 0
async function signInAt(issuer: string): Promise<SignIn> {
  const { id, key } = await regions.newTenant(`signs-in-${++tenants}`, 'us')
  const number = tenantNumberOf(id) as TenantNumber
  const ask = (method: string, path: string, body: unknown) =>
    regions.ask('us', { as: key, method, path, body })
  const made = await ask('POST', '/v1/identity-providers', {
    ...{ name: 'Login', issuer: `${provider.origin}/${issuer}`, clientId: 'console', clientSecret: 'secret' },
    ...{ createMembers: true, defaultRole: 'viewer' },
  })
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  const secret = () => toBase64url(randomBytes(32))
  const call = (step: 'begin' | 'finish', withinMs: number, codeOf = (_nonce: string) => 'made-up') => {
    const [state, nonce] = [secret(), secret()]
    const begin = {
      ...{ provider: made.body.id, state, nonce, verifier: secret() },
      redirectUri: 'https://api.test/admin/x/sign-in/callback',
    }
    return regions.ask('us', {
      as: { kind: 'edge' },
      method: 'POST',
      path: signInCall(number, step),
      body: step === 'begin' ? begin : { ...begin, answer: `?code=${codeOf(nonce)}&state=${state}` },
      headers: { [REQUEST_DEADLINE]: String(Date.now() + aheadMs + withinMs) },
    })
  }
  return {
    begin: (withinMs = 10_000) => call('begin', withinMs),
    finish: (withinMs = 10_000) => call('finish', withinMs),
    finishLate: (seconds) =>
      call('finish', 10_000, (nonce) => codeFor({ nonce, exp: Math.floor(Date.now() / 1_000) - seconds })),
    async rename() {
      const renamed = await ask('PATCH', `/v1/identity-providers/${made.body.id}`, { name: 'Other' })
      expect(renamed.status).toBe(200)
    },
  }
}

const code = ({ status, body }: Answer) => [status, body?.code]

describe('a slow provider', () => {
  test.each(['begin', 'finish'] as const)(
    'has until the edge gives up, for all requests of a %s',
    async (step) => {
      const issuer = `slow-${step}`
      // Each request by itself would be in time.
      provider.delayMs.set(issuer, step === 'begin' ? 3_000 : 1_500)
      const signIn = await signInAt(issuer)
      const startedAt = performance.now()
      const answer = await signIn[step](2_500)
      expect(code(answer)).toEqual([503, 'identity_provider_unavailable'])
      expect(performance.now() - startedAt).toBeLessThan(2_500)
    },
  )

  test('that keeps silent holds few connections, and keeps nobody else from signing in', async () => {
    provider.delayMs.set('silent', Number.POSITIVE_INFINITY)
    const [attacked, other] = await Promise.all([signInAt('silent'), signInAt('well')])
    const many = Array.from({ length: 100 }, () => attacked.begin(5_000))
    await eventually(() => expect(provider.asked('silent', '.well-known')).toBe(32))
    expect((await other.begin()).status).toBe(200)
    const answers = (await Promise.all(many)).map(({ body }) => body.code)
    expect(answers.filter((each) => each === 'overloaded')).toHaveLength(68)
    expect(provider.asked('silent', '.well-known')).toBe(32)
    // And gives back what it held.
    expect(code(await attacked.begin(1_500))).toEqual([503, 'identity_provider_unavailable'])
  })
})

describe('what a provider says of itself', () => {
  test('is asked for once in five minutes, for each organisation by itself', async () => {
    const [one, other] = await Promise.all([signInAt('kept'), signInAt('kept')])
    for (let i = 0; i < 3; i++) expect((await one.begin()).status).toBe(200)
    expect(code(await one.finish())).toEqual([401, 'sign_in_failed'])
    expect([provider.asked('kept', '.well-known'), provider.asked('kept', 'token')]).toEqual([1, 1])
    expect((await other.begin()).status).toBe(200)
    expect(provider.asked('kept', '.well-known')).toBe(2)
    aheadMs += 5 * 60_000
    for (let i = 0; i < 2; i++) expect((await one.begin()).status).toBe(200)
    expect(provider.asked('kept', '.well-known')).toBe(3)
  })

  test('is asked for again once the organisation has changed the provider', async () => {
    const signIn = await signInAt('changed')
    await signIn.begin()
    await signIn.rename()
    for (let i = 0; i < 2; i++) expect((await signIn.begin()).status).toBe(200)
    expect(provider.asked('changed', '.well-known')).toBe(2)
  })
})

test('a token that the region would not take a moment later lets nobody in', async () => {
  const signIn = await signInAt('late')
  expect((await signIn.finishLate(0)).body).toMatchObject({ subject: 'ann' })
  expect(code(await signIn.finishLate(10))).toEqual([401, 'sign_in_failed'])
})

test.each(['.well-known', 'token', 'keys'])(
  'an answer of %s counts as large as it decodes to',
  async (what) => {
    const issuer = `padded-${what.replaceAll(/\W/g, '')}`
    const signIn = await signInAt(issuer)
    const decoded = (bytes: number) => {
      provider.padBytes.set(`${issuer}/${what}`, bytes)
      return signIn.finishLate(0)
    }
    expect(code(await decoded(16 * 1024 * 1024))).toEqual([503, 'identity_provider_unavailable'])
    expect((await decoded(100_000)).body).toMatchObject({ subject: 'ann' })
  },
)
