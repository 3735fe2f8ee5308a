// A region's sealing key is replaced in steps, instance by instance: what was sealed or remembered under the one before is
// opened and known again, and an instance that lacks a key says so.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
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
