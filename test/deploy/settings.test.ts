// What `npm start` and a region make of their environment: which database each region has, under which prefix,
// and what counts as not set.
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { type Environment, readSettings } from '../../dev/settings.ts'
import { readConfig, SETTINGS } from '../../regional/config.ts'
import { RegionSecrets } from '../support/region_client.ts'

const at = (file: string, prefix: string) => ({ FDB_CLUSTER_FILE: resolve(file), ROOT_PREFIX: prefix })

test.each<[string, Environment, object, object]>([
  ['without a cluster each has the embedded engine', {}, {}, {}],
  [
    'in a cluster that they share, each has a root prefix of its own name',
    { FDB_CLUSTER_FILE: 'shared' },
    at('shared', 'us'),
    at('shared', 'eu'),
  ],
  [
    'in a cluster of its own, each has all of it',
    { FDB_CLUSTER_FILE_US: 'of-us', FDB_CLUSTER_FILE_EU: 'of-eu' },
    at('of-us', ''),
    at('of-eu', ''),
  ],
  [
    'a cluster of one’s own goes before the shared one',
    { FDB_CLUSTER_FILE: 'shared', FDB_CLUSTER_FILE_EU: 'of-eu' },
    at('shared', 'us'),
    at('of-eu', ''),
  ],
  [
    'a root prefix stands before every key, whosever the cluster is',
    { FDB_CLUSTER_FILE: 'shared', FDB_CLUSTER_FILE_EU: 'of-eu', ROOT_PREFIX: 'stage/' },
    at('shared', 'stage/us'),
    at('of-eu', 'stage/'),
  ],
])('%s', (_, environment, us, eu) => {
  expect(readSettings(environment).database).toEqual({ us, eu })
})

test('a setting that is empty is one that is not set', () => {
  const empty = {
    PORT: '',
    REGION_PORTS: '',
    DATA_DIR: '',
    FDB_CLUSTER_FILE: '',
    OPERATORS: '',
    FAILURE_LIMIT: '',
  }
  expect(readSettings(empty)).toEqual(readSettings({}))
  expect(readSettings({})).toMatchObject({ operators: [], failureLimit: undefined })
})

test('and so it is in a region', async () => {
  const own = await new RegionSecrets(['us']).environment('us', { us: 'http://127.0.0.1:1' })
  const given = { ...own, DATA_DIR: 'data' }
  const empty = Object.fromEntries(SETTINGS.map((name) => [name, '']))
  expect(readConfig({ ...empty, ...given })).toEqual(readConfig(given))
  expect(() => readConfig({ ...given, SEALING_KEY: '' })).toThrow(/^SEALING_KEY: /)
})

test('a region does not start with roots of which none may sign: it could make no tenant, key or link', async () => {
  const own = await new RegionSecrets(['us']).environment('us', { us: 'http://127.0.0.1:1' })
  const given = { ...own, DATA_DIR: 'data' }
  const [root] = JSON.parse(own.SIGNING_ROOTS ?? '[]') as [object]
  for (const roots of [[], [{ ...root, state: 'compromised' }], [{ ...root, state: 'retired' }]]) {
    expect(() => readConfig({ ...given, SIGNING_ROOTS: JSON.stringify(roots) })).toThrow(
      'SIGNING_ROOTS: no signing root is active: bring in a new one first',
    )
  }
})

test('a region’s addresses are origins, as the edge reads them: a slash behind one would be asked for as part of each path', async () => {
  const own = await new RegionSecrets(['us']).environment('us', { us: 'http://127.0.0.1:1' })
  const at = (url: string) =>
    readConfig({ ...own, DATA_DIR: 'data', REGIONS: JSON.stringify({ us: [url] }) }).REGIONS
  expect(at('https://US.region.example:443/')).toEqual({ us: ['https://us.region.example'] })
  for (const url of [
    'https://us.region.example/v1',
    'https://us.region.example?a',
    'https://me@us.example',
  ]) {
    expect(() => at(url)).toThrow('REGIONS.us.0: is more than an origin')
  }
})
