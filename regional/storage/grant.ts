// What a fenced transaction may touch, and the pure questions asked of it: does this key, this range,
// this versionstamped key lie inside? No I/O here. fence.ts asks before every call, so whatever these
// functions get wrong is a leak between tenants.
import { isBytes, kept, slabs } from './kept_bytes.ts'

/** Half-open: `begin` is inside, `end` is not. */
export interface KeyRange {
  readonly begin: Buffer
  readonly end: Buffer
}

/**
 * What one transaction may touch. `readWrite` is normally one prefix's range. `writeOnly` ranges are
 * narrow ones elsewhere (a tenant's job pointers, the counters of a usage flush): no read, no watch and
 * no read conflict ever goes there. `name` is for the security event (`tenant 42`); no key bytes in it.
 * A `lent` transaction is somebody else's to commit, reset, cancel and set options of: a service that could
 * reset the transaction it works in would shake off the status check made there before it.
 */
export type Grant = { readonly name: string; readonly lent?: boolean } & (
  | { readonly readWrite: KeyRange; readonly writeOnly?: ReadonlyArray<KeyRange> }
  | { readonly readWrite?: never; readonly writeOnly: ReadonlyArray<KeyRange> }
)

/** The first key of FoundationDB's own: nothing from here on is anybody's to be granted. */
const SYSTEM_KEYS = Buffer.alloc(1, 0xff)

/**
 * What ranges are checked by, and the keys that pass: in memory that nothing above the fence has a buffer in, so that no
 * stray write moves either.
 */
const keptBounds = slabs()
const passing = slabs()

const STAMP_BYTES = 10
const STAMP_OFFSET_BYTES = 4

/** Every key that starts with `prefix`. Throws a `RangeError` for a prefix that is nobody's to be granted. */
export function prefixRange(prefix: Buffer): KeyRange {
  const end = Buffer.from(prefix)
  const last = end.findLastIndex((byte) => byte !== 0xff)
  // An empty prefix would grant everything; one of nothing but 0xff bytes lies in the system's keys.
  if (last < 0) throw new RangeError('a grant needs a prefix below the system keys')
  end.writeUInt8(end.readUInt8(last) + 1, last)
  return { begin: prefix, end: end.subarray(0, last + 1) }
}

/** A grant as the fence keeps it. */
export interface OwnGrant {
  readonly name: string
  readonly lent: boolean
  readonly readWrite: KeyRange | undefined
  readonly writeOnly: ReadonlyArray<KeyRange>
}

/**
 * A grant of one's own to check by. The bytes are copied, because a grant is often made of the very
 * `Buffer` that a subspace hands out as its prefix, and one stray write into that would move the fence.
 * Throws a `RangeError` for a range that can't be granted.
 */
export function ownGrant(grant: Grant): OwnGrant {
  const known = owned.get(grant)
  if (known !== undefined) return known
  const { name, lent = false, readWrite, writeOnly = [] } = grant
  const own = { name, lent, readWrite: readWrite && ownRange(readWrite), writeOnly: writeOnly.map(ownRange) }
  owned.set(grant, own)
  return own
}

/** One copy a grant: what becomes of the grant after its first use moves no fence. */
const owned = new WeakMap<Grant, OwnGrant>()

/**
 * A range of grants that are made again and again, for whoever keeps it: its copy to check by is made here and kept with it.
 * Throws a `RangeError` for a range that can't be granted.
 */
export function keptRange(range: KeyRange): KeyRange {
  const { begin, end } = checked(range)
  const lasting = { begin: kept(begin), end: kept(end) }
  keptCopies.set(lasting, { begin: keptBounds(begin), end: keptBounds(end) })
  return lasting
}

const keptCopies = new WeakMap<KeyRange, KeyRange>()

/** Any other range is gone with its transaction: in the slabs of what is kept its copy would leave a hole. */
const ownRange = (range: KeyRange): KeyRange =>
  keptCopies.get(range) ?? checked({ begin: passing(range.begin), end: passing(range.end) })

function checked({ begin, end }: KeyRange): KeyRange {
  if (begin.length === 0) throw new RangeError('a grant cannot begin at the empty key')
  if (compare(begin, end) >= 0) throw new RangeError('a grant must hold at least one key')
  if (compare(end, SYSTEM_KEYS) > 0) throw new RangeError('a grant cannot hold system keys')
  return { begin, end }
}

/**
 * The bytes of a key as the engine will see them, or undefined when there is no such thing. Always a copy:
 * an engine may keep the buffer until the commit, and a caller that reuses its own buffer for another key
 * would otherwise carry a checked key over the border. A lone surrogate has no UTF-8 form (all of them
 * become U+FFFD, so different strings would be one key).
 */
export function keyBytes(key: unknown): Buffer | undefined {
  if (typeof key === 'string') return key.isWellFormed() ? passing(Buffer.from(key, 'utf8')) : undefined
  return isBytes(key) ? passing(key) : undefined
}

/** Whether the one key lies inside. Its conflict range, `[key, key 00)`, then does too. */
export function holdsKey(range: KeyRange, key: Buffer): boolean {
  return compare(range.begin, key) <= 0 && compare(key, range.end) < 0
}

/** Whether `bound` may begin or end a half-open range inside: the end itself is allowed here. */
export function holdsBound(range: KeyRange, bound: Buffer): boolean {
  return compare(range.begin, bound) <= 0 && compare(bound, range.end) <= 0
}

/** Both bounds are asked for, whatever their order: what lies between two points of a range is inside. */
export function holdsRange(range: KeyRange, begin: Buffer, end: Buffer): boolean {
  return holdsBound(range, begin) && holdsBound(range, end)
}

/** Whether one of the grant's ranges, read-write or write-only, is as asked. */
export function someWritable(grant: OwnGrant, holds: (range: KeyRange) => boolean): boolean {
  return (grant.readWrite !== undefined && holds(grant.readWrite)) || grant.writeOnly.some(holds)
}

/**
 * The lowest and the highest key that a versionstamped key can become, or undefined when it is malformed.
 * Its last four bytes are the stamp's place (little-endian) and no part of the key; the ten bytes there
 * will be overwritten at commit by a stamp that nobody knows yet. All 00 and all ff enclose every stamp,
 * so when both keys lie in a range, whatever the commit makes of it does: a stamp over the prefix can't.
 */
export function stampedKeys(key: Buffer): { lowest: Buffer; highest: Buffer } | undefined {
  const length = key.length - STAMP_OFFSET_BYTES
  if (length < STAMP_BYTES) return undefined
  // Unsigned, so that what the engine would take for a negative place is far beyond the key.
  const stamp = key.readUInt32LE(length)
  if (stamp + STAMP_BYTES > length) return undefined
  const lowest = Buffer.from(key.subarray(0, length)).fill(0x00, stamp, stamp + STAMP_BYTES)
  const highest = Buffer.from(key.subarray(0, length)).fill(0xff, stamp, stamp + STAMP_BYTES)
  return { lowest, highest }
}

/** The next key in byte order. */
export function keyAfter(key: Buffer): Buffer {
  const next = Buffer.alloc(key.length + 1)
  next.set(key)
  return next
}

/** Byte order. A loop, since it ends within the few bytes of a prefix; a call out of JavaScript costs more. */
function compare(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
