import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tuple } from '../../regional/storage/foundationdb.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { type Ask, type Regions, startRegions } from '../regional/support.ts'
import { bytesOf, rowsOf } from '../support/at_rest.ts'
import { eventually } from '../support/eventually.ts'
import { counting } from './counting_service.ts'
import { count } from './support.ts'

let regions: Regions
beforeAll(async () => {
  regions = await startRegions({ extraServices: [counting], extraJobKinds: [count] })
})
afterAll(() => regions.close())

const TENANTS = '/platform/v1/tenants'
const operator = (path: string, more: Partial<Ask> = {}) =>
  regions.ask('us', { as: 'operator', path, ...more })

async function tenantOf(slug: string, region = 'eu') {
  const { id, key } = await regions.newTenant(slug, region)
  const path = `${TENANTS}/${id}`
  const ask = (at: string, more: Partial<Ask> = {}) => regions.ask(region, { as: key, path: at, ...more })
  const create = (name: string) => ask('/v1/projects', { method: 'POST', body: { name } })
  const erase = () => operator(path, { method: 'DELETE' })
  const erased = () =>
    eventually(async () => {
      const { body } = await operator(`${path}/erasure`)
      expect(body.state).toBe('done')
      return body
    })
  return { id, key, path, ask, create, erase, erased }
}

describe('erasing a tenant', () => {
  test('shuts it at once, clears it by a job, and ends in a certificate', async () => {
    const tenant = await tenantOf('ending')
    for (let i = 0; i < 5; i++) await tenant.create(`Project ${i}`)
    const begun = await tenant.erase()
    expect(begun.status).toBe(202)
    expect(begun.headers.get('location')).toBe(`${tenant.path}/erasure`)
    expect(begun.body).toMatchObject({ kind: 'tenants.erase' })
    const refused = await tenant.ask('/v1/projects')
    expect([410, 401]).toContain(refused.status)
    expect(['tenant_erased', 'credential_invalid']).toContain(refused.body.code)
    const { id, certificate } = await tenant.erased()
    expect(id).toBe(begun.body.id)
    expect(certificate).toMatchObject({
      tenant: tenant.id,
      requestedBy: 'ops',
      finalScan: { keysFound: 0 },
      // The first key and the admin link.
      cleared: { 'service projects': { keys: 5 }, profile: { keys: 1 }, credentials: { keys: 2 } },
    })
    expect(certificate.requestId).toBe(begun.headers.get('x-request-id'))
    expect(JSON.stringify(certificate)).not.toMatch(/ending|@|Project/)
    expect((await operator(tenant.path)).status).toBe(404)
    expect((await tenant.ask('/v1/tenant')).status).toBe(401)
    const list = await operator(`${TENANTS}?limit=100`)
    expect(list.body.data.map((each: { id: string }) => each.id)).not.toContain(tenant.id)
  })

  test('twice is the same job, before and after its end', async () => {
    const tenant = await tenantOf('twice')
    const [first, second] = await Promise.all([tenant.erase(), tenant.erase()])
    expect(second.body.id).toBe(first.body.id)
    await tenant.erased()
    const late = await tenant.erase()
    expect([late.status, late.body.id, late.body.state]).toEqual([202, first.body.id, 'done'])
  })

  test('is possible when it is suspended, and can’t be undone', async () => {
    const tenant = await tenantOf('suspended', 'us')
    const patch = (status: string) => operator(tenant.path, { method: 'PATCH', body: { status } })
    await patch('suspended')
    expect((await tenant.erase()).status).toBe(202)
    const resumed = await patch('active')
    expect([
      [409, 'conflict'],
      [404, 'not_found'],
    ]).toContainEqual([resumed.status, resumed.body.code])
    await tenant.erased()
    expect((await patch('active')).status).toBe(404)
    const nobody = await operator(`${TENANTS}/${tenant.id}/erasure`, { as: tenant.key })
    expect(nobody.status).toBe(401)
  })

  test('of an id that is not this tenant’s is not found, and touches nothing', async () => {
    const tenant = await tenantOf('forged')
    const { id } = tenant
    const forged = `${id.slice(0, 8)}${id[8] === '0' ? '1' : '0'}${id.slice(9)}`
    expect((await operator(`${TENANTS}/${forged}`, { method: 'DELETE' })).status).toBe(404)
    expect((await operator(`${TENANTS}/${id}/erasure`)).status).toBe(404)
    expect((await tenant.ask('/v1/tenant')).status).toBe(200)
  })

  test('with If-Match of an older version does nothing', async () => {
    const tenant = await tenantOf('versioned')
    const { status } = await operator(tenant.path, { method: 'DELETE', headers: { 'if-match': '"7"' } })
    expect(status).toBe(412)
    expect((await tenant.ask('/v1/tenant')).status).toBe(200)
  })
})

test('an erasure waits for a control region that can’t be reached, and keeps its slug until then', async () => {
  const tenant = await tenantOf('waiting')
  await regions.stop('us')
  const call = {
    as: 'region',
    method: 'POST',
    path: '/internal/v1/erase',
    body: {
      number: String(tenantNumberOf(tenant.id)),
      id: tenant.id,
      by: { operatorId: 'ops', requestId: 'req' },
    },
  }
  const begun = await regions.ask('eu', call)
  expect(begun.status).toBe(200)
  const progress = async () => (await regions.ask('eu', { ...call, path: '/internal/v1/erasure' })).body
  await eventually(async () => expect((await progress()).startedMs).not.toBeNull())
  expect((await progress()).finishedMs).toBeNull()
  await regions.start('us')
  expect((await tenant.erased()).certificate.finalScan.keysFound).toBe(0)
})

test('a slug is free only when its tenant is gone, and a number never is', async () => {
  const body = { slug: 'again', name: 'x', region: 'us', plan: 'free', owner: { email: 'o@again.example' } }
  const headers = { 'idempotency-key': 'again' }
  const make = () => operator(TENANTS, { method: 'POST', body, headers })
  const first = (await make()).body.tenant
  const other = await tenantOf('holder', 'us')
  const path = `${TENANTS}/${first.id}`
  await operator(path, { method: 'DELETE' })
  const taken: number[] = []
  const second = await eventually(async () => {
    const answer = await operator(TENANTS, { method: 'POST', body })
    taken.push(answer.status)
    expect(answer.status).toBe(201)
    // Whoever has the slug now knows that the other has been cleared.
    return answer.body.tenant
  })
  expect(new Set(taken.slice(0, -1))).toEqual(taken.length > 1 ? new Set([409]) : new Set())
  expect(tenantNumberOf(second.id)).not.toBe(tenantNumberOf(first.id))
  await eventually(async () => expect((await operator(`${path}/erasure`)).body.state).toBe('done'))
  // The request that made the first one does not make it again, under its number or another.
  const replayed = await make()
  expect([replayed.status, replayed.body.code]).toEqual([409, 'conflict'])
  expect((await operator(`${TENANTS}/${second.id}`)).body.status).toBe('active')
  expect((await other.ask('/v1/tenant')).status).toBe(200)
})

test('no write slips in after a suspension or an erasure, however many writers there are', async () => {
  const tenant = await tenantOf('busy', 'us')
  let stopped = false
  const written: Array<{ at: number; status: number }> = []
  const writers = Array.from({ length: 12 }, async (_, writer) => {
    for (let i = 0; !stopped; i++) {
      const at = performance.now()
      const { status } = await tenant.create(`W${writer} ${i}`)
      written.push({ at, status })
    }
  })
  await eventually(async () => expect(written.length).toBeGreaterThan(50))
  const patch = (status: string) => operator(tenant.path, { method: 'PATCH', body: { status } })
  const countProjects = async () => {
    const { body } = await tenant.ask('/v1/usage')
    return body.quotas.projects.used as number
  }
  expect((await patch('suspended')).status).toBe(200)
  const suspendedAt = performance.now()
  const before = written.length
  await eventually(async () => expect(written.length).toBeGreaterThan(before + 50))
  const late = written.filter(({ at }) => at > suspendedAt)
  expect(new Set(late.map(({ status }) => status))).toEqual(new Set([403]))
  const succeeded = written.filter(({ status }) => status === 201).length
  await patch('active')
  expect(await countProjects()).toBeGreaterThanOrEqual(succeeded)
  await eventually(async () =>
    expect(written.filter(({ status }) => status === 201).length).toBeGreaterThan(succeeded),
  )
  await tenant.erase()
  const erasedAt = performance.now()
  const atErasure = written.length
  await tenant.erased()
  await eventually(async () => expect(written.length).toBeGreaterThan(atErasure + 50))
  stopped = true
  await Promise.all(writers)
  const after = written.filter(({ at }) => at > erasedAt)
  expect(after.filter(({ status }) => status !== 410 && status !== 401)).toEqual([])
})

test('its making by an operator, their look and changes are in the tenant’s own trail', async () => {
  const tenant = await tenantOf('watched')
  await operator(tenant.path)
  await operator(tenant.path, { method: 'PATCH', body: { name: 'Renamed' } })
  await operator(`${TENANTS}?limit=100`)
  const { body } = await tenant.ask('/v1/audit?limit=100')
  const own = body.data.filter((entry: { actor: { kind: string } }) => entry.actor.kind === 'operator')
  expect(own).toMatchObject([
    { action: 'tenants.update', target: tenant.id, actor: { id: 'ops' }, outcome: 'done' },
    { action: 'tenants.read', target: tenant.id, actor: { id: 'ops' }, outcome: 'done' },
    { action: 'tenants.create', target: tenant.id, actor: { id: 'ops' }, outcome: 'done' },
  ])
})

test('the bytes are gone from the disk, nothing but tombstone and certificate has the number, and a neighbour’s bytes are the same', async () => {
  const gone = await tenantOf('vanishing', 'us')
  const neighbour = await tenantOf('neighbour', 'us')
  const number = tenantNumberOf(gone.id) ?? 0n
  expect(tenantNumberOf(neighbour.id)).toBe(number + 1n)
  await neighbour.create('Neighbour’s project')
  for (let i = 0; i < 30; i++) await gone.create(`Very secret plan ${i}`)
  await gone.ask('/v1/counts', { method: 'POST', body: { name: 'secret count', steps: 3 } })
  const keys = keySpace('')
  const prefixOf = (of: bigint) => keys.tenant(of as Parameters<typeof keys.tenant>[0])
  const under = (prefix: Buffer) => (row: readonly [Buffer, Buffer]) =>
    row[0].subarray(0, prefix.length).equals(prefix)

  await regions.stop('us')
  const rows = (await rowsOf(regions.dataDir('us'))).filter(under(prefixOf(number + 1n)))
  expect(rows.length).toBeGreaterThan(5)
  expect(await bytesOf(regions.dataDir('us'))).toContain('Very secret plan 29')
  await regions.start('us')
  await gone.erase()
  await gone.erased()
  await regions.stop('us')
  const after = await rowsOf(regions.dataDir('us'))
  expect(after.filter(under(prefixOf(number)))).toEqual([])
  expect(after.filter(under(prefixOf(number + 1n)))).toEqual(rows)
  const packed = tuple.pack([prefixOf(number).subarray(1)])
  const named = after
    .filter(([key]) => key.includes(packed) && !under(keys.tenants)([key, key]))
    .map(([key]) =>
      key
        .toString('latin1')
        .match(/[a-z]{3,}/g)
        ?.join(' '),
    )
  expect(named.toSorted()).toEqual(['certificate', 'erased', 'flush gone'])
  const left = await bytesOf(regions.dataDir('us'))
  for (const trace of ['Very secret plan', 'vanishing', 'secret count']) expect(left).not.toContain(trace)
  expect(left).toContain('Neighbour')
  await regions.start('us')
})
