// What a hostile or merely broken application calls: every method of NativeTransaction, and the package's, with
// keys as close to the border as keys can be, and with things that are no keys at all.

import fc from 'fast-check'
import { prefixRange } from '../../regional/storage/fence.ts'
import { stampedKey, tenantPrefix } from './fence_fixture.ts'
import { neighbourKeys, ownKeys, pointerKey } from './fence_world.ts'

/** A method and what it is given; made to be printed when it was part of a failure. */
export interface Step {
  readonly method: string
  readonly args: ReadonlyArray<unknown>
  /** By callback instead of by promise. */
  readonly callback: boolean
  /** Not waited for before the next. */
  readonly detached: boolean
}

type Arguments = ReadonlyArray<fc.Arbitrary<unknown>>

/** Keys that a tenant may name: its own, at the very edges too. */
function ownKey(tenant: bigint): fc.Arbitrary<Buffer> {
  const prefix = tenantPrefix(tenant)
  return fc.oneof(
    fc.constantFrom(...ownKeys(tenant)),
    fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from([...prefix, ...bytes])),
    fc.constantFrom(prefix, Buffer.from([...prefix, 0]), Buffer.from([...prefix, 0xff, 0xff])),
  )
}

/** Keys of every kind; most lie inside, or the first refusal would hide what comes after it. */
export function hostileKey(tenant: bigint): fc.Arbitrary<unknown> {
  const prefix = tenantPrefix(tenant)
  const { end } = prefixRange(prefix)
  const outside = fc.oneof(
    fc.constantFrom(...neighbourKeys(tenant)),
    fc.constantFrom(
      end,
      Buffer.concat([end, Buffer.alloc(1)]),
      prefix.subarray(0, -1),
      prefix.subarray(0, 1),
    ),
    fc
      .constantFrom('', 'ff', 'ffff', 'ff2f6d65746164617461', '00', 'fe')
      .map((hex) => Buffer.from(hex, 'hex')),
    fc.constantFrom('', 'a', '\ud800', '\udc00x', `\u0001${'\0'.repeat(8)}`, '\u00ff', '\uffff'),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
    fc.uint8Array({ maxLength: 12 }),
    fc.nat(prefix.length - 1).map((at) => flipped(prefix, at)),
    fc.constantFrom(undefined, null, 7, {}, [], { length: 9 }, true),
  )
  return fc.oneof(
    { weight: 30, arbitrary: ownKey(tenant) },
    { weight: 1, arbitrary: fc.constant(Buffer.alloc(10_001, prefix)) },
    { weight: 1, arbitrary: fc.constant(end) },
    { weight: 1, arbitrary: fc.constant(pointerKey(tenant)) },
    { weight: 4, arbitrary: outside },
  )
}

/** Keys for operation 14: the stamp's place is anywhere. */
export function hostileStampedKey(tenant: bigint): fc.Arbitrary<unknown> {
  const prefix = tenantPrefix(tenant)
  const place = fc.oneof(
    fc.constantFrom(0, 1, prefix.length - 1, prefix.length, prefix.length + 1, 2 ** 31 - 1, -1, -(2 ** 31)),
    fc.integer({ min: -3, max: 30 }),
  )
  const begin = fc.constantFrom(prefix, Buffer.concat([prefix, Buffer.from('log')]), ...neighbourKeys(tenant))
  return fc.oneof(
    fc
      .tuple(begin, place, fc.uint8Array({ maxLength: 4 }))
      .map(([key, at, tail]) => stampedKey(key, at, Buffer.from(tail))),
    hostileKey(tenant),
  )
}

const flag = fc.boolean()
const value = fc.oneof(
  fc.constantFrom('', 'own', Buffer.from('own')),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
)
const offset = fc.oneof(
  { weight: 6, arbitrary: fc.constant(1) },
  { weight: 5, arbitrary: fc.integer({ min: -9, max: 9 }) },
  { weight: 1, arbitrary: fc.constantFrom(2 ** 31 - 1, -(2 ** 31 - 1)) },
)
const noOffset = fc.constantFrom(-(2 ** 31), 2 ** 31, 1.5, Number.NaN)
const hostileOffset = fc.oneof({ weight: 20, arbitrary: offset }, { weight: 1, arbitrary: noOffset })
const operation = fc.constantFrom(2, 6, 7, 8, 9, 12, 13, 15, 16, 17, 20)
const hostileOperation = fc.oneof(
  { weight: 9, arbitrary: operation },
  { weight: 1, arbitrary: fc.integer({ min: -1, max: 30 }) },
)
/** A timeout would make the outcome a matter of the machine's speed. */
const option = fc.oneof(
  fc.constantFrom(...[20, 30, 51, 52, 201, 600, 601, 1101, 1102].map((code) => [code, null] as const)),
  fc.constantFrom([500, 0] as const, [501, 3] as const, [502, 5] as const, [503, 100_000] as const),
  fc.constantFrom([800, Buffer.from('tag')] as const, [403, Buffer.from('id')] as const),
)
const anyOption = fc
  .integer({ min: 0, max: 2_100 })
  .filter((code) => code < 500 || code > 503)
  .map((code) => [code, null] as const)

/** What the calls of NativeTransaction are given. */
interface Material {
  key: fc.Arbitrary<unknown>
  /** The end of a range, which may be the border. */
  end: fc.Arbitrary<unknown>
  writable: fc.Arbitrary<unknown>
  stamped: fc.Arbitrary<unknown>
  offset: fc.Arbitrary<unknown>
  operation: fc.Arbitrary<number>
  option: fc.Arbitrary<readonly [number, unknown]>
}

/** Any call of NativeTransaction, with anything. */
export function hostileStep(tenant: bigint): fc.Arbitrary<Step> {
  const key = hostileKey(tenant)
  const refused: WeightedStep[] = [
    { weight: 1, arbitrary: step('setReadVersion', fc.constant([Buffer.alloc(8)])) },
    { weight: 1, arbitrary: step('getAddressesForKey', fc.tuple(key)) },
    { weight: 1, arbitrary: step('setOption', anyOption) },
  ]
  const stamped = hostileStampedKey(tenant)
  const material = {
    key,
    end: key,
    writable: key,
    stamped,
    offset: hostileOffset,
    operation: hostileOperation,
    option,
  }
  return fc.oneof(...nativeSteps(material), ...refused)
}

/** Calls that the fence lets through, and that would all go over the border if it did only that. */
export function slyStep(tenant: bigint): fc.Arbitrary<Step> {
  const prefix = tenantPrefix(tenant)
  const key = ownKey(tenant)
  const stamped = fc
    .tuple(key, fc.nat(9), fc.uint8Array({ maxLength: 4 }))
    .map(([begin, before, tail]) =>
      stampedKey(begin, Math.max(prefix.length, begin.length - before), Buffer.from(tail)),
    )
  const end = fc.oneof(
    { weight: 4, arbitrary: key },
    { weight: 1, arbitrary: fc.constant(prefixRange(prefix).end) },
  )
  const writable = fc.oneof(
    { weight: 9, arbitrary: key },
    { weight: 1, arbitrary: fc.constant(pointerKey(tenant)) },
  )
  return fc.oneof(...nativeSteps({ key, end, writable, stamped, offset, operation, option }))
}

type WeightedStep = { weight: number; arbitrary: fc.Arbitrary<Step> }

function nativeSteps(material: Material): WeightedStep[] {
  const { key, end, writable, stamped, offset, operation, option } = material
  const how = [
    fc.constantFrom(0, 0, 1, 2, 1_000),
    fc.constantFrom(0, 1, 1_000),
    fc.integer({ min: -2, max: 4 }),
  ]
  const before = [end, fc.constant(false), offset]
  const at = [key, flag, offset]
  const calls: Array<[weight: number, method: string, args: Arguments]> = [
    [3, 'get', [key, flag]],
    [3, 'getKey', [...at, flag]],
    [1, 'getKey', [...before, flag]],
    [4, 'getRange', [...at, ...before, ...how, fc.integer({ min: 1, max: 3 }), flag, flag]],
    [2, 'getRange', [...at, ...at, ...how, fc.integer({ min: 1, max: 3 }), flag, flag]],
    [3, 'set', [writable, value]],
    [2, 'clear', [writable]],
    [3, 'clearRange', [key, end]],
    [3, 'atomicOp', [operation, writable, value]],
    [2, 'atomicOp', [fc.constant(14), stamped, value]],
    [1, 'getEstimatedRangeSizeBytes', [key, end]],
    [1, 'getRangeSplitPoints', [key, end, fc.constantFrom(1, 100, 10_000)]],
    [1, 'watch', [key, flag]],
    [2, 'addReadConflictRange', [key, end]],
    [2, 'addWriteConflictRange', [key, end]],
    [1, 'getReadVersion', []],
    [1, 'getCommittedVersion', []],
    [1, 'getVersionstamp', []],
    [1, 'getApproximateSize', []],
    [1, 'commit', []],
    [1, 'onError', [fc.constantFrom(1020, 1007, 1025, 2000)]],
    [1, 'reset', []],
    [1, 'cancel', []],
  ]
  return [
    ...calls.map(([weight, method, args]) => ({ weight, arbitrary: step(method, fc.tuple(...args)) })),
    { weight: 2, arbitrary: step('setOption', option) },
  ]
}

/** Where a call of the package is made: in the tenant's own scope, or in one that it should not have. */
export const SCOPES = ['own', 'root', 'neighbour', 'empty', 'tuple', 'snapshot'] as const
export interface PackageStep extends Step {
  readonly scope: (typeof SCOPES)[number]
}

/** Calls of the package's `Transaction`; keys in `own` scopes are relative, as its users give them. */
export function packageStep(tenant: bigint): fc.Arbitrary<PackageStep> {
  const key = fc.oneof(fc.constantFrom('', 'a', 'b', 'c', 'projects', '\ud800'), hostileKey(tenant))
  const selector = fc.oneof(
    key,
    fc.record({ key, orEqual: flag, offset: hostileOffset, _isKeySelector: fc.constant(true) }),
  )
  const maybe = (arbitrary: fc.Arbitrary<unknown>) => fc.option(arbitrary, { nil: undefined, freq: 2 })
  const how = fc.record({ limit: fc.constantFrom(0, 1, 100), reverse: flag })
  const buffer = fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes))
  const calls: Array<[method: string, args: Arguments]> = [
    ['get', [key]],
    ['exists', [key]],
    ['getKey', [selector]],
    ['getRangeAll', [selector, maybe(selector), how]],
    ['getRangeAllStartsWith', [key, how]],
    [
      'getRangeNative',
      [selector, selector, fc.constant(0), fc.constant(0), fc.constant(-2), fc.constant(0), flag],
    ],
    ['set', [key, value]],
    ['clear', [key]],
    ['clearRange', [key, maybe(key)]],
    ['clearRangeStartsWith', [key]],
    ['atomicOpNative', [fc.oneof(hostileOperation, fc.constant(14)), hostileStampedKey(tenant), value]],
    ['atomicOp', [operation, key, value]],
    ['atomicOpKB', [fc.constant(14), hostileStampedKey(tenant), value]],
    ['setVersionstampedKeyRaw', [hostileStampedKey(tenant), value]],
    ['setVersionstampedKeyBuf', [maybe(buffer), maybe(buffer), value]],
    ['setVersionstampSuffixedKey', [key, value, maybe(buffer)]],
    ['setVersionstampPrefixedValue', [key, value]],
    ['getVersionstampPrefixedValue', [key]],
    ['watch', [key]],
    ['addReadConflictRange', [key, key]],
    ['addReadConflictKey', [key]],
    ['addWriteConflictRange', [key, key]],
    ['addWriteConflictKey', [key]],
    ['getEstimatedRangeSizeBytes', [key, key]],
    ['getRangeSplitPoints', [key, key, fc.constant(100)]],
    ['getAddressesForKey', [key]],
    ['setReadVersion', [fc.constant(Buffer.alloc(8))]],
    ['rawReset', []],
    ['rawCancel', []],
  ]
  const single = calls.map(([method, args]) => step(method, fc.tuple(...args)))
  const any = fc.oneof(...single, step('setOption', option), step('setOption', anyOption))
  return fc
    .tuple(any, fc.constantFrom(...SCOPES))
    .map(([call, scope]) => ({ ...call, scope, callback: false }))
}

function step(method: string, args: fc.Arbitrary<ReadonlyArray<unknown>>): fc.Arbitrary<Step> {
  const detached = fc.oneof(
    { weight: 9, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  )
  return fc.record({ method: fc.constant(method), args, callback: flag, detached })
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
  return copy
}
