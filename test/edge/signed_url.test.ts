import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readBindings } from '../../edge/env.ts'
import { identifySignedUrl } from '../../edge/identify/signed_url.ts'
import { asTenantNumber, tenantId } from '../../shared/tenant.ts'
import { asserted } from './asserted.ts'
import {
  bearer,
  bindings,
  edgeTo,
  newKey,
  newMarker,
  newSignedTarget,
  OPERATOR_TOKEN,
  PUBLIC_ORIGIN,
  seen,
  TENANT_NUMBER,
} from './support.ts'

const edge = await edgeTo()

async function refusal(target: string, init: RequestInit = {}): Promise<string> {
  const response = await edge.request(new Request(`http://edge${target}`, init))
  const { code, status } = await response.json<{ code: string; status: number }>()
  expect(status).toBe(response.status)
  return `${status} ${code}`
}

test('a signed URL goes to its region as who signed it, and its signature goes nowhere', async () => {
  const marker = newMarker()
  const response = await edge.request(
    `http://edge${await newSignedTarget(`/v1/projects?limit=5&m=${marker}`)}`,
  )
  expect(response.status).toBe(200)
  // It spends of its tenant's limit as any request does.
  expect(response.headers.has('ratelimit')).toBe(true)
  const [request] = await seen(marker)
  expect(request?.target).toBe(`/v1/projects?limit=5&m=${marker}`)
  expect(JSON.stringify(request)).not.toContain('cs_')
  const { target = '', headers } = request ?? {}
  expect(
    await asserted(headers?.['coditect-assertion'], { region: 'us', method: 'GET', target }),
  ).toMatchObject({
    publicOrigin: PUBLIC_ORIGIN,
    principal: { kind: 'signed_url', tenant: TENANT_NUMBER, scope: 'projects:read' },
  })
})

test('the host that a client names has no say: the public origin is the configured one', async () => {
  const target = await newSignedTarget('/v1/projects')
  for (const host of ['edge', 'evil.example', '127.0.0.1:1']) {
    expect((await edge.request(`http://${host}${target}`)).status).toBe(200)
  }
  const elsewhere = await newSignedTarget('/v1/projects', { origin: 'https://evil.example' })
  expect(await refusal(elsewhere, { headers: { host: 'evil.example' } })).toBe('401 credential_invalid')
  expect((await edge.request(`https://evil.example${elsewhere}`)).status).toBe(401)
})

test.each(['HEAD', 'POST', 'DELETE'])('signed for GET it is no %s', async (method) => {
  const response = await edge.request(
    new Request(`http://edge${await newSignedTarget('/v1/projects')}`, { method }),
  )
  expect(response.status).toBe(401)
})

test('when its time is over it is refused as such', async () => {
  const target = await newSignedTarget('/v1/projects', { expiresAtMs: Date.now() - 1 })
  expect(await refusal(target)).toBe('401 signed_url_expired')
})

test('beside another credential it is a conflict', async () => {
  const target = await newSignedTarget('/v1/projects')
  for (const headers of [bearer(await newKey()), { 'x-api-key': await newKey() }]) {
    expect(await refusal(target, { headers })).toBe('400 conflicting_credentials')
  }
})

test('for another tenant it is a mismatch', async () => {
  const headers = { 'x-tenant': tenantId(asTenantNumber(4712n), Date.now()) }
  expect(await refusal(await newSignedTarget('/v1/projects'), { headers })).toBe('403 tenant_mismatch')
})

test('it opens nothing on the platform’s paths', async () => {
  const target = await newSignedTarget('/platform/v1/tenants')
  expect(await refusal(target)).toBe('401 credential_invalid')
  expect(await refusal(target, { headers: bearer(OPERATOR_TOKEN) })).toBe('400 conflicting_credentials')
})

test('no URL that differs in a byte, or in its spelling, reaches a region', async () => {
  const marker = newMarker()
  const target = await newSignedTarget(`/v1/projects?limit=5&m=${marker}`)
  const character = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code))
  const how = fc.constantFrom('change', 'insert', 'drop')
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: target.length }),
      character,
      how,
      async (at, other, change) => {
        const altered =
          target.slice(0, at) +
          (change === 'drop' ? '' : other) +
          target.slice(change === 'insert' ? at : at + 1)
        const { pathname, search, hash } = new URL(altered, 'http://edge')
        // A fragment is not part of what is sent, and neither are spellings that a client's own parser resolves.
        if (pathname + search === target || hash !== '') return
        const response = await edge.request(new Request(`http://edge${altered}`))
        expect([400, 401, 404], altered).toContain(response.status)
      },
    ),
    { numRuns: 1_000 },
  )
  expect(await seen(marker)).toEqual([])
})

test('the client’s own spelling counts, not what it would be resolved to', async () => {
  const config = await readBindings(await bindings())
  const target = await newSignedTarget('/v1/projects')
  const identify = (sent: string) =>
    identifySignedUrl({ method: 'GET', url: `http://edge${sent}` }, config, Date.now())
  expect(await identify(target)).toMatchObject({ kind: 'signed_url' })
  expect(await identify(`${target}#fragment`)).toMatchObject({ kind: 'signed_url' })
  for (const other of [
    target.replace('/v1/', '/v1/./'),
    target.replace('/v1/', '/v1/%2e/'),
    target.replace('/v1/', '/x/../v1/'),
    target.replace('/v1/', '\\v1\\'),
    `${target} `,
  ]) {
    expect(await identify(other), other).toBeUndefined()
  }
})
