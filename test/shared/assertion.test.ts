import { beforeAll, expect, test } from 'vitest'
import {
  type AssertionKeys,
  importAssertionKeys,
  signAssertion,
  verifyAssertion,
} from '../../shared/assertion.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { newId } from '../../shared/ids.ts'
import type { Principal } from '../../shared/principal.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const NOW = 1_800_000_000_000
const principal: Principal = {
  kind: 'api_key',
  tenant: asTenantNumber(2n ** 63n + 1n),
  keyId: newId('key'),
  secretHash: 'x'.repeat(43),
}
const request = { region: 'eu', method: 'POST', target: '/v1/projects?a=1', requestId: newId('req') }
let keys: AssertionKeys
let token: string

beforeAll(async () => {
  keys = await importAssertionKeys([{ kid: 'a', secret: toBase64url(randomBytes(32)) }])
  token = await signAssertion(request, principal, keys, NOW)
})

const outcome = async (changed: Partial<typeof request>, at = NOW, text = token, by = keys) =>
  (await verifyAssertion(text, { ...request, ...changed }, by, at)).outcome

test('an assertion gives back who asked, the tenant’s whole number included', async () => {
  expect(await verifyAssertion(token, request, keys, NOW)).toEqual({
    outcome: 'verified',
    principal,
    requestId: request.requestId,
  })
})

test('an assertion holds for its own method, path, query and region only', async () => {
  expect(await outcome({ method: 'DELETE' })).toBe('refused')
  expect(await outcome({ target: '/v1/projects?a=2' })).toBe('refused')
  expect(await outcome({ target: '/v1/projects' })).toBe('refused')
  expect(await outcome({ region: 'us' })).toBe('refused')
})

test('an assertion lives thirty seconds, with five for the clocks', async () => {
  expect(await outcome({}, NOW + 34_000)).toBe('verified')
  expect(await outcome({}, NOW + 36_000)).toBe('refused')
  expect(await outcome({}, NOW - 4_000)).toBe('verified')
  expect(await outcome({}, NOW - 6_000)).toBe('refused')
})

test('an altered, unsigned or foreign assertion is refused', async () => {
  const [head, payload, signature] = token.split('.')
  const none = toBase64url(new TextEncoder().encode('{"alg":"none"}'))
  const foreign = await importAssertionKeys([{ kid: 'a', secret: toBase64url(randomBytes(32)) }])
  expect(await outcome({}, NOW, `${head}.${payload}.${signature?.slice(0, -2)}AA`)).toBe('refused')
  expect(await outcome({}, NOW, `${none}.${payload}.`)).toBe('refused')
  expect(await outcome({}, NOW, '')).toBe('refused')
  expect(await outcome({}, NOW, token, foreign)).toBe('refused')
})

test('keys rotate: the first signs, all verify', async () => {
  const old = { kid: 'old', secret: toBase64url(randomBytes(32)) }
  const fresh = { kid: 'new', secret: toBase64url(randomBytes(32)) }
  const byOld = await signAssertion(request, principal, await importAssertionKeys([old]), NOW)
  expect(await outcome({}, NOW, byOld, await importAssertionKeys([fresh, old]))).toBe('verified')
  expect(await outcome({}, NOW, byOld, await importAssertionKeys([fresh]))).toBe('refused')
})
