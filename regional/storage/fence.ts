// A NativeTransaction that cannot leave one grant: below the foundationdb package's JavaScript and all of
// ours, over either engine. Whatever application code does with keys, selectors, subspaces or options, no
// byte outside the grant is read, written, cleared, watched or conflicted with. Fences stack: one more over
// another can only narrow. A refused call ends the transaction, so catching the refusal saves nothing.

import type {
  Callback,
  KVList,
  NativeTransaction,
  NativeValue,
  Version,
  Watch,
} from 'foundationdb/dist/lib/native.js'
import { Gate, type OnViolation } from './fence_gate.ts'
import { operationAllowed, optionAllowed, SET_VERSIONSTAMPED_KEY } from './fence_options.ts'
import { type ReadPage, resolve, resolveBound } from './fence_selector.ts'
import { type Grant, type OwnGrant, ownGrant } from './grant.ts'

export { IsolationViolation, type OnViolation } from './fence_gate.ts'
export { type Grant, type KeyRange, keptRange, prefixRange } from './grant.ts'

/** Rows come in batches of up to about 80 kB. */
const STREAMING_MODE_SERIAL = 4

/**
 * `native`, confined to `grant`. A call outside cancels the transaction, tells `onViolation` (once) and
 * throws an `IsolationViolation`, or answers with it where the method answers by promise or callback; from
 * then on every call does, also on the fences below.
 */
export function fenceTransaction(
  native: NativeTransaction,
  grant: Grant,
  onViolation: OnViolation,
): NativeTransaction {
  return new FencedTransaction(native, ownGrant(grant), onViolation)
}

class FencedTransaction implements NativeTransaction {
  readonly #gate: Gate

  constructor(native: NativeTransaction, grant: OwnGrant, onViolation: OnViolation) {
    const below = #gate in native ? native.#gate : undefined
    this.#gate = new Gate(native, grant, onViolation, below)
  }

  // Reading

  get(key: NativeValue, isSnapshot: boolean): Promise<Buffer | undefined>
  get(key: NativeValue, isSnapshot: boolean, cb: Callback<Buffer | undefined>): void
  get(key: NativeValue, isSnapshot: boolean, cb?: Callback<Buffer | undefined>) {
    return answer(cb, () => this.#gate.live.get(this.#gate.readableKey('get', key), isSnapshot))
  }

  /** Answers the empty key when the selector leads past the first or the last key inside. */
  getKey(...call: Leading<GetKeyCall>): Promise<Buffer>
  getKey(...call: GetKeyCall): void
  getKey(...[key, orEqual, offset, isSnapshot, cb]: GetKeyCall | Leading<GetKeyCall>) {
    return answer(cb, async () => {
      const range = this.#gate.readable('getKey')
      const selector = this.#gate.selector('getKey', key, orEqual, offset)
      const found = await resolve(range, selector, this.#pages('getKey', isSnapshot))
      return found ?? Buffer.alloc(0)
    })
  }

  getRange(...call: Leading<GetRangeCall>): Promise<KVList>
  getRange(...call: GetRangeCall): void
  getRange(...call: GetRangeCall | Leading<GetRangeCall>) {
    const [start, startOrEqual, startOffset, end, endOrEqual, endOffset, ...how] = call
    const [limit, targetBytes, mode, iteration, isSnapshot, reverse, cb] = how
    const read = (from: Buffer, fromOrEqual: boolean, to: Buffer, toOrEqual: boolean) =>
      this.#gate.rows(
        'getRange',
        // biome-ignore format: one line a thing
        this.#gate.live.getRange(
          from, fromOrEqual, 1,
          to, toOrEqual, 1,
          limit, targetBytes, mode, iteration, isSnapshot, reverse,
        ),
      )
    return answer(cb, () => {
      const range = this.#gate.readable('getRange')
      const first = this.#gate.selector('getRange', start, startOrEqual, startOffset)
      const last = this.#gate.selector('getRange', end, endOrEqual, endOffset)
      // At offset 1 a selector bounds the range by its own key, which is inside: nothing to resolve.
      const plain = first.offset === 1 && last.offset === 1
      if (plain) return read(first.key, first.orEqual, last.key, last.orEqual)
      const pages = this.#pages('getRange', isSnapshot)
      return Promise.all([resolveBound(range, first, pages), resolveBound(range, last, pages)]).then(
        ([from, to]) => read(from, false, to, false),
      )
    })
  }

  /** How selectors are resolved: by reads that stay between the bounds given. */
  #pages(method: string, isSnapshot: boolean): ReadPage {
    return (begin, end, limit, reverse) =>
      this.#gate.rows(
        method,
        // biome-ignore format: one line a thing
        this.#gate.live.getRange(
          begin, false, 1,
          end, false, 1,
          limit, 0, STREAMING_MODE_SERIAL, 1, isSnapshot, reverse,
        ),
      )
  }

  getEstimatedRangeSizeBytes(start: NativeValue, end: NativeValue): Promise<number> {
    const method = 'getEstimatedRangeSizeBytes'
    return promised(() => this.#gate.live[method](...this.#gate.readableRange(method, start, end)))
  }

  getRangeSplitPoints(start: NativeValue, end: NativeValue, chunkSize: number): Promise<Buffer[]> {
    const method = 'getRangeSplitPoints'
    return promised(() => {
      const [from, to] = this.#gate.readableRange(method, start, end)
      return this.#gate.bounds(method, this.#gate.live.getRangeSplitPoints(from, to, chunkSize))
    })
  }

  watch(key: NativeValue, ignoreStandardErrs: boolean): Watch {
    return this.#gate.live.watch(this.#gate.readableKey('watch', key), ignoreStandardErrs)
  }

  addReadConflictRange(start: NativeValue, end: NativeValue): void {
    this.#gate.live.addReadConflictRange(...this.#gate.readableRange('addReadConflictRange', start, end))
  }

  // Writing

  set(key: NativeValue, value: NativeValue): void {
    this.#gate.live.set(this.#gate.writableKey('set', key), value)
  }

  clear(key: NativeValue): void {
    this.#gate.live.clear(this.#gate.writableKey('clear', key))
  }

  clearRange(start: NativeValue, end: NativeValue): void {
    this.#gate.live.clearRange(...this.#gate.writableRange('clearRange', start, end))
  }

  addWriteConflictRange(start: NativeValue, end: NativeValue): void {
    this.#gate.live.addWriteConflictRange(...this.#gate.writableRange('addWriteConflictRange', start, end))
  }

  atomicOp(operation: number, key: NativeValue, operand: NativeValue): void {
    if (!operationAllowed(operation)) throw this.#gate.refuse('atomicOp')
    const stamped = operation === SET_VERSIONSTAMPED_KEY
    const bytes = stamped ? this.#gate.stampedKey('atomicOp', key) : this.#gate.writableKey('atomicOp', key)
    this.#gate.live.atomicOp(operation, bytes, operand)
  }

  // The transaction itself

  setOption(code: number, param: string | number | Buffer | null): void {
    if (!optionAllowed(code)) throw this.#gate.refuse('setOption')
    this.#gate.owned('setOption').setOption(code, param)
  }

  /** Refused: a transaction that reads as of another time could read a status from before a suspension. */
  setReadVersion(_version: Version): void {
    throw this.#gate.refuse('setReadVersion')
  }

  /** Refused: which machines hold a key is the operator's to know. */
  getAddressesForKey(_key: NativeValue): string[] {
    throw this.#gate.refuse('getAddressesForKey')
  }

  getReadVersion(): Promise<Version>
  getReadVersion(cb: Callback<Version>): void
  getReadVersion(cb?: Callback<Version>) {
    return answer(cb, () => this.#gate.live.getReadVersion())
  }

  getCommittedVersion(): Version {
    return this.#gate.live.getCommittedVersion()
  }

  getVersionstamp(): Promise<Buffer>
  getVersionstamp(cb: Callback<Buffer>): void
  getVersionstamp(cb?: Callback<Buffer>) {
    return answer(cb, () => this.#gate.live.getVersionstamp())
  }

  getApproximateSize(): Promise<number> {
    return promised(() => this.#gate.live.getApproximateSize())
  }

  commit(): Promise<void>
  commit(cb: Callback<void>): void
  commit(cb?: Callback<void>) {
    return answer(cb, () => this.#gate.owned('commit').commit())
  }

  onError(code: number): Promise<void>
  onError(code: number, cb: Callback<void>): void
  onError(code: number, cb?: Callback<void>) {
    return answer(cb, () => this.#gate.owned('onError').onError(code))
  }

  reset(): void {
    this.#gate.owned('reset').reset()
  }

  cancel(): void {
    this.#gate.owned('cancel').cancel()
  }
}

type GetKeyCall = Parameters<NativeTransaction['getKey']>
type GetRangeCall = Parameters<NativeTransaction['getRange']>
/** A call without its callback. */
type Leading<Call extends unknown[]> = Call extends [...infer Arguments, unknown] ? Arguments : never

/** Starts an asynchronous call so that a refusal, like any error, comes by its promise or its callback. */
function answer<T>(cb: Callback<T> | undefined, start: () => Promise<T>): Promise<T> | undefined {
  const answered = promised(start)
  if (cb === undefined) return answered
  answered.then(
    (result) => cb(null, result),
    (error) => cb(error),
  )
  return undefined
}

function promised<T>(start: () => Promise<T>): Promise<T> {
  try {
    return start()
  } catch (error) {
    return Promise.reject(error)
  }
}
