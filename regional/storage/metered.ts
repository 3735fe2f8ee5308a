// A NativeTransaction that tells a meter what is done in it, and whose reads give way to others. It lies below the fence, so
// it sees what really goes to the engine; it changes nothing. A value's length is a service's to answer, so it is asked only
// when the call is done.
import type { KVList, NativeTransaction, NativeValue, Version, Watch } from './foundationdb.ts'
import { ReadChain } from './giving_way.ts'

export interface TransactionMeter {
  /** How many reads were answered so far, where it counts them. */
  readonly reads?: number
  /** One key was read; bytes of its value. */
  read(bytes: number): void
  /** One range was read, or one batch of it. */
  rows(count: number, bytes: number): void
  /** One key or range was written or cleared; bytes of key and value. */
  write(bytes: number): void
  /** What was written was sent to be committed; until the outcome is known, the process has nothing to do for it. */
  commit(outcome: Promise<void>): void
}

type GetRange =
  Parameters<NativeTransaction['getRange']> extends [...infer Arguments, unknown] ? Arguments : never
type RangeRead = (...call: GetRange) => Promise<KVList>

/** What the fence calls of a transaction: all but callbacks, and what it refuses anyway. */
export function metered(native: NativeTransaction, meter: TransactionMeter): NativeTransaction {
  return new MeteredTransaction(native, meter) as unknown as NativeTransaction
}

class MeteredTransaction {
  private readonly native: NativeTransaction
  private readonly meter: TransactionMeter
  private readonly chain = new ReadChain()

  constructor(native: NativeTransaction, meter: TransactionMeter) {
    this.native = native
    this.meter = meter
  }

  async get(key: NativeValue, isSnapshot: boolean): Promise<Buffer | undefined> {
    const value = await this.native.get(key, isSnapshot)
    const bytes = value === undefined ? 0 : value.length
    this.meter.read(bytes)
    const round = this.chain.after(0, bytes)
    if (round !== undefined) await round
    return value
  }

  async getKey(key: NativeValue, orEqual: boolean, offset: number, isSnapshot: boolean): Promise<Buffer> {
    const found = await this.native.getKey(key, orEqual, offset, isSnapshot)
    this.meter.read(found.length)
    const round = this.chain.after(0, found.length)
    if (round !== undefined) await round
    return found
  }

  async getRange(...call: GetRange): Promise<KVList> {
    const page = await (this.native.getRange as RangeRead).call(this.native, ...call)
    let bytes = 0
    for (const [key, value] of page.results) bytes += key.length + value.length
    this.meter.rows(page.results.length, bytes)
    const round = this.chain.after(page.results.length, bytes)
    if (round !== undefined) await round
    return page
  }

  set(key: NativeValue, value: NativeValue): void {
    this.native.set(key, value)
    this.meter.write(key.length + value.length)
  }

  clear(key: NativeValue): void {
    this.native.clear(key)
    this.meter.write(key.length)
  }

  clearRange(start: NativeValue, end: NativeValue): void {
    this.native.clearRange(start, end)
    this.meter.write(start.length + end.length)
  }

  atomicOp(operation: number, key: NativeValue, operand: NativeValue): void {
    this.native.atomicOp(operation, key, operand)
    this.meter.write(key.length + operand.length)
  }

  commit(): Promise<void> {
    const outcome = this.native.commit()
    this.meter.commit(outcome)
    return outcome
  }

  getEstimatedRangeSizeBytes(start: NativeValue, end: NativeValue): Promise<number> {
    this.meter.read(0)
    return this.native.getEstimatedRangeSizeBytes(start, end)
  }

  getRangeSplitPoints(start: NativeValue, end: NativeValue, chunkSize: number): Promise<Buffer[]> {
    this.meter.read(0)
    return this.native.getRangeSplitPoints(start, end, chunkSize)
  }

  setOption(code: number, param: string | number | Buffer | null): void {
    this.native.setOption(code, param)
  }

  watch(key: NativeValue, ignoreStandardErrs: boolean): Watch {
    return this.native.watch(key, ignoreStandardErrs)
  }

  addReadConflictRange(start: NativeValue, end: NativeValue): void {
    this.native.addReadConflictRange(start, end)
  }

  addWriteConflictRange(start: NativeValue, end: NativeValue): void {
    this.native.addWriteConflictRange(start, end)
  }

  getReadVersion(): Promise<Version> {
    return this.native.getReadVersion()
  }

  getCommittedVersion(): Version {
    return this.native.getCommittedVersion()
  }

  getVersionstamp(): Promise<Buffer> {
    return this.native.getVersionstamp()
  }

  getApproximateSize(): Promise<number> {
    return this.native.getApproximateSize()
  }

  onError(code: number): Promise<void> {
    return this.native.onError(code)
  }

  reset(): void {
    this.native.reset()
  }

  cancel(): void {
    this.native.cancel()
  }
}
