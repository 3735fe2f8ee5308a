// A transaction that meets faults: what the caller sees is an error of the package, what happened below may differ.
// After an unknown result the engine's transaction is left behind with its writes, and a new one takes its place.
import {
  type Callback,
  FDBError,
  type KVList,
  type NativeTransaction,
  type NativeValue,
  TransactionOptionCode,
  type Version,
  type Watch,
} from '../../regional/storage/foundationdb.ts'
import type { ChaosDatabase } from './chaos_database.ts'

const TIMED_OUT = 1031
const CLUSTER_VERSION_CHANGED = 1039

/** Too old, future version, process behind. */
export const readFaults = [1007, 1009, 1037] as const
/** Process behind, tag throttled. */
export const readVersionFaults = [1037, 1213] as const
/** Too old, conflict, tag throttled. */
export const refusedCommits = [1007, 1020, 1213] as const
/** Unknown result, timed out, cluster version changed. */
export const unknownResults = [1021, TIMED_OUT, CLUSTER_VERSION_CHANGED] as const

const fates = ['landed', 'lost', 'late'] as const
const doomedFates = ['lost', 'late'] as const

/** What `onError` keeps. */
const persistent: ReadonlySet<number> = new Set([
  TransactionOptionCode.Timeout,
  TransactionOptionCode.RetryLimit,
  TransactionOptionCode.MaxRetryDelay,
])

type OptionValue = string | number | Buffer | null

export class ChaosTransaction implements NativeTransaction {
  private readonly chaos: ChaosDatabase
  private readonly begin: () => NativeTransaction
  private readonly options = new Map<number, OptionValue>()
  private engine: NativeTransaction
  /** Timed out: every call fails until `reset`, as on a cluster. */
  private timedOut = false
  /** Its fate after an unknown result is not this transaction's any more. */
  private leftBehind = false
  private lastKey = ''

  constructor(chaos: ChaosDatabase, begin: () => NativeTransaction) {
    this.chaos = chaos
    this.begin = begin
    this.engine = begin()
  }

  setOption(code: number, param: OptionValue): void {
    if (persistent.has(code)) this.options.set(code, param)
    this.engine.setOption(code, param)
  }

  get(key: NativeValue, isSnapshot: boolean): Promise<Buffer | undefined>
  get(key: NativeValue, isSnapshot: boolean, cb: Callback<Buffer | undefined>): void
  get(key: NativeValue, isSnapshot: boolean, cb?: Callback<Buffer | undefined>): unknown {
    return deliver(
      this.read(() => this.engine.get(key, isSnapshot)),
      cb,
    )
  }

  getKey(key: NativeValue, orEqual: boolean, offset: number, isSnapshot: boolean): Promise<Buffer>
  getKey(key: NativeValue, orEqual: boolean, offset: number, isSnapshot: boolean, cb: Callback<Buffer>): void
  // biome-ignore format: one call, one line
  getKey(key: NativeValue, orEqual: boolean, offset: number, isSnapshot: boolean, cb?: Callback<Buffer>): unknown {
    return deliver(this.read(() => this.engine.getKey(key, orEqual, offset, isSnapshot)), cb)
  }

  getRange(...parameters: RangeParameters): Promise<KVList>
  getRange(...parameters: [...RangeParameters, cb: Callback<KVList>]): void
  getRange(...parameters: [...RangeParameters, cb?: Callback<KVList>]): unknown {
    const [a, b, c, d, e, f, g, h, i, j, k, l, cb] = parameters
    return deliver(
      this.read(() => this.engine.getRange(a, b, c, d, e, f, g, h, i, j, k, l)),
      cb,
    )
  }

  getReadVersion(): Promise<Version>
  getReadVersion(cb: Callback<Version>): void
  getReadVersion(cb?: Callback<Version>): unknown {
    const { readVersion } = this.chaos.plan
    return deliver(
      this.read(() => this.engine.getReadVersion(), readVersion, readVersionFaults),
      cb,
    )
  }

  getApproximateSize(): Promise<number> {
    return this.read(() => this.engine.getApproximateSize())
  }

  getEstimatedRangeSizeBytes(start: NativeValue, end: NativeValue): Promise<number> {
    return this.read(() => this.engine.getEstimatedRangeSizeBytes(start, end))
  }

  getRangeSplitPoints(start: NativeValue, end: NativeValue, chunkSize: number): Promise<Buffer[]> {
    return this.read(() => this.engine.getRangeSplitPoints(start, end, chunkSize))
  }

  getVersionstamp(): Promise<Buffer>
  getVersionstamp(cb: Callback<Buffer>): void
  getVersionstamp(cb?: Callback<Buffer>): unknown {
    return deliver(this.engine.getVersionstamp(), cb)
  }

  commit(): Promise<void>
  commit(cb: Callback<void>): void
  commit(cb?: Callback<void>): unknown {
    return deliver(this.tryCommit(), cb)
  }

  onError(code: number): Promise<void>
  onError(code: number, cb: Callback<void>): void
  onError(code: number, cb?: Callback<void>): unknown {
    return deliver(this.recover(code), cb)
  }

  reset(): void {
    this.options.clear()
    this.timedOut = false
    if (this.leftBehind) this.startOver()
    else this.engine.reset()
  }

  cancel(): void {
    if (!this.leftBehind) this.engine.cancel()
  }

  set(key: NativeValue, value: NativeValue): void {
    this.lastKey = typeof key === 'string' ? key : key.toString('hex')
    this.engine.set(key, value)
  }

  clear(key: NativeValue): void {
    this.engine.clear(key)
  }

  clearRange(start: NativeValue, end: NativeValue): void {
    this.engine.clearRange(start, end)
  }

  atomicOp(type: number, key: NativeValue, operand: NativeValue): void {
    this.engine.atomicOp(type, key, operand)
  }

  addReadConflictRange(start: NativeValue, end: NativeValue): void {
    this.engine.addReadConflictRange(start, end)
  }

  addWriteConflictRange(start: NativeValue, end: NativeValue): void {
    this.engine.addWriteConflictRange(start, end)
  }

  watch(key: NativeValue, ignoreStandardErrs: boolean): Watch {
    return this.engine.watch(key, ignoreStandardErrs)
  }

  setReadVersion(version: Version): void {
    this.engine.setReadVersion(version)
  }

  getCommittedVersion(): Version {
    return this.engine.getCommittedVersion()
  }

  getAddressesForKey(key: NativeValue): string[] {
    return this.engine.getAddressesForKey(key)
  }

  /** The engine is asked at once, in the order of the caller's calls; only the answer waits, or is another. */
  private async read<T>(
    ask: () => Promise<T>,
    probability = this.chaos.plan.read,
    faults: ReadonlyArray<number> = [...readFaults, ...readVersionFaults],
  ): Promise<T> {
    this.chaos.tick()
    if (this.timedOut) throw error(TIMED_OUT)
    const asked = ask()
    if (!this.chaos.random.chance(probability)) {
      await this.pause(asked)
      return asked
    }
    asked.catch(() => {})
    throw this.fault(this.chaos.random.pick(faults))
  }

  private async tryCommit(): Promise<void> {
    const { random, plan, counts } = this.chaos
    this.chaos.tick()
    if (this.timedOut) throw error(TIMED_OUT)
    if (random.chance(plan.refused)) throw this.fault(random.pick(refusedCommits))
    const doomed = this.chaos.isDoomed(this.lastKey)
    if (!doomed && !random.chance(plan.unknown)) {
      const committed = this.engine.commit()
      await committed
      return this.pause(committed)
    }
    const { engine } = this
    this.leftBehind = true
    const fate = random.pick(doomed ? doomedFates : fates)
    if (fate === 'late') this.chaos.landLater(engine, doomed ? plan.lateCalls * 20 : plan.lateCalls)
    else counts[fate]++
    if (fate === 'lost') engine.cancel()
    // Whether a commit went through or met a conflict, the caller learns neither.
    if (fate === 'landed') await engine.commit().catch(() => {})
    throw this.fault(random.pick(unknownResults))
  }

  /** As the client library does it: 1039 is retried (by its multi-version client), 1031 is not. */
  private async recover(code: number): Promise<void> {
    if (this.timedOut) throw error(TIMED_OUT)
    if (!this.leftBehind) return this.engine.onError(code)
    if (code === TIMED_OUT) throw error(code)
    this.startOver()
    // The new transaction has nothing in it yet: this waits as long as a retry waits.
    await this.engine.onError(code === CLUSTER_VERSION_CHANGED ? 1021 : code)
  }

  private startOver(): void {
    this.leftBehind = false
    this.engine = this.begin()
    for (const [code, param] of this.options) this.engine.setOption(code, param)
  }

  private async pause(answered: Promise<unknown>): Promise<void> {
    const { random, plan } = this.chaos
    if (!random.chance(plan.delay)) return
    // The answer may be an error: it is whoever waits for it who hears of that.
    answered.catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, random.next() * plan.delayMs))
  }

  private fault(code: number): FDBError {
    const { faults } = this.chaos.counts
    faults[code] = (faults[code] ?? 0) + 1
    this.timedOut = code === TIMED_OUT
    return error(code)
  }
}

type RangeParameters = [
  start: NativeValue,
  beginOrEq: boolean,
  beginOffset: number,
  end: NativeValue,
  endOrEq: boolean,
  endOffset: number,
  limit: number,
  targetBytes: number,
  mode: number,
  iter: number,
  isSnapshot: boolean,
  reverse: boolean,
]

const error = (code: number): FDBError => new FDBError('injected by ChaosDatabase', code)

/** The binding answers with a promise, or calls back where it was given a callback. */
function deliver<T>(answer: Promise<T>, cb: Callback<T> | undefined): Promise<T> | undefined {
  if (cb === undefined) return answer
  answer.then(
    (value) => cb(null, value),
    (failure: FDBError) => cb(failure),
  )
  return undefined
}
