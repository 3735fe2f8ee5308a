// A region is started on its own data, or not at all.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { RegionSecrets } from '../support/region_client.ts'

const secrets = new RegionSecrets(['us', 'eu'])
const urls = { us: 'http://127.0.0.1:1', eu: 'http://127.0.0.1:2' }
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coditect-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function start(region: string, rootPrefix: string) {
  const own = { PORT: '0', DATA_DIR: folder, ROOT_PREFIX: rootPrefix, LOG_LEVEL: 'silent' }
  return startRegion(readConfig({ ...(await secrets.environment(region, urls)), ...own }))
}

test('a region does not start on another’s data, and leaves it as it was', async () => {
  for (const [region, rootPrefix] of [
    ['us', ''],
    ['us', ''],
    ['eu', 'eu'],
  ] as const) {
    await (await start(region, rootPrefix)).close()
  }
  await expect(start('eu', '')).rejects.toThrow(
    /^This is the data of the region us, not of eu: .*ROOT_PREFIX/,
  )
  await expect(start('us', 'eu')).rejects.toThrow(/^This is the data of the region eu, not of us: /)
  // The refused ones have let the database go.
  await (await openEngine({ dataDir: folder })).close()
})
