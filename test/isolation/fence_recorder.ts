// Under the fence: a NativeTransaction that notes every call before it hands it on, and one over a small
// sorted map for tests of what reaches the engine. The keys are kept by reference, as an engine may keep
// them until the commit.

import type { KVList, NativeTransaction } from 'foundationdb/dist/lib/native.js'

export interface Call {
  readonly method: string
  readonly args: ReadonlyArray<unknown>
}

/** `native`, with every call noted in `calls`. */
export function recorded(native: NativeTransaction, calls: Call[]): NativeTransaction {
  return new Proxy(native, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function' || typeof name !== 'string') return value
      return (...args: unknown[]): unknown => {
        calls.push({ method: name, args })
        return Reflect.apply(value, target, args)
      }
    },
  })
}

/** Where in each method's arguments the keys stand. A method left out takes none. */
const KEYS: Readonly<Record<string, ReadonlyArray<number>>> = {
  get: [0],
  getKey: [0],
  getRange: [0, 3],
  set: [0],
  clear: [0],
  clearRange: [0, 1],
  atomicOp: [1],
  getEstimatedRangeSizeBytes: [0, 1],
  getRangeSplitPoints: [0, 1],
  watch: [0],
  addReadConflictRange: [0, 1],
  addWriteConflictRange: [0, 1],
  getAddressesForKey: [0],
}

/** The bytes of every key that a call names. */
export function keysOf({ method, args }: Call): Buffer[] {
  return (KEYS[method] ?? []).map((at) => Buffer.from(args[at] as Buffer))
}

/** Answers reads from `rows` (hex key → value) at once and writes nothing; enough to see what a fence asks for. */
export function fakeTransaction(
  rows: ReadonlyArray<readonly [key: Buffer, value: Buffer]>,
): NativeTransaction {
  const sorted = rows.toSorted(([a], [b]) => Buffer.compare(a, b))
  const nothing = (): void => {}
  const fake = {
    get: async (key: Buffer) => sorted.find(([at]) => at.equals(key))?.[1],
    getRange: async (...call: Parameters<NativeTransaction['getRange']>): Promise<KVList> => {
      const [start, startOrEqual, , end, endOrEqual, , limit] = call
      const from = bound(start, startOrEqual)
      const to = bound(end, endOrEqual)
      const inside = sorted.filter(([at]) => Buffer.compare(from, at) <= 0 && Buffer.compare(at, to) < 0)
      if (call[11]) inside.reverse()
      const results = inside.slice(0, limit === 0 ? undefined : limit)
      return {
        results: results.map(([key, value]) => [key, value] as [Buffer, Buffer]),
        more: results.length < inside.length,
      }
    },
    getEstimatedRangeSizeBytes: async () => 0,
    getRangeSplitPoints: async (start: Buffer, end: Buffer) => [start, end],
    getReadVersion: async () => Buffer.alloc(8),
    getVersionstamp: async () => Buffer.alloc(10),
    getCommittedVersion: () => Buffer.alloc(8),
    getApproximateSize: async () => 0,
    commit: async () => undefined,
    onError: async () => undefined,
    watch: () => ({ cancel: nothing, promise: Promise.resolve(true) }),
    getKey: async () => Buffer.alloc(0),
    getAddressesForKey: () => [],
    set: nothing,
    clear: nothing,
    clearRange: nothing,
    atomicOp: nothing,
    addReadConflictRange: nothing,
    addWriteConflictRange: nothing,
    setOption: nothing,
    setReadVersion: nothing,
    reset: nothing,
    cancel: nothing,
  }
  return fake as unknown as NativeTransaction
}

function bound(key: string | Buffer, orEqual: boolean): Buffer {
  const bytes = Buffer.from(key as Buffer)
  return orEqual ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes
}
