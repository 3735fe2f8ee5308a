// Values of any size up to some megabytes, over as many keys as they need: the database takes 100,000 bytes at most in
// one. A value is written, read and cleared whole; its first row says how long it is, so a half-read one is never given.
import {
  type ByteTransaction,
  type Key,
  type KeyBounds,
  packed,
  packedName,
  prefixOf,
  rangeOf,
  unpackKey,
} from './space.ts'

/** What a chunked space is called. Keys of one space all have the same number of items. */
export interface ChunkedSpaceDefinition<K extends Key> {
  readonly chunkedName: Buffer
  /** Carries the key's type only. */
  readonly key?: K
}

export const chunkedSpace = <K extends Key>(name: string): ChunkedSpaceDefinition<K> => ({
  chunkedName: packedName(name),
})

export interface ChunkedPageRequest<K extends Key> extends Omit<KeyBounds<K>, 'reverse'> {
  limit: number
  /** The page ends before the value that would make it larger; it looks at one value at least. */
  maxBytes: number
  /** Leaves out the others. They count for `maxBytes`, since they are read, and not for `limit`. */
  shows?: (value: Buffer) => boolean
  /** The page ends when it has looked at so many. */
  mostLookedAt?: number
  /** Conflicts with changes of the values that it gives, and not with new ones beside them. */
  onlyValues?: boolean
}

export interface ChunkedPage<K extends Key> {
  entries: ReadonlyArray<readonly [key: K, value: Buffer]>
  /** The last one that was looked at. */
  through: K | undefined
  more: boolean
}

const CHUNK_BYTES = 90_000
const LENGTH_BYTES = 4

export class ChunkedSpace<K extends Key> {
  private readonly tn: ByteTransaction
  readonly #prefix: Buffer

  constructor(tn: ByteTransaction, subspace: Buffer, { chunkedName }: ChunkedSpaceDefinition<K>) {
    this.tn = tn
    this.#prefix = prefixOf(subspace, chunkedName)
  }

  async get(key: K): Promise<Buffer | undefined> {
    const base = packed(this.#prefix, key)
    const first = await this.tn.get(base)
    if (first === undefined) return undefined
    const value = new Assembly(first)
    if (value.whole === undefined) {
      for (const [, rest] of await this.tn.getRangeAll(...restOf(base))) value.add(rest)
    }
    return value.finished()
  }

  set(key: K, value: Buffer): void {
    const base = packed(this.#prefix, key)
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt32BE(value.length)
    this.tn.clearRange(...restOf(base))
    this.tn.set(base, Buffer.concat([length, value.subarray(0, CHUNK_BYTES)]))
    for (let i = 1; i * CHUNK_BYTES < value.length; i++) {
      const chunk = value.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES)
      this.tn.set(packed(this.#prefix, [...key, i]), chunk)
    }
  }

  clear(key: K): void {
    const base = packed(this.#prefix, key)
    this.tn.clear(base)
    this.tn.clearRange(...restOf(base))
  }

  async page({ onlyValues = false, ...request }: ChunkedPageRequest<K>): Promise<ChunkedPage<K>> {
    if (!onlyValues) return this.read(this.tn, request)
    const page = await this.read(this.tn.snapshot(), request)
    for (const [key] of page.entries) {
      const base = packed(this.#prefix, key)
      this.tn.addReadConflictRange(base, Buffer.concat([base, Buffer.of(0xff)]))
    }
    return page
  }

  private async read(
    tn: ByteTransaction,
    { limit, maxBytes, shows, mostLookedAt = Number.POSITIVE_INFINITY, ...bounds }: ChunkedPageRequest<K>,
  ): Promise<ChunkedPage<K>> {
    const entries: Array<[K, Buffer]> = []
    let last: Buffer | undefined
    const page = (more: boolean): ChunkedPage<K> => ({
      entries,
      through: last && unpackKey<K>(this.#prefix, last),
      more,
    })
    const range = rangeOf(this.#prefix, bounds)
    if (range === undefined) return page(false)
    let bytes = 0
    let lookedAt = 0
    let key: Buffer | undefined
    let value: Assembly | undefined
    for await (const batch of tn.getRangeBatch(range.begin, range.end)) {
      for (const [row, content] of batch) {
        if (value === undefined) {
          if (entries.length === limit || lookedAt === mostLookedAt) return page(true)
          key = row
          value = new Assembly(content)
          bytes += value.length
          if (lookedAt > 0 && bytes > maxBytes) return page(true)
        } else {
          value.add(content)
        }
        const { whole } = value
        if (whole === undefined || key === undefined) continue
        lookedAt++
        last = key
        if (shows === undefined || shows(whole)) entries.push([unpackKey<K>(this.#prefix, key), whole])
        value = undefined
      }
    }
    // What is left of a value without its end can't be: it is written in one commit.
    value?.finished()
    return page(false)
  }
}

/** A value as its rows come in. */
class Assembly {
  readonly length: number
  private readonly parts: Buffer[]
  private missing: number

  constructor(first: Buffer) {
    this.length = first.readUInt32BE()
    this.parts = [first.subarray(LENGTH_BYTES)]
    this.missing = this.length - first.length + LENGTH_BYTES
  }

  add(part: Buffer): void {
    this.parts.push(part)
    this.missing -= part.length
  }

  get whole(): Buffer | undefined {
    return this.missing === 0 ? Buffer.concat(this.parts) : undefined
  }

  finished(): Buffer {
    const { whole } = this
    if (whole === undefined) throw new Error('a value in chunks is not whole')
    return whole
  }
}

const restOf = (base: Buffer): [Buffer, Buffer] => [
  Buffer.concat([base, Buffer.of(0x00)]),
  Buffer.concat([base, Buffer.of(0xff)]),
]
