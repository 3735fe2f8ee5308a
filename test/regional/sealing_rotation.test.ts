// A region's sealing key is replaced in steps, instance by instance: what was sealed or remembered under the one before is
// opened and known again, and an instance that lacks a key says so.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { signInCall } from '../../shared/sign_in.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { type Regions, startRegions } from './support.ts'

const [old, fresh] = [toBase64url(randomBytes(32)), toBase64url(randomBytes(32))]
/** As the documentation orders them. */
const STEPS = [`${old},${fresh}`, `${fresh},${old}`]
let sealingKey = old
let lines: string[] = []
let regions: Regions

beforeAll(async () => {
  regions = await startRegions({}, (variables) => {
    const own = variables.REGION === 'us' ? { SEALING_KEY: sealingKey } : {}
    const config = readConfig({ ...variables, ...own })
    return startRegion(config, { writeLog: (line) => lines.push(line) })
  })
})
afterAll(() => regions.close())

async function restart(keys: string): Promise<void> {
  await regions.stop('us')
  sealingKey = keys
  lines = []
  await regions.start('us')
}

const make = (slug: string) =>
  regions.ask('us', {
    as: 'operator',
    method: 'POST',
    path: '/platform/v1/tenants',
    body: { slug, name: slug, region: 'us', plan: 'team', owner: { email: 'a@acme.example' } },
    headers: { 'idempotency-key': slug },
  })
const name = (as: string, key: string) =>
  regions.ask('us', {
    as,
    method: 'POST',
    path: '/v1/projects',
    body: { name: key },
    headers: { 'idempotency-key': key },
  })

test('operators’ and tenants’ requests of before are known under the keys of after, and the other way round', async () => {
  const { body: first } = await make('acme')
  const project = await name(first.apiKey.key, 'before')
  for (const [i, keys] of STEPS.entries()) {
    await restart(keys)
    const again = await make('acme')
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, 'true'])
    expect(again.body).toEqual(first)
    expect((await name(first.apiKey.key, 'before')).body).toEqual(project.body)
    await make(`during-${i}`)
  }
  const { body: last } = await make('last')
  // An instance that is one step behind.
  await restart(STEPS[0] ?? '')
  expect((await make('last')).body).toEqual(last)
  const other = await regions.ask('us', {
    as: 'operator',
    method: 'POST',
    path: '/platform/v1/tenants',
    body: { slug: 'other', name: 'Other', region: 'us', plan: 'team', owner: { email: 'a@acme.example' } },
    headers: { 'idempotency-key': 'last' },
  })
  expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reuse'])
})

test('what no key opens is an error that the log explains', async () => {
  await restart(old)
  const { body } = await make('lost')
  await name(body.apiKey.key, 'sealed')
  await restart(fresh)
  expect((await name(body.apiKey.key, 'sealed')).status).toBe(500)
  const failed = lines.filter((line) => line.includes('a request failed'))
  expect(failed).toHaveLength(1)
  expect(failed[0]).toContain('SEALING_KEY lacks the key')
})

test('a model whose key does not open is off until its key is set again, and keeps no other from going on', async () => {
  const models = (method: string, path = '', body?: object) =>
    regions.ask('us', { as: 'operator', method, path: `/platform/v1/models${path}`, body })
  const add = (name: string, apiKey: string | null) =>
    models('POST', '', { name, apiKey, baseUrl: 'https://models.example/v1' })
  const tenants = {
    us: await regions.newTenant('of-us', 'us'),
    eu: await regions.newTenant('of-eu', 'eu'),
  }
  const offered = async (region: 'us' | 'eu'): Promise<string[]> => {
    const { body } = await regions.ask(region, { as: tenants[region].key, path: '/v1/models' })
    return body.data.map(({ name }: { name: string }) => name)
  }
  const soon = { timeout: 10_000 }
  await restart(old)
  await add('sealed', 'a-key')
  await add('without', null)
  await expect.poll(() => offered('eu'), soon).toEqual(['sealed', 'without'])

  await restart(fresh)
  const { status, body } = await models('GET')
  expect(status).toBe(200)
  expect(body.data).toMatchObject([
    { name: 'sealed', hasApiKey: false, enabled: false },
    { name: 'without', enabled: true },
  ])
  expect(body.data[0]).not.toHaveProperty('keyLost')
  expect(await offered('us')).toEqual(['without'])
  const told = lines.filter((line) => line.includes('until its key is set again'))
  expect(told[0]).toContain('SEALING_KEY lacks the key')
  // A region that knew the model since before goes on with it, while it hears of others.
  await add('zero', null)
  await expect.poll(() => offered('eu'), soon).toEqual(['sealed', 'without', 'zero'])

  expect((await models('PATCH', '/sealed', { inputTokenPrice: 1 })).body.enabled).toBe(false)
  await expect.poll(() => offered('eu'), soon).toEqual(['without', 'zero'])
  const again = await models('PATCH', '/sealed', { apiKey: 'a-new-key' })
  expect(again.body).toMatchObject({ inputTokenPrice: 1, hasApiKey: true, enabled: true })
  expect(await offered('us')).toEqual(['sealed', 'without', 'zero'])
  await expect.poll(() => offered('eu'), soon).toEqual(['sealed', 'without', 'zero'])
}, 60_000)

test('where an identity provider’s secret does not open, the log says once, and whoever signs in, what is to be done', async () => {
  await restart(old)
  const { id, key } = await regions.newTenant('signs-in', 'us')
  const number = tenantNumberOf(id)
  if (number === undefined) throw new Error('the id has no number')
  const given = {
    name: 'Login',
    issuer: 'https://login.example',
    clientId: 'console',
    clientSecret: 'secret',
  }
  const path = '/v1/identity-providers'
  const { body: provider } = await regions.ask('us', { as: key, method: 'POST', path, body: given })
  const random = () => toBase64url(randomBytes(32))
  const signIn = () =>
    regions.ask('us', {
      ...{ as: { kind: 'edge' }, method: 'POST', path: signInCall(number, 'begin') },
      body: {
        ...{ provider: provider.id, state: random(), nonce: random(), verifier: random() },
        redirectUri: 'https://api.test/admin/x/sign-in/callback',
      },
    })
  await restart(fresh)
  for (let i = 0; i < 2; i++) {
    const { status, body } = await signIn()
    expect([status, body.code]).toEqual([503, 'identity_provider_unavailable'])
    expect(body.detail).toContain('set it again')
  }
  const told = lines.filter((line) => line.includes('until its client secret is set again'))
  expect(told).toHaveLength(1)
  expect(told[0]).toContain('SEALING_KEY lacks the key')
})
