// A log: entries in the order of their commits, appended without reading, so that writers never conflict over its end.
// Keys are (epoch, versionstamp, place in the commit). Versionstamps only grow within one cluster; the epoch before
// them grows when the data moves to another.
import { MutationType } from './foundationdb.ts'
import { type ByteTransaction, type Codec, json, packedName, pageSize } from './space.ts'

/** Where an entry stands: 16 hexadecimal digits of epoch, 20 of versionstamp, 4 of place. Sorts as text. */
export type LogPosition = string

const STAMP_BYTES = 10
const EPOCH_BYTES = 8
const ORDER_BYTES = 2
const POSITION_BYTES = EPOCH_BYTES + STAMP_BYTES + ORDER_BYTES
/** Before a log's name: where its entries stand, by their ids. */
const PLACES = packedName('place')
/** Entries that were written side by side may be in each other's place. */
const NEARBY = 100
const POSITION = new RegExp(`^[0-9a-f]{${POSITION_BYTES * 2}}$`)

/** What a log holds, and under which name. */
export interface LogDefinition<V> {
  readonly name: Buffer
  readonly codec: Codec<V>
  /** What an entry is found by again; its place is written beside it, in the same commit. */
  readonly idOf?: (value: V) => string
}

export const jsonLog = <V>(name: string, idOf?: (value: V) => string): LogDefinition<V> => ({
  name: packedName(name),
  codec: json<V>(),
  ...(idOf && { idOf }),
})

export interface LogPage<V> {
  entries: ReadonlyArray<readonly [position: LogPosition, value: V]>
  more: boolean
}

export class Log<V> {
  private readonly tn: ByteTransaction
  private readonly prefix: Buffer
  private readonly codec: Codec<V>
  private readonly idOf: LogDefinition<V>['idOf']
  private readonly places: Buffer
  private appended = 0

  constructor(tn: ByteTransaction, subspace: Buffer, { name, codec, idOf }: LogDefinition<V>) {
    this.tn = tn
    this.prefix = Buffer.concat([subspace, name])
    this.codec = codec
    this.idOf = idOf
    this.places = Buffer.concat([subspace, PLACES, name])
  }

  /** @param epoch of the cluster that the tenant lives on. Entries of one transaction keep their order. */
  append(epoch: number, value: V): void {
    const tail = Buffer.alloc(POSITION_BYTES + 4)
    tail.writeBigUInt64BE(BigInt(epoch))
    tail.writeUInt16BE(this.appended++, EPOCH_BYTES + STAMP_BYTES)
    tail.writeUInt32LE(this.prefix.length + EPOCH_BYTES, POSITION_BYTES)
    const key = Buffer.concat([this.prefix, tail])
    this.tn.atomicOpNative(MutationType.SetVersionstampedKey, key, this.codec.encode(value))
    if (this.idOf === undefined) return
    const place = Buffer.from(tail)
    place.writeUInt32LE(EPOCH_BYTES, POSITION_BYTES)
    this.tn.atomicOpNative(MutationType.SetVersionstampedValue, this.placeKey(this.idOf(value)), place)
  }

  /** Where the entry of this id stands. */
  async find(id: string): Promise<LogPosition | undefined> {
    const place = await this.tn.get(this.placeKey(id))
    return place?.toString('hex')
  }

  /** The entry at a position. */
  async at(position: LogPosition): Promise<V | undefined> {
    const bytes = await this.tn.get(Buffer.concat([this.prefix, Buffer.from(position, 'hex')]))
    return bytes === undefined ? undefined : this.codec.decode(bytes)
  }

  /**
   * The first place of the entries whose ids come from `id` on: of some of them, since ids that sort by time do so
   * roughly in the order of commits.
   */
  async firstFrom(id: string): Promise<LogPosition | undefined> {
    const end = Buffer.concat([this.places, Buffer.of(0xff)])
    const rows = await this.tn.getRangeAll(this.placeKey(id), end, { limit: NEARBY })
    return rows.map(([, place]) => place.toString('hex')).sort()[0]
  }

  /**
   * Forgets the oldest entries as far as they are old.
   * @returns the last one that was forgotten, whether there may be more, and the oldest that is left otherwise
   */
  async forget(
    limit: number,
    isOld: (value: V) => boolean,
  ): Promise<{ through: LogPosition | undefined; more: boolean; oldest: V | undefined }> {
    const { entries } = await this.page(limit)
    const kept = entries.findIndex(([, value]) => !isOld(value))
    const old = kept < 0 ? entries : entries.slice(0, kept)
    for (const [position, value] of old) {
      this.tn.clear(Buffer.concat([this.prefix, Buffer.from(position, 'hex')]))
      if (this.idOf !== undefined) this.tn.clear(this.placeKey(this.idOf(value)))
    }
    return {
      through: old.at(-1)?.[0],
      more: kept < 0 && entries.length === limit,
      oldest: entries[kept]?.[1],
    }
  }

  private placeKey(id: string): Buffer {
    return Buffer.concat([this.places, Buffer.from(id)])
  }

  /** Entries behind `after`, oldest first, or before it, newest first. Read to the log's end, it conflicts with whoever appends. */
  page(limit: number, after?: LogPosition, reverse = false): Promise<LogPage<V>> {
    return this.read(this.tn, limit, after, reverse)
  }

  /** As {@link page}, without a conflict: for whoever need not know that there is nothing more. */
  peekPage(limit: number, after?: LogPosition, reverse = false): Promise<LogPage<V>> {
    return this.read(this.tn.snapshot(), limit, after, reverse)
  }

  private async read(
    tn: ByteTransaction,
    limit: number,
    after: LogPosition | undefined,
    reverse: boolean,
  ): Promise<LogPage<V>> {
    const from = after === undefined ? undefined : Buffer.concat([this.prefix, Buffer.from(after, 'hex')])
    const first = Buffer.concat([this.prefix, Buffer.of(0x00)])
    const last = Buffer.concat([this.prefix, Buffer.of(0xff)])
    const begin: Buffer = from === undefined || reverse ? first : Buffer.concat([from, Buffer.of(0x00)])
    const end: Buffer = from !== undefined && reverse ? from : last
    const rows = await tn.getRangeAll(begin, end, { limit: pageSize(limit) + 1, reverse })
    return {
      entries: rows
        .slice(0, limit)
        .map(([key, value]) => [key.subarray(this.prefix.length).toString('hex'), this.codec.decode(value)]),
      more: rows.length > limit,
    }
  }
}

/** A position in front of this one, and behind all that come before it. */
export const justBefore = (position: LogPosition): LogPosition =>
  (BigInt(`0x${position}`) - 1n).toString(16).padStart(POSITION_BYTES * 2, '0')

/** In front of every position of an epoch. */
export const beginningOf = (epoch: number): LogPosition =>
  epoch
    .toString(16)
    .padStart(EPOCH_BYTES * 2, '0')
    .padEnd(POSITION_BYTES * 2, '0')

export const isLogPosition = (text: string): text is LogPosition => POSITION.test(text)
