// What cleared rows leave behind in the file: SQLite overwrites a row that it deletes, and not the copy that stays where a row
// was moved to another page. A pass over the file does, beside the commits, also when it was cut short.
import { spawnSync } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { type EmbeddedEngine, openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { gapOf, PAGE_BYTES } from '../../regional/storage/embedded/page_gaps.ts'
import { temporaryDirectory } from './temporary.ts'

const SECRET = 'a secret of whoever is gone'
const QUICK = { foldEntries: 20, passPages: 3, passPauseMs: 1 }
type Rows = Map<string, string>

const fileOf = (dataDir: string): string => join(dataDir, 'data.sqlite')
const hasSecret = (dataDir: string): boolean => readFileSync(fileOf(dataDir), 'latin1').includes(SECRET)

async function commit(engine: EmbeddedEngine, change: (set: (key: string, value: string) => void) => void) {
  const tn = engine.database().createTransaction()
  change((key, value) => tn.set(key, value))
  await tn.commit()
}

async function clear(engine: EmbeddedEngine, begin: string, end: string): Promise<void> {
  const tn = engine.database().createTransaction()
  tn.clearRange(begin, end)
  await tn.commit()
}

const row = (owner: string): [key: string, value: string] => [
  `${owner}/${randomInt(5)}/${randomBytes(6).toString('hex')}`,
  `${owner === 'b' ? SECRET : 'kept'} ${'x'.repeat(randomInt(500))}`,
]

/** Three owners' rows, of which the middle one's are cleared; done again until SQLite has left something of them. */
async function leftBehind(): Promise<{ dataDir: string; rows: Rows }> {
  for (let tries = 0; tries < 200; tries++) {
    const dataDir = await temporaryDirectory()
    const engine = await openEmbedded({ dataDir })
    const rows: Rows = new Map()
    for (let i = 0; i < 30; i++) {
      await commit(engine, (set) => {
        for (const owner of ['a', 'b', 'c']) {
          const [key, value] = row(owner)
          set(key, value)
          if (owner !== 'b') rows.set(key, value)
        }
      })
    }
    await clear(engine, 'b', 'c')
    await engine.close()
    if (hasSecret(dataDir)) return { dataDir, rows }
  }
  throw new Error('SQLite has left nothing behind: is the pass still needed?')
}

async function rowsOf(engine: EmbeddedEngine): Promise<Rows> {
  const tn = engine.database().createTransaction()
  const rows: Rows = new Map()
  for (let from = Buffer.of(0); ; ) {
    const { results, more } = await tn.getRange(
      from,
      true,
      1,
      Buffer.of(0xff),
      true,
      1,
      0,
      0,
      -2,
      1,
      false,
      false,
    )
    for (const [key, value] of results) rows.set(key.toString(), value.toString())
    const last = results.at(-1)?.[0]
    if (!more || last === undefined) return rows
    from = Buffer.concat([last, Buffer.of(0)])
  }
}

/** SQLite finds nothing wrong, and nothing lies between the rows of any page. */
function expectClean(dataDir: string): void {
  const db = new DatabaseSync(fileOf(dataDir))
  expect(db.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
  expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: 0 })
  db.close()
  const file = readFileSync(fileOf(dataDir))
  for (let number = 1; number * PAGE_BYTES <= file.length; number++) {
    const page = file.subarray((number - 1) * PAGE_BYTES, number * PAGE_BYTES)
    const [from, to] = gapOf(page, number) ?? [0, 0]
    expect(page.subarray(from, to).equals(Buffer.alloc(to - from))).toBe(true)
  }
}

test('is overwritten while the engine runs, and every row stays as it is', async () => {
  const { dataDir, rows } = await leftBehind()
  const engine = await openEmbedded({ dataDir, thresholds: QUICK })
  // What the writer has of a page, and writes back with it, is forgotten too.
  await commit(engine, (set) => {
    for (const [key, value] of rows) set(key, value)
  })
  engine.overwriteCleared()
  await expect.poll(() => hasSecret(dataDir)).toBe(false)
  // In place of what is there, byte for byte: a row of another size might be put where the secret was.
  for (const [key, value] of rows) rows.set(key, value.replace('kept', 'KEPT'))
  await commit(engine, (set) => {
    for (const [key, value] of rows) set(key, value)
  })
  expect(await rowsOf(engine)).toEqual(rows)
  await engine.close()
  expect(hasSecret(dataDir)).toBe(false)
})

/** By another process: opening a file of SQLite's and closing it again would take away this one's locks on it. */
const filesWithSecret = (dataDir: string): string =>
  spawnSync('grep', ['-rlaF', SECRET, dataDir], { encoding: 'utf8' }).stdout

test('is gone from the log, too, once nobody reads it any more, and commits go on beside', async () => {
  const dataDir = await temporaryDirectory()
  const engine = await openEmbedded({ dataDir, thresholds: QUICK })
  for (let i = 0; i < 30; i++) await commit(engine, (set) => set(...row('b')))
  const reader = new DatabaseSync(fileOf(dataDir), { readOnly: true })
  reader.exec('BEGIN')
  reader.prepare('SELECT count(*) FROM kv').get()
  await clear(engine, 'b', 'c')
  engine.overwriteCleared()
  for (let i = 0; i < 50; i++) await commit(engine, (set) => set('a', `${i}`))
  expect(filesWithSecret(dataDir)).toContain('data.sqlite-wal')
  reader.close()
  await expect.poll(() => filesWithSecret(dataDir)).toBe('')
  await commit(engine, (set) => set('a', 'last'))
  expect(await rowsOf(engine)).toEqual(new Map([['a', 'last']]))
  await engine.close()
  expectClean(dataDir)
})

test('is overwritten by a close that comes first', async () => {
  const { dataDir, rows } = await leftBehind()
  const engine = await openEmbedded({ dataDir })
  engine.overwriteCleared()
  await engine.close()
  expectClean(dataDir)
  const again = await openEmbedded({ dataDir })
  expect(await rowsOf(again)).toEqual(rows)
  await again.close()
})

test('is overwritten after a crash in the middle', async () => {
  const { dataDir } = await leftBehind()
  const engine = await openEmbedded({ dataDir, thresholds: { ...QUICK, passPages: 1, passPauseMs: 100 } })
  engine.overwriteCleared()
  const log = join(dataDir, 'data.sqlite-wal')
  const isBegun = () => {
    const db = new DatabaseSync(fileOf(dataDir), { readOnly: true })
    const { user_version: mark } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    db.close()
    return mark
  }
  await expect.poll(isBegun).toBe(1)
  const crashed = await temporaryDirectory()
  copyFileSync(fileOf(dataDir), fileOf(crashed))
  if (existsSync(log)) copyFileSync(log, join(crashed, 'data.sqlite-wal'))
  await engine.close()
  const again = await openEmbedded({ dataDir: crashed, thresholds: QUICK })
  await expect.poll(() => hasSecret(crashed)).toBe(false)
  await again.close()
  expectClean(crashed)
})

test('takes nothing from commits beside it', async () => {
  const dataDir = await temporaryDirectory()
  const engine = await openEmbedded({ dataDir, thresholds: { ...QUICK, checkpointPages: 50 } })
  const rows: Rows = new Map()
  const writer = async (name: string) => {
    for (let i = 0; i < 150; i++) {
      const changes = Array.from({ length: 1 + randomInt(8) }, () => row(`${name}${randomInt(3)}`))
      await commit(engine, (set) => {
        for (const [key, value] of changes) set(key, value)
      })
      for (const [key, value] of changes) rows.set(key, value)
      if (i % 20 === 10) {
        await clear(engine, `${name}1`, `${name}2`)
        for (const key of rows.keys()) if (key.startsWith(`${name}1`)) rows.delete(key)
        engine.overwriteCleared()
      }
    }
  }
  await Promise.all(['k', 'l', 'm', 'n'].map(writer))
  expect(await rowsOf(engine)).toEqual(rows)
  engine.overwriteCleared()
  await engine.close()
  expectClean(dataDir)
  const again = await openEmbedded({ dataDir })
  expect(await rowsOf(again)).toEqual(rows)
  await again.close()
})

test('a page that is not of a tree has no gap: its bytes are somebody’s', () => {
  const overflow = Buffer.alloc(PAGE_BYTES, 0x61)
  overflow.writeUInt32BE(0x01_ff_ff_ff, 0)
  expect(gapOf(overflow, 2)).toBeUndefined()
  expect(gapOf(Buffer.alloc(PAGE_BYTES), 2)).toBeUndefined()
})
