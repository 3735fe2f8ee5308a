// Every call by which the package leaves a prefix, by the name it has in FOUNDATIONDB.md's table, tried through
// the package over the fence and a real engine. `trial` sees to it that no neighbour ever notices; what is said
// here is what the caller gets instead.

import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  fenceTransaction,
  type Grant,
  IsolationViolation,
  prefixRange,
} from '../../regional/storage/fence.ts'
import {
  Database,
  DirectoryLayer,
  keySelector,
  MutationType,
  type NativeDatabase,
  type NativeTransaction,
  root,
  StreamingMode,
  Subspace,
  TransactionOptionCode,
  tuple,
} from '../../regional/storage/foundationdb.ts'
import { fenceDatabase, grantOf, stampedKey, tenantPrefix } from './fence_fixture.ts'
import { openWorld, trial, type World } from './fence_world.ts'

const TENANT = 41n
const prefix = tenantPrefix(TENANT)
const neighbour = tenantPrefix(42n)
const theirs = Buffer.from([...neighbour, 7])
const end = prefixRange(neighbour).end
const OWN: Array<[string, string]> = [
  ['', 'own'],
  ['a', 'own'],
  ['b', 'own'],
  ['c', 'own'],
  ['projects/1', 'own'],
]

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world.close())

type Escape = (db: Database, fenced: NativeDatabase) => unknown

/** Tried as the tenant's application: refused, with the transaction ended and nothing changed. */
function refused(name: string, escapes: Record<string, Escape>): void {
  for (const [how, attempt] of Object.entries(escapes)) {
    test(`${name}: ${how} is refused`, async () => {
      const { error, violations, own } = await trial(world, TENANT, attempt)
      expect(error).toBeInstanceOf(IsolationViolation)
      expect(violations).toEqual([error])
      expect(own).toEqual(OWN)
    })
  }
}

/** Not an escape any more: it means the tenant's own keys, and answers as if there were no others. */
function harmless(
  name: string,
  attempt: Escape,
  expected: unknown,
  own = OWN,
  grant = grantOf(TENANT),
): void {
  test(name, async () => {
    const outcome = await trial(world, TENANT, attempt, grant)
    expect(outcome.error).toBeUndefined()
    expect(outcome.violations).toEqual([])
    expect(outcome.result).toEqual(expected)
    expect(outcome.own).toEqual(own)
  })
}

const { firstGreaterOrEqual, lastLessThan, lastLessOrEqual, firstGreaterThan } = keySelector
const after = (key: string | Buffer, offset: number) => keySelector(key, false, offset)
const own = (...names: string[]) => names.map((name) => [Buffer.from(name), Buffer.from('own')])

// --- getRangeNative

refused('getRangeNative', {
  "a neighbour's range": (db) =>
    db.doTn((tn) =>
      tn.getRangeNative(firstGreaterOrEqual(neighbour), null, 0, 0, StreamingMode.WantAll, 0, false),
    ),
  'from inside to the neighbour': (db) =>
    db.doTn((tn) =>
      tn.getRangeNative(
        firstGreaterOrEqual(prefix),
        firstGreaterOrEqual(theirs),
        0,
        0,
        StreamingMode.Exact,
        0,
        false,
      ),
    ),
  'from the neighbour, in reverse': (db) =>
    db.doTn((tn) =>
      tn.getRangeNative(
        firstGreaterOrEqual(prefix),
        firstGreaterThan(neighbour),
        1,
        0,
        StreamingMode.Exact,
        0,
        true,
      ),
    ),
  'everything, as a snapshot': (db) =>
    db.doTn((tn) =>
      tn
        .snapshot()
        .getRangeNative(
          firstGreaterOrEqual(''),
          firstGreaterOrEqual(Buffer.from([0xff])),
          ...([0, 0, StreamingMode.WantAll, 0, false] as const),
        ),
    ),
  'a caught refusal, committed all the same': (db) =>
    db.doTn(async (tn) => {
      tn.set('x', 'must not be kept')
      await tn
        .getRangeNative(firstGreaterOrEqual(neighbour), null, 0, 0, StreamingMode.WantAll, 0, false)
        .catch(() => {})
    }),
})

// --- atomicOpNative (tn, db)

refused('atomicOpNative (tn, db)', {
  'of a transaction': (db) =>
    db.doTn(async (tn) => tn.atomicOpNative(MutationType.Add, theirs, Buffer.from([1]))),
  'of the database': (db) =>
    db.atomicOpNative(MutationType.CompareAndClear, theirs, Buffer.from('secret of another')),
  'of a system key': (db) =>
    db.atomicOpNative(MutationType.Max, Buffer.from('ff0102', 'hex'), Buffer.from([1])),
  'of the empty key': (db) => db.atomicOpNative(MutationType.ByteMax, '', Buffer.from('z')),
})

// --- setVersionstampedKeyRaw, setVersionstampedKeyBuf

refused('setVersionstampedKeyRaw', {
  "a neighbour's log": (db) =>
    db.doTn(async (tn) => tn.setVersionstampedKeyRaw(stampedKey(neighbour, 9), 'x')),
  'a stamp over the prefix': (db) =>
    db.doTn(async (tn) => tn.setVersionstampedKeyRaw(stampedKey(prefix, 0), 'x')),
})
refused('setVersionstampedKeyBuf', {
  "a neighbour's log": (db) => db.doTn(async (tn) => tn.setVersionstampedKeyBuf(neighbour, undefined, 'x')),
  'no prefix at all': (db) =>
    db.doTn(async (tn) => tn.setVersionstampedKeyBuf(undefined, Buffer.from('x'), 'x')),
})

// --- atomicOp/atomicOpKB(SetVersionstampedKey = 14, …)

const overThePrefix = (place: number) => Buffer.concat([Buffer.from('log/'), Buffer.alloc(10), int32(place)])
refused('atomicOp(SetVersionstampedKey = 14)', {
  'place 0, over the prefix': (db) => db.atomicOp(MutationType.SetVersionstampedKey, overThePrefix(0), 'x'),
  'place 8, over its last byte': (db) =>
    db.atomicOp(MutationType.SetVersionstampedKey, overThePrefix(8), 'x'),
  'a negative place': (db) => db.atomicOp(MutationType.SetVersionstampedKey, overThePrefix(-1), 'x'),
  'a place beyond the key': (db) => db.atomicOp(MutationType.SetVersionstampedKey, overThePrefix(14), 'x'),
})
refused('atomicOpKB(SetVersionstampedKey = 14)', {
  'place 0, over the prefix': (db) =>
    db.atomicOpKB(MutationType.SetVersionstampedKey, overThePrefix(0), Buffer.from('x')),
  'in a transaction': (db) =>
    db.doTn(async (tn) =>
      tn.atomicOpKB(MutationType.SetVersionstampedKey, overThePrefix(1), Buffer.from('x')),
    ),
})

// --- tn.at(x), tn.scopedTo(x), db.at(subspace)

refused('tn.at(x), tn.scopedTo(x), db.at(subspace)', {
  'tn.at and get': (db) => db.doTn((tn) => tn.at(new Subspace(neighbour)).get(Buffer.from([7]))),
  'tn.at and set': (db) => db.doTn(async (tn) => tn.at(new Subspace(neighbour)).set('x', 'x')),
  'tn.at(root) and a range': (db) => db.doTn((tn) => tn.at(root).getRangeAll('', Buffer.from([0xff]))),
  'tn.scopedTo and clearRange': (db) =>
    db.doTn(async (tn) => tn.scopedTo(db.getRoot()).clearRange('', Buffer.from([0xff]))),
  'tn.scopedTo and watch': (db) =>
    db.doTn(async (tn) => tn.scopedTo(db.at(new Subspace(neighbour))).watch(Buffer.from([7]))),
  'db.at and get': (db) => db.at(new Subspace(neighbour)).get(Buffer.from([7])),
  'db.at and clearRangeStartsWith': (db) => db.at(new Subspace(neighbour)).clearRangeStartsWith(''),
  'db.at and getAndWatch': (db) => db.at(new Subspace(neighbour)).getAndWatch(Buffer.from([7])),
  'db.at the platform': (db) => db.at(new Subspace(Buffer.from([0]))).getRangeAllStartsWith(''),
})

// --- db.getRoot(), _db, _tn, setOption(access_system_keys…), setReadVersion, rawReset/Cancel/Commit

refused('db.getRoot()', {
  get: (db) => db.getRoot().get(theirs),
  set: (db) => db.getRoot().set(theirs, 'x'),
  clear: (db) => db.getRoot().clear(theirs),
  clearRange: (db) => db.getRoot().clearRange('', Buffer.from([0xff])),
  getKey: (db) => db.getRoot().getKey(firstGreaterThan(theirs)),
  getRangeAll: (db) => db.getRoot().getRangeAll(neighbour, end),
  add: (db) => db.getRoot().add(theirs, Buffer.from([1])),
  setVersionstampSuffixedKey: (db) => db.getRoot().setVersionstampSuffixedKey(neighbour, 'x'),
  setVersionstampPrefixedValue: (db) => db.getRoot().setVersionstampPrefixedValue(theirs, 'x'),
  getVersionstampPrefixedValue: (db) => db.getRoot().getVersionstampPrefixedValue(theirs),
  setAndWatch: (db) => db.getRoot().setAndWatch(theirs, 'x'),
  clearAndWatch: (db) => db.getRoot().clearAndWatch(theirs),
  getEstimatedRangeSizeBytes: (db) => db.getRoot().getEstimatedRangeSizeBytes(neighbour, end),
  getRangeSplitPoints: (db) => db.getRoot().getRangeSplitPoints(neighbour, end, 1),
  addReadConflictRange: (db) => db.getRoot().doTn(async (tn) => tn.addReadConflictRange(neighbour, end)),
  addReadConflictKey: (db) => db.getRoot().doTn(async (tn) => tn.addReadConflictKey(theirs)),
  addWriteConflictRange: (db) => db.getRoot().doTn(async (tn) => tn.addWriteConflictRange(neighbour, end)),
  addWriteConflictKey: (db) => db.getRoot().doTn(async (tn) => tn.addWriteConflictKey(theirs)),
  getAddressesForKey: (db) => db.getRoot().doTn(async (tn) => tn.getAddressesForKey(theirs)),
})
refused('_db', {
  'a transaction of it': async (db) => {
    const tn = db._db.createTransaction()
    try {
      tn.set(theirs, 'x')
    } catch {}
    await tn.commit()
  },
})
refused('_tn', {
  get: (db) => db.doTn((tn) => rawOf(tn).get(theirs, true)),
  set: (db) => db.doTn(async (tn) => rawOf(tn).set(theirs, 'x')),
  'clearRange, caught': (db) =>
    db.doTn(async (tn) => {
      try {
        rawOf(tn).clearRange(prefix, theirs)
      } catch {}
    }),
})
refused('setOption(access_system_keys…)', {
  'setOption access_system_keys': (db) =>
    db.doTn(async (tn) => tn.setOption(TransactionOptionCode.AccessSystemKeys)),
  'setOption read_system_keys, caught, then a read': (db) =>
    db.doTn(async (tn) => {
      try {
        tn.setOption(TransactionOptionCode.ReadSystemKeys)
      } catch {}
      return tn.at(root).get(Buffer.from('ff02', 'hex'))
    }),
  'doTn with raw_access': (db) => db.doTn(async () => undefined, { raw_access: true }),
  'doTn with special_key_space_enable_writes': (db) =>
    db.doTn(async () => undefined, { special_key_space_enable_writes: true }),
  'doTn with lock_aware': (db) => db.doTn(async () => undefined, { lock_aware: true }),
  'system keys without an option': (db) => db.getRoot().get(Buffer.from('ff2f6d65746164617461', 'hex')),
  'special keys without an option': (db) =>
    db.getRoot().getRangeAll(Buffer.from('ffff', 'hex'), Buffer.from('ffffff', 'hex')),
})
refused('setReadVersion', {
  'of the past': (db) => db.doTn(async (tn) => tn.setReadVersion(Buffer.alloc(8))),
})
refused('rawReset/Cancel/Commit', {
  'rawReset after a refusal': (db) =>
    db.doTn(async (tn) => {
      await tn
        .at(root)
        .get(theirs)
        .catch(() => {})
      tn.rawReset()
      tn.set('x', 'must not be kept')
    }),
  'rawCommit after a refusal': (db) =>
    db.doTn(async (tn) => {
      tn.set('x', 'must not be kept')
      await tn
        .at(root)
        .get(theirs)
        .catch(() => {})
      await tn.rawCommit()
    }),
  'rawOnError after a refusal': (db) =>
    db.doTn(async (tn) => {
      await tn
        .at(root)
        .get(theirs)
        .catch(() => {})
      await tn.rawOnError(1020)
    }),
  'rawCancel, rawReset and a neighbour': (db) =>
    db.doTn(async (tn) => {
      tn.rawCancel()
      tn.rawReset()
      tn.at(root).set(theirs, 'x')
    }),
})

// --- db.at(''), at(null), at(undefined), tuple at([])

for (const [name, at] of Object.entries({
  "db.at('')": (db: Database) => db.at(''),
  'db.at(null)': (db: Database) => db.at(null),
  'db.at(undefined)': (db: Database) => db.at(undefined as unknown as null),
  'tuple at([])': (db: Database) =>
    db.withKeyEncoding(tuple).at([]).withKeyEncoding<string | Buffer, Buffer>(),
})) {
  harmless(`${name} stays in the tenant`, (db) => at(db).getRangeAll('', Buffer.from([0xff])), [
    ...own('', 'a', 'b', 'c', 'projects/1'),
  ])
  harmless(
    `${name} clears no more than the tenant`,
    (db) => at(db).clearRange('', Buffer.from([0xff])),
    undefined,
    [],
  )
}

// --- getRange*/getRangeRaw with a selector offset, or lastLessThan('')

harmless(
  'getRange with a selector offset beyond the last key ends at the last key',
  (db) => db.getRangeAll(after('a', 3), after('c', 50)),
  own('c', 'projects/1'),
)
harmless(
  'getRange with a selector offset before the first key begins at the first key',
  (db) => db.getRangeAll(after('a', -50), after('b', 1)),
  own('', 'a'),
)
harmless(
  "getRange from lastLessThan('') begins at the first key",
  (db) => db.getRangeAll(lastLessThan(''), firstGreaterThan('a')),
  own('', 'a'),
)
harmless(
  "getRange to lastLessThan('') is empty",
  (db) => db.getRangeAll(lastLessThan(''), lastLessThan('')),
  [],
)
harmless(
  'getRange in reverse from beyond the last key begins at the last key',
  (db) => db.getRangeAll(after('b', 1), after('c', 9), { reverse: true, limit: 2 }),
  own('projects/1', 'c'),
)
harmless(
  'getRangeRaw with selector offsets stays inside',
  (db) =>
    db.doTn((tn) => tn.getRangeRaw(after('', -9), after('', 99), 0, 0, StreamingMode.WantAll, 0, false)),
  { results: own('', 'a', 'b', 'c', 'projects/1'), more: false },
)
harmless(
  'getRangeNative with selector offsets stays inside',
  (db) =>
    db.doTn(async (tn) => {
      const from = after(prefix, -3)
      const to = after(Buffer.concat([prefix, Buffer.from('c')]), 7)
      const { results } = await tn.getRangeNative(from, to, 0, 0, StreamingMode.WantAll, 0, false)
      return results.length
    }),
  5,
)
harmless(
  'getRangeBatch with a selector offset stays inside, page by page',
  async (db) => {
    const found: unknown[] = []
    await db.doTn(async (tn) => {
      for await (const batch of tn.getRangeBatch(after('a', 1), after('c', 9), {
        streamingMode: StreamingMode.Small,
      }))
        found.push(...batch)
    })
    return found
  },
  own('a', 'b', 'c', 'projects/1'),
)

// --- getKey(selector)

harmless(
  'getKey past the last key finds nothing',
  (db) => db.getKey(firstGreaterThan('projects/1')),
  undefined,
)
harmless('getKey before the first key finds nothing', (db) => db.getKey(lastLessThan('')), undefined)
harmless('getKey counted past the last key finds nothing', (db) => db.getKey(after('a', 99)), undefined)
harmless('getKey counted before the first key finds nothing', (db) => db.getKey(after('c', -99)), undefined)
harmless('getKey inside finds its key', (db) => db.getKey(lastLessOrEqual('bb')), Buffer.from('b'))
harmless('getKey counted on finds its key', (db) => db.getKey(after('a', 3)), Buffer.from('c'))
harmless(
  'getKey in the root finds no neighbour past the last key',
  (db) => db.getRoot().getKey(firstGreaterThan(Buffer.concat([prefix, Buffer.from('zzz')]))),
  undefined,
)
test('getKey past the last key conflicts with what is written inside, and with nothing outside', async () => {
  const { native } = world
  const { result } = await trial(world, TENANT, async (db) => {
    const tn = db.rawCreateTransaction()
    await tn.getKey(firstGreaterThan('projects/1'))
    tn.set('new', 'own')
    const other = native.createTransaction()
    other.set(Buffer.concat([prefix, Buffer.from('zzz')]), 'own')
    await other.commit()
    return tn.rawCommit().then(
      () => 'committed',
      (error: { code: number }) => error.code,
    )
  })
  expect(result).toBe(1020)
})

// --- DirectoryLayer

refused('DirectoryLayer', {
  'of its own subspaces': (db) => new DirectoryLayer().createOrOpen(db, ['projects']),
  'a listing': (db) => new DirectoryLayer().listAll(db),
  'with its nodes in the neighbour': (db) =>
    new DirectoryLayer({ nodePrefix: neighbour, contentPrefix: prefix }).createOrOpen(db, ['projects']),
  'with its contents in the neighbour': (db) =>
    new DirectoryLayer({
      nodePrefix: Buffer.from([...prefix, 0xfe]),
      contentPrefix: neighbour,
    }).createOrOpen(db, ['projects']),
})

// --- at('tenant1') and at('tenant10'); lone surrogates

test("at('tenant1') and at('tenant10'): prefixes of a fixed width never overlap", () => {
  const numbers = [
    0n,
    1n,
    10n,
    41n,
    42n,
    0xffn,
    0x100n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 64n - 2n,
    2n ** 64n - 1n,
  ]
  const ranges = numbers.map((number) => prefixRange(tenantPrefix(number)))
  for (const [i, { end }] of ranges.entries()) {
    const next = ranges[i + 1]
    if (next !== undefined) expect(end.compare(next.begin)).toBeLessThanOrEqual(0)
  }
})
test("at('tenant1') and at('tenant10'): a grant of a range can end before a longer name", async () => {
  const only: Grant = {
    name: 'tenant1',
    readWrite: { begin: Buffer.from('tenant1/'), end: Buffer.from('tenant10') },
  }
  for (const key of ['tenant10', 'tenant10/x', 'tenant1']) {
    const { error } = await trial(world, TENANT, (db) => db.getRoot().get(key), only)
    expect(error).toBeInstanceOf(IsolationViolation)
  }
})
refused('lone surrogates', {
  'as a native key': (_db, fenced) =>
    fenced.createTransaction().set(`${prefix.toString('latin1')}\ud800`, 'x'),
  'as a key in the root': (db) => db.getRoot().get('\udc00'),
})
harmless(
  'lone surrogates collapse inside the tenant only',
  async (db) => {
    await db.set('\ud800', 'own')
    return db.get('\udfff')
  },
  Buffer.from('own'),
  [...OWN, ['\u00ef\u00bf\u00bd', 'own']],
)

// --- dangerous inside a tenant

const service: Grant = {
  name: 'service projects of tenant 41',
  readWrite: prefixRange(Buffer.concat([prefix, Buffer.from('projects/')])),
  lent: true,
}
test('clearRange(x, undefined) clears what is under x in the tenant, and no more', async () => {
  const { own } = await trial(world, TENANT, (db) => db.clearRange('projects', undefined))
  expect(own).toEqual(OWN.slice(0, 4))
})
test('tuple clearRange(undefined) clears the whole tenant at most', async () => {
  const { own, error } = await trial(world, TENANT, (db) =>
    db.withKeyEncoding(tuple).clearRange(undefined as never),
  )
  expect(error).toBeUndefined()
  expect(own).toEqual([['', 'own']])
})
harmless(
  'tuple set([]) writes the bare prefix, which is the tenant’s own',
  (db) => db.withKeyEncoding(tuple).set([], 'bare'),
  undefined,
  [['', 'bare'], ...OWN.slice(1)],
)

/** The service's own database, fenced once more over its tenant's. */
function serviceOf(fenced: NativeDatabase, told: IsolationViolation[] = []): Database {
  const below = fenceDatabase(fenced, service, (violation) => told.push(violation))
  return new Database(below, new Subspace(Buffer.concat([prefix, Buffer.from('projects/')])))
}

test('a service cannot clear its tenant, whatever it gives to clearRange', async () => {
  const attempts: Record<string, (projects: Database) => unknown> = {
    'clearRange(undefined) in the tenant': (projects) =>
      projects
        .at(new Subspace(prefix))
        .withKeyEncoding(tuple)
        .doTn(async (tn) => tn.clearRange(undefined as never)),
    "clearRange('') in the root": (projects) => projects.getRoot().clearRange('', Buffer.from([0xff])),
    'clearRange of its tenant': (projects) => projects.at(new Subspace(prefix)).clearRange('a', 'zzz'),
    "another service's key": (projects) => projects.at(new Subspace(prefix)).set('a', 'x'),
    "another service's rows": (projects) => projects.at(new Subspace(prefix)).getRangeAllStartsWith(''),
    'commit, which is its tenant’s': (projects) => projects.set('2', 'x'),
    'reset, which is its tenant’s': (projects) => projects.doTn(async (tn) => tn.rawReset()),
  }
  for (const attempt of Object.values(attempts)) {
    const told: IsolationViolation[] = []
    const { error, own } = await trial(world, TENANT, (_db, fenced) => attempt(serviceOf(fenced, told)))
    expect(error).toBeInstanceOf(IsolationViolation)
    expect(error).toMatchObject({ grant: service.name })
    expect(told).toContain(error)
    expect(own).toEqual(OWN)
  }
})

test('a service that clears everything clears itself, and its tenant commits it', async () => {
  const { own, error } = await trial(world, TENANT, (_db, fenced) => {
    const tenantTn = fenced.createTransaction()
    const native = fenceTransaction(tenantTn, service, () => {})
    const lentOut = { createTransaction: () => native, setOption() {}, close() {} }
    const subspace = new Subspace(Buffer.concat([prefix, Buffer.from('projects/')]))
    const tn = new Database(lentOut, subspace).rawCreateTransaction()
    tn.clearRange('', undefined)
    tn.set('2', 'own')
    return tenantTn.commit()
  })
  expect(error).toBeUndefined()
  expect(own).toEqual([...OWN.slice(0, 4), ['projects/2', 'own']])
})

test('a flush that may only write adds to many tenants and reads none', async () => {
  const usage = (number: bigint) => Buffer.concat([tenantPrefix(number), Buffer.from('usage')])
  const flush: Grant = {
    name: 'usage flush',
    writeOnly: [TENANT, 43n, 2n ** 64n - 1n].map((number) => prefixRange(usage(number))),
  }
  for (const read of [
    (db: Database) => db.get('usage'),
    (db: Database) => db.getKey('usage'),
    (db: Database) => db.getRangeAllStartsWith('usage'),
    (db: Database) => db.getAndWatch('usage'),
    (db: Database) => db.doTn(async (tn) => tn.addReadConflictKey('usage')),
    (db: Database) => db.getEstimatedRangeSizeBytes('usage', 'usagf'),
  ]) {
    const { error } = await trial<unknown>(world, TENANT, read, flush)
    expect(error).toBeInstanceOf(IsolationViolation)
  }
  const { own, error } = await trial(
    world,
    TENANT,
    (db) => db.doTn(async (tn) => tn.atomicOpNative(MutationType.Max, usage(TENANT), Buffer.from('7'))),
    flush,
  )
  expect(error).toBeUndefined()
  expect(own).toEqual([...OWN, ['usage', '7']])
})

// --- the trial itself

test('a trial notices what a fence that is too wide lets through', async () => {
  const wide: Grant = {
    name: 'everything',
    readWrite: { begin: Buffer.from([0]), end: Buffer.from([0xff]) },
  }
  const leaks: Record<string, Escape> = {
    'a read': (db) => db.getRoot().get(theirs),
    'a range read': (db) => db.getRoot().getRangeAll(prefix, end),
    'a write': (db) => db.getRoot().set(theirs, 'x'),
    'a clear': (db) => db.getRoot().clear(theirs),
    'a read conflict': (db) =>
      db.doTn(async (tn) => {
        tn.set('x', 'own')
        await tn.at(root).exists(theirs)
      }),
    'a write conflict': (db) => db.getRoot().doTn(async (tn) => tn.addWriteConflictKey(theirs)),
  }
  for (const [name, leak] of Object.entries(leaks))
    await expect(trial(world, TENANT, leak, wide), name).rejects.toThrow()
})

// --- what is allowed works as ever

test('every ordinary call of the package works inside the fence', async () => {
  const { result, error, violations } = await trial(world, TENANT, async (db) => {
    await db.set('new', 'own')
    await db.add('counter', Buffer.from([1]))
    await db.setVersionstampSuffixedKey('log/', 'own', Buffer.from('/tail'))
    await db.setVersionstampPrefixedValue('stamped', 'own')
    const stamped = await db.getVersionstampPrefixedValue('stamped')
    const logged = await db.getRangeAllStartsWith('log/')
    const estimate = await db.getEstimatedRangeSizeBytes('', 'z')
    const points = await db.getRangeSplitPoints('', 'z', 10_000)
    const watch = await db.setAndWatch('watched', 'own')
    await db.set('watched', 'changed')
    const changed = await watch.promise
    const versions = await db.doTn(
      async (tn) => {
        tn.setOption(TransactionOptionCode.Tag, Buffer.from('tenant-41'))
        const version = await tn.getReadVersion()
        tn.addReadConflictKey('a')
        tn.addWriteConflictRange('a', 'b')
        tn.clearRangeStartsWith('c')
        return [version.length, await tn.getApproximateSize(), await tn.exists('c'), await tn.exists('a')]
      },
      { timeout: 5_000, retry_limit: 3, max_retry_delay: 100, size_limit: 100_000, priority_batch: true },
    )
    return { logged: logged.length, stamp: stamped?.stamp.length, estimate, points, changed, versions }
  })
  expect(error).toBeUndefined()
  expect(violations).toEqual([])
  expect(result).toMatchObject({
    logged: 1,
    stamp: 10,
    estimate: expect.any(Number),
    points: [Buffer.from(''), Buffer.from('z')],
    changed: true,
    versions: [8, expect.any(Number), false, true],
  })
})

/** What the package hides by its types only. */
function rawOf(tn: object): NativeTransaction {
  return (tn as { _tn: NativeTransaction })._tn
}

function int32(place: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(place)
  return bytes
}
