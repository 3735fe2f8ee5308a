import { expect, inject, test } from 'vitest'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber, tenantId } from '../../shared/tenant.ts'
import { asserted } from './asserted.ts'
import { bearer, edgeTo, newKey, newMarker, OPERATOR_TOKEN, seen, TENANT_NUMBER } from './support.ts'

const { steady } = inject('regions')
const edge = await edgeTo()
const ownId = tenantId(TENANT_NUMBER, Date.now())

/** Who the one region that saw the marker was told that it is. */
async function principalAt(region: 'us' | 'eu', marker: string) {
  const [request, ...others] = await seen(marker)
  expect(others).toEqual([])
  const { method = '', target = '', headers } = request ?? {}
  const { principal, requestId } = await asserted(headers?.['coditect-assertion'], { region, method, target })
  expect(requestId).toBe(headers?.['x-request-id'])
  return principal
}

test.each(['us', 'eu'] as const)(
  'a key of %s goes there, with an assertion that only %s accepts',
  async (region) => {
    const marker = newMarker()
    await edge.request(`http://edge/v1/projects?${marker}`, { headers: bearer(await newKey(region)) })
    expect(await principalAt(region, marker)).toMatchObject({ kind: 'api_key', tenant: TENANT_NUMBER })
    await expect(principalAt(region === 'us' ? 'eu' : 'us', marker)).rejects.toThrow()
  },
)

test('an operator goes to the control region', async () => {
  const marker = newMarker()
  await edge.request(`http://edge/platform/v1/tenants?${marker}`, { headers: bearer(OPERATOR_TOKEN) })
  expect(await principalAt('us', marker)).toMatchObject({
    kind: 'operator',
    operatorId: 'ops',
    role: 'admin',
  })
})

test.each([ownId, 'acme'])('what X-Tenant claims goes on in the assertion: %s', async (claimedTenant) => {
  const marker = newMarker()
  const headers = { ...bearer(await newKey()), 'x-tenant': claimedTenant }
  await edge.request(`http://edge/v1/projects?${marker}`, { headers })
  expect(await principalAt('us', marker)).toMatchObject({ tenant: TENANT_NUMBER, claimedTenant })
})

test.each([
  ["another tenant's id", tenantId(asTenantNumber(4712n), Date.now())],
  ['two tenants', `${ownId}, acme`],
  ['no id of a tenant', newId('prj')],
  ['no name at all', ''],
])('X-Tenant with %s is a mismatch that reaches no region', async (_, claimed) => {
  const marker = newMarker()
  const headers = { ...bearer(await newKey()), 'x-tenant': claimed }
  const response = await edge.request(`http://edge/v1/projects?${marker}`, { headers })
  expect(response.status).toBe(403)
  expect(await response.json()).toMatchObject({ code: 'tenant_mismatch' })
  expect(await seen(marker)).toEqual([])
})

test('a genuine key of a region that this edge does not know is 503, not 401', async () => {
  const usOnly = await edgeTo({ us: [steady] })
  const response = await usOnly.request('http://edge/v1/projects', { headers: bearer(await newKey('eu')) })
  expect(response.status).toBe(503)
  expect(response.headers.get('retry-after')).toMatch(/^\d+$/)
  expect(await response.json()).toMatchObject({ code: 'region_unavailable' })
})
