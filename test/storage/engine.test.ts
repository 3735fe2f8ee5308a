import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { DatabaseSync, StatementSync } from 'node:sqlite'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openWriter } from '../../regional/storage/embedded/data_file.ts'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
import { Memtable } from '../../regional/storage/embedded/memtable.ts'
import { checkSqlite } from '../../regional/storage/embedded/sqlite_version.ts'
import { openEngine, StorageError } from '../../regional/storage/open.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryDirectory, temporaryEngine } from './temporary.ts'

test('a directory that another process holds is refused in one clear line, and free again when that process is killed', async () => {
  const dataDir = await temporaryDirectory()
  const child = spawn(process.execPath, [join(import.meta.dirname, 'crash_child.ts'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await expect(openEngine({ dataDir })).rejects.toThrow(StorageError)
  await expect(openEngine({ dataDir })).rejects.toThrow(
    /^The data directory .* is in use by another process\. Stop .*$/,
  )
  child.kill('SIGKILL')
  await once(child, 'exit')
  const engine = await openEngine({ dataDir })
  await engine.close()
})

test('a second engine in the same process is refused too', async () => {
  const dataDir = await temporaryDirectory()
  const engine = await openEngine({ dataDir })
  await expect(openEngine({ dataDir })).rejects.toThrow(/in use by another process/)
  await engine.close()
  await (await openEngine({ dataDir })).close()
})

test('a Node whose SQLite could lose commits is refused in one clear line', () => {
  for (const version of [undefined, '3.49.1', '3.51.2', '2.99.9']) {
    expect(() => checkSqlite(version)).toThrow(StorageError)
    expect(() => checkSqlite(version)).toThrow(/^Node v.* needs 3\.51\.3 or newer\. Start it .*$/)
  }
  for (const version of ['3.51.3', '3.52.0', '3.53.4', '4.0.0']) checkSqlite(version)
})

test('data of another format is refused with both formats named', async () => {
  const dataDir = await temporaryDirectory()
  await (await openEmbedded({ dataDir })).close()
  const db = new DatabaseSync(join(dataDir, 'data.sqlite'))
  db.exec('UPDATE meta SET format = 2')
  db.close()
  await expect(openEngine({ dataDir })).rejects.toThrow(
    /has format 2; this version of Coditect reads format 1/,
  )
  await expect(openEngine({ dataDir })).rejects.toThrow(StorageError)
})

test("a database that is not Coditect's is left alone", async () => {
  const dataDir = await temporaryDirectory()
  const db = new DatabaseSync(join(dataDir, 'data.sqlite'))
  db.exec('CREATE TABLE theirs (id INTEGER)')
  db.close()
  await expect(openEngine({ dataDir })).rejects.toThrow(/not Coditect's/)
})

test('a directory that cannot be written is refused with what to do', async () => {
  const dataDir = await temporaryDirectory()
  await writeFile(join(dataDir, 'file'), '')
  await expect(openEngine({ dataDir: join(dataDir, 'file', 'below') })).rejects.toThrow(
    /can't be written.*set DATA_DIR/,
  )
})

const isRoot = process.getuid?.() === 0
test.skipIf(isRoot)(
  `and so is one without the right to write${isRoot ? ' (skipped: root has it)' : ''}`,
  async () => {
    const dataDir = await temporaryDirectory()
    await chmod(dataDir, 0o500)
    await expect(openEngine({ dataDir })).rejects.toThrow(StorageError)
    await chmod(dataDir, 0o700)
  },
)

test.skipIf(isRoot)(
  `and so is a file in it that may only be read: SQLite would open it, and lock nobody out${isRoot ? ' (skipped: root may write it)' : ''}`,
  async () => {
    const dataDir = await temporaryDirectory()
    const engine = await openEngine({ dataDir })
    const open = (await readdir(dataDir)).map((name) => join(dataDir, name))
    await engine.close()
    // Those beside the two are there again, as a kill leaves them.
    for (const path of open) await appendFile(path, '')
    expect(open.length).toBeGreaterThan(2)
    for (const path of open) {
      await chmod(path, 0o400)
      const refused = openEngine({ dataDir })
      await expect(refused).rejects.toThrow(StorageError)
      await expect(refused).rejects.toThrow(`'${path}'`)
      await chmod(path, 0o600)
    }
    await (await openEngine({ dataDir })).close()
  },
)

test('nobody else can read its files, in a directory that everybody can read', async () => {
  const dataDir = await temporaryDirectory()
  await chmod(dataDir, 0o755)
  const engine = await openEngine({ dataDir })
  const names = await readdir(dataDir)
  expect(names).toEqual(expect.arrayContaining(['data.sqlite', 'data.sqlite-wal', 'lock.sqlite']))
  for (const name of names) {
    expect([name, (await stat(join(dataDir, name))).mode & 0o777]).toEqual([name, 0o600])
  }
  await engine.close()
})

test('a directory is made however its path is spelled', async () => {
  const parent = await temporaryDirectory()
  for (const dataDir of [
    relative(process.cwd(), join(parent, 'relative', 'us')),
    `${parent}//doubled//us`,
    `${parent}/./trailing/us/`,
  ])
    await (await openEngine({ dataDir })).close()
  expect((await readdir(parent)).sort()).toEqual(['doubled', 'relative', 'trailing'])
})

test('opening without a place, or a cluster without its file or library, says what to do in one line', async () => {
  await expect(openEngine({})).rejects.toThrow(/^Set FDB_CLUSTER_FILE .* or DATA_DIR .*$/)
  await expect(openEngine({ clusterFile: '/nowhere/fdb.cluster' })).rejects.toThrow(/does not exist/)
})

test('the writer’s connection syncs what is copied, leaves the log of commits to the writer, and overwrites what is cleared', async () => {
  const dataDir = await temporaryDirectory()
  await (await openEmbedded({ dataDir })).close()
  const db = openWriter(dataDir)
  const pragma = (name: string): unknown => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]
  expect({
    journal: pragma('journal_mode'),
    synchronous: pragma('synchronous'),
    secure: pragma('secure_delete'),
  }).toEqual({
    journal: 'wal',
    synchronous: 1,
    secure: 1,
  })
  db.close()
})

test('versions grow over restarts', async () => {
  const dataDir = await temporaryDirectory()
  let newest = 0n
  for (let restart = 0; restart < 5; restart++) {
    const engine = await openEmbedded({ dataDir })
    for (let n = 0; n < 3; n++) {
      const tn = engine.database().createTransaction()
      tn.set('k', `${n}`)
      await tn.commit()
      const version = tn.getCommittedVersion().readBigInt64BE()
      expect(version).toBeGreaterThan(newest)
      newest = version
    }
    await engine.close()
  }
})

test('a read version sees its snapshot while commits go on and the snapshot below moves', async () => {
  const engine = await temporaryEngine({ thresholds: { foldEntries: 4 } })
  const db = engine.database()
  const write = async (n: number): Promise<void> => {
    const tn = db.createTransaction()
    for (let i = 0; i < 5; i++) tn.set(`k${i}`, `${n}`)
    await tn.commit()
  }
  await write(0)
  for (let n = 1; n <= 20; n++) {
    const old = db.createTransaction()
    await old.getReadVersion()
    await write(n)
    await write(n)
    const page = await old.getRange('k', false, 1, 'l', false, 1, 0, 0, -2, 1, true, n % 2 === 0)
    expect(page.results.map(([, value]) => value.toString())).toEqual(
      Array.from({ length: 5 }, () => `${n - 1}`),
    )
    old.cancel()
  }
})

test('after five seconds a read is too old, and only those that had an answer before still have it', async () => {
  let now = 0
  const engine = await temporaryEngine({ clock: () => now })
  const db = engine.database()
  const tn = db.createTransaction()
  tn.set('a', '1')
  tn.set('b', '1')
  await tn.commit()
  const old = db.createTransaction()
  expect(await old.get('a', true)).toEqual(Buffer.from('1'))
  now += 5_001
  expect(await old.get('a', true)).toEqual(Buffer.from('1'))
  await expect(old.get('b', true)).rejects.toMatchObject({ code: 1007 })
})

test('while the disk lags by more than five seconds, fresh reads and writes are still served, and conflicts seen', async () => {
  let now = 0
  const engine = await temporaryEngine({ clock: () => now })
  const db = engine.database()
  const before = db.createTransaction()
  before.set('a', '0')
  before.set('other', '0')
  await before.commit()
  now += 1_000
  const early = db.createTransaction()
  expect(await early.get('a', false)).toEqual(Buffer.from('0'))
  now += 1_000
  // It is on its way to the disk until the event loop turns, which none of what follows waits for.
  const lagging = db.createTransaction()
  lagging.set('a', '1')
  let isDurable = false
  const lagged = lagging.commit().then(() => {
    isDurable = true
  })
  now += 10_000
  const reader = db.createTransaction()
  expect(await reader.get('a', false)).toEqual(Buffer.from('0'))
  expect(await early.get('other', false)).toEqual(Buffer.from('0'))
  const kept = db.createTransaction()
  expect(await kept.get('a', true)).toEqual(Buffer.from('0'))
  const blind = db.createTransaction()
  blind.set('blind', '1')
  const blindly = blind.commit()
  const conflicting = [reader, early].map((tn) => {
    tn.set('written', '1')
    return tn.commit()
  })
  for (const commit of conflicting) await expect(commit).rejects.toMatchObject({ code: 1020 })
  expect(isDurable).toBe(false)
  await Promise.all([lagged, blindly])

  const after = db.createTransaction()
  expect(await after.get('a', false)).toEqual(Buffer.from('1'))
  expect(await after.get('blind', false)).toEqual(Buffer.from('1'))
  // The disk has caught up, so that is too old now.
  await expect(kept.get('other', true)).rejects.toMatchObject({ code: 1007 })
})

test('what is read while the disk lags stays readable between two groups of commits that both came late', async () => {
  let now = 0
  const engine = await temporaryEngine({ clock: () => now })
  const db = engine.database()
  const large = (value: number): Promise<void> => {
    const tn = db.createTransaction()
    for (let i = 0; i < 45; i++) tn.set(`large${i}`, Buffer.alloc(100_000, value))
    return tn.commit()
  }
  await large(0)
  now += 1_000
  const first = large(1)
  now += 1_000
  const second = large(2)
  now += 10_000
  const reader = db.createTransaction()
  const read = async (key: string): Promise<number | undefined> => (await reader.get(key, true))?.[0]
  expect(await read('large0')).toBe(0)
  await first
  expect(await read('large1')).toBe(0)
  await second
  await expect(read('large2')).rejects.toMatchObject({ code: 1007 })
})

test('more watches than the limit are refused, and an ended one makes room', async () => {
  const engine = await temporaryEngine()
  const db = engine.database()
  db.setOption(20, 2)
  const tn = db.createTransaction()
  const [first, second] = [tn.watch('a', false), tn.watch('b', false)]
  second.promise.catch(() => {})
  await expect(tn.watch('c', false).promise).rejects.toMatchObject({ code: 1032 })
  first.cancel()
  await expect(first.promise).rejects.toMatchObject({ code: 1101 })
  const third = tn.watch('c', true)
  tn.reset()
  expect(await third.promise).toBe(false)
})

test('a region may watch more keys than a database allows by itself', async () => {
  const engine = await openEngine({ dataDir: await temporaryDirectory() })
  onTestFinished(() => engine.close())
  const tn = engine.native.createTransaction()
  const watches = Array.from({ length: 10_001 }, (_, n) => tn.watch(`k${n}`, true).promise)
  tn.cancel()
  expect(new Set(await Promise.all(watches))).toEqual(new Set([false]))
})

test('a time-out ends a wait, and is counted over retries', async () => {
  let now = 0
  const engine = await temporaryEngine({ clock: () => now, random: () => 0 })
  const tn = engine.database().createTransaction()
  tn.setOption(500, 100)
  now += 60
  await tn.onError(1020)
  now += 60
  await expect(tn.get('a', false)).rejects.toMatchObject({ code: 1031 })
})

test('a time-out ends the pause before a retry', async () => {
  const engine = await temporaryEngine({ random: () => 1 })
  const tn = engine.database().createTransaction()
  tn.setOption(500, 5)
  // The back-off is 10 ms.
  await expect(tn.onError(1020)).rejects.toMatchObject({ code: 1031 })
})

test('an answer on its way is taken back by a cancel', async () => {
  const engine = await temporaryEngine()
  const tn = engine.database().createTransaction()
  const answer = tn.get('a', false)
  tn.cancel()
  await expect(answer).rejects.toMatchObject({ code: 1025 })
})

test('the size of a large range is told in time, as far as it was counted, and nobody counts for a transaction that has ended', async () => {
  const engine = await temporaryEngine({ thresholds: { estimateMs: 0, foldEntries: 50 } })
  const db = engine.database()
  const rows = 2_500
  const write = db.createTransaction()
  for (let n = 0; n < rows; n++) write.set(`k${String(n).padStart(4, '0')}`, Buffer.alloc(95))
  await write.commit()
  // Has it folded into the file, of which a slice is read at a time.
  write.reset()
  write.set('z', '')
  await write.commit()
  const tn = db.createTransaction()
  const counted = await tn.getEstimatedRangeSizeBytes('k', 'l')
  expect(counted).toBeGreaterThan(0)
  expect(counted).toBeLessThan(rows * 100)
  expect(await tn.getEstimatedRangeSizeBytes('k2000', 'l')).toBe(500 * 100)
  const split = tn.getRangeSplitPoints('k', 'l', 1_000)
  await Promise.resolve()
  tn.cancel()
  await expect(split).rejects.toMatchObject({ code: 1025 })
})

test('of large values a read takes little more out of the file than it gives, and an estimate a slice at a time', async () => {
  const engine = await temporaryEngine({ thresholds: { estimateMs: 0, foldBytes: 0 } })
  const db = engine.database()
  const commit = async (keys: ReadonlyArray<string>, value: Buffer) => {
    const write = db.createTransaction()
    for (const key of keys) write.set(key, value)
    await write.commit()
  }
  const [large, serial] = [90_000, 4]
  const keys = Array.from({ length: 100 }, (_, n) => `k${n + 100}`)
  await commit(keys, Buffer.alloc(large))
  let taken = 0
  const { all } = StatementSync.prototype
  const spy = vi.spyOn(StatementSync.prototype, 'all').mockImplementation(function (
    this: StatementSync,
    ...given
  ) {
    const rows: ReturnType<typeof all> = Reflect.apply(all, this, given)
    // Now: the engine cuts the same array to what it gives.
    for (const { 1: value } of rows) taken += (value as Uint8Array).length
    return rows
  })
  onTestFinished(() => spy.mockRestore())
  const read = async (reverse: boolean) => {
    taken = 0
    const tn = db.createTransaction()
    const { results } = await tn.getRange('k', false, 1, 'l', false, 1, 0, 0, serial, 1, false, reverse)
    return results.length
  }
  // The commit before each is in the file by then: first with a change in memory beside what is read, then without.
  for (const key of ['k000', 'z']) {
    await commit([key], Buffer.alloc(0))
    for (const reverse of [false, true]) {
      expect(await read(reverse)).toBeLessThanOrEqual(2)
      expect(taken).toBeGreaterThan(0)
      expect(taken).toBeLessThan(6 * large)
    }
  }
  expect(await db.createTransaction().getEstimatedRangeSizeBytes('k', 'l')).toBeLessThan(20 * large)
})

test('a short read looks at few of many changes in memory, and passes what was cleared in growing steps', async () => {
  const engine = await temporaryEngine()
  const db = engine.database()
  const key = (n: number) => `k${String(n).padStart(4, '0')}`
  const change = async (each: (tn: ReturnType<typeof db.createTransaction>, n: number) => void) => {
    const write = db.createTransaction()
    for (let n = 0; n < 3_000; n++) each(write, n)
    await write.commit()
  }
  await change((tn, n) => tn.set(key(n), 'value'))
  const visible = vi.spyOn(Memtable.prototype, 'visible')
  onTestFinished(() => visible.mockRestore())
  const read = async (reverse: boolean) => {
    visible.mockClear()
    const { results } = await db
      .createTransaction()
      .getRange('k', false, 1, 'l', false, 1, 3, 0, -2, 1, false, reverse)
    const looks = visible.mock.results.map(({ value }) => (value as unknown as unknown[]).length)
    return { keys: results.map(([found]) => String(found)), looks }
  }
  expect(await read(false)).toEqual({ keys: [0, 1, 2].map(key), looks: [3] })
  expect(await read(true)).toEqual({ keys: [2_999, 2_998, 2_997].map(key), looks: [3] })
  await change((tn, n) => {
    if (n < 2_990) tn.clear(key(n))
  })
  const { keys, looks } = await read(false)
  expect(keys).toEqual([2_990, 2_991, 2_992].map(key))
  expect(looks.length).toBeLessThan(20)
})

test('sizes and split points cover what is in memory and in the file', async () => {
  const engine = await temporaryEngine({ thresholds: { foldEntries: 50 } })
  const db = engine.database()
  for (let n = 0; n < 10; n++) {
    const tn = db.createTransaction()
    for (let i = 0; i < 20; i++) tn.set(`k${n}${String.fromCharCode(97 + i)}`, Buffer.alloc(97))
    await tn.commit()
  }
  const tn = db.createTransaction()
  expect(await tn.getEstimatedRangeSizeBytes('k', 'l')).toBe(200 * 100)
  const points = await tn.getRangeSplitPoints('k', 'l', 1_000)
  expect(points.map(String)).toHaveLength(21)
  expect(points.at(0)?.toString()).toBe('k')
  expect(points.at(-1)?.toString()).toBe('l')
})

test('a damaged file is refused with what to do', async () => {
  const dataDir = await temporaryDirectory()
  await writeFile(join(dataDir, 'data.sqlite'), 'not a database at all, '.repeat(500))
  await expect(openEngine({ dataDir })).rejects.toThrow(/can't be opened \(.*\)\. Check the disk/)
})

test.each(['missing', 'empty'])(
  'a log whose file is %s is refused with what to do, and kept; the file put back has all of it',
  async (how) => {
    const dataDir = await temporaryDirectory()
    const [data, log] = [join(dataDir, 'data.sqlite'), join(dataDir, 'data.sqlite-wal')]
    const child = spawn(process.execPath, [join(import.meta.dirname, 'crash_child.ts'), dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    await once(child.stdout, 'data')
    await eventually(async () => expect((await stat(log)).size).toBeGreaterThan(0))
    child.kill('SIGKILL')
    await exited
    await rename(data, join(dataDir, 'kept'))
    if (how === 'empty') await writeFile(data, '')
    const before = await readFile(log)
    await expect(openEngine({ dataDir })).rejects.toThrow(StorageError)
    await expect(openEngine({ dataDir })).rejects.toThrow(
      /^The data in .* is not whole: data\.sqlite is missing or empty.* Put back .*$/,
    )
    expect((await readFile(log)).equals(before)).toBe(true)
    await rename(join(dataDir, 'kept'), data)
    await (await openEngine({ dataDir })).close()
  },
)

test('a first start that was killed before its file had anything starts', async () => {
  const dataDir = await temporaryDirectory()
  for (const name of ['data.sqlite', 'data.sqlite-wal', 'lock.sqlite'])
    await writeFile(join(dataDir, name), '')
  await (await openEngine({ dataDir })).close()
})

test('a damaged lock is refused with its name and what to do', async () => {
  const dataDir = await temporaryDirectory()
  await writeFile(join(dataDir, 'lock.sqlite'), 'no lock'.repeat(1_000))
  await expect(openEngine({ dataDir })).rejects.toThrow(StorageError)
  await expect(openEngine({ dataDir })).rejects.toThrow(
    /^The lock .*lock\.sqlite can't be opened .*delete this file/,
  )
})

test('a close waits for the commits under way; afterwards every call says that the database is closed', async () => {
  const dataDir = await temporaryDirectory()
  const engine = await openEmbedded({ dataDir })
  const db = engine.database()
  const reader = db.createTransaction()
  await reader.getReadVersion()
  const tn = db.createTransaction()
  const watch = tn.watch('k', true)
  tn.set('other', 'v')
  const committed = tn.commit()
  await engine.close()
  await committed
  expect(await watch.promise).toBe(false)
  await expect(reader.get('other', false)).rejects.toMatchObject({ code: 1101 })
  expect(() => db.createTransaction()).toThrow(/closed/)
  const again = await openEmbedded({ dataDir })
  expect(await again.database().createTransaction().get('other', false)).toEqual(Buffer.from('v'))
  await again.close()
})

test('memory is bounded: under many writes an old transaction fails early rather than holding them all', async () => {
  const engine = await temporaryEngine({ thresholds: { foldBytes: 10_000, forcedFoldBytes: 100_000 } })
  const db = engine.database()
  const old = db.createTransaction()
  await old.getReadVersion()
  const write = async (): Promise<void> => {
    const tn = db.createTransaction()
    tn.set('k', Buffer.alloc(20_000))
    await tn.commit()
  }
  await write()
  expect(await old.get('a', true)).toBeUndefined()
  for (let n = 0; n < 20; n++) await write()
  await expect(old.get('b', true)).rejects.toMatchObject({ code: 1007 })
})

test('commits are refused, to be retried, while too many wait for the disk', async () => {
  const engine = await temporaryEngine({ thresholds: { queuedBytes: 50_000 } })
  const db = engine.database()
  const answers = await Promise.allSettled(
    Array.from({ length: 20 }, async (_, n) => {
      const tn = db.createTransaction()
      tn.set(`k${n}`, Buffer.alloc(10_000))
      await tn.commit()
    }),
  )
  const refused = answers.filter((answer) => answer.status === 'rejected')
  expect(refused.length).toBeGreaterThan(10)
  for (const { reason } of refused) expect(reason).toMatchObject({ code: 1042 })
  const tn = db.createTransaction()
  tn.set('later', '')
  await tn.commit()
})

test('a cleared range fires the watches of its keys, and of no others', async () => {
  const engine = await temporaryEngine()
  const db = engine.database()
  const watched = Array.from({ length: 600 }, (_, i) => `k/${String(i).padStart(3, '0')}`)
  const set = db.createTransaction()
  for (const key of watched) set.set(key, 'v')
  await set.commit()
  const fired: string[] = []
  const tn = db.createTransaction()
  const watches = watched.map((key) => ({ key, watch: tn.watch(key, false) }))
  for (const { key, watch } of watches) {
    watch.promise.then(
      (changed) => changed && fired.push(key),
      () => {},
    )
  }
  await tn.commit()
  const clear = db.createTransaction()
  clear.clearRange('k/100', 'k/400')
  await clear.commit()
  await eventually(() => expect(fired).toHaveLength(300))
  expect(fired).toEqual(watched.slice(100, 400))
})

test('a transaction that is dropped takes its watches with it, and they no longer count', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const engine = await temporaryEngine()
  const db = engine.database()
  db.setOption(20, 1)
  const dropped = (() => db.createTransaction().watch('k', true).promise)()
  let ended: boolean | undefined
  await dropped.then((changed) => {
    ended = changed
  })
  await eventually(() => {
    collect()
    expect(ended).toBe(false)
  })
  const kept = db.createTransaction()
  const watch = kept.watch('k', true)
  await kept.commit()
  const tn = db.createTransaction()
  tn.set('k', 'v')
  await tn.commit()
  expect(await watch.promise).toBe(true)
})
