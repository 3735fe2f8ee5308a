// Records as older versions kept them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  findCollection,
  forgetCollection,
  listCollections,
  newCollection,
  type RecordsTransaction,
  writeCollection,
} from '../../regional/services/records/collections.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import type { TransactionMeter } from '../../regional/storage/metered.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { jsonSpace } from '../../regional/storage/space.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

let folder: string
let engine: Engine
let database: RegionDatabase
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coditect-before-'))
  engine = await openEngine({ dataDir: folder })
  database = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
})
afterEach(async () => {
  await engine.close()
  await rm(folder, { recursive: true })
})

const collections = jsonSpace<[project: string, name: string], object>('collection')
const index = (number: number) => ({ number, fields: [{ field: 's', type: 'string' }], unique: false })

function write(names: ReadonlyArray<string>, indexes: ReadonlyArray<object>): Promise<void> {
  return database.tenant(asTenantNumber(1n), async (scope) => {
    const space = scope.service('records').space(collections)
    for (const name of names) space.set(['prj_1', name], { uid: '00'.repeat(8), indexes })
    return { value: undefined, commit: true }
  })
}

function within<T>(work: (tx: RecordsTransaction) => Promise<T>, meter?: TransactionMeter): Promise<T> {
  return database.tenant(
    asTenantNumber(1n),
    async (scope) => ({
      value: await work(scope.service('records') as unknown as RecordsTransaction),
      commit: true,
    }),
    { meter },
  )
}

test('a collection that was declared with one index several times has it once', async () => {
  await write(['things'], [index(1), index(1), index(2), index(1)])
  await within(async (tx) => {
    const found = await findCollection(tx, { projectId: 'prj_1', name: 'things' })
    const { entries } = await listCollections(tx, 'prj_1', 10, undefined)
    for (const each of [found, entries[0]?.[1]]) {
      expect(each?.indexes.map(({ number }) => number)).toEqual([1, 2])
    }
  })
})

test('collections that nobody counted are counted once, and making one more reads none of them', async () => {
  const names = Array.from({ length: 999 }, (_, i) => `c${i}`)
  await write(names, [index(1), index(2)])
  const make = (name: string, meter?: TransactionMeter) =>
    within(async (tx) => {
      const place = { projectId: 'prj_1', name }
      const collection = await newCollection(tx, place, 0)
      writeCollection(tx, place, collection)
    }, meter)
  await make('last')
  await expect(make('more')).rejects.toMatchObject({ code: 'quota_exceeded' })
  await within(async (tx) => {
    for (const name of ['c1', 'c2', 'c3']) {
      const place = { projectId: 'prj_1', name }
      const collection = await findCollection(tx, place)
      if (collection !== undefined) await forgetCollection(tx, place, collection)
    }
  })
  let bytesRead = 0
  const read = (bytes: number) => {
    bytesRead += bytes
  }
  const rows = (_: number, bytes: number) => read(bytes)
  for (const name of ['one', 'two', 'three']) await make(name, { read, rows, write() {}, commit() {} })
  expect(bytesRead).toBeLessThan(1_000)
  await expect(make('more')).rejects.toMatchObject({ code: 'quota_exceeded' })
})
