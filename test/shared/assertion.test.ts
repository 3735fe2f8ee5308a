import { jwtVerify } from 'jose'
import { expect, test } from 'vitest'
import { importAssertionKey, signAssertion } from '../../shared/assertion.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const NOW = 1_800_000_000_000
const request = { region: 'eu', method: 'POST', target: '/v1/projects?a=1', requestId: newId('req') }

test('an assertion is a JWS that others can verify, and says which request it is for', async () => {
  const secret = randomBytes(32)
  const tenant = asTenantNumber(2n ** 63n + 1n)
  const principal = { kind: 'api_key', tenant, keyId: newId('key'), secretHash: 'x'.repeat(43) } as const
  const key = await importAssertionKey([{ kid: 'a', secret: toBase64url(secret) }])
  const token = await signAssertion(
    { ...request, idempotencyKey: 'once', publicOrigin: 'https://api.test' },
    principal,
    key,
    NOW,
  )
  const { payload, protectedHeader } = await jwtVerify(token, secret, { currentDate: new Date(NOW) })
  expect(protectedHeader).toEqual({ alg: 'HS256', kid: 'a' })
  expect(payload).toEqual({
    m: 'POST',
    t: '/v1/projects?a=1',
    p: { ...principal, tenant: '9223372036854775809' },
    k: 'once',
    iss: 'https://api.test',
    aud: 'eu',
    jti: request.requestId,
    iat: NOW / 1_000,
    exp: NOW / 1_000 + 30,
  })
})

test('a secret that is not 32 bytes, and no key at all, stop the start', async () => {
  await expect(importAssertionKey([])).rejects.toThrow('needs an assertion key')
  const short = { kid: 'b', secret: toBase64url(randomBytes(31)) }
  await expect(importAssertionKey([short])).rejects.toThrow('assertion key b is not 32 bytes')
  await expect(
    importAssertionKey([{ kid: 'a', secret: toBase64url(randomBytes(32)) }, short]),
  ).rejects.toThrow()
})
