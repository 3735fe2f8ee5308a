// Counters: entries that are only ever added to. An add reads nothing, so adders never conflict.
import { MutationType } from './foundationdb.ts'
import { type ByteTransaction, type Codec, type Key, packedName, Space } from './space.ts'

/** Eight bytes, little-endian, as the database's own ADD reads them. */
const codec: Codec<number> = {
  encode(value) {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    return bytes
  },
  decode: (bytes) => Number(bytes.readBigInt64LE()),
}

/** What a space of counters is called. */
export interface CounterSpaceDefinition<K extends Key> {
  readonly counterName: Buffer
  /** Carries the key's type only. */
  readonly key?: K
}

export const counterSpace = <K extends Key>(name: string): CounterSpaceDefinition<K> => ({
  counterName: packedName(name),
})

export class CounterSpace<K extends Key> extends Space<K, number> {
  /** @param subspace the bytes before this space's name, which `packedName` gives */
  constructor(tn: ByteTransaction, subspace: Buffer, name: Buffer) {
    super(tn, subspace, { name, codec })
  }

  add(key: K, amount: number): void {
    this.tn.atomicOpNative(MutationType.Add, this.pack(key), codec.encode(amount))
  }
}
