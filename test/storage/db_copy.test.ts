import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { copyDatabase } from '../../cli/db_copy.ts'
import type { Side } from '../../cli/db_side.ts'
import { regionEpoch } from '../../regional/storage/epoch.ts'
import { Database, root, tuple } from '../../regional/storage/foundationdb.ts'
import { keySpace, numberKey, systemSubspace } from '../../regional/storage/keys.ts'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { packedName } from '../../regional/storage/space.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import { temporaryDirectory } from './temporary.ts'

const TENANTS = 5
const ROWS = 2_500

const database = (engine: Engine) =>
  new Database(engine.native, root) as unknown as Database<Buffer, Buffer, Buffer, Buffer>

const statusKey = (prefix: string, n: number): Buffer =>
  Buffer.concat([
    keySpace(prefix).tenants,
    numberKey(asTenantNumber(BigInt(n))),
    systemSubspace('status'),
    packedName('status'),
    tuple.pack(['status']),
  ])

async function fill(engine: Engine): Promise<void> {
  const db = database(engine)
  await db.doTn(async (tn) => {
    for (let n = 1; n <= TENANTS; n++)
      tn.set(statusKey('', n), Buffer.from(JSON.stringify({ status: 'active', epoch: n })))
  })
  for (let n = 0; n < ROWS; n += 500)
    await db.doTn(async (tn) => {
      for (let i = n; i < n + 500; i++)
        tn.set(Buffer.from(`\x01row${String(i).padStart(6, '0')}`), Buffer.alloc(300, i))
    })
}

async function expectCopy(engine: Engine, prefix: string, epoch: number): Promise<void> {
  const db = database(engine)
  const begin = Buffer.from(prefix)
  const rows = await db.doTn((tn) =>
    tn.snapshot().getRangeAll(begin, Buffer.concat([begin, Buffer.of(0xff)])),
  )
  // The rows, the statuses and the region's epoch: no trace of the copying.
  expect(rows).toHaveLength(ROWS + TENANTS + 1)
  for (let n = 1; n <= TENANTS; n++) {
    const status = await db.get(statusKey(prefix, n))
    expect(JSON.parse(String(status))).toEqual({ status: 'active', epoch: n + 1 })
  }
  for (const i of [0, 777, ROWS - 1])
    expect(await db.get(Buffer.from(`${prefix}\x01row${String(i).padStart(6, '0')}`))).toEqual(
      Buffer.alloc(300, i),
    )
  expect(await db.doTn((tn) => regionEpoch(tn, keySpace(prefix)))).toBe(epoch)
}

test('a copy brings every row under the new prefix and raises the epoch of the region and of every tenant', async () => {
  const source = await openEngine({ dataDir: await temporaryDirectory() })
  const target = await openEngine({ dataDir: await temporaryDirectory() })
  await fill(source)
  const from: Side = { engine: source, name: 'here', prefix: '' }
  const to: Side = { engine: target, name: 'there', prefix: 'us' }
  await copyDatabase(from, to, () => {})
  await expectCopy(target, 'us', 2)
  await expect(copyDatabase(from, to, () => {})).rejects.toThrow(/target there is not empty/)
  // And back, to where regions have no prefix.
  const back = await openEngine({ dataDir: await temporaryDirectory() })
  await copyDatabase({ ...to, engine: target }, { engine: back, name: 'back', prefix: '' }, () => {})
  expect(await database(back).doTn((tn) => regionEpoch(tn, keySpace('')))).toBe(3)
  for (const engine of [source, target, back]) await engine.close()
})

test('a prefix that begins another region’s takes and minds nothing of it', async () => {
  const shared = await openEngine({ dataDir: await temporaryDirectory() })
  const target = await openEngine({ dataDir: await temporaryDirectory() })
  const [ours, theirs] = [Buffer.from('us\x01ours'), Buffer.from('us-west\x01theirs')]
  await database(shared).doTn(async (tn) => {
    tn.set(ours, Buffer.from('1'))
    tn.set(theirs, Buffer.from('2'))
  })
  const us: Side = { engine: shared, name: 'shared', prefix: 'us' }
  expect(await copyDatabase(us, { engine: target, name: 'there', prefix: '' }, () => {})).toMatchObject({
    rows: 1,
  })
  // And into a cluster where that other region lives already.
  const other = await openEngine({ dataDir: await temporaryDirectory() })
  await database(other).doTn(async (tn) => tn.set(theirs, Buffer.from('3')))
  await copyDatabase(us, { engine: other, name: 'other', prefix: 'us' }, () => {})
  expect(String(await database(other).get(ours))).toBe('1')
  expect(String(await database(other).get(theirs))).toBe('3')
  for (const engine of [shared, target, other]) await engine.close()
})

test('a source with nothing in it is refused, and spoils no target', async () => {
  const source = await openEngine({ dataDir: await temporaryDirectory() })
  const toDir = await temporaryDirectory()
  const target = await openEngine({ dataDir: toDir })
  await fill(source)
  const to: Side = { engine: target, name: toDir, prefix: '' }
  const mistyped = copyDatabase({ engine: source, name: 'here', prefix: 'su' }, to, () => {})
  await expect(mistyped).rejects.toThrow('nothing in here under the prefix su')
  await copyDatabase({ engine: source, name: 'here', prefix: '' }, to, () => {})
  await expectCopy(target, '', 2)
  for (const engine of [source, target]) await engine.close()

  const absent = join(toDir, 'mistyped')
  const command = [join(import.meta.dirname, '../../cli/coditect.ts'), 'db', 'copy', '--from', absent]
  const child = spawn(process.execPath, [...command, '--to', await temporaryDirectory()], { stdio: 'ignore' })
  expect(await once(child, 'close')).toEqual([1, null])
  expect(existsSync(absent)).toBe(false)
})

test('a copy that an older version began is not gone on with: the target has to be emptied', async () => {
  const source = await openEngine({ dataDir: await temporaryDirectory() })
  const target = await openEngine({ dataDir: await temporaryDirectory() })
  await database(source).doTn(async (tn) => tn.set(Buffer.from('\x01row'), Buffer.alloc(1)))
  const mark = Buffer.concat([keySpace('').region, tuple.pack(['copy'])])
  await database(target).doTn(async (tn) =>
    tn.set(mark, Buffer.from(JSON.stringify({ source: 'here', after: '', rows: 0, bytes: 0 }))),
  )
  const to: Side = { engine: target, name: 'there', prefix: '' }
  await expect(copyDatabase({ engine: source, name: 'here', prefix: '' }, to, () => {})).rejects.toThrow(
    'an unfinished copy of here that an older version began. Empty the target.',
  )
  for (const engine of [source, target]) await engine.close()
})

test('a copy that was killed goes on where it was, and only from the same source', async () => {
  const [fromDir, toDir] = [await temporaryDirectory(), await temporaryDirectory()]
  const source = await openEngine({ dataDir: fromDir })
  await fill(source)
  await source.close()
  const cli = (...args: string[]) =>
    spawn(process.execPath, [join(import.meta.dirname, '../../cli/coditect.ts'), 'db', 'copy', ...args], {
      stdio: ['ignore', 'inherit', 'pipe'],
    })

  // Broken off after its first batch by a reporter that throws.
  const [half, other] = [await openEngine({ dataDir: fromDir }), await openEngine({ dataDir: toDir })]
  await expect(
    copyDatabase(
      { engine: half, name: fromDir, prefix: '' },
      { engine: other, name: toDir, prefix: '' },
      ({ rows }) => {
        if (rows >= 1_000) throw new Error('broken off')
      },
    ),
  ).rejects.toThrow('broken off')
  await expect(
    copyDatabase(
      { engine: half, name: 'elsewhere', prefix: '' },
      { engine: other, name: toDir, prefix: '' },
      () => {},
    ),
  ).rejects.toThrow(/unfinished copy/)
  await database(half).doTn(async (tn) => tn.set(Buffer.from('us\x01row'), Buffer.alloc(1)))
  await expect(
    copyDatabase(
      { engine: half, name: fromDir, prefix: 'us' },
      { engine: other, name: toDir, prefix: '' },
      () => {},
    ),
  ).rejects.toThrow(/unfinished copy/)
  await half.close()
  await other.close()

  const child = cli('--from', fromDir, '--to', toDir)
  const lines: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => lines.push(line))
  const [exitCode] = await once(child, 'close')
  expect(exitCode).toBe(0)
  expect(lines[0]).toMatch(/^1,\d+ rows/)
  expect(lines.at(-1)).toMatch(/^Copied 2,505 rows, .* MB from/)
  const target = await openEngine({ dataDir: toDir })
  await expectCopy(target, '', 2)
  await target.close()
})
