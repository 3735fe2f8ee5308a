// Answers that got lost: a request that comes again, under its own request id, is told what it came to, although what it did
// was to end its own credential, or the organisation. Nobody else is, and nothing is read for it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../regional/storage/open.ts'
import { newId } from '../../shared/ids.ts'
import { CALM, ChaosDatabase } from '../faults/chaos_database.ts'
import { Random } from '../faults/random.ts'
import { type Answer, type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
let chaos: ChaosDatabase
beforeAll(async () => {
  const open: typeof openEngine = async (options) => {
    const engine = await openEngine(options)
    if (!options.dataDir?.endsWith('us')) return engine
    chaos = new ChaosDatabase(engine.native, new Random(7), CALM)
    const close = async () => {
      await chaos.settle()
      await engine.close()
    }
    return { ...engine, native: chaos, close }
  }
  regions = await startRegions({ open })
})
afterAll(() => regions.close())

let made = 0
const newTenant = () => regions.newTenant(`lost-${++made}`, 'us')
const ask = (as: string, path: string, more: Partial<Ask> = {}): Promise<Answer> =>
  regions.ask('us', { as, path, ...more })
const code = ({ status, body }: Answer) => (body?.code ? `${status} ${body.code}` : String(status))
const isReplayed = ({ headers }: Answer) => headers.get('idempotency-replayed') === 'true'

async function newKey(by: string): Promise<{ id: string; key: string }> {
  const body = { name: 'Own', scopes: ['*'] }
  return (await ask(by, '/v1/api-keys', { method: 'POST', body })).body
}

describe.each([
  ['without a key', {}],
  ['with one', { 'idempotency-key': 'mine' }],
])('of a request that ended its own credential, %s', (_, headers) => {
  test('a rotation’s new secret', async () => {
    const { key } = await newTenant()
    const own = await newKey(key)
    const path = `/v1/api-keys/${own.id}/rotate`
    const sent = { method: 'POST', body: { overlapSeconds: 0 }, headers }
    const requestId = newId('req')
    const first = await ask(own.key, path, { ...sent, requestId })
    const second = await ask(own.key, path, { ...sent, requestId })
    expect([first.status, second.status]).toEqual([201, 201])
    expect(second.body).toEqual(first.body)
    expect([isReplayed(first), isReplayed(second)]).toEqual([false, true])
    expect((await ask(second.body.key, '/v1/tenant')).status).toBe(200)

    // Under another request id it is whoever has the old key, and lets nobody in.
    expect(code(await ask(own.key, path, sent))).toBe('401 api_key_revoked')
    // That is told as refused, and what was done is not.
    const refused = async () =>
      (await ask(key, '/v1/audit?outcome=refused')).body.data.map(({ count }: { count: number }) => count)
    await expect.poll(refused, { timeout: 10_000 }).toEqual([1])
  })

  test('a revocation’s', async () => {
    const { key } = await newTenant()
    const own = await newKey(key)
    const sent = { method: 'DELETE', headers, requestId: newId('req') }
    const answers = [
      await ask(own.key, `/v1/api-keys/${own.id}`, sent),
      await ask(own.key, `/v1/api-keys/${own.id}`, sent),
    ]
    expect(answers.map(code)).toEqual(['204', '204'])
  })
})

test('of a rotation in doubt: however its commits end, the new secret is told', async () => {
  let { key } = await newTenant()
  let { id } = (await ask(key, '/v1/api-keys')).body.data[0]
  chaos.plan = { ...CALM, unknown: 0.5 }
  const statuses: string[] = []
  // What commits in the background draws from the same seed: rotations go on until enough have met what they are to meet.
  const met = () => Math.min(chaos.counts.landed, chaos.counts.lost)
  while (met() < 4 && statuses.length < 200) {
    const rotated = await ask(key, `/v1/api-keys/${id}/rotate`, {
      method: 'POST',
      body: { overlapSeconds: 0 },
    })
    statuses.push(code(rotated))
    if (rotated.status === 201) ({ id, key } = rotated.body)
  }
  chaos.plan = CALM
  expect(new Set(statuses)).toEqual(new Set(['201']))
  expect(met()).toBeGreaterThanOrEqual(4)
})

test('of an organisation that was suspended meanwhile; nothing new is done or read for it', async () => {
  const { id, key } = await newTenant()
  const create = { method: 'POST', body: { name: 'Made' }, headers: { 'idempotency-key': 'made' } }
  const requestId = newId('req')
  const first = await ask(key, '/v1/projects', { ...create, requestId })
  const read = { requestId: newId('req') }
  expect((await ask(key, '/v1/audit', read)).status).toBe(200)
  const large = { method: 'PUT', body: { data: { text: 'x'.repeat(20_000) } }, requestId: newId('req') }
  const records = `/v1/projects/${first.body.id}/collections/things/records`
  const { body: record } = await ask(key, records, { method: 'POST', body: { data: {} } })
  expect((await ask(key, `${records}/${record.id}`, large)).status).toBe(200)
  await regions.ask('us', {
    as: 'operator',
    method: 'PATCH',
    path: `/platform/v1/tenants/${id}`,
    body: { status: 'suspended' },
  })
  const again = await ask(key, '/v1/projects', { ...create, requestId })
  expect([again.status, again.body.id, isReplayed(again)]).toEqual([201, first.body.id, true])
  // The client's own key under another request id; and what would have to be read again.
  expect(code(await ask(key, '/v1/projects', create))).toBe('403 tenant_suspended')
  expect(code(await ask(key, '/v1/audit', read))).toBe('403 tenant_suspended')
  expect(code(await ask(key, `${records}/${record.id}`, large))).toBe('403 tenant_suspended')
})

test('of an erasure: its job is told, while it goes on and when nothing is left', async () => {
  const { id, key } = await newTenant()
  const path = `/v1/tenant?confirm=lost-${made}`
  const sent = { method: 'DELETE', requestId: newId('req') }
  const first = await ask(key, path, sent)
  const again = async () => {
    const second = await ask(key, path, sent)
    expect([second.status, isReplayed(second)]).toEqual([202, true])
    expect(second.body).toEqual(first.body)
  }
  expect(first.body).toEqual({ id: expect.stringMatching(/^job_/), tenant: id })
  await again()
  const state = async () => {
    const erasure = `/platform/v1/tenants/${id}/erasure`
    return (await regions.ask('us', { as: 'operator', path: erasure })).body.state
  }
  await expect.poll(state, { timeout: 15_000 }).toBe('done')
  await again()
  expect(code(await ask(key, path, { method: 'DELETE' }))).toBe('401 credential_invalid')
})
