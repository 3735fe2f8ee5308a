// A space: typed, tuple-keyed entries under one prefix of one transaction. Everything that is kept is kept in one.
// Reads are bounded: a page has a limit and a key to go on from, never an offset.
import { type Transaction, tuple } from './foundationdb.ts'

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

export interface PageRequest<K extends Key> {
  limit: number
  /** Goes on behind this key. */
  after?: K | undefined
  /** Only keys that begin with these items. */
  under?: Key
  /** From the last key to the first. */
  reverse?: boolean
}

export interface Page<K extends Key, V> {
  entries: ReadonlyArray<readonly [key: K, value: V]>
  more: boolean
}

export class Space<K extends Key, V> {
  protected readonly tn: ByteTransaction
  private readonly prefix: Buffer
  private readonly codec: Codec<V>

  /** @param subspace the bytes before this space's name: a subspace that the transaction may touch. */
  constructor(tn: ByteTransaction, subspace: Buffer, { name, codec }: SpaceDefinition<K, V>) {
    this.tn = tn
    this.prefix = prefixOf(subspace, name)
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

  async page({ limit, after, under = [], reverse = false }: PageRequest<K>): Promise<Page<K, V>> {
    const base = under.length === 0 ? this.prefix : this.pack(under)
    // Tuple items never begin with ff, and 00 comes first: the range holds every longer key and nothing else.
    let begin: Buffer = Buffer.concat([base, Buffer.of(0x00)])
    let end: Buffer = Buffer.concat([base, Buffer.of(0xff)])
    if (after !== undefined) {
      if (reverse) end = this.pack(after)
      else begin = Buffer.concat([this.pack(after), Buffer.of(0xff)])
    }
    if (begin.compare(end) >= 0) return { entries: [], more: false }
    const rows = await this.tn.getRangeAll(begin, end, { limit: limit + 1, reverse })
    return {
      entries: rows.slice(0, limit).map(([key, value]) => [this.unpack(key), this.codec.decode(value)]),
      more: rows.length > limit,
    }
  }

  protected pack(key: Key): Buffer {
    return packed(this.prefix, key)
  }

  /** The type is this space's word: only {@link set} puts keys here. */
  private unpack(key: Buffer): K {
    return tuple.unpack(key.subarray(this.prefix.length)) as unknown as K
  }
}

/** Subspaces are kept for busy tenants, and the prefixes of the spaces in them with them. */
const prefixes = new WeakMap<Buffer, Map<Buffer, Buffer>>()

function prefixOf(subspace: Buffer, name: Buffer): Buffer {
  const ofSubspace = prefixes.get(subspace) ?? new Map<Buffer, Buffer>()
  const known = ofSubspace.get(name)
  if (known !== undefined) return known
  const prefix = Buffer.concat([subspace, name])
  prefixes.set(subspace, ofSubspace.set(name, prefix))
  return prefix
}

/** The bytes of one key: what a grant names when it allows that key alone. */
export const keyIn = <K extends Key, V>(subspace: Buffer, { name }: SpaceDefinition<K, V>, key: K): Buffer =>
  packed(Buffer.concat([subspace, name]), key)

/** @throws {RangeError} for an empty key, which would be the space's bare prefix. */
function packed(prefix: Buffer, key: Key): Buffer {
  if (key.length === 0) throw new RangeError('a key has at least one item')
  return Buffer.concat([prefix, tuple.pack(key as KeyItem[])])
}
