// The log does not grow with what is written: most of it is copied into the file beside the commits, the rest while they
// wait, and it begins anew.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { temporaryDirectory } from './temporary.ts'

const PAGE_BYTES = 4_096
const CHECKPOINT_PAGES = 200
const WRITERS = 8
const COMMITS = 400

test('with writers that never pause the log stays short, and all that they wrote is there', async () => {
  const dataDir = await temporaryDirectory()
  const thresholds = { foldEntries: 50, checkpointPages: CHECKPOINT_PAGES }
  const engine = await openEmbedded({ dataDir, thresholds })
  const db = engine.database()
  const log = join(dataDir, 'data.sqlite-wal')
  let longest = 0
  let written = 0
  const write = async (writer: number) => {
    for (let i = 0; i < COMMITS; i++) {
      const tn = db.createTransaction()
      tn.set(`writer/${writer}/${i}`, Buffer.alloc(1_000, i))
      await tn.commit()
      written++
      longest = Math.max(longest, statSync(log).size)
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
  expect(written).toBe(WRITERS * COMMITS)
  // Each commit is a page of the log and more: without an end it would have some five thousand.
  expect(longest / PAGE_BYTES).toBeLessThan(10 * CHECKPOINT_PAGES)
  await engine.close()
  expect(existsSync(log)).toBe(false)
  const again = await openEmbedded({ dataDir })
  const tn = again.database().createTransaction()
  for (let writer = 0; writer < WRITERS; writer++) {
    for (let i = 0; i < COMMITS; i++) {
      expect(await tn.get(`writer/${writer}/${i}`, false)).toEqual(Buffer.alloc(1_000, i))
    }
  }
  await again.close()
})
