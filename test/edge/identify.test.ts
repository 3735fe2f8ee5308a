import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newOperatorToken } from '../../shared/credentials/operator_token.ts'
import { bearer, edgeTo, newHookPath, newKey, newMarker, OPERATOR_TOKEN, seen } from './support.ts'

const edge = await edgeTo()
const key = await newKey()

interface ProblemBody {
  code: string
  status: number
  requestId: string
}

async function refusal(path: string, headers: Record<string, string>): Promise<ProblemBody> {
  const response = await edge.request(`http://edge${path}`, { headers })
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const body: ProblemBody = await response.json()
  expect(body.status).toBe(response.status)
  expect(body.requestId).toMatch(/^req_[0-7][0-9a-hjkmnp-tv-z]{25}$/)
  expect(response.headers.get('x-request-id')).toBe(body.requestId)
  if (response.status === 401) expect(response.headers.get('www-authenticate')).toContain('Bearer')
  return body
}

test.each<[string, Record<string, string>]>([
  ['as a Bearer token', { authorization: `Bearer ${key}` }],
  ['with the scheme in any case', { authorization: `bEARER ${key}` }],
  ['after several spaces', { Authorization: `Bearer   ${key}` }],
  ['in X-Api-Key', { 'X-API-Key': key }],
])('an API key %s reaches its region', async (_, headers) => {
  const marker = newMarker()
  const response = await edge.request(`http://edge/v1/projects?${marker}`, { headers })
  expect(response.status).toBe(200)
  expect(await seen(marker)).toHaveLength(1)
})

test('a request without a credential is refused as such', async () => {
  for (const path of ['/v1', '/v1/projects', '/platform/v1/tenants']) {
    expect((await refusal(path, {})).code).toBe('credential_missing')
  }
})

test.each<[string, Record<string, string>]>([
  ['two headers', { ...bearer(key), 'x-api-key': key }],
  ['two Bearer tokens', { authorization: `Bearer ${key}, Bearer ${key}` }],
  ['two X-Api-Keys', { 'x-api-key': `${key}, ${key}` }],
])('%s are a conflict, even with the same key in both', async (_, headers) => {
  expect((await refusal('/v1/projects', headers)).code).toBe('conflicting_credentials')
})

test('a credential of the other part of the API is as good as none', async () => {
  expect((await refusal('/platform/v1/tenants', bearer(key))).code).toBe('credential_invalid')
  expect((await refusal('/v1/projects', bearer(OPERATOR_TOKEN))).code).toBe('credential_invalid')
})

test.each([
  ['another scheme', `Basic ${btoa('a:b')}`],
  ['no scheme', key],
  ['an empty token', 'Bearer '],
  ['a key after more spaces than anybody writes', `Bearer${' '.repeat(30_000)}${key}`],
  ['white space inside', `Bearer ${key.slice(0, 20)} ${key.slice(20)}`],
  ['an unknown operator token', `Bearer ${newOperatorToken()}`],
])('%s is 401', async (_, authorization) => {
  expect((await refusal('/v1/projects', { authorization })).code).toBe('credential_invalid')
})

test('no change of one character of a key, and no invented key, reaches a region', async () => {
  const marker = newMarker()
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-.'
  const mutated = fc
    .tuple(fc.nat(key.length - 1), fc.constantFrom(...alphabet))
    .map(([at, character]) => key.slice(0, at) + character + key.slice(at + 1))
    .filter((text) => text !== key)
  const resized = fc.oneof(
    fc.nat(key.length - 1).map((length) => key.slice(0, length)),
    fc.constantFrom(...alphabet).map((character) => key + character),
    fc.constantFrom(...alphabet).map((character) => character + key),
  )
  const invented = fc
    .string({ minLength: 1, unit: fc.constantFrom(...alphabet) })
    .map((text) => `ck_test_${text}`)
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, resized, invented), fc.boolean(), async (text, inBearer) => {
      const headers = inBearer ? bearer(text) : { 'x-api-key': text }
      const response = await edge.request(`http://edge/v1/projects?${marker}`, { headers })
      expect(response.status).toBe(401)
    }),
    { numRuns: 500 },
  )
  expect(await seen(marker)).toEqual([])
})

test("a compromised root's key goes on, if its tag is right, for the region's stored hash to decide", async () => {
  const marker = newMarker()
  const compromised = await newKey('us', 2)
  const response = await edge.request(`http://edge/v1/projects?${marker}`, { headers: bearer(compromised) })
  expect(response.status).toBe(200)
  expect(await seen(marker)).toHaveLength(1)
})

test("a compromised root's webhook source goes on in the same way", async () => {
  const before = (await seen('/hooks/receive')).length
  const post = async (path: string) => (await edge.request(`http://edge${path}`, { method: 'POST' })).status
  expect(await post(await newHookPath(2))).toBe(200)
  expect((await seen('/hooks/receive')).length).toBeGreaterThan(before)
  expect(await post((await newHookPath(2)).replace(/.$/, (end) => (end === 'A' ? 'B' : 'A')))).toBe(404)
})
