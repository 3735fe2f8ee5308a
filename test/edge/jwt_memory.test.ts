// What one tenant's tokens and issuers can take of an isolate's memory, which all tenants share: so much text, whatever
// they sign or publish.
import { expect, onTestFinished, test, vi } from 'vitest'
import { readBindings } from '../../edge/env.ts'
import { jwtIdentifier } from '../../edge/identify/jwt.ts'
import { issuerKeys } from '../../edge/identify/oidc/issuer_keys.ts'
import { TenantDirectory } from '../../edge/locate/tenant_directory.ts'
import { newTenant, tokenFor } from './jwt_support.ts'
import { bindings } from './support.ts'

const common = { waitUntil: () => {}, now: Date.now }
const nowhere = { store: { get: async () => undefined, put: async () => {} }, development: true, ...common }

const nothingElse = { claimedTenant: undefined, host: undefined, clientIp: undefined }

test('an isolate remembers four megabytes of tokens, which is some thousands of the usual length', async () => {
  const config = await readBindings(await bindings())
  const directory = new TenantDirectory({ config, ...common })
  const identify = jwtIdentifier({ directory, keys: issuerKeys(nowhere), now: Date.now })
  const checks = vi.spyOn(crypto.subtle, 'verify')
  onTestFinished(() => checks.mockRestore())
  const tenant = await newTenant()
  /** How many of the newest are identified without a check. */
  async function remembered(tokens: ReadonlyArray<string>): Promise<number> {
    checks.mockClear()
    for (const [i, token] of tokens.toReversed().entries()) {
      expect((await identify(token, nothingElse)).outcome).toBe('identified')
      if (checks.mock.calls.length > 0) return i
    }
    return tokens.length
  }
  async function come(count: number, claims: object): Promise<string[]> {
    const tokens: string[] = []
    for (let i = 0; i < count; i++) {
      const token = await tokenFor(tenant, { sub: `p${i}`, alg: 'EdDSA', ...claims })
      expect((await identify(token, nothingElse)).outcome).toBe('identified')
      tokens.push(token)
    }
    return tokens
  }
  const long = await come(700, { junk: Array.from({ length: 1_800 }, () => []) })
  const length = (long[0]?.length ?? 0) * (await remembered(long))
  expect(length).toBeLessThanOrEqual(4 * 2 ** 20)
  expect(length).toBeGreaterThan(0.9 * 4 * 2 ** 20)
  const usual = await come(2_000, {})
  expect(await remembered(usual)).toBe(2_000)
})

test('of issuers’ keys an isolate holds a megabyte, and nothing that is no part of a key', async () => {
  const rsa = { kty: 'RSA', alg: 'RS256', use: 'sig', key_ops: ['verify'], n: 'A'.repeat(342), e: 'AQAB' }
  const others = [
    { kty: 'oct', k: 'AAAA' },
    { kty: 'EC', crv: 'P-256', x: 'A', y: 'A', d: 'A' },
    { ...rsa, use: 'enc' },
    { ...rsa, alg: 'RSA-OAEP' },
    { ...rsa, key_ops: ['encrypt'] },
    { ...rsa, n: { toString: null } },
    null,
  ]
  const fetching = vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) => {
    const [issuer = '', isKeys] = String(input).split(/\/(keys$|\.well-known)/)
    const jwks_uri = `${issuer}/keys`
    if (isKeys !== 'keys') return Response.json({ issuer, jwks_uri })
    const keys = Array.from({ length: 50 }, (_, i) => ({ ...rsa, kid: `${i}${'k'.repeat(600)}`, junk: [[]] }))
    return Response.json({ keys: [...keys, ...others], junk: Array.from({ length: 2_000 }, () => []) })
  })
  onTestFinished(() => fetching.mockRestore())
  const keys = issuerKeys(nowhere)
  const issuers = Array.from({ length: 60 }, (_, i) => `https://i${i}.example`)
  for (const issuer of issuers) expect((await keys.get(issuer)).outcome).toBe('had')
  fetching.mockClear()
  let length = 0
  for (const issuer of issuers.toReversed()) {
    const had = await keys.get(issuer)
    if (fetching.mock.calls.length > 0 || had.outcome !== 'had') break
    length += had.value.text.length
    const held = JSON.parse(had.value.text) as object[]
    expect(held.length).toBe(50)
    expect(new Set(held.flatMap(Object.keys))).toEqual(new Set(['kty', 'alg', 'n', 'e', 'kid']))
  }
  expect(length).toBeLessThanOrEqual(2 ** 20)
  expect(length).toBeGreaterThan(0.9 * 2 ** 20)
})
