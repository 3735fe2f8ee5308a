// The fence, call by call, over a recorder: what is refused, what reaches the engine, and in which form.

import type { NativeTransaction } from 'foundationdb/dist/lib/native.js'
import { expect, test } from 'vitest'
import { type Grant, IsolationViolation, prefixRange } from '../../regional/storage/fence.ts'
import { fencedFake, type Row, stampedKey, tenantPrefix, violationOf } from './fence_fixture.ts'
import { keysOf } from './fence_recorder.ts'

const prefix = tenantPrefix(41n)
const own = (...bytes: number[]) => Buffer.from([...prefix, ...bytes])
const range = prefixRange(prefix)
const neighbour = Buffer.from([...tenantPrefix(42n), 7])
const pointers = Buffer.from([2, 0, 0, 41])
const usage = Buffer.from([2, 9])
const grant: Grant = {
  name: 'tenant 41',
  readWrite: range,
  writeOnly: [prefixRange(pointers), prefixRange(usage)],
}
const value = Buffer.from('v')
const fenced = (rows: ReadonlyArray<Row> = []) => fencedFake(grant, rows)

/** Keys that are not tenant 41's, each for a reason of its own. */
const OUTSIDE: Record<string, string | Buffer> = {
  'the empty key': Buffer.alloc(0),
  'the neighbour': neighbour,
  'the neighbour before': Buffer.from([...tenantPrefix(40n), 0xff]),
  'the end of the range': range.end,
  'the prefix without its last byte': prefix.subarray(0, -1),
  'a key one below the prefix': Buffer.from([...tenantPrefix(40n), 0xff, 0xff, 0xff]),
  'a system key': Buffer.from([0xff]),
  'a special key': Buffer.from([0xff, 0xff, 1]),
  'a lone surrogate': `${prefix.toString('latin1')}\ud800`,
  'a text': 'text',
  undefined: undefined as unknown as Buffer,
  'a number': 1 as unknown as Buffer,
}

/** Everything that takes a key to read, with that key in every place where one stands. */
const READS: Record<string, (tn: NativeTransaction, key: string | Buffer) => unknown> = {
  get: (tn, key) => tn.get(key, false),
  'get of a snapshot': (tn, key) => tn.get(key, true),
  'getKey, or equal': (tn, key) => tn.getKey(key, true, 1, false),
  'getKey, at or before': (tn, key) => tn.getKey(key, true, 0, false),
  'getRange from': (tn, key) => tn.getRange(key, true, 1, range.end, false, 1, 0, 0, 4, 1, false, false),
  'getRange to': (tn, key) => tn.getRange(prefix, false, 1, key, true, 1, 0, 0, 4, 1, false, false),
  'getRange from, with an offset': (tn, key) =>
    tn.getRange(key, true, 3, range.end, false, 1, 0, 0, 4, 1, false, false),
  'getRange to, with an offset': (tn, key) =>
    tn.getRange(prefix, false, 1, key, true, -3, 0, 0, 4, 1, false, false),
  watch: (tn, key) => tn.watch(key, true),
  getAddressesForKey: (tn, key) => tn.getAddressesForKey(key),
}

/** Where the border itself is allowed, since it is not part of what is meant. */
const READ_ENDS: Record<string, (tn: NativeTransaction, key: string | Buffer) => unknown> = {
  'getRange before': (tn, key) => tn.getRange(prefix, false, 1, key, false, 1, 0, 0, 4, 1, false, false),
  'getRange with an inverted range': (tn, key) =>
    tn.getRange(key, false, 1, prefix, false, 1, 0, 0, 4, 1, false, false),
  'getKey from': (tn, key) => tn.getKey(key, false, 1, false),
  'getKey before': (tn, key) => tn.getKey(key, false, 0, false),
  'getEstimatedRangeSizeBytes to': (tn, key) => tn.getEstimatedRangeSizeBytes(prefix, key),
  'getEstimatedRangeSizeBytes from': (tn, key) => tn.getEstimatedRangeSizeBytes(key, range.end),
  'getRangeSplitPoints to': (tn, key) => tn.getRangeSplitPoints(prefix, key, 1_000),
  'getRangeSplitPoints from': (tn, key) => tn.getRangeSplitPoints(key, range.end, 1_000),
  'addReadConflictRange to': (tn, key) => tn.addReadConflictRange(prefix, key),
  'addReadConflictRange from': (tn, key) => tn.addReadConflictRange(key, range.end),
}

const WRITES: Record<string, (tn: NativeTransaction, key: string | Buffer) => unknown> = {
  set: (tn, key) => tn.set(key, value),
  clear: (tn, key) => tn.clear(key),
  'atomicOp add': (tn, key) => tn.atomicOp(2, key, Buffer.from([1])),
  'atomicOp compare and clear': (tn, key) => tn.atomicOp(20, key, value),
  'atomicOp set versionstamped value': (tn, key) => tn.atomicOp(15, key, Buffer.alloc(14)),
}

const WRITE_ENDS: Record<string, (tn: NativeTransaction, key: string | Buffer) => unknown> = {
  'clearRange to': (tn, key) => tn.clearRange(prefix, key),
  'clearRange from': (tn, key) => tn.clearRange(key, range.end),
  'addWriteConflictRange to': (tn, key) => tn.addWriteConflictRange(prefix, key),
  'addWriteConflictRange from': (tn, key) => tn.addWriteConflictRange(key, range.end),
}

const ALL = { ...READS, ...READ_ENDS, ...WRITES, ...WRITE_ENDS }
const ENDS = { ...READ_ENDS, ...WRITE_ENDS }

for (const [name, call] of Object.entries(ALL)) {
  test(`${name} outside the grant ends the transaction and reaches no engine`, async () => {
    for (const [kind, key] of Object.entries(OUTSIDE)) {
      if (kind === 'the end of the range' && name in ENDS) continue
      const { tn, calls, violations } = fenced()
      await violationOf(() => call(tn, key), kind)
      expect(
        calls.map(({ method }) => method),
        kind,
      ).toEqual(['cancel'])
      expect(violations, kind).toHaveLength(1)
    }
  })
}

for (const [name, call] of Object.entries(ALL)) {
  if (name === 'getAddressesForKey') continue
  test(`${name} inside the grant reaches the engine, inside`, async () => {
    const keys = [prefix, own(0), own(0xff), own(1, 2, 3), own(...new Uint8Array(10_000))]
    if (name in ENDS) keys.push(range.end)
    for (const key of keys) {
      const { tn, calls, violations } = fenced()
      await call(tn, key)
      expect(violations).toEqual([])
      expect(calls.length).toBeGreaterThan(0)
      for (const reached of calls) {
        for (const bytes of keysOf(reached)) {
          expect(Buffer.compare(prefix, bytes)).toBeLessThanOrEqual(0)
          expect(Buffer.compare(bytes, range.end)).toBeLessThanOrEqual(0)
        }
      }
    }
  })
}

test('a caught violation lets nothing more through, not even a commit or a reset', async () => {
  const { tn, methods, violations } = fenced()
  tn.set(own(1), value)
  await violationOf(() => tn.set(neighbour, value))
  const everyCall: Array<() => unknown> = [
    ...Object.values(ALL).map((call) => () => call(tn, own(1))),
    () => tn.set(neighbour, value),
    () => tn.atomicOp(14, stampedKey(prefix, prefix.length), value),
    () => tn.setOption(500, 1),
    () => tn.setReadVersion(Buffer.alloc(8)),
    () => tn.getReadVersion(),
    () => tn.getCommittedVersion(),
    () => tn.getVersionstamp(),
    () => tn.getApproximateSize(),
    () => tn.commit(),
    () => tn.onError(1020),
    () => tn.reset(),
    () => tn.cancel(),
  ]
  for (const call of everyCall) expect(await violationOf(call)).toBe(violations[0])
  expect(methods()).toEqual(['set', 'cancel'])
  expect(violations).toHaveLength(1)
})

test('a violation says the method and the grant, and never a key', async () => {
  const { tn, violations } = fenced()
  await violationOf(() => tn.set(Buffer.from('secret key of another'), value))
  expect(violations[0]).toMatchObject({ method: 'set', grant: 'tenant 41', name: 'IsolationViolation' })
  expect(String(violations[0])).toBe('IsolationViolation: set outside the grant of tenant 41')
})

test('a violation comes by the callback where the method answers by one', async () => {
  const calls: Array<(tn: NativeTransaction, cb: (error: Error | null) => void) => void> = [
    (tn, cb) => tn.get(neighbour, false, cb),
    (tn, cb) => tn.getKey(neighbour, false, 1, false, cb),
    (tn, cb) => tn.getRange(prefix, false, 1, neighbour, false, 1, 0, 0, 4, 1, false, false, cb),
  ]
  for (const call of calls) {
    const { tn } = fenced()
    const inTime = { called: false }
    const error = await new Promise((done) => {
      call(tn, (refusal) => done(refusal))
      inTime.called = true
    })
    expect(error).toBeInstanceOf(IsolationViolation)
    expect(inTime.called).toBe(true)
    for (const later of [
      (cb: (error: Error | null) => void) => tn.commit(cb),
      (cb: (error: Error | null) => void) => tn.onError(1020, cb),
      (cb: (error: Error | null) => void) => tn.getReadVersion(cb),
      (cb: (error: Error | null) => void) => tn.getVersionstamp(cb),
    ])
      expect(await new Promise((done) => later(done))).toBe(error)
  }
})

test('answers come by the callback where one is given', async () => {
  const { tn } = fenced([[own(1), value]])
  const answered = <T>(call: (cb: (error: Error | null, result?: T) => void) => void) =>
    new Promise<T | undefined>((done, fail) => {
      call((error, result) => (error === null ? done(result) : fail(error)))
    })
  expect(await answered((cb) => tn.get(own(1), false, cb))).toEqual(value)
  expect(await answered((cb) => tn.getKey(prefix, false, 1, false, cb))).toEqual(own(1))
  const rows = await answered((cb) =>
    tn.getRange(prefix, false, 1, range.end, false, 1, 0, 0, 4, 1, false, false, cb),
  )
  expect(rows).toMatchObject({ results: [[own(1), value]] })
  expect(await answered((cb) => tn.getReadVersion(cb))).toHaveLength(8)
  expect(await answered((cb) => tn.getVersionstamp(cb))).toHaveLength(10)
  await answered((cb) => tn.commit(cb))
  await answered((cb) => tn.onError(1020, cb))
})
