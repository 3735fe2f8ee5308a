// The log does not grow with what is written: most of it is copied into the file beside the commits, the rest while they
// wait, and it begins anew.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { temporaryDirectory } from './temporary.ts'

const WRITERS = 8
const COMMITS = 800

/** How long the log becomes beside writers that never pause, in bytes; and where it all is, closed. */
async function write(checkpointPages: number): Promise<{ longest: number; dataDir: string }> {
  const dataDir = await temporaryDirectory()
  const engine = await openEmbedded({ dataDir, thresholds: { foldEntries: 50, checkpointPages } })
  const db = engine.database()
  const log = join(dataDir, 'data.sqlite-wal')
  let longest = 0
  const writer = async (n: number) => {
    for (let i = 0; i < COMMITS; i++) {
      const tn = db.createTransaction()
      tn.set(`writer/${n}/${i}`, Buffer.alloc(1_000, i))
      await tn.commit()
      longest = Math.max(longest, statSync(log).size)
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, n) => writer(n)))
  await engine.close()
  expect(existsSync(log)).toBe(false)
  return { longest, dataDir }
}

test('with writers that never pause the log begins anew, and all that they wrote is there', async () => {
  const { longest, dataDir } = await write(200)
  const { longest: endless } = await write(Number.POSITIVE_INFINITY)
  expect(longest).toBeLessThan(endless / 2)
  const again = await openEmbedded({ dataDir })
  const tn = again.database().createTransaction()
  for (let n = 0; n < WRITERS; n++) {
    for (let i = 0; i < COMMITS; i++) {
      expect(await tn.get(`writer/${n}/${i}`, false)).toEqual(Buffer.alloc(1_000, i))
    }
  }
  await again.close()
})

test('nor does it grow for transactions side by side that keep the snapshot: the old ones begin anew', async () => {
  const dataDir = await temporaryDirectory()
  const [checkpointPages, forcedLogPages] = [100, 200]
  const engine = await openEmbedded({
    dataDir,
    thresholds: { foldEntries: 50, checkpointPages, forcedLogPages },
  })
  const db = engine.database()
  const log = join(dataDir, 'data.sqlite-wal')
  const begin = async () => {
    const tn = db.createTransaction()
    await tn.getReadVersion()
    return tn
  }
  const codes = new Set<unknown>()
  let longest = 0
  let [one, other] = [await begin(), await begin()]
  for (let i = 0; i < 4 * COMMITS; i++) {
    const tn = db.createTransaction()
    for (let n = 0; n < 10; n++) tn.set(`k/${(i * 7919 + n * 104_729) % 100_003}`, Buffer.alloc(1_000))
    await tn.commit()
    longest = Math.max(longest, statSync(log).size)
    // At any time one of the two is older than the last commit.
    await one.get('k', false).catch(({ code }) => codes.add(code))
    one.cancel()
    ;[one, other] = [other, await begin()]
  }
  await engine.close()
  // Some ten to sixteen times, while it is copied beside the commits; what is never begun anew comes to sixty.
  expect(longest).toBeLessThan(30 * forcedLogPages * 4096)
  expect([...codes]).toEqual([1007])
})

test('what it became while somebody read in it from outside is given back when it begins anew', async () => {
  const dataDir = await temporaryDirectory()
  const thresholds = { foldEntries: 50, checkpointPages: 100, forcedLogPages: 200 }
  const engine = await openEmbedded({ dataDir, thresholds })
  const db = engine.database()
  const size = () => statSync(join(dataDir, 'data.sqlite-wal')).size
  const commit = async () => {
    const tn = db.createTransaction()
    for (let n = 0; n < 50; n++) tn.set(`k/${Math.random()}`, Buffer.alloc(1_000))
    await tn.commit()
  }
  await commit()
  const reader = new DatabaseSync(join(dataDir, 'data.sqlite'))
  reader.exec('BEGIN; SELECT count(*) FROM kv')
  while (size() < 8_000_000) await commit()
  reader.close()
  for (let i = 0; i < COMMITS && size() > 4_000_000; i++) await commit()
  expect(size()).toBeLessThan(4_000_000)
  await engine.close()
})
