// A space: typed, tuple-keyed entries under one prefix of one transaction. Everything that is kept is kept in one.
// Reads are bounded: a page has a limit and a key to go on from, never an offset.
import { type Transaction, tuple } from './foundationdb.ts'
import { kept } from './kept_bytes.ts'
import { packTuple } from './pack_tuple.ts'

export type KeyItem = string | number | bigint | Buffer
export type Key = ReadonlyArray<KeyItem>

/** The package's transaction with plain byte keys; the fence lies below it. */
export type ByteTransaction = Transaction<Buffer, Buffer, Buffer, Buffer>

export interface Codec<V> {
  encode(value: V): Buffer
  decode(bytes: Buffer): V
}

/** What stands in a space, and under which name: K the key's tuple, V the value. */
export interface SpaceDefinition<K extends Key, V> {
  /** The space's name, as the first item of its keys. */
  readonly name: Buffer
  readonly codec: Codec<V>
  /** Carries the key's type only. */
  readonly key?: K
}

/** Values as JSON text. */
export const jsonSpace = <K extends Key, V>(name: string): SpaceDefinition<K, V> => ({
  name: packedName(name),
  codec: json<V>(),
})

/** A name as the first item of a key. */
export const packedName = (name: string): Buffer => tuple.pack([name])

export const json = <V>(): Codec<V> => ({
  encode: (value) => Buffer.from(JSON.stringify(value)),
  decode: (bytes) => JSON.parse(bytes.toString()) as V,
})

/** Which keys of a space: all of these hold together. Keys that begin with a bound's items lie on its side. */
export interface KeyBounds<K extends Key> {
  /** Goes on behind this key: after it, or before it from the last key to the first. */
  after?: K | undefined
  /** Only keys that begin with these items. */
  under?: Key
  /** Not before this one, and what begins with it. */
  from?: Key | undefined
  /** Only behind this one, and behind what begins with it. */
  behind?: Key | undefined
  /** Only before this one. */
  to?: Key | undefined
  /** Not behind this one, and what begins with it. */
  through?: Key | undefined
  /** From the last key to the first. */
  reverse?: boolean
}

/** Entries of a page: a transaction has five seconds, and others wait for the memory and time that it takes. */
const MAX_PAGE = 10_000

/** @throws {RangeError} for a page without a bound */
export function pageSize(limit: number): number {
  if (limit <= MAX_PAGE) return limit
  throw new RangeError(`a page has at most ${MAX_PAGE} entries: go on from its last key with another`)
}

export interface PageRequest<K extends Key> extends KeyBounds<K> {
  /** At most 10,000. */
  limit: number
}

export interface Page<K extends Key, V> {
  entries: ReadonlyArray<readonly [key: K, value: V]>
  more: boolean
}

export class Space<K extends Key, V> {
  protected readonly tn: ByteTransaction
  readonly #prefix: Buffer
  private readonly codec: Codec<V>

  /** @param subspace the bytes before this space's name: a subspace that the transaction may touch. */
  constructor(tn: ByteTransaction, subspace: Buffer, { name, codec }: SpaceDefinition<K, V>) {
    this.tn = tn
    this.#prefix = prefixOf(subspace, name)
    this.codec = codec
  }

  async get(key: K): Promise<V | undefined> {
    const bytes = await this.tn.get(this.pack(key))
    return bytes === undefined ? undefined : this.codec.decode(bytes)
  }

  /** As {@link get}, without a conflict when it changes: for what may be wrong now and then and does no harm. */
  async peek(key: K): Promise<V | undefined> {
    const bytes = await this.tn.snapshot().get(this.pack(key))
    return bytes === undefined ? undefined : this.codec.decode(bytes)
  }

  set(key: K, value: V): void {
    this.tn.set(this.pack(key), this.codec.encode(value))
  }

  clear(key: K): void {
    this.tn.clear(this.pack(key))
  }

  /** Clears every key that begins with these items and has more, reading none of them. */
  clearUnder(under: Key): void {
    const range = rangeOf(this.#prefix, { under })
    if (range !== undefined) this.tn.clearRange(range.begin, range.end)
  }

  async page({ limit, ...bounds }: PageRequest<K>): Promise<Page<K, V>> {
    const range = rangeOf(this.#prefix, bounds)
    if (range === undefined) return { entries: [], more: false }
    const { reverse = false } = bounds
    const rows = await this.tn.getRangeAll(range.begin, range.end, { limit: pageSize(limit) + 1, reverse })
    return {
      entries: rows.slice(0, limit).map(([key, value]) => [this.unpack(key), this.codec.decode(value)]),
      more: rows.length > limit,
    }
  }

  protected pack(key: Key): Buffer {
    return packed(this.#prefix, key)
  }

  private unpack(key: Buffer): K {
    return unpackKey<K>(this.#prefix, key)
  }
}

/** The byte range of what `bounds` say; undefined when nothing can lie there. Never a key outside the prefix. */
export function rangeOf<K extends Key>(
  prefix: Buffer,
  { under = [], after, from, behind, to, through, reverse = false }: KeyBounds<K>,
): { begin: Buffer; end: Buffer } | undefined {
  const at = (key: Key | undefined) => (key === undefined ? [] : [packed(prefix, key)])
  // Tuple items never begin with ff, and 00 comes first: a range up to ff holds every longer key and nothing else.
  const past = (key: Key | undefined) => at(key).map((bytes) => Buffer.concat([bytes, Buffer.of(0xff)]))
  const base = under.length === 0 ? prefix : packed(prefix, under)
  const begins = [Buffer.concat([base, Buffer.of(0x00)]), ...at(from), ...past(behind)]
  const ends = [Buffer.concat([base, Buffer.of(0xff)]), ...at(to), ...past(through)]
  const begin = last(reverse ? begins : [...begins, ...past(after)])
  const end = first(reverse ? [...ends, ...at(after)] : ends)
  return begin.compare(end) < 0 ? { begin, end } : undefined
}

const last = (keys: ReadonlyArray<Buffer>) => keys.reduce((a, b) => (a.compare(b) < 0 ? b : a))
const first = (keys: ReadonlyArray<Buffer>) => keys.reduce((a, b) => (a.compare(b) < 0 ? a : b))

/** Subspaces are kept for busy tenants, and the prefixes of the spaces in them with them. */
const prefixes = new WeakMap<Buffer, Map<Buffer, Buffer>>()

export function prefixOf(subspace: Buffer, name: Buffer): Buffer {
  const ofSubspace = prefixes.get(subspace) ?? new Map<Buffer, Buffer>()
  const known = ofSubspace.get(name)
  if (known !== undefined) return known
  const prefix = kept(Buffer.concat([subspace, name]))
  prefixes.set(subspace, ofSubspace.set(name, prefix))
  return prefix
}

/** The bytes of one key: what a grant names when it allows that key alone. */
export const keyIn = <K extends Key, V>(subspace: Buffer, { name }: SpaceDefinition<K, V>, key: K): Buffer =>
  packed(Buffer.concat([subspace, name]), key)

/** The type is the space's word: only its own `set` puts keys there. */
export const unpackKey = <K extends Key>(prefix: Buffer, key: Buffer): K =>
  tuple.unpack(key.subarray(prefix.length)) as unknown as K

/** @throws {RangeError} for an empty key, which would be the space's bare prefix. */
export function packed(prefix: Buffer, key: Key): Buffer {
  if (key.length === 0) throw new RangeError('a key has at least one item')
  return packTuple(prefix, key)
}
