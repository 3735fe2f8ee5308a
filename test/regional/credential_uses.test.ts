// When a key or a session was last used: gathered in memory, written once a minute and when a region stops, and gone with it.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { CredentialUses, PARTS } from '../../regional/tenancy/credential_uses.ts'
import {
  type CredentialRecord,
  credentialSpace,
  type StatusRecord,
  seenSpace,
  statusSpace,
} from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { newId } from '../../shared/ids.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
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

interface Opened {
  database: RegionDatabase
  /** Makes a tenant with a key. */
  make(tenant: TenantNumber, keyId: string, status?: StatusRecord['status']): Promise<void>
  seen(tenant: TenantNumber, keyId: string): Promise<number | undefined>
}

async function withDatabase(work: (opened: Opened) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-uses-'))
  const engine = await openEngine({ dataDir: folder })
  const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  try {
    await work({
      database,
      make: (tenant, keyId, status = 'active') =>
        database.tenant(tenant, async (scope) => {
          const record: CredentialRecord = {
            ...{ id: keyId as CredentialRecord['id'], name: 'a key', scopes: ['*'], secretHash: 'hash' },
            ...{ createdAt: new Date().toISOString(), expiresAt: null },
          }
          scope.system('status', statusSpace).set(['status'], { status, epoch: 1, version: 1 })
          scope.system('credentials', credentialSpace).set([keyId], record)
          return { value: undefined, commit: true }
        }),
      seen: (tenant, keyId) =>
        database.tenant(tenant, async (scope) => ({
          value: await scope.system('credentials', seenSpace).get([keyId]),
          commit: false,
        })),
    })
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
}

test('an earlier use, a revoked key, an ended session and a tenant that is being erased leave nothing behind', () =>
  withDatabase(async ({ database, make, seen }) => {
    const [here, leaving] = [asTenantNumber(1n), asTenantNumber(2n)]
    const [live, gone, ended] = [newId('key'), newId('key'), newId('ses')]
    await make(here, live)
    await make(leaving, live, 'erasing')
    const uses = new CredentialUses(database)
    for (const id of [live, gone, ended]) {
      uses.note(here, id, 2_000)
      uses.note(leaving, id, 2_000)
    }
    await uses.flush()
    uses.note(here, live, 1_000)
    await uses.flush()
    expect(await Promise.all([live, gone, ended].map((id) => seen(here, id)))).toEqual([
      2_000,
      undefined,
      undefined,
    ])
    expect(await seen(leaving, live)).toBeUndefined()
  }))

test('of many tenants, only some are written at a time, and all of them in a minute', () =>
  withDatabase(async ({ database, make, seen }) => {
    const tenants = Array.from({ length: 4 * PARTS }, (_, i) => asTenantNumber(BigInt(i * 7 + 1)))
    const id = newId('key')
    const uses = new CredentialUses(database)
    for (const tenant of tenants) {
      await make(tenant, id)
      uses.note(tenant, id, 2_000)
    }
    const written = async () => {
      const times = await Promise.all(tenants.map((tenant) => seen(tenant, id)))
      return times.filter((time) => time === 2_000).length
    }
    let most = 0
    for (let part = 0, before = 0; part < PARTS; part++) {
      await uses.flushPart()
      const now = await written()
      most = Math.max(most, now - before)
      before = now
    }
    expect(await written()).toBe(tenants.length)
    expect(most).toBeLessThanOrEqual(8)
  }))
