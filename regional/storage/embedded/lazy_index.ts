// A map whose keys are put in order only when somebody asks for a range: commits add keys by the thousand, and
// most are never looked at in order before they are forgotten.
import type { Key } from './key.ts'
import { OrderedMap } from './ordered_map.ts'

/** Keys that may wait to be put in order beyond twice those that are there: the rest was deleted meanwhile. */
const SLACK = 1024

export class LazyIndex<V> {
  readonly #values = new Map<Key, V>()
  /** Keys in order; their values are in #values. */
  readonly #sorted = new OrderedMap<undefined>()
  /** In #values and perhaps not yet in #sorted. */
  #pending: Key[] = []

  get size(): number {
    return this.#values.size
  }

  get(key: Key): V | undefined {
    return this.#values.get(key)
  }

  set(key: Key, value: V): void {
    const before = this.#values.size
    this.#values.set(key, value)
    if (this.#values.size === before) return
    this.#pending.push(key)
    if (this.#pending.length > 2 * before + SLACK)
      this.#pending = this.#pending.filter((waiting) => this.#values.has(waiting))
  }

  delete(key: Key): void {
    this.#values.delete(key)
    this.#sorted.delete(key)
  }

  entries(): MapIterator<[Key, V]> {
    return this.#values.entries()
  }

  clear(): void {
    this.#values.clear()
    this.#sorted.clear()
    this.#pending = []
  }

  /** Whether there is a key in [begin, end). */
  hasWithin(begin: Key, end: Key): boolean {
    this.#order()
    const at = { chunk: 0, index: 0 }
    return this.#sorted.seekCeiling(at, begin) && this.#sorted.keyAt(at) < end
  }

  /**
   * Calls `visit` for each entry of [begin, end) in key order, or from the last to the first, until it returns false. No key may be
   * added or deleted meanwhile.
   */
  scan(begin: Key, end: Key, visit: (key: Key, value: V) => boolean, reverse = false): void {
    this.#order()
    const each = (key: Key) => visit(key, this.#values.get(key) as V)
    if (reverse) this.#sorted.scanBack(begin, end, each)
    else this.#sorted.scan(begin, end, each)
  }

  #order(): void {
    if (this.#pending.length === 0) return
    for (const key of this.#pending) if (this.#values.has(key)) this.#sorted.set(key, undefined)
    this.#pending = []
  }
}
