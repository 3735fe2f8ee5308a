// The gate of one fenced transaction: every key a call names is shown here first, and only then is the
// transaction below handed out. The first refusal shuts it for good. The questions themselves are grant.ts's.

import type { KVList, NativeTransaction, NativeValue } from 'foundationdb/dist/lib/native.js'
import { holdsSelector, type Selector } from './fence_selector.ts'
import {
  holdsBound,
  holdsKey,
  holdsRange,
  type KeyRange,
  keyBytes,
  type OwnGrant,
  someWritable,
  stampedKeys,
} from './grant.ts'

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

export class Gate {
  readonly #native: NativeTransaction
  readonly #grant: OwnGrant
  readonly #onViolation: OnViolation
  readonly #below: Gate | undefined
  #violation: IsolationViolation | undefined

  /** `below` is the gate of `native`, if that is fenced too. */
  constructor(native: NativeTransaction, grant: OwnGrant, onViolation: OnViolation, below: Gate | undefined) {
    this.#native = native
    this.#grant = grant
    this.#onViolation = onViolation
    this.#below = below
  }

  /** The transaction below, for a call that has passed its checks. The only way to it. */
  get live(): NativeTransaction {
    if (this.#violation !== undefined) throw this.#violation
    return this.#native
  }

  /** The transaction below, for what its owner decides: options, and how it ends. */
  owned(method: string): NativeTransaction {
    if (this.#grant.lent) throw this.refuse(method)
    return this.live
  }

  /** Shuts the gate, and gives what to throw. */
  refuse(method: string): IsolationViolation {
    if (this.#violation !== undefined) return this.#violation
    const violation = new IsolationViolation(method, this.#grant.name)
    this.#shut(violation)
    this.#onViolation(violation)
    return violation
  }

  /** Shuts the gates below too, so that a `reset` down there does not revive a transaction that strayed. */
  #shut(violation: IsolationViolation): void {
    this.#violation ??= violation
    if (this.#below === undefined) this.#native.cancel()
    else this.#below.#shut(violation)
  }

  /** The one range that may be read. */
  readable(method: string): KeyRange {
    const range = this.#grant.readWrite
    if (range === undefined) throw this.refuse(method)
    return range
  }

  readableKey(method: string, key: NativeValue): Buffer {
    const bytes = this.#key(method, key)
    if (!holdsKey(this.readable(method), bytes)) throw this.refuse(method)
    return bytes
  }

  readableRange(method: string, start: NativeValue, end: NativeValue): [begin: Buffer, end: Buffer] {
    const [from, to] = [this.#key(method, start), this.#key(method, end)]
    if (!holdsRange(this.readable(method), from, to)) throw this.refuse(method)
    return [from, to]
  }

  selector(method: string, key: NativeValue, orEqual: boolean, offset: number): Selector {
    const selector = { key: this.#key(method, key), orEqual, offset }
    if (!holdsSelector(this.readable(method), selector)) throw this.refuse(method)
    return selector
  }

  writableKey(method: string, key: NativeValue): Buffer {
    const bytes = this.#key(method, key)
    if (!someWritable(this.#grant, (range) => holdsKey(range, bytes))) throw this.refuse(method)
    return bytes
  }

  writableRange(method: string, start: NativeValue, end: NativeValue): [begin: Buffer, end: Buffer] {
    const [from, to] = [this.#key(method, start), this.#key(method, end)]
    if (!someWritable(this.#grant, (range) => holdsRange(range, from, to))) throw this.refuse(method)
    return [from, to]
  }

  /** A key whose ten stamp bytes the commit fills in: it must be inside whatever they become. */
  stampedKey(method: string, key: NativeValue): Buffer {
    const bytes = this.#key(method, key)
    const keys = stampedKeys(bytes)
    if (keys === undefined) throw this.refuse(method)
    const { lowest, highest } = keys
    // Both in one range: of two ranges around a neighbour, the stamp could fall between.
    const holds = (range: KeyRange) => holdsKey(range, lowest) && holdsKey(range, highest)
    if (!someWritable(this.#grant, holds)) throw this.refuse(method)
    return bytes
  }

  /** What comes back is checked too: an engine's mistake must not become a leak. */
  async rows(method: string, answer: Promise<KVList>): Promise<KVList> {
    const list = await answer
    const range = this.readable(method)
    for (const [key] of list.results) {
      if (!holdsKey(range, key)) throw this.refuse(method)
    }
    return list
  }

  /** The same for keys that divide a range: its end may be among them. */
  async bounds(method: string, answer: Promise<Buffer[]>): Promise<Buffer[]> {
    const bounds = await answer
    const range = this.readable(method)
    for (const bound of bounds) {
      if (!holdsBound(range, bound)) throw this.refuse(method)
    }
    return bounds
  }

  #key(method: string, key: NativeValue): Buffer {
    const bytes = keyBytes(key)
    if (bytes === undefined) throw this.refuse(method)
    return bytes
  }
}
