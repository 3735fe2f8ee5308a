import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import type { NativeDatabase, NativeTransaction } from '../../regional/storage/foundationdb.ts'
import type { WriteFailure } from '../../regional/storage/open.ts'
import { damagePage } from '../support/damage.ts'
import { testWith } from '../support/program.ts'
import { temporaryDirectory } from './temporary.ts'

const run = promisify(execFile)
const UNKNOWN_RESULT = 1021
const IO_ERROR = 1510
const NOT_COMMITTED = 1020

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

test('damage in one place refuses what touches it, and nothing else', async () => {
  const dataDir = await temporaryDirectory()
  const keyOf = (n: number): string => `k${String(n).padStart(4, '0')}`
  const whole = await openEmbedded({ dataDir })
  for (let n = 0; n < 200; n++) await set(whole.database(), keyOf(n), Buffer.alloc(1_000, `MARK${n}.`))
  await whole.close()
  await damagePage(join(dataDir, 'data.sqlite'), ['MARK150.'])

  const failures: WriteFailure[] = []
  const engine = await openEmbedded({
    dataDir,
    thresholds: { foldEntries: 1 },
    onWriteFailure: (failure) => failures.push(failure),
  })
  const db = engine.database()
  await expect(get(db, keyOf(150))).rejects.toMatchObject({ code: IO_ERROR })
  const read = db.createTransaction()
  await expect(
    read.getRange(keyOf(149), false, 1, 'l', false, 1, 0, 0, -2, 1, false, false),
  ).rejects.toMatchObject({
    code: IO_ERROR,
  })
  for (let round = 0; round < 3; round++) {
    const value = Buffer.from(String(round))
    const group = await Promise.allSettled([
      set(db, 'a', value),
      set(db, keyOf(150), value),
      set(db, 'z', value),
    ])
    // What comes behind was resolved on top of it, and is to be tried again.
    expect(group.map((answer) => (answer.status === 'rejected' ? answer.reason.code : 'done'))).toEqual([
      'done',
      IO_ERROR,
      NOT_COMMITTED,
    ])
    await set(db, 'z', value)
    expect([await get(db, 'a'), await get(db, 'z')]).toEqual([value, value])
  }
  expect(await get(db, keyOf(10))).toEqual(Buffer.alloc(1_000, 'MARK10.'))
  expect(failures.length).toBeGreaterThan(0)
  for (const failure of failures) expect(failure).toMatchObject({ rolledBack: true, damaged: true })
  await engine.close()
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

interface FailingDisk {
  acknowledged: number[]
  failed: { id: number; code: number }[]
  later: number
  read: boolean[]
}

/** Has the child write until the disk fails, and holds it against what a restart finds. */
async function failing(program: string, told: (dataDir: string) => string[]): Promise<FailingDisk> {
  const dataDir = await temporaryDirectory()
  const child = [process.execPath, join(import.meta.dirname, 'failing_disk_child.ts'), dataDir]
  const { stdout } = await run(program, [...told(dataDir), ...child])
  const found = JSON.parse(stdout) as FailingDisk
  expect(found.acknowledged.length).toBeGreaterThan(10)
  expect(found.failed.length).toBeGreaterThan(0)
  expect(found.later).toBe(IO_ERROR)
  // What failed was not shown, and what was acknowledged still was.
  expect(found.read).toEqual(found.failed.map(() => false))
  const engine = await openEmbedded({ dataDir })
  for (const id of found.acknowledged)
    expect(await get(engine.database(), `k${id}`)).toEqual(Buffer.alloc(20_000, id))
  await set(engine.database(), 'after', Buffer.from('1'))
  await engine.close()
  return found
}
const codesOf = ({ failed }: FailingDisk): number[] => [...new Set(failed.map(({ code }) => code))]

test('when a write fails the result is unknown, the engine refuses to go on, and a restart has all that was acknowledged', async () => {
  // In blocks of 1 KiB: no file may grow beyond 2 MB.
  for (const code of codesOf(await failing('bash', () => ['-c', 'ulimit -f 2000; exec "$@"', 'bash'])))
    expect([UNKNOWN_RESULT, IO_ERROR]).toContain(code)
})

const strace = (file: string, nth: number) => (dataDir: string) => [
  ...['-f', '-o', '/dev/null', '-P', join(dataDir, file)],
  ...['-e', 'trace=fdatasync', '-e', `inject=fdatasync:error=EIO:when=${nth}+`],
]

testWith('strace', 'nor does it go on when a commit can’t be synced', async () => {
  expect(codesOf(await failing('strace', strace('data.sqlite-wal', 10)))).toEqual([UNKNOWN_RESULT])
})

testWith(
  'strace',
  'nor when a copy of the log can’t be synced: the log has everything, and is kept',
  async () => {
    expect(codesOf(await failing('strace', strace('data.sqlite', 1)))).toEqual([IO_ERROR])
  },
)

test('what a caller does to its buffers, given or got, reaches nobody', async () => {
  const engine = await openEmbedded({ dataDir: await temporaryDirectory(), thresholds: { foldEntries: 2 } })
  const db = engine.database()
  const value = Buffer.from('good')
  const spoil = (bytes: Buffer | undefined): void => void bytes?.fill('x')
  for (const key of ['a', 'b', 'c', 'd']) {
    const tn = db.createTransaction()
    const given = Buffer.from(value)
    tn.set(key, given)
    spoil(given)
    spoil(await tn.get(key, false))
    await tn.commit()
  }
  const rows = async (tn: NativeTransaction): Promise<Buffer[]> => {
    const found: Buffer[] = []
    for (let from = 'a', more = true; more; ) {
      const page = await tn.getRange(from, false, 1, 'e', false, 1, 0, 0, -2, 1, false, false)
      found.push(...page.results.map(([, bytes]) => bytes))
      more = page.more
      from = `${page.results.at(-1)?.[0]}\0`
    }
    return found
  }
  for (const prepare of [
    () => {},
    (tn: NativeTransaction) => tn.set('b', value),
    (tn: NativeTransaction) => tn.setOption(51, null),
  ]) {
    const tn = db.createTransaction()
    prepare(tn)
    for (let again = 0; again < 2; again++) {
      for (const key of ['a', 'b', 'c', 'd']) {
        const got = await tn.get(key, false)
        expect(got).toEqual(value)
        spoil(got)
      }
      const all = await rows(tn)
      expect(all).toEqual([value, value, value, value])
      all.forEach(spoil)
    }
  }
  await engine.close()
})
