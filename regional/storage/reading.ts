// A NativeTransaction that reads and writes nothing: for work whose transaction is never committed, where what it wrote would
// be lost without a word. It lies above the fence, and has what spaces call of a transaction.
import type { KVList, NativeTransaction, NativeValue } from './foundationdb.ts'

type GetRange =
  Parameters<NativeTransaction['getRange']> extends [...infer Arguments, unknown] ? Arguments : never
type RangeRead = (...call: GetRange) => Promise<KVList>

export function reading(native: NativeTransaction): NativeTransaction {
  return new ReadingTransaction(native) as unknown as NativeTransaction
}

class ReadingTransaction {
  private readonly native: NativeTransaction

  constructor(native: NativeTransaction) {
    this.native = native
  }

  get(key: NativeValue, isSnapshot: boolean): Promise<Buffer | undefined> {
    return this.native.get(key, isSnapshot)
  }

  getRange(...call: GetRange): Promise<KVList> {
    return (this.native.getRange as RangeRead).call(this.native, ...call)
  }

  addReadConflictRange(start: NativeValue, end: NativeValue): void {
    this.native.addReadConflictRange(start, end)
  }

  set(): never {
    return changesNothing()
  }

  clear(): never {
    return changesNothing()
  }

  clearRange(): never {
    return changesNothing()
  }

  atomicOp(): never {
    return changesNothing()
  }
}

const changesNothing = (): never => {
  throw new Error('what only reads changes nothing: its transaction is not committed')
}
