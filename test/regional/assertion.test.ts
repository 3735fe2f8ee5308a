import { SignJWT } from 'jose'
import { beforeAll, expect, test } from 'vitest'
import { assertionVerifier } from '../../regional/tenancy/assertion.ts'
import { importAssertionKey, signAssertion } from '../../shared/assertion.ts'
import { fromBase64url, randomBytes, toBase64url } from '../../shared/bytes.ts'
import { newId } from '../../shared/ids.ts'
import type { Principal } from '../../shared/principal.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const NOW = 1_800_000_000_000
const SECONDS = NOW / 1_000
const newKey = (kid: string) => ({ kid, secret: toBase64url(randomBytes(32)) })
const KEY = newKey('a')
const principal: Principal = {
  kind: 'api_key',
  tenant: asTenantNumber(2n ** 63n + 1n),
  keyId: newId('key'),
  secretHash: 'x'.repeat(43),
}
const request = { method: 'POST', target: '/v1/projects?a=1' }
const asserted = { region: 'eu', ...request, requestId: newId('req') }
const verifier = assertionVerifier('eu', [KEY])
let token: string

beforeAll(async () => {
  token = await signAssertion(asserted, principal, await importAssertionKey([KEY]), NOW)
})

const outcome = (changed: Partial<typeof request>, at = NOW, text = token, by = verifier) =>
  by(text, { ...request, ...changed }, at).outcome

test('an assertion gives back who asked, the tenant’s whole number included', () => {
  expect(verifier(token, request, NOW)).toEqual({
    outcome: 'verified',
    principal,
    requestId: asserted.requestId,
  })
})

test('an assertion says which Idempotency-Key its request came with', async () => {
  const keyed = { ...asserted, idempotencyKey: 'once' }
  const text = await signAssertion(keyed, principal, await importAssertionKey([KEY]), NOW)
  expect(verifier(text, request, NOW)).toMatchObject({ outcome: 'verified', idempotencyKey: 'once' })
})

test('an assertion holds for its own method, path, query and region only', () => {
  expect(outcome({ method: 'DELETE' })).toBe('refused')
  expect(outcome({ target: '/v1/projects?a=2' })).toBe('refused')
  expect(outcome({ target: '/v1/projects' })).toBe('refused')
  expect(outcome({}, NOW, token, assertionVerifier('us', [KEY]))).toBe('refused')
  expect(verifier(token, { ...request, method: 'DELETE' }, NOW)).toMatchObject({ madeForAnother: true })
  // Where more is wrong than that, it is the edge that is not believed.
  expect(verifier(token, { ...request, method: 'DELETE' }, NOW - 6_000)).not.toHaveProperty('madeForAnother')
})

test('an assertion lives thirty seconds, with five for the clocks', () => {
  expect(outcome({}, NOW + 34_000)).toBe('verified')
  expect(outcome({}, NOW + 36_000)).toBe('refused')
  expect(outcome({}, NOW - 4_000)).toBe('verified')
  expect(outcome({}, NOW - 6_000)).toBe('refused')
})

test('a signature of as many characters that are more bytes is refused like any other', () => {
  const [header, payload, signature = ''] = token.split('.')
  for (const forged of ['é'.repeat(signature.length), `é${signature.slice(1)}`, '語'.repeat(3)]) {
    expect(outcome({}, NOW, `${header}.${payload}.${forged}`)).toBe('refused')
  }
})

test('every change of an assertion is refused', () => {
  for (let at = 0; at < token.length; at++) {
    for (const character of ['A', 'B', '.', '=', '-']) {
      if (token[at] === character) continue
      const text = `${token.slice(0, at)}${character}${token.slice(at + 1)}`
      expect(outcome({}, NOW, text), text).toBe('refused')
    }
    expect(outcome({}, NOW, token.slice(0, at))).toBe('refused')
  }
  for (const more of ['A', '=', '.', '.A', '\n', ' ']) expect(outcome({}, NOW, token + more)).toBe('refused')
})

test('keys rotate: the first signs, all verify, and none but these', async () => {
  const [old, fresh] = [newKey('old'), newKey('new')]
  const byOld = await signAssertion(asserted, principal, await importAssertionKey([old]), NOW)
  expect(outcome({}, NOW, byOld, assertionVerifier('eu', [fresh, old]))).toBe('verified')
  expect(outcome({}, NOW, byOld, assertionVerifier('eu', [fresh]))).toBe('refused')
  // Another key by the same name.
  expect(outcome({}, NOW, byOld, assertionVerifier('eu', [newKey('old')]))).toBe('refused')
})

/** As another signer would write it. */
const signed = (claims: object, header: object = {}, key = KEY) =>
  new SignJWT({
    m: request.method,
    t: request.target,
    p: { ...principal, tenant: String(principal.tenant) },
    aud: 'eu',
    jti: asserted.requestId,
    iat: SECONDS,
    exp: SECONDS + 30,
    ...claims,
  })
    .setProtectedHeader({ kid: key.kid, alg: 'HS256', ...header })
    .sign(fromBase64url(key.secret) ?? new Uint8Array())

test('whoever holds the key may write its header as RFC 7515 lets them', async () => {
  expect(outcome({}, NOW, await signed({}))).toBe('verified')
  expect(outcome({}, NOW, await signed({}, { typ: 'JWT' }))).toBe('verified')
})

test('a region without a key, or with one that is too short, does not start', () => {
  expect(() => assertionVerifier('eu', [])).toThrow('needs an assertion key')
  const short = { kid: 'a', secret: toBase64url(randomBytes(31)) }
  expect(() => assertionVerifier('eu', [short])).toThrow('not 32 bytes')
})

test('another algorithm, none, no key and an extension that nobody knows are refused', async () => {
  expect(outcome({}, NOW, await signed({}, { alg: 'HS512' }))).toBe('refused')
  expect(outcome({}, NOW, await signed({}, { kid: 'b' }))).toBe('refused')
  expect(outcome({}, NOW, await signed({}, { kid: undefined }))).toBe('refused')
  const headerOf = (header: object) => Buffer.from(JSON.stringify(header)).toString('base64url')
  const [, payload, signature] = token.split('.')
  for (const header of [
    { alg: 'none' },
    { alg: 'none', kid: 'a' },
    { alg: 'HS256', kid: 'a', crit: ['b64'], b64: false },
    { alg: 'HS256', kid: '__proto__' },
  ]) {
    expect(outcome({}, NOW, `${headerOf(header)}.${payload}.`)).toBe('refused')
    expect(outcome({}, NOW, `${headerOf(header)}.${payload}.${signature}`)).toBe('refused')
  }
  for (const text of ['', '.', '..', 'a.b.c', `${token}.${token}`])
    expect(outcome({}, NOW, text)).toBe('refused')
})

test('claims that are missing or of another kind are refused, whoever signed them', async () => {
  for (const claims of [
    { exp: undefined },
    { exp: SECONDS - 10 },
    { exp: 'later' },
    { iat: undefined },
    { iat: 'now' },
    { jti: undefined },
    { aud: undefined },
    { m: undefined },
    { t: undefined },
    { p: undefined },
    { p: { ...principal, tenant: 'all' } },
    { p: { ...principal, tenant: '-1' } },
  ]) {
    expect(outcome({}, NOW, await signed(claims)), JSON.stringify(claims)).toBe('refused')
  }
})
