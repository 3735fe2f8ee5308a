// A map that forgets what was not asked for the longest, so that no number of tenants, keys or addresses can fill an
// isolate's 128 MB. A Map keeps the order of insertion, so the first key is always the one to forget.

export class Lru<K, V> {
  private readonly entries = new Map<K, V>()
  private readonly capacity: number
  private readonly weigh: (key: K, value: V) => number
  private weight = 0

  /** @param weigh where entries differ in size: says the same of an entry each time. Otherwise they are counted. */
  constructor(capacity: number, weigh: (key: K, value: V) => number = () => 1) {
    this.capacity = capacity
    this.weigh = weigh
  }

  get size(): number {
    return this.entries.size
  }

  get(key: K): V | undefined {
    const found = this.entries.get(key)
    if (found !== undefined) {
      this.entries.delete(key)
      this.entries.set(key, found)
    }
    return found
  }

  set(key: K, value: V): void {
    this.delete(key)
    this.entries.set(key, value)
    this.weight += this.weigh(key, value)
    if (this.weight <= this.capacity) return
    for (const oldest of this.entries.keys()) {
      this.delete(oldest)
      if (this.weight <= this.capacity) return
    }
  }

  delete(key: K): void {
    const found = this.entries.get(key)
    if (found === undefined) return
    this.weight -= this.weigh(key, found)
    this.entries.delete(key)
  }
}
