import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import type { NativeDatabase } from '../../regional/storage/foundationdb.ts'
import { temporaryDirectory } from './temporary.ts'

const IO_ERROR = 1510

async function set(db: NativeDatabase, key: string, value: Buffer): Promise<void> {
  const tn = db.createTransaction()
  tn.set(key, value)
  await tn.commit()
}

const get = (db: NativeDatabase, key: string): Promise<Buffer | undefined> =>
  db.createTransaction().get(key, false)

test('a full disk fails commits with a clear error, loses nothing acknowledged and never answers wrongly', async () => {
  const dataDir = await temporaryDirectory()
  const small = await openEmbedded({ dataDir, maxPages: 100, thresholds: { foldEntries: 3 } })
  const db = small.database()
  const acknowledged = new Set<number>()
  const failures: unknown[] = []
  await Promise.all(
    Array.from({ length: 60 }, async (_, n) => {
      for (let again = 0; again < 3; again++) {
        const id = n * 3 + again
        try {
          await set(db, `k${id}`, Buffer.alloc(5_000, id))
          acknowledged.add(id)
        } catch (error) {
          failures.push(error)
        }
      }
    }),
  )
  expect(acknowledged.size).toBeGreaterThan(10)
  expect(failures.length).toBeGreaterThan(10)
  for (const error of failures)
    expect(error).toMatchObject({ code: IO_ERROR, message: expect.stringMatching(/full/) })
  const check = async (of: NativeDatabase): Promise<void> => {
    for (let id = 0; id < 180; id++) {
      const value = await get(of, `k${id}`)
      expect(value).toEqual(acknowledged.has(id) ? Buffer.alloc(5_000, id) : undefined)
    }
  }
  await check(db)
  // What is freed can be used again, without a restart.
  const tn = db.createTransaction()
  tn.clearRange('k', 'l')
  await tn.commit()
  acknowledged.clear()
  await set(db, 'k7', Buffer.alloc(5_000, 7))
  acknowledged.add(7)
  await check(db)
  await small.close()
  const large = await openEmbedded({ dataDir })
  await check(large.database())
  await large.close()
})

const contents = async (directory: string): Promise<Buffer> =>
  Buffer.concat(await Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name)))))

test('what was cleared is in no file after the checkpoint of a close', async () => {
  const dataDir = await temporaryDirectory()
  const write = await openEmbedded({ dataDir })
  await Promise.all(
    Array.from({ length: 500 }, (_, n) =>
      set(
        write.database(),
        `person/${n}`,
        Buffer.from(`SECRET-${n}-${'x'.repeat(n % 7 === 0 ? 9_000 : 50)}-SECRET`),
      ),
    ),
  )
  await write.close()
  expect((await contents(dataDir)).includes('SECRET')).toBe(true)
  const erase = await openEmbedded({ dataDir })
  const tn = erase.database().createTransaction()
  tn.clearRange('person/', 'person0')
  await tn.commit()
  await erase.close()
  expect((await contents(dataDir)).includes('SECRET')).toBe(false)
  expect((await contents(dataDir)).includes('person/')).toBe(false)
})
