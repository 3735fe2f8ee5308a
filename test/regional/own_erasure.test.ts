// An owner erases the organisation: by its name, at once for everyone, and down to the last key.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../shared/ids.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
beforeAll(async () => {
  regions = await startRegions()
})
afterAll(() => regions.close())

const code = ({ status, body }: { status: number; body: { code?: string } }) => `${status} ${body?.code}`

test('by its slug, by someone who may do everything, and then nobody is let in', async () => {
  const { key, id } = await regions.newTenant('leaving', 'eu')
  const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('eu', { as: key, path, ...more })
  const body = { name: 'admin', scopes: ['tenant:write'] }
  const { body: admin } = await ask('/v1/api-keys', { method: 'POST', body })
  const erase = (confirm: string, more: Partial<Ask> = {}) =>
    ask(`/v1/tenant?confirm=${confirm}`, { method: 'DELETE', ...more })
  expect(code(await erase('leaving', { as: admin.key }))).toBe('403 insufficient_scope')
  expect(code(await erase('leavin'))).toBe('422 validation_failed')
  expect(code(await ask('/v1/tenant', { method: 'DELETE' }))).toBe('400 malformed_request')
  expect((await ask('/v1/tenant')).status).toBe(200)

  const erased = await erase('leaving')
  expect([erased.status, erased.body.tenant]).toEqual([202, id])
  expect(code(await ask('/v1/tenant'))).toMatch(/^(410 tenant_erased|401 credential_invalid)$/)
  const certificate = async () => {
    const path = `/platform/v1/tenants/${id}/erasure`
    return (await regions.ask('us', { as: 'operator', path })).body
  }
  await expect.poll(async () => (await certificate()).state, { timeout: 15_000 }).toBe('done')
  expect(await certificate()).toMatchObject({
    id: erased.body.id,
    certificate: { tenant: id, requestedBy: 'the organisation', finalScan: { keysFound: 0 } },
  })
  // Whoever was told the job's id, and nobody else, sees the same.
  const [number, job] = [tenantNumberOf(id), String(erased.body.id)]
  const shown = (of: string, as: Ask['as'] = { kind: 'edge' }) =>
    regions.ask('eu', { as, path: `/edge/v1/erasures/${number}/${of}` })
  expect((await shown(job)).body).toMatchObject({
    state: 'done',
    certificate: { finalScan: { keysFound: 0 } },
  })
  for (const of of [newId('job'), job.slice(0, -1), `${job}0`]) {
    expect(code(await shown(of))).toBe('404 not_found')
  }
  expect((await shown(job, 'operator')).status).toBeGreaterThanOrEqual(401)
  // The slug is free again.
  await regions.newTenant('leaving', 'us')
})
