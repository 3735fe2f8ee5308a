// Three tenants side by side in a real embedded engine, the middle one fenced, with a recorder between its
// fence and the engine and with neighbours who are busy at the worst moments.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'vitest'
import {
  fenceDatabase,
  type Grant,
  type IsolationViolation,
  prefixRange,
} from '../../regional/storage/fence.ts'
import {
  Database,
  type NativeDatabase,
  type NativeTransaction,
  Subspace,
} from '../../regional/storage/foundationdb.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { grantOf, readAll, tenantPrefix } from './fence_fixture.ts'
import { type Call, keysOf, recorded } from './fence_recorder.ts'

/** In every value that is not the fenced tenant's own, so that a leak can be seen in whatever comes back. */
const SECRET = 'secret of another'

export interface World {
  readonly native: NativeDatabase
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fence-'))
  const engine = await openEngine({ dataDir })
  return {
    native: engine.native,
    close: async () => {
      await engine.close()
      await rm(dataDir, { recursive: true })
    },
  }
}

/** Neighbours' keys, as close to the fenced tenant's as keys can be. */
export function neighbourKeys(tenant: bigint): Buffer[] {
  const keys = [
    Buffer.from([0, 1]),
    Buffer.from([2, 1]),
    Buffer.from([0xfe]),
    tenantPrefix(tenant).subarray(0, -1),
  ]
  for (const number of [tenant - 1n, tenant + 1n]) {
    if (number < 0n || number >= 2n ** 64n) continue
    const prefix = tenantPrefix(number)
    keys.push(
      prefix,
      Buffer.from([...prefix, 0]),
      Buffer.from([...prefix, 0xff, 0xff]),
      Buffer.from([...prefix, 7]),
    )
  }
  return keys
}

export const ownKeys = (tenant: bigint): Buffer[] =>
  ['', 'a', 'b', 'c', 'projects/1'].map((key) => Buffer.concat([tenantPrefix(tenant), Buffer.from(key)]))

/** What a fenced tenant tried, and what came of it. */
export interface Trial<T> {
  readonly result: T | undefined
  readonly error: unknown
  readonly violations: IsolationViolation[]
  readonly calls: Call[]
  /** The tenant's rows afterwards, keys without its prefix. */
  readonly own: Array<[key: string, value: string]>
}

type Body<T> = (db: Database, fenced: NativeDatabase) => Promise<T> | T

/**
 * Lets `body` work as the fenced tenant, on the package's `Database` or the native one, and fails unless the
 * neighbours come out of it as they were: their bytes, and the outcomes of their commits. Nor may anything of
 * theirs come back, or any key outside reach the engine. Twice: once a neighbour reads all that is theirs
 * before and commits after; once they write it all before each of the tenant's commits, which must not notice.
 */
export async function trial<T>(world: World, tenant: bigint, body: Body<T>, grant = grantOf(tenant)) {
  const outcome = await attempt(world, tenant, body, grant, false)
  await attempt(world, tenant, body, grant, true)
  return outcome
}

async function attempt<T>(
  { native }: World,
  tenant: bigint,
  body: Body<T>,
  grant: Grant,
  busy: boolean,
): Promise<Trial<T>> {
  const { begin, end } = prefixRange(tenantPrefix(tenant))
  await clearAll(native)
  await write(native, ownKeys(tenant), 'own')
  await write(native, neighbourKeys(tenant), SECRET)
  const outside = async () => [...(await rows(native, FIRST, begin)), ...(await rows(native, end, LAST))]
  const before = await outside()
  const neighbour = native.createTransaction()
  await readAll(neighbour, FIRST, begin)
  await readAll(neighbour, end, LAST)
  neighbour.set(Buffer.from([2, 1]), Buffer.from(SECRET))

  const calls: Call[] = []
  const violations: IsolationViolation[] = []
  const interrupt = busy ? () => write(native, neighbourKeys(tenant), SECRET) : async () => {}
  const below: NativeDatabase = {
    createTransaction: () => recorded(interrupted(native.createTransaction(), interrupt), calls),
    setOption: () => expect.unreachable('the database was changed'),
    close: () => expect.unreachable('the database was closed'),
  }
  const fenced = fenceDatabase(below, grant, (violation) => violations.push(violation))
  const db = new Database(fenced, new Subspace(begin))
  const { result, error } = await Promise.try(() => body(db, fenced)).then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  )

  if (!busy) await neighbour.commit()
  expect(calls.filter(({ method }) => method === 'onError').length, 'a neighbour got in the way').toBe(0)
  expect(await outside()).toEqual(before)
  expectNothingOf(SECRET, [result, error])
  for (const call of calls) expectInside(grant, call)
  const own = await rows(native, begin, end)
  const text = (key: Buffer) => key.subarray(begin.length).toString('latin1')
  return { result, error, violations, calls, own: own.map(([key, value]) => [text(key), value.toString()]) }
}

/** `native`, with something happening between the last call and the first commit. A retry would go through. */
function interrupted(native: NativeTransaction, happen: () => Promise<void>): NativeTransaction {
  let happened: Promise<void> | undefined
  const commit = async (): Promise<void> => {
    happened ??= happen()
    await happened
    return native.commit()
  }
  return new Proxy(native, {
    get(target, name) {
      if (name === 'commit') return commit
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Every key that reached the engine lies in one of the grant's ranges, or ends one. */
export function expectInside(grant: Grant, call: Call): void {
  const ranges = [...(grant.readWrite ? [grant.readWrite] : []), ...(grant.writeOnly ?? [])]
  for (const key of keysOf(call)) {
    const inside = ranges.some(({ begin, end }) => begin.compare(key) <= 0 && key.compare(end) <= 0)
    expect(inside, `${call.method} reached the engine with ${key.toString('hex')}`).toBe(true)
  }
}

function expectNothingOf(text: string, answers: unknown): void {
  const seen = inspect(answers, { depth: 12, maxArrayLength: null, maxStringLength: null })
  expect(seen).not.toContain(text)
  expect(seen).not.toContain(
    Buffer.from(text)
      .toString('hex')
      .replace(/..(?!$)/g, '$& '),
  )
}

const FIRST = Buffer.alloc(0)
const LAST = Buffer.from([0xff])

async function clearAll(native: NativeDatabase): Promise<void> {
  const tn = native.createTransaction()
  tn.clearRange(FIRST, LAST)
  await tn.commit()
}

async function write(native: NativeDatabase, keys: Buffer[], value: string): Promise<void> {
  const tn = native.createTransaction()
  for (const key of keys) tn.set(key, Buffer.from(value))
  await tn.commit()
}

async function rows(native: NativeDatabase, begin: Buffer, end: Buffer): Promise<[Buffer, Buffer][]> {
  const list = await readAll(native.createTransaction(), begin, end)
  expect(list.more).toBe(false)
  return list.results
}
