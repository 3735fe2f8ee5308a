// An operator's own limits for one tenant, instead of its plan's.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SNAPSHOT } from '../../shared/headers.ts'
import { PLANS } from '../../shared/plans.ts'
import { readSnapshot } from '../../shared/snapshot.ts'
import { type Regions, startRegions } from './support.ts'

let regions: Regions
let tenant: { id: string; key: string }

beforeAll(async () => {
  regions = await startRegions()
  tenant = await regions.newTenant('limited', 'eu')
})
afterAll(() => regions.close())

const setLimits = (limits: object) =>
  regions.ask('us', {
    as: 'operator',
    method: 'PATCH',
    path: `/platform/v1/tenants/${tenant.id}`,
    body: { limits },
  })
const create = () =>
  regions.ask('eu', { as: tenant.key, method: 'POST', path: '/v1/projects', body: { name: 'One' } })
const shown = async () => (await regions.ask('eu', { as: tenant.key, path: '/v1/tenant' })).body.limits

test('a quota holds from the commit on, is shown, and goes back to the plan’s', async () => {
  expect(await shown()).toEqual(PLANS.team)
  const lowered = await setLimits({ projects: 1 })
  expect([lowered.status, lowered.body.limits]).toEqual([200, { ...PLANS.team, projects: 1 }])
  expect(await shown()).toEqual({ ...PLANS.team, projects: 1 })
  expect((await create()).status).toBe(201)
  const refused = await create()
  expect([refused.status, refused.body.code]).toEqual([403, 'quota_exceeded'])

  await setLimits({ projects: null })
  expect((await create()).status).toBe(201)
  const { quotas } = (await regions.ask('eu', { as: tenant.key, path: '/v1/usage' })).body
  expect(quotas.projects).toEqual({ used: 2, limit: PLANS.team.projects })
})

test('a rate reaches the edge with the next answer, and stays when other things change', async () => {
  await setLimits({ requestsPerSecond: 7 })
  await setLimits({ members: 3 })
  const { headers, status } = await regions.ask('eu', { as: tenant.key, path: '/v1/tenant' })
  expect(status).toBe(200)
  const snapshot = readSnapshot(headers.get(SNAPSHOT))
  expect(snapshot?.limits.tenant).toEqual({ rate: 7, burst: 14 })
  expect(await shown()).toMatchObject({ requestsPerSecond: 7, burst: 14, members: 3 })
})

test.each([
  { limits: { burst: 1 }, pointer: '/limits/burst' },
  { limits: { requestsPerSecond: 0 }, pointer: '/limits/requestsPerSecond' },
  { limits: { projects: -1 }, pointer: '/limits/projects' },
  { limits: { projects: 1.5 }, pointer: '/limits/projects' },
  { limits: { webhookEndpoints: 1_001 }, pointer: '/limits/webhookEndpoints' },
  { limits: { domains: 1_001 }, pointer: '/limits/domains' },
  { limits: { identityProviders: 101 }, pointer: '/limits/identityProviders' },
  { limits: { elephants: 1 }, pointer: '/limits/elephants' },
])('$limits is refused at its field', async ({ limits, pointer }) => {
  const { status, body } = await setLimits(limits)
  expect([status, body.code, body.errors?.[0]?.pointer]).toEqual([422, 'validation_failed', pointer])
})
