// Records as older versions kept them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findCollection, listCollections } from '../../regional/services/records/collections.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { jsonSpace } from '../../regional/storage/space.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

test('a collection that was declared with one index several times has it once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coditect-before-'))
  const engine = await openEngine({ dataDir: folder })
  try {
    const database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
      throw violation
    })
    const index = (number: number) => ({ number, fields: [{ field: 's', type: 'string' }], unique: false })
    await database.tenant(asTenantNumber(1n), async (scope) => {
      const collections = jsonSpace<[project: string, name: string], object>('collection')
      const kept = { uid: '00'.repeat(8), indexes: [index(1), index(1), index(2), index(1)] }
      scope.service('records').space(collections).set(['prj_1', 'things'], kept)
      return { value: undefined, commit: true }
    })
    await database.tenant(asTenantNumber(1n), async (scope) => {
      const tx = scope.service('records') as unknown as Parameters<typeof findCollection>[0]
      const found = await findCollection(tx, { projectId: 'prj_1', name: 'things' })
      const { entries } = await listCollections(tx, 'prj_1', 10, undefined)
      for (const each of [found, entries[0]?.[1]]) {
        expect(each?.indexes.map(({ number }) => number)).toEqual([1, 2])
      }
      return { value: undefined, commit: false }
    })
  } finally {
    await engine.close()
    await rm(folder, { recursive: true })
  }
})
