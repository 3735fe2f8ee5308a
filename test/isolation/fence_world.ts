// Three tenants side by side in a real embedded engine, the middle one fenced, with a recorder between its
// fence and the engine and with neighbours who are busy at the worst moments.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'vitest'
import {
  type Grant,
  type IsolationViolation,
  type KeyRange,
  prefixRange,
} from '../../regional/storage/fence.ts'
import {
  Database,
  type NativeDatabase,
  type NativeTransaction,
  Subspace,
} from '../../regional/storage/foundationdb.ts'
import { openEngine } from '../../regional/storage/open.ts'
import { fenceDatabase, grantOf, readAll, tenantPrefix } from './fence_fixture.ts'
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

/** A key of the region's own that a tenant may write and not read. */
export const pointerKey = (tenant: bigint): Buffer =>
  Buffer.concat([Buffer.from([2, 0x70]), tenantPrefix(tenant)])

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

export type Body<T> = (db: Database, fenced: NativeDatabase) => Promise<T> | T

/**
 * Lets `body` work as the fenced tenant, on the package's `Database` or the native one, and fails unless the
 * neighbours come out of it as they were: their bytes, and the outcomes of their commits. Nor may anything of
 * theirs come back, or any key outside reach the engine. Twice: quiet, when a neighbour reads all that is theirs
 * before and commits after; busy, when they write it all before each of the tenant's commits.
 */
export async function trials<T>(world: World, tenant: bigint, body: Body<T>, grant: Grant) {
  const quiet = await attempt(world, tenant, body, grant, false)
  const busy = await attempt(world, tenant, body, grant, true)
  return { quiet, busy }
}

/** The same for a body that retries nothing by itself: then nothing may have had to be retried. */
export async function trial<T>(world: World, tenant: bigint, body: Body<T>, grant = grantOf(tenant)) {
  const { quiet, busy } = await trials(world, tenant, body, grant)
  for (const { calls } of [quiet, busy])
    expect(calls.filter(({ method }) => method === 'onError').length, 'a neighbour got in the way').toBe(0)
  return quiet
}

async function attempt<T>(
  { native }: World,
  tenant: bigint,
  body: Body<T>,
  grant: Grant,
  busy: boolean,
): Promise<Trial<T>> {
  const own = prefixRange(tenantPrefix(tenant))
  await seed(native, tenant)
  const outside = gaps([own, ...(grant.writeOnly ?? [])])
  const before = await rowsOf(native.createTransaction(), outside)
  const neighbour = native.createTransaction()
  await rowsOf(neighbour, outside)
  neighbour.set(Buffer.from([2, 1]), Buffer.from(SECRET))

  const calls: Call[] = []
  const violations: IsolationViolation[] = []
  const interrupt = busy ? () => overwrite(native, neighbourKeys(tenant)) : async () => {}
  const below: NativeDatabase = {
    createTransaction: () => recorded(interrupted(native.createTransaction(), interrupt), calls),
    setOption: () => expect.unreachable('the database was changed'),
    close: () => expect.unreachable('the database was closed'),
  }
  const fenced = fenceDatabase(below, grant, (violation) => violations.push(violation))
  const db = new Database(fenced, new Subspace(own.begin))
  const { result, error } = await Promise.try(() => body(db, fenced)).then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  )

  if (!busy) await neighbour.commit()
  expect(await rowsOf(native.createTransaction(), outside)).toEqual(before)
  expectNothingOf(SECRET, [result, error])
  for (const call of calls) expectInside(grant, call)
  const rows = await rowsOf(native.createTransaction(), [own])
  const text = (key: Buffer) => key.subarray(own.begin.length).toString('latin1')
  return { result, error, violations, calls, own: rows.map(([key, value]) => [text(key), value.toString()]) }
}

/** What lies between the ranges, of all keys that are not the system's. */
function gaps(ranges: KeyRange[]): KeyRange[] {
  const sorted = ranges.toSorted((a, b) => a.begin.compare(b.begin))
  const begins = [FIRST, ...sorted.map(({ end }) => end)]
  const ends = [...sorted.map(({ begin }) => begin), LAST]
  return begins.map((begin, i) => ({ begin, end: ends[i] ?? LAST }))
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

/** Methods that may also go to the write-only ranges. */
const WRITES = new Set(['set', 'clear', 'clearRange', 'atomicOp', 'addWriteConflictRange'])

/** All keys of a call that reached the engine lie in one of the grant's ranges, or end it. */
export function expectInside(grant: Grant, call: Call): void {
  const keys = keysOf(call)
  const ranges = [grant.readWrite, ...(WRITES.has(call.method) ? (grant.writeOnly ?? []) : [])]
  const inside = ranges.some((range) => range !== undefined && keys.every((key) => holds(range, key)))
  if (keys.length > 0)
    expect(inside, `${call.method} reached the engine with ${keys.map((key) => key.toString('hex'))}`).toBe(
      true,
    )
}

/** The end of a range is told as being inside: a range that ends there is. */
export function holds({ begin, end }: KeyRange, key: Buffer): boolean {
  return begin.compare(key) <= 0 && key.compare(end) <= 0
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

/** Nothing but each side's own rows. */
async function seed(native: NativeDatabase, tenant: bigint): Promise<void> {
  const tn = native.createTransaction()
  tn.clearRange(FIRST, LAST)
  for (const key of ownKeys(tenant)) tn.set(key, 'own')
  for (const key of neighbourKeys(tenant)) tn.set(key, SECRET)
  await tn.commit()
}

async function overwrite(native: NativeDatabase, keys: Buffer[]): Promise<void> {
  const tn = native.createTransaction()
  for (const key of keys) tn.set(key, SECRET)
  await tn.commit()
}

async function rowsOf(tn: NativeTransaction, ranges: KeyRange[]): Promise<[Buffer, Buffer][]> {
  const found: [Buffer, Buffer][] = []
  for (const { begin, end } of ranges) {
    const { results, more } = await readAll(tn, begin, end)
    expect(more).toBe(false)
    found.push(...results)
  }
  return found
}
