// When a key was last used: gathered in memory, written once a minute and when a region stops, and gone with the key.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { KeyUses } from '../../regional/tenancy/key_uses.ts'
import {
  type CredentialRecord,
  credentialSpace,
  type StatusRecord,
  seenSpace,
  statusSpace,
} from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { type Ask, type Regions, startRegions } from './support.ts'

let regions: Regions
let key: string
beforeAll(async () => {
  regions = await startRegions()
  ;({ key } = await regions.newTenant('acme', 'us'))
})
afterAll(() => regions.close())

const ask = (path: string, more: Partial<Ask> = {}) => regions.ask('us', { as: key, path, ...more })

test('a key says when it was last used, and one that nobody used says so', async () => {
  const make = async (name: string) =>
    (await ask('/v1/api-keys', { method: 'POST', body: { name, scopes: ['projects:read'] } })).body
  const [used, unused, refused] = [await make('used'), await make('unused'), await make('refused')]
  expect(used.lastUsedAt).toBeNull()
  const before = Date.now()
  expect((await ask('/v1/projects', { as: used.key })).status).toBe(200)
  expect((await ask('/v1/api-keys', { as: refused.key })).status).toBe(403)
  await regions.stop('us')
  await regions.start('us')
  const { body } = await ask('/v1/api-keys')
  const at = new Map<string, string | null>(
    body.data.map((each: { id: string; lastUsedAt: string | null }) => [each.id, each.lastUsedAt]),
  )
  expect(Date.parse(at.get(used.id) ?? '')).toBeGreaterThanOrEqual(before)
  expect([at.get(unused.id), at.get(refused.id)]).toEqual([null, null])
  expect((await ask(`/v1/api-keys/${used.id}`)).body.lastUsedAt).toBe(at.get(used.id))
})

test('an earlier use, a revoked key and a tenant that is being erased leave nothing behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-uses-'))
  const engine = await openEngine({ dataDir: folder })
  const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  const [here, leaving] = [asTenantNumber(1n), asTenantNumber(2n)]
  const [live, gone] = [newId('key'), newId('key')]
  const record: CredentialRecord = {
    ...{ id: live, name: 'a key', scopes: ['*'], secretHash: 'hash' },
    ...{ createdAt: new Date().toISOString(), expiresAt: null },
  }
  const seen = (tenant: typeof here, id: string) =>
    database.tenant(tenant, async (scope) => ({
      value: await scope.system('credentials', seenSpace).get([id]),
      commit: false,
    }))
  try {
    for (const [tenant, status] of [
      [here, 'active'],
      [leaving, 'erasing'],
    ] as const) {
      await database.tenant(tenant, async (scope) => {
        const standing: StatusRecord = { status, epoch: 1, version: 1 }
        scope.system('status', statusSpace).set(['status'], standing)
        scope.system('credentials', credentialSpace).set([live], record)
        return { value: undefined, commit: true }
      })
    }
    const uses = new KeyUses(database)
    for (const [id, atMs] of [
      [live, 2_000],
      [gone, 2_000],
    ] as const) {
      uses.note(here, id, atMs)
      uses.note(leaving, id, atMs)
    }
    await uses.flush()
    uses.note(here, live, 1_000)
    await uses.flush()
    expect([await seen(here, live), await seen(here, gone)]).toEqual([2_000, undefined])
    expect(await seen(leaving, live)).toBeUndefined()
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
})
