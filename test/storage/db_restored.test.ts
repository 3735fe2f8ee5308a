import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { copyDatabase } from '../../cli/db_copy.ts'
import { markRestored } from '../../cli/db_restored.ts'
import { opened, type Side } from '../../cli/db_side.ts'
import { Directory } from '../../regional/platform/directory.ts'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { regionEpoch } from '../../regional/storage/epoch.ts'
import { FDBError, selectApiVersion } from '../../regional/storage/foundationdb.ts'
import { keySpace } from '../../regional/storage/keys.ts'
import type { Engine } from '../../regional/storage/open.ts'
import { emitting, feedOf } from '../../regional/tenancy/events.ts'
import { statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'
import { temporaryDirectory } from './temporary.ts'

const HOUR_MS = 3_600_000
const tenant = asTenantNumber(1n)

/** Hours of service go by at once: versions follow this clock. */
let skewMs = 0
const clock = () => performance.now() + skewMs

async function open(dataDir: string): Promise<Engine & { database: RegionDatabase; side: Side }> {
  selectApiVersion(720)
  const { database, close } = await openEmbedded({ dataDir, clock })
  const engine: Engine = { kind: 'embedded', native: database(), overwriteCleared() {}, close }
  const region = new RegionDatabase(engine.native, keySpace(''), (violation) => {
    throw violation
  })
  return { ...engine, database: region, side: { engine, name: dataDir, prefix: '' } }
}

const makeTenant = (database: RegionDatabase, number: TenantNumber) =>
  database.tenant(number, async (scope) => {
    scope.system('status', statusSpace).set(['status'], { status: 'active', epoch: 1, version: 1 })
    return { value: undefined, commit: true }
  })

const append = (database: RegionDatabase, resource: string) =>
  database.tenant(tenant, async (scope) => {
    const standing = await scope.system('status', statusSpace).get(['status'])
    if (standing === undefined) throw new Error('there is no tenant')
    const actor = { kind: 'system' as const, id: 'test' }
    const emit = emitting(scope, { standing, nowMs: Date.now(), actor, requestId: resource })
    emit('project.created', resource)
    return { value: undefined, commit: true }
  })

const readBehind = (database: RegionDatabase, place?: string) =>
  database.tenant(tenant, async (scope) => {
    const { events } = await feedOf(scope).page(100, place)
    return { value: events, commit: false }
  })

const isNone = (database: RegionDatabase, place: string) =>
  database.tenant(tenant, async (scope) => ({ value: await feedOf(scope).isNone(place), commit: false }))

test('who has read further than a backup misses nothing of what comes after it was restored, whichever time', async () => {
  const [dataDir, backup] = [await temporaryDirectory(), await temporaryDirectory()]
  let region = await open(dataDir)
  await makeTenant(region.database, tenant)
  await append(region.database, 'before')
  await region.close()
  await cp(dataDir, backup, { recursive: true })

  region = await open(dataDir)
  for (const [times, nowMs] of [1, Date.now(), Date.now() + 1_000].entries()) {
    if (times > 0) {
      const restored = await temporaryDirectory()
      await cp(backup, restored, { recursive: true })
      const place = (await readBehind(region.database)).at(-1)?.sequence ?? ''
      await region.close()
      region = await open(restored)
      expect(await markRestored(region.side, nowMs, () => {})).toBe(1)
      expect(await isNone(region.database, place)).toBe(false)
      for (const resource of ['new', 'newer']) await append(region.database, `${resource} ${times}`)
      const news = await readBehind(region.database, place)
      expect(news.map(({ resource }) => resource)).toEqual([`new ${times}`, `newer ${times}`])
    }
    // An hour of service, of which the next backup that is restored knows nothing.
    skewMs += HOUR_MS
    await append(region.database, 'lost')
  }
  await region.close()
})

test('every tenant’s epoch grows and the region’s does; numbers that may have been given out are not given out again', async () => {
  const region = await open(await temporaryDirectory())
  const TENANTS = 250
  const numbers = Array.from({ length: TENANTS }, (_, i) => asTenantNumber(BigInt(i) ** 3n + 1n))
  for (const number of numbers) await makeTenant(region.database, number)
  const given = await new Directory(region.database).allocate()
  const reports: number[] = []
  const nowMs = Date.parse('2031-01-01T00:00:00Z')
  expect(await markRestored(region.side, nowMs, (done) => reports.push(done))).toBe(TENANTS)
  expect(reports).toEqual([100, 200, 250])
  for (const number of numbers) {
    const status = await region.database.tenant(number, async (scope) => ({
      value: await scope.system('status', statusSpace).get(['status']),
      commit: false,
    }))
    expect(status).toEqual({ status: 'active', epoch: nowMs / 1000, version: 1 })
  }
  const { run, keys } = opened(region.side)
  expect(await run((tn) => regionEpoch(tn, keys))).toBe(nowMs / 1000)
  expect((await new Directory(region.database).allocate()) - given).toBeGreaterThan(1_000_000n)
  // By a clock that is late it grows all the same.
  await markRestored(region.side, 0, () => {})
  expect(await run((tn) => regionEpoch(tn, keys))).toBe(nowMs / 1000 + 1)
  await region.close()
})

test('a region without the directory gets none', async () => {
  const region = await open(await temporaryDirectory())
  await makeTenant(region.database, tenant)
  await markRestored(region.side, Date.now(), () => {})
  const { run, keys } = opened(region.side)
  expect(await run((tn) => tn.getRangeAll(keys.platform, keys.tenants))).toEqual([])
  await region.close()
})

test('the command says what it did, and touches nothing that is in use, not there, or half a copy', async () => {
  const dataDir = await temporaryDirectory()
  const region = await open(dataDir)
  await makeTenant(region.database, tenant)
  const command = async (...args: string[]) => {
    const cli = join(import.meta.dirname, '../../cli/coditect.ts')
    const child = spawn(process.execPath, [cli, 'db', 'restored', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    return [code, said]
  }
  expect(await command('--in', dataDir)).toEqual([1, expect.stringContaining('is in use by another process')])
  await region.close()
  expect(await command('--in', join(dataDir, 'mistyped'))).toEqual([
    1,
    expect.stringContaining('There is no database in'),
  ])
  expect(await command('--in', dataDir, '--prefix', 'us')).toEqual([
    1,
    expect.stringContaining('under the prefix us'),
  ])
  expect(await command('--in', dataDir)).toEqual([
    0,
    expect.stringMatching(/^Tenants: 1\nRaised the epochs of the region in .* and of its tenants: 1\.\n$/),
  ])
}, 60_000)

test('a database that does not answer is named, before anything waits for ever', async () => {
  const region = await open(await temporaryDirectory())
  await makeTenant(region.database, tenant)
  const native = Object.create(region.native) as Engine['native']
  const timeouts: unknown[] = []
  native.createTransaction = () => {
    const tn = region.native.createTransaction()
    tn.setOption = (...option) => void timeouts.push(option)
    tn.get = () => Promise.reject(new FDBError('Operation aborted because the transaction timed out', 1031))
    return tn
  }
  const silent: Side = { engine: { ...region, native }, name: 'fdb:/etc/some.cluster', prefix: '' }
  const said = /^fdb:\/etc\/some\.cluster has not answered for 30 seconds/
  await expect(markRestored(silent, Date.now(), () => {})).rejects.toThrow(said)
  await expect(copyDatabase(silent, region.side, () => {})).rejects.toThrow(said)
  await expect(copyDatabase(region.side, silent, () => {})).rejects.toThrow(said)
  expect(timeouts).toContainEqual([500, 30_000])
  await region.close()
})
