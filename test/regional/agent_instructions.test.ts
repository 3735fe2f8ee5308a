// Instructions may be as long as the document says, whatever that is in bytes.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chunkedSpace } from '../../regional/storage/chunked_space.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { jsonSpace } from '../../regional/storage/space.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { asTenantNumber, tenantNumberOf } from '../../shared/tenant.ts'
import { type Regions, startRegions } from './support.ts'

const LONGEST = 128 * 1024

let regions: Regions
let tenant: { id: string; key: string }
let project: string
let path: string
beforeAll(async () => {
  regions = await startRegions()
  tenant = await regions.newTenant('acme', 'us')
  project = (await ask('POST', '/v1/projects', { name: 'P' })).body.id
  path = `/v1/projects/${project}/agents`
})
afterAll(() => regions.close())

const ask = (method: string, at: string, body?: unknown) =>
  regions.ask('us', { as: tenant.key, method, path: at, body })

const create = (instructions: string) => ask('POST', path, { name: 'A', instructions })

/** All of them, in pages as long as may be. */
async function listed(): Promise<Array<{ id: string; instructions: string }>> {
  const all: Array<{ id: string; instructions: string }> = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await ask('GET', `${path}?limit=100${cursor && `&cursor=${cursor}`}`)
    expect(JSON.stringify(body.data).length).toBeLessThan(2 * 1024 * 1024)
    all.push(...body.data)
    cursor = body.nextCursor
  }
  return all
}

test('the longest instructions are kept, changed and read, in any script', async () => {
  for (const character of ['a', '"', '\u0001', '語']) {
    const instructions = character.repeat(LONGEST)
    const made = await create(instructions)
    expect([made.status, made.body.instructions]).toEqual([201, instructions])
    const at = `${path}/${made.body.id}`
    expect((await ask('GET', at)).body.instructions).toBe(instructions)
    const changed = await ask('PATCH', at, { instructions: character.repeat(LONGEST - 1) })
    expect([changed.status, changed.body.instructions.length]).toEqual([200, LONGEST - 1])
    expect((await ask('PATCH', at, { name: 'B' })).body.instructions).toHaveLength(LONGEST - 1)
    expect((await create(`${instructions}a`)).status).toBe(422)
  }
})

test('a list of long ones has each of them once, on pages of a bounded size', async () => {
  const short = (await create('Be short.')).body.id
  const seen = (await listed()).map(({ id }) => id)
  expect(seen).toHaveLength(5)
  expect(new Set(seen).size).toBe(5)
  expect(seen.at(-1)).toBe(short)
  const { body } = await ask('GET', `${path}?limit=2`)
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual(seen.slice(0, 2))
})

test('an agent that holds its instructions itself, as they once were kept, is read, listed, changed and deleted', async () => {
  const stored = async () => (await ask('GET', '/v1/usage')).body.quotas.storedBytes.used
  const { body: made } = await create('To be of old.')
  const before = await stored()
  await regions.stop('us')
  const engine = await openEngine({ dataDir: regions.dataDir('us') })
  const database = new RegionDatabase(engine.native, keySpace(''), () => {})
  await database.tenant(tenantNumberOf(tenant.id) ?? asTenantNumber(0n), async (scope) => {
    const agents = scope.service('agents').space(jsonSpace<[string, string], object>('agent'))
    const { chargedBytes: _, ...kept } = (await agents.get([project, made.id])) as { chargedBytes: number }
    agents.set([project, made.id], { ...kept, instructions: 'Of old.' })
    scope.service('agents').chunked(chunkedSpace<[string, string]>('instructions')).clear([project, made.id])
    return { value: undefined, commit: true }
  })
  await engine.close()
  await regions.start('us')
  const at = `${path}/${made.id}`
  expect((await ask('GET', at)).body.instructions).toBe('Of old.')
  expect((await ask('GET', at)).body).not.toHaveProperty('chargedBytes')
  expect((await listed()).at(-1)).toMatchObject({ id: made.id, instructions: 'Of old.' })
  expect((await ask('PATCH', at, { name: 'B' })).body.instructions).toBe('Of old.')
  expect((await ask('GET', at)).body).toMatchObject({ name: 'B', instructions: 'Of old.' })
  expect(await stored()).toBe(before + 500 + 'Of old.'.length)
  expect((await ask('DELETE', at)).status).toBe(204)
  expect((await ask('GET', at)).status).toBe(404)
  expect(await stored()).toBe(before)
})
