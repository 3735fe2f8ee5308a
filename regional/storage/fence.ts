// A NativeTransaction that cannot leave one grant: below the foundationdb package's JavaScript and all of
// ours, over either engine. Whatever application code does with keys, selectors, subspaces or options, no
// byte outside the grant is read, written, cleared, watched or conflicted with. Fences stack: one more over
// another can only narrow. A refused call ends the transaction, so catching the refusal saves nothing.

import type {
  Callback,
  KVList,
  NativeDatabase,
  NativeTransaction,
  NativeValue,
  Version,
  Watch,
} from 'foundationdb/dist/lib/native.js'
import { operationAllowed, optionAllowed, SET_VERSIONSTAMPED_KEY } from './fence_options.ts'
import { holdsSelector, type ReadPage, resolve, resolveBound, type Selector } from './fence_selector.ts'
import {
  type Grant,
  holdsBound,
  holdsKey,
  holdsRange,
  type KeyRange,
  keyBytes,
  ownGrant,
  someWritable,
  stampedKeys,
} from './grant.ts'

export { type Grant, type KeyRange, prefixRange } from './grant.ts'

/** Rows come in batches of up to about 80 kB. */
const STREAMING_MODE_SERIAL = 4

/** Application code tried to leave its grant: a bug, or worse. Says who and how, never which key. */
export class IsolationViolation extends Error {
  override readonly name = 'IsolationViolation'
  readonly method: string
  readonly grant: string

  constructor(method: string, grant: string) {
    super(`${method} outside the grant of ${grant}`)
    this.method = method
    this.grant = grant
  }
}

export type OnViolation = (violation: IsolationViolation) => void

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

/** `native`, whose transactions are all confined to `grant`; the database itself can't be changed or closed. */
export function fenceDatabase(
  native: NativeDatabase,
  grant: Grant,
  onViolation: OnViolation,
): NativeDatabase {
  const own = ownGrant(grant)
  const refuse = (method: string): never => {
    const violation = new IsolationViolation(method, own.name)
    onViolation(violation)
    throw violation
  }
  return {
    createTransaction: () => new FencedTransaction(native.createTransaction(), own, onViolation),
    setOption: () => refuse('database.setOption'),
    close: () => refuse('database.close'),
  }
}

class FencedTransaction implements NativeTransaction {
  readonly #native: NativeTransaction
  readonly #grant: Grant
  readonly #onViolation: OnViolation
  #violation: IsolationViolation | undefined

  constructor(native: NativeTransaction, grant: Grant, onViolation: OnViolation) {
    this.#native = native
    this.#grant = grant
    this.#onViolation = onViolation
  }

  // Reading

  get(key: NativeValue, isSnapshot: boolean): Promise<Buffer | undefined>
  get(key: NativeValue, isSnapshot: boolean, cb: Callback<Buffer | undefined>): void
  get(key: NativeValue, isSnapshot: boolean, cb?: Callback<Buffer | undefined>) {
    return answer(cb, () => this.#live.get(this.#readableKey('get', key), isSnapshot))
  }

  /** Answers the empty key when the selector leads past the first or the last key inside. */
  getKey(...call: Leading<GetKeyCall>): Promise<Buffer>
  getKey(...call: GetKeyCall): void
  getKey(...[key, orEqual, offset, isSnapshot, cb]: GetKeyCall | Leading<GetKeyCall>) {
    return answer(cb, async () => {
      const range = this.#readable('getKey')
      const selector = this.#selector('getKey', key, orEqual, offset)
      const found = await resolve(range, selector, this.#pages('getKey', isSnapshot))
      return found ?? Buffer.alloc(0)
    })
  }

  getRange(...call: Leading<GetRangeCall>): Promise<KVList>
  getRange(...call: GetRangeCall): void
  getRange(...call: GetRangeCall | Leading<GetRangeCall>) {
    const [start, startOrEqual, startOffset, end, endOrEqual, endOffset] = call
    const [, , , , , , limit, targetBytes, mode, iteration, isSnapshot, reverse, cb] = call
    const read = (from: Buffer, fromOrEqual: boolean, to: Buffer, toOrEqual: boolean) =>
      this.#checkedRows(
        'getRange',
        // biome-ignore format: one line a thing
        this.#live.getRange(
          from, fromOrEqual, 1,
          to, toOrEqual, 1,
          limit, targetBytes, mode, iteration, isSnapshot, reverse,
        ),
      )
    return answer(cb, () => {
      const range = this.#readable('getRange')
      const first = this.#selector('getRange', start, startOrEqual, startOffset)
      const last = this.#selector('getRange', end, endOrEqual, endOffset)
      // At offset 1 a selector bounds the range by its own key, which is inside: nothing to resolve.
      if (first.offset === 1 && last.offset === 1)
        return read(first.key, first.orEqual, last.key, last.orEqual)
      const pages = this.#pages('getRange', isSnapshot)
      return Promise.all([resolveBound(range, first, pages), resolveBound(range, last, pages)]).then(
        ([from, to]) => read(from, false, to, false),
      )
    })
  }

  getEstimatedRangeSizeBytes(start: NativeValue, end: NativeValue): Promise<number> {
    const method = 'getEstimatedRangeSizeBytes'
    return promised(() => this.#live[method](...this.#readableRange(method, start, end)))
  }

  getRangeSplitPoints(start: NativeValue, end: NativeValue, chunkSize: number): Promise<Buffer[]> {
    const method = 'getRangeSplitPoints'
    return promised(async () => {
      const points = await this.#live[method](...this.#readableRange(method, start, end), chunkSize)
      for (const point of points) this.#checkBound(method, point)
      return points
    })
  }

  watch(key: NativeValue, ignoreStandardErrs: boolean): Watch {
    return this.#live.watch(this.#readableKey('watch', key), ignoreStandardErrs)
  }

  addReadConflictRange(start: NativeValue, end: NativeValue): void {
    this.#live.addReadConflictRange(...this.#readableRange('addReadConflictRange', start, end))
  }

  // Writing

  set(key: NativeValue, value: NativeValue): void {
    this.#live.set(this.#writableKey('set', key), value)
  }

  clear(key: NativeValue): void {
    this.#live.clear(this.#writableKey('clear', key))
  }

  clearRange(start: NativeValue, end: NativeValue): void {
    this.#live.clearRange(...this.#writableRange('clearRange', start, end))
  }

  addWriteConflictRange(start: NativeValue, end: NativeValue): void {
    this.#live.addWriteConflictRange(...this.#writableRange('addWriteConflictRange', start, end))
  }

  atomicOp(operation: number, key: NativeValue, operand: NativeValue): void {
    if (!operationAllowed(operation)) throw this.#refuse('atomicOp')
    const stamped = operation === SET_VERSIONSTAMPED_KEY
    const checked = stamped ? this.#stampedKey('atomicOp', key) : this.#writableKey('atomicOp', key)
    this.#live.atomicOp(operation, checked, operand)
  }

  // The transaction itself

  setOption(code: number, param: string | number | Buffer | null): void {
    if (!optionAllowed(code)) throw this.#refuse('setOption')
    this.#live.setOption(code, param)
  }

  /** Refused: a transaction that reads as of another time could read a status from before a suspension. */
  setReadVersion(_version: Version): void {
    throw this.#refuse('setReadVersion')
  }

  /** Refused: which machines hold a key is the operator's to know. */
  getAddressesForKey(_key: NativeValue): string[] {
    throw this.#refuse('getAddressesForKey')
  }

  getReadVersion(): Promise<Version>
  getReadVersion(cb: Callback<Version>): void
  getReadVersion(cb?: Callback<Version>) {
    return answer(cb, () => this.#live.getReadVersion())
  }

  getCommittedVersion(): Version {
    return this.#live.getCommittedVersion()
  }

  getVersionstamp(): Promise<Buffer>
  getVersionstamp(cb: Callback<Buffer>): void
  getVersionstamp(cb?: Callback<Buffer>) {
    return answer(cb, () => this.#live.getVersionstamp())
  }

  getApproximateSize(): Promise<number> {
    return promised(() => this.#live.getApproximateSize())
  }

  commit(): Promise<void>
  commit(cb: Callback<void>): void
  commit(cb?: Callback<void>) {
    return answer(cb, () => this.#live.commit())
  }

  onError(code: number): Promise<void>
  onError(code: number, cb: Callback<void>): void
  onError(code: number, cb?: Callback<void>) {
    return answer(cb, () => this.#live.onError(code))
  }

  reset(): void {
    this.#live.reset()
  }

  cancel(): void {
    this.#live.cancel()
  }

  // The checks

  /** The transaction below, for a call that has passed its checks. The only way to it. */
  get #live(): NativeTransaction {
    if (this.#violation !== undefined) throw this.#violation
    return this.#native
  }

  #refuse(method: string): IsolationViolation {
    if (this.#violation !== undefined) return this.#violation
    const violation = new IsolationViolation(method, this.#grant.name)
    this.#end(violation)
    this.#onViolation(violation)
    return violation
  }

  /** Ends this transaction and the fences below it, so that a `reset` down there revives nothing. */
  #end(violation: IsolationViolation): void {
    this.#violation ??= violation
    if (#end in this.#native) this.#native.#end(violation)
    else this.#native.cancel()
  }

  #key(method: string, key: NativeValue): Buffer {
    const bytes = keyBytes(key)
    if (bytes === undefined) throw this.#refuse(method)
    return bytes
  }

  #readable(method: string): KeyRange {
    const range = this.#grant.readWrite
    if (range === undefined) throw this.#refuse(method)
    return range
  }

  #readableKey(method: string, key: NativeValue): Buffer {
    const bytes = this.#key(method, key)
    if (!holdsKey(this.#readable(method), bytes)) throw this.#refuse(method)
    return bytes
  }

  #readableRange(method: string, start: NativeValue, end: NativeValue): [begin: Buffer, end: Buffer] {
    const [from, to] = [this.#key(method, start), this.#key(method, end)]
    if (!holdsRange(this.#readable(method), from, to)) throw this.#refuse(method)
    return [from, to]
  }

  #selector(method: string, key: NativeValue, orEqual: boolean, offset: number): Selector {
    const selector = { key: this.#key(method, key), orEqual, offset }
    if (!holdsSelector(this.#readable(method), selector)) throw this.#refuse(method)
    return selector
  }

  #writableKey(method: string, key: NativeValue): Buffer {
    const bytes = this.#key(method, key)
    if (!someWritable(this.#grant, (range) => holdsKey(range, bytes))) throw this.#refuse(method)
    return bytes
  }

  #writableRange(method: string, start: NativeValue, end: NativeValue): [begin: Buffer, end: Buffer] {
    const [from, to] = [this.#key(method, start), this.#key(method, end)]
    if (!someWritable(this.#grant, (range) => holdsRange(range, from, to))) throw this.#refuse(method)
    return [from, to]
  }

  #stampedKey(method: string, key: NativeValue): Buffer {
    const bytes = this.#key(method, key)
    const keys = stampedKeys(bytes)
    if (keys === undefined) throw this.#refuse(method)
    const { lowest, highest } = keys
    // Both in one range: with a range on either side of a neighbour the stamp could fall between them.
    const inOne = (range: KeyRange) => holdsKey(range, lowest) && holdsKey(range, highest)
    if (!someWritable(this.#grant, inOne)) throw this.#refuse(method)
    return bytes
  }

  /** What came back is checked too: an engine's mistake must not become a leak. */
  async #checkedRows(method: string, rows: Promise<KVList>): Promise<KVList> {
    const list = await rows
    const range = this.#readable(method)
    for (const [key] of list.results) {
      if (!holdsKey(range, key)) throw this.#refuse(method)
    }
    return list
  }

  #checkBound(method: string, bound: Buffer): void {
    if (!holdsBound(this.#readable(method), bound)) throw this.#refuse(method)
  }

  #pages(method: string, isSnapshot: boolean): ReadPage {
    return (begin, end, limit, reverse) =>
      this.#checkedRows(
        method,
        // biome-ignore format: one line a thing
        this.#live.getRange(
          begin, false, 1,
          end, false, 1,
          limit, 0, STREAMING_MODE_SERIAL, 1, isSnapshot, reverse,
        ),
      )
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
