// What else the fence refuses: stamps over the prefix, options, operations, an engine's wrong answers, and
// what a write-only range may not be used for.

import type { KVList, NativeTransaction } from 'foundationdb/dist/lib/native.js'
import { MutationType, TransactionOptionCode } from 'foundationdb/dist/lib/opts.g.js'
import { expect, test } from 'vitest'
import {
  fenceTransaction,
  type Grant,
  type IsolationViolation,
  keptRange,
  prefixRange,
} from '../../regional/storage/fence.ts'
import { kept } from '../../regional/storage/kept_bytes.ts'
import { metered } from '../../regional/storage/metered.ts'
import {
  fencedFake,
  grantOf,
  readAll,
  stackedFake,
  stampedKey,
  tenantPrefix,
  violationOf,
} from './fence_fixture.ts'
import { fakeTransaction, keysOf } from './fence_recorder.ts'

const prefix = tenantPrefix(41n)
const grant = grantOf(41n)
const neighbour = tenantPrefix(42n)
const value = Buffer.from('v')
const own = (...bytes: number[]) => Buffer.from([...prefix, ...bytes])

// --- versionstamped keys

test('a stamp behind the prefix passes, wherever it stands', async () => {
  for (const key of [
    stampedKey(prefix, prefix.length),
    stampedKey(own(5, 6), prefix.length + 2, Buffer.from('tail')),
    stampedKey(own(5, 6), prefix.length, Buffer.from('tail')),
  ]) {
    const { tn, calls } = fencedFake(grant)
    tn.atomicOp(14, key, value)
    expect(calls).toEqual([{ method: 'atomicOp', args: [14, key, value] }])
  }
})

test('a stamp that touches the prefix, or has no place in its key, is refused', async () => {
  const keys: Record<string, Buffer> = {
    'over the whole prefix': stampedKey(prefix, 0),
    'over the last byte of the prefix': stampedKey(prefix, prefix.length - 1),
    'beyond the key by one': stampedKey(prefix, prefix.length + 1),
    'a negative place': stampedKey(prefix, -1),
    'the most negative place': stampedKey(prefix, -(2 ** 31)),
    'the largest place': stampedKey(prefix, 2 ** 31 - 1),
    'in a neighbour': stampedKey(neighbour, neighbour.length),
    'no room for a place': prefix.subarray(0, 3),
    'no room for a stamp': Buffer.concat([prefix, Buffer.alloc(4)]),
    'one byte too short for a stamp': Buffer.concat([Buffer.alloc(9), Buffer.alloc(4)]),
    'nothing at all': Buffer.alloc(0),
  }
  for (const [kind, key] of Object.entries(keys)) {
    const { tn, methods } = fencedFake(grant)
    await violationOf(() => tn.atomicOp(14, key, value), kind)
    expect(methods(), kind).toEqual(['cancel'])
  }
})

test('tenants whose numbers are all zeros or all ones are no easier to leave by a stamp', async () => {
  for (const number of [0n, 0xffn, 2n ** 32n - 1n, 2n ** 64n - 1n]) {
    const at = tenantPrefix(number)
    for (let place = 0; place < at.length; place++) {
      const { tn } = fencedFake(grantOf(number))
      await violationOf(
        () => tn.atomicOp(14, stampedKey(at, place, Buffer.alloc(9)), value),
        `${number} ${place}`,
      )
    }
    const { tn, methods } = fencedFake(grantOf(number))
    tn.atomicOp(14, stampedKey(at, at.length), value)
    expect(methods()).toEqual(['atomicOp'])
  }
})

test('a stamp could fall between two ranges of one grant, so one of them must hold all it may become', async () => {
  const around: Grant = {
    name: 'both sides',
    writeOnly: [
      { begin: Buffer.from([1, 0]), end: Buffer.from([1, 8]) },
      { begin: Buffer.from([1, 9]), end: Buffer.from([2]) },
    ],
  }
  const { tn } = fencedFake(around)
  await violationOf(() => tn.atomicOp(14, stampedKey(Buffer.from([1]), 1), value))
  const fits = fencedFake({ name: 'one', writeOnly: [prefixRange(Buffer.from([1]))] })
  fits.tn.atomicOp(14, stampedKey(Buffer.from([1]), 1), value)
  expect(fits.methods()).toEqual(['atomicOp'])
})

test('a stamp may lead to no key before or behind a range, up to its last byte', async () => {
  const stamp = (byte: number) => Buffer.alloc(10, byte)
  const at = Buffer.from([2, 5])
  const ranges: Array<[begin: Buffer, end: Buffer, inside: boolean]> = [
    [at, Buffer.concat([at, stamp(0xff), Buffer.alloc(1)]), true],
    [at, Buffer.concat([at, stamp(0xff)]), false],
    [at, Buffer.from([2, 5, 0x90]), false],
    [Buffer.concat([at, stamp(0)]), Buffer.from([2, 6]), true],
    [Buffer.concat([at, stamp(0), Buffer.alloc(1)]), Buffer.from([2, 6]), false],
    [Buffer.from([2, 5, 0, 1]), Buffer.from([2, 6]), false],
  ]
  for (const [begin, end, inside] of ranges) {
    const { tn } = fencedFake({ name: 'narrow', writeOnly: [{ begin, end }] })
    const call = () => tn.atomicOp(14, stampedKey(at, at.length), value)
    if (inside) call()
    else await violationOf(call)
  }
})

// --- allow-lists

const OPERATIONS = [
  'Add',
  'And',
  'BitAnd',
  'Or',
  'BitOr',
  'Xor',
  'BitXor',
  'AppendIfFits',
  'Max',
  'Min',
] as const
const MORE_OPERATIONS = ['SetVersionstampedValue', 'ByteMin', 'ByteMax', 'CompareAndClear'] as const

test('every atomic operation of FoundationDB passes, and no other number', async () => {
  const allowed = new Set<number>([...OPERATIONS, ...MORE_OPERATIONS].map((name) => MutationType[name]))
  for (let operation = -1; operation <= 300; operation++) {
    if (operation === MutationType.SetVersionstampedKey) continue
    const { tn, methods } = fencedFake(grant)
    const call = () => tn.atomicOp(operation, own(1), value)
    if (allowed.has(operation)) call()
    else await violationOf(call, `operation ${operation}`)
    expect(methods(), `operation ${operation}`).toEqual([allowed.has(operation) ? 'atomicOp' : 'cancel'])
  }
})

const ALLOWED_OPTIONS: ReadonlySet<string> = new Set([
  'CausalReadRisky',
  'NextWriteNoWriteConflictRange',
  'ReadYourWritesDisable',
  'ReadAheadDisable',
  'PriorityBatch',
  'DebugTransactionIdentifier',
  'Timeout',
  'RetryLimit',
  'MaxRetryDelay',
  'SizeLimit',
  'SnapshotRywEnable',
  'SnapshotRywDisable',
  'Tag',
  'AutoThrottleTag',
  'UseGrvCache',
  'SkipGrvCache',
])

test('an option passes only if it is known to stay inside', async () => {
  const refused: string[] = []
  for (let code = -1; code <= 2_100; code++) {
    const name = TransactionOptionCode[code] ?? 'unknown'
    const { tn, methods } = fencedFake(grant)
    const call = () => tn.setOption(code, null)
    if (ALLOWED_OPTIONS.has(name)) call()
    else await violationOf(call, `option ${code}`)
    expect(methods(), name).toEqual([ALLOWED_OPTIONS.has(name) ? 'setOption' : 'cancel'])
    if (!ALLOWED_OPTIONS.has(name) && name !== 'unknown') refused.push(name)
  }
  expect(refused).toEqual(
    expect.arrayContaining([
      'AccessSystemKeys',
      'ReadSystemKeys',
      'RawAccess',
      'LockAware',
      'BypassUnreadable',
    ]),
  )
})

test('a transaction reads as of no other time and learns of no machine', async () => {
  for (const call of [
    (tn: NativeTransaction) => tn.setReadVersion(Buffer.alloc(8)),
    (tn: NativeTransaction) => tn.getAddressesForKey(own(1)),
  ]) {
    const { tn, methods } = fencedFake(grant)
    await violationOf(() => call(tn))
    expect(methods()).toEqual(['cancel'])
  }
})

// --- answers

test('a row from outside, whatever engine gave it, reaches nobody', async () => {
  const strays = [
    neighbour,
    grant.readWrite?.end,
    prefix.subarray(0, -1),
    Buffer.from([0xff]),
    Buffer.alloc(0),
  ]
  for (const stray of strays) {
    for (const at of [0, 1, 2]) {
      const rows: [Buffer, Buffer][] = [
        [own(1), value],
        [own(2), value],
      ]
      rows.splice(at, 0, [stray ?? Buffer.alloc(0), Buffer.from('secret')])
      const list: KVList = { results: rows, more: false }
      const wrong = () => answering('getRange', () => Promise.resolve(list))
      await violationOf(() => readAll(wrong().tn, prefix, own(9)))
      await violationOf(() =>
        wrong().tn.getRange(own(1), false, 2, own(9), false, 1, 0, 0, 4, 1, false, false),
      )
      await violationOf(() => wrong().tn.getKey(own(1), false, 1, false))
      const { tn, violations } = wrong()
      await violationOf(() => readAll(tn, prefix, own(9)))
      await violationOf(() => tn.commit())
      expect(violations).toHaveLength(1)
    }
  }
})

test('a split point from outside reaches nobody; the border itself is one', async () => {
  const { end } = prefixRange(prefix)
  for (const stray of [Buffer.from([...end, 0]), prefix.subarray(0, -1), Buffer.alloc(0)]) {
    const { tn } = answering('getRangeSplitPoints', () => Promise.resolve([prefix, stray, end]))
    await violationOf(() => tn.getRangeSplitPoints(prefix, end, 1_000))
  }
  const { tn } = answering('getRangeSplitPoints', () => Promise.resolve([prefix, own(4), end]))
  expect(await tn.getRangeSplitPoints(prefix, end, 1_000)).toEqual([prefix, own(4), end])
})

test('a key is checked once and stays as it was, whatever the caller does with its buffer', async () => {
  const calls: Array<(tn: NativeTransaction, key: Buffer) => unknown> = [
    (tn, key) => tn.set(key, value),
    (tn, key) => tn.clear(key),
    (tn, key) => tn.clearRange(key, key),
    (tn, key) => tn.atomicOp(2, key, value),
    (tn, key) => tn.watch(key, true),
    (tn, key) => tn.get(key, false),
    (tn, key) => readAll(tn, key, key),
    (tn, key) => tn.addWriteConflictRange(key, key),
  ]
  for (const call of calls) {
    const { tn, calls } = fencedFake(grant)
    const key = own(1)
    await call(tn, key)
    neighbour.copy(key)
    for (const arg of calls[0]?.args ?? [])
      if (Buffer.isBuffer(arg) && arg !== value) expect(arg).toEqual(own(1))
    expect(calls).toHaveLength(1)
  }
})

test('what an engine throws or refuses comes through as it is', async () => {
  const failure = new Error('1020')
  const { tn, violations } = answering('get', () => {
    throw failure
  })
  await expect(tn.get(own(1), false)).rejects.toBe(failure)
  const error = await new Promise((done) => tn.get(own(1), false, done))
  expect(error).toBe(failure)
  expect(violations).toEqual([])
})

// --- grants

test('a text is a key by its UTF-8 bytes', async () => {
  const texts: Grant = { name: 'texts', readWrite: prefixRange(Buffer.from('é')) }
  const { tn, calls } = fencedFake(texts)
  tn.set('éa', value)
  expect(calls).toEqual([{ method: 'set', args: [Buffer.from('éa'), value] }])
  await violationOf(() => tn.set('é\ud800', value))
})

test('a write-only range can be written, and not read, watched or conflicted with by reading', async () => {
  const counter = Buffer.from([2, 5, 1])
  const flush: Grant = {
    name: 'usage flush',
    writeOnly: [prefixRange(Buffer.from([2, 5])), prefixRange(Buffer.from([2, 7]))],
  }
  const grants: Grant[] = [flush, { ...grant, writeOnly: [prefixRange(Buffer.from([2, 5]))] }]
  for (const under of grants) {
    const { tn, methods } = fencedFake(under)
    tn.set(counter, value)
    tn.clear(counter)
    tn.atomicOp(2, counter, value)
    tn.atomicOp(14, stampedKey(counter, counter.length), value)
    tn.clearRange(counter, Buffer.from([2, 6]))
    tn.addWriteConflictRange(counter, Buffer.from([2, 6]))
    expect(methods()).toHaveLength(6)
    const reads: Array<(tn: NativeTransaction) => unknown> = [
      (tn) => tn.get(counter, true),
      (tn) => tn.getKey(counter, false, 1, true),
      (tn) => readAll(tn, counter, counter),
      (tn) => tn.watch(counter, true),
      (tn) => tn.addReadConflictRange(counter, counter),
      (tn) => tn.getEstimatedRangeSizeBytes(counter, counter),
      (tn) => tn.getRangeSplitPoints(counter, counter, 1),
    ]
    for (const read of reads) {
      const { tn, methods } = fencedFake(under)
      await violationOf(() => read(tn))
      expect(methods()).toEqual(['cancel'])
    }
  }
})

test('a write-only range is not cleared beyond its ends, nor across two of them', async () => {
  const [one, two] = [prefixRange(Buffer.from([2, 5])), prefixRange(Buffer.from([2, 7]))]
  const flush: Grant = { name: 'usage flush', writeOnly: [one, two] }
  const wrong: Array<[Buffer, Buffer]> = [
    [one.begin, two.end],
    [one.begin, two.begin],
    [one.end, two.begin],
    [Buffer.from([2, 4, 0xff]), one.end],
    [one.begin, Buffer.from([...one.end, 0])],
  ]
  for (const [begin, end] of wrong) {
    await violationOf(() => fencedFake(flush).tn.clearRange(begin, end))
    await violationOf(() => fencedFake(flush).tn.addWriteConflictRange(begin, end))
  }
})

test('a grant moves with nobody: the bytes it was made of may change', async () => {
  const bytes = tenantPrefix(41n)
  const pointer = Buffer.from([2, 41])
  const moving: Grant = {
    name: 'tenant 41',
    readWrite: { begin: bytes, end: tenantPrefix(42n) },
    writeOnly: [{ begin: pointer, end: Buffer.from([2, 42]) }],
  }
  const { tn } = fencedFake(moving)
  bytes.fill(0)
  pointer.fill(0)
  await violationOf(() => tn.set(tenantPrefix(40n), value))
  const other = fencedFake({
    name: 'tenant 41',
    readWrite: { begin: tenantPrefix(41n), end: moving.readWrite?.end ?? bytes },
  })
  moving.readWrite?.end.fill(0xff)
  await violationOf(() => other.tn.set(neighbour, value))
})

test('nor with the bytes of a range that is kept for many grants', async () => {
  const readWrite = keptRange(prefixRange(prefix))
  const { tn, calls } = fencedFake({ name: 'tenant 41', readWrite })
  readWrite.begin.fill(0)
  readWrite.end.fill(0xff)
  tn.set(own(1), value)
  expect(calls).toHaveLength(1)
  await violationOf(() => tn.set(neighbour, value))
  const later = fencedFake({ name: 'tenant 41', readWrite })
  await violationOf(() => later.tn.set(neighbour, value))
})

test('nor by what shares memory with them: neither bounds nor the keys that passed are within anyone’s reach', async () => {
  const subspace = kept(prefix)
  const readWrite = keptRange(prefixRange(subspace))
  const { tn, calls } = fencedFake({ name: 'tenant 41', readWrite })
  tn.set(own(1), value)
  for (const { buffer } of [subspace, readWrite.begin, readWrite.end, kept(value), Buffer.from(prefix)]) {
    const memory = Buffer.from(buffer)
    for (let at = memory.indexOf(prefix); at >= 0; at = memory.indexOf(prefix, at + 1))
      neighbour.copy(memory, at)
  }
  expect(calls.flatMap(keysOf)).toEqual([own(1)])
  tn.set(own(2), value)
  await violationOf(() => tn.set(neighbour, value))
})

test('a key is what it is, not what its properties say', async () => {
  const memory = new ArrayBuffer(prefix.length)
  prefix.copy(Buffer.from(memory))
  const answers: Record<string, PropertyDescriptorMap> = {
    valueOf: { valueOf: { value: () => memory } },
    length: { length: { value: 0 }, byteLength: { value: 0 } },
    'more length': { length: { value: 4_000 }, byteLength: { value: 4_000 } },
  }
  for (const [name, properties] of Object.entries(answers)) {
    const { tn, calls } = fencedFake(grant)
    tn.set(Object.defineProperties(own(7), properties), value)
    neighbour.copy(Buffer.from(memory))
    expect(calls.flatMap(keysOf), name).toEqual([own(7)])
    prefix.copy(Buffer.from(memory))
    await violationOf(() => tn.set(Object.defineProperties(Buffer.from(neighbour), properties), value), name)
  }
  for (const unreal of [Object.create(prefix), new Proxy(own(7), {})])
    await violationOf(() => fencedFake(grant).tn.set(unreal, value))
})

test('nor can a value take a checked key over the border while its length is asked', async () => {
  const memory = new ArrayBuffer(prefix.length)
  prefix.copy(Buffer.from(memory))
  const key = Object.defineProperty(own(), 'valueOf', { value: () => memory })
  const lying = Object.defineProperty(Buffer.from('v'), 'length', {
    get: () => neighbour.copy(Buffer.from(memory)) && 1,
  })
  const written: Buffer[] = []
  const native = { ...fakeTransaction([]), set: (at: Buffer) => written.push(Buffer.from(at)) }
  const meter = { read() {}, rows() {}, write() {}, commit() {} }
  const tn = fenceTransaction(metered(native as unknown as NativeTransaction, meter), grant, () => {})
  tn.set(key, lying)
  expect(written).toEqual([prefix])
})

test('no grant holds everything, nothing, or system keys', () => {
  expect(prefixRange(Buffer.from([1, 0xff]))).toEqual({
    begin: Buffer.from([1, 0xff]),
    end: Buffer.from([2]),
  })
  expect(prefixRange(Buffer.from([0xfe]))).toEqual({ begin: Buffer.from([0xfe]), end: Buffer.from([0xff]) })
  for (const bytes of [[], [0xff], [0xff, 0xff]])
    expect(() => prefixRange(Buffer.from(bytes))).toThrow('a grant needs a prefix below the system keys')
  const ranges: Array<[number[], number[]]> = [
    [[], [1]],
    [[1], [1]],
    [[2], [1]],
    [[1], [0xff, 0]],
    [[0xff], [0xff, 5]],
  ]
  const fake = fakeTransaction([])
  for (const [begin, end] of ranges) {
    const readWrite = { begin: Buffer.from(begin), end: Buffer.from(end) }
    const name = 'wrong'
    expect(() => fenceTransaction(fake, { name, readWrite }, () => {})).toThrow(RangeError)
    expect(() => keptRange(readWrite)).toThrow(RangeError)
    expect(() => fenceTransaction(fake, { name, writeOnly: [readWrite] }, () => {})).toThrow(RangeError)
  }
  const widest = { begin: Buffer.from([0]), end: Buffer.from([0xff]) }
  expect(() => fenceTransaction(fake, { name: 'widest', readWrite: widest }, () => {})).not.toThrow()
})

// --- stacks

const service: Grant = {
  name: 'service projects of tenant 41',
  readWrite: prefixRange(own(0x10)),
  lent: true,
}

test('a fence over a fence narrows, and the inner one still holds', async () => {
  const { tn, outer } = stackedFake(grant, service, [
    [own(0x10, 1), value],
    [own(0x20), value],
  ])
  expect((await readAll(tn, own(0x10), own(0x11))).results).toEqual([[own(0x10, 1), value]])
  expect(await tn.getKey(own(0x10, 1), true, 1, false)).toEqual(Buffer.alloc(0))
  tn.set(own(0x10, 2), value)
  await violationOf(() => tn.clearRange(prefix, neighbour))
  expect(outer.methods().at(-1)).toBe('cancel')
  // A service's grant that is wrong itself gets no further than its tenant's.
  for (const name of [42n, 40n]) {
    const wrong = stackedFake(grant, grantOf(name))
    expect((await violationOf(() => wrong.tn.set(tenantPrefix(name), value))).grant).toBe('tenant 41')
    expect(wrong.outer.methods()).toEqual(['cancel'])
    expect((await violationOf(() => wrong.tn.commit())).grant).toBe('tenant 41')
    expect([wrong.violations.length, wrong.outer.violations.length]).toEqual([0, 1])
  }
})

test("a service's violation ends its tenant's transaction too, and is told once", async () => {
  const { tn, violations, outer } = stackedFake(grant, service)
  outer.tn.set(own(1), value)
  const violation = await violationOf(() => tn.set(own(1), value))
  for (const call of [
    () => outer.tn.set(own(1), value),
    () => outer.tn.reset(),
    () => outer.tn.onError(1025),
    () => outer.tn.commit(),
    () => tn.get(own(0x10), false),
  ])
    expect(await violationOf(call)).toBe(violation)
  expect(outer.methods()).toEqual(['set', 'cancel'])
  expect([violations, outer.violations]).toEqual([[violation], []])
})

test('each violation stays the first one on its own fence', async () => {
  const { tn, outer } = stackedFake(grant, service)
  const first = await violationOf(() => outer.tn.set(neighbour, value))
  const second = await violationOf(() => tn.set(own(1), value))
  expect(second).not.toBe(first)
  expect(await violationOf(() => outer.tn.commit())).toBe(first)
})

test('a lent transaction is its owner’s to end and to set options of', async () => {
  const calls: Array<(tn: NativeTransaction) => unknown> = [
    (tn) => tn.setOption(500, 1_000),
    (tn) => tn.reset(),
    (tn) => tn.cancel(),
    (tn) => tn.commit(),
    (tn) => tn.onError(1020),
  ]
  for (const call of calls) {
    const { tn, outer } = stackedFake(grant, service)
    await call(outer.tn)
    await violationOf(() => call(tn))
    expect(outer.methods()).toHaveLength(2)
    expect(outer.methods().at(-1)).toBe('cancel')
    const borrowed = fencedFake({ ...grant, lent: true, writeOnly: [] })
    await violationOf(() => call(borrowed.tn))
  }
  const flush = fencedFake({ name: 'flush', lent: true, writeOnly: [prefixRange(prefix)] })
  await violationOf(() => flush.tn.commit())
})

test('a violation is final even if whoever is told of it fails', async () => {
  const calls: string[] = []
  const native = {
    ...fakeTransaction([]),
    cancel: () => calls.push('cancel'),
  } as unknown as NativeTransaction
  const tn = fenceTransaction(native, grant, () => {
    throw new Error('the log is full')
  })
  await expect(tn.get(neighbour, false)).rejects.toThrow('the log is full')
  await violationOf(() => tn.commit())
  expect(calls).toEqual(['cancel'])
})

/** A fence over an engine that answers one method wrongly. */
function answering(method: string, answer: () => unknown) {
  const violations: IsolationViolation[] = []
  const native = { ...fakeTransaction([]), [method]: answer } as unknown as NativeTransaction
  return { tn: fenceTransaction(native, grant, (violation) => violations.push(violation)), violations }
}
