// A map whose keys are put in order only when somebody asks for a range: commits add keys by the thousand, and
// most are never looked at in order before they are forgotten.
import type { Key } from './key.ts'
import { OrderedMap } from './ordered_map.ts'

export class LazyIndex<V> {
  readonly #values = new Map<Key, V>()
  readonly #sorted = new OrderedMap<V>()
  /** In #values and not yet in #sorted. */
  #pending: Key[] = []

  get size(): number {
    return this.#values.size
  }

  get(key: Key): V | undefined {
    return this.#values.get(key)
  }

  /** Adds a key, which must be new. */
  add(key: Key, value: V): void {
    this.#values.set(key, value)
    this.#pending.push(key)
  }

  delete(key: Key): void {
    this.#values.delete(key)
    this.#sorted.delete(key)
  }

  values(): MapIterator<V> {
    return this.#values.values()
  }

  entries(): MapIterator<[Key, V]> {
    return this.#values.entries()
  }

  clear(): void {
    this.#values.clear()
    this.#sorted.clear()
    this.#pending = []
  }

  /** The entries in key order. Valid until the next change. */
  get ordered(): OrderedMap<V> {
    if (this.#pending.length > 0) {
      for (const key of this.#pending) {
        const value = this.#values.get(key)
        if (value !== undefined) this.#sorted.set(key, value)
      }
      this.#pending = []
    }
    return this.#sorted
  }
}
