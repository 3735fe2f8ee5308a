// A sorted map from key to value, as a list of sorted chunks: the one ordered structure of this engine
// (write map, memtable, conflict history, known ranges). Keys compare as JavaScript strings, which for
// our one-character-a-byte keys is byte order. A position is valid only until the map changes.

/** Splits at this many entries: small enough that a splice is a short memmove, large enough that the chunk list stays short. */
const CHUNK = 256

interface Chunk<V> {
  keys: string[]
  values: V[]
}

export interface Position {
  chunk: number
  index: number
}

export class OrderedMap<V> {
  #chunks: Chunk<V>[] = [{ keys: [], values: [] }]
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    const chunk = this.#at(this.#chunkOf(key))
    const i = lowerBound(chunk.keys, key)
    return chunk.keys[i] === key ? chunk.values[i] : undefined
  }

  set(key: string, value: V): void {
    const c = this.#chunkOf(key)
    const chunk = this.#at(c)
    const i = lowerBound(chunk.keys, key)
    if (chunk.keys[i] === key) {
      chunk.values[i] = value
      return
    }
    this.#size++
    if (i === chunk.keys.length) {
      chunk.keys.push(key)
      chunk.values.push(value)
    } else {
      chunk.keys.splice(i, 0, key)
      chunk.values.splice(i, 0, value)
    }
    if (chunk.keys.length > CHUNK) {
      const half = CHUNK >> 1
      this.#chunks.splice(c + 1, 0, { keys: chunk.keys.splice(half), values: chunk.values.splice(half) })
    }
  }

  delete(key: string): void {
    const c = this.#chunkOf(key)
    const chunk = this.#at(c)
    const i = lowerBound(chunk.keys, key)
    if (chunk.keys[i] !== key) return
    this.#size--
    chunk.keys.splice(i, 1)
    chunk.values.splice(i, 1)
    if (chunk.keys.length === 0 && this.#chunks.length > 1) this.#chunks.splice(c, 1)
  }

  /** Removes every key of [begin, end). */
  deleteRange(begin: string, end: string): void {
    if (begin >= end) return
    let c = this.#chunkOf(begin)
    while (c < this.#chunks.length) {
      const chunk = this.#at(c)
      const from = lowerBound(chunk.keys, begin)
      const to = lowerBound(chunk.keys, end)
      if (to > from) {
        this.#size -= to - from
        chunk.keys.splice(from, to - from)
        chunk.values.splice(from, to - from)
      }
      const reachedEnd = chunk.keys.length > from
      if (chunk.keys.length === 0 && this.#chunks.length > 1) this.#chunks.splice(c, 1)
      else c++
      if (reachedEnd) return
    }
  }

  clear(): void {
    this.#chunks = [{ keys: [], values: [] }]
    this.#size = 0
  }

  /** Moves `at` to the last entry whose key is at most `key`; false if there is none. */
  seekFloor(at: Position, key: string): boolean {
    at.chunk = this.#chunkOf(key)
    const keys = this.#at(at.chunk).keys
    const i = lowerBound(keys, key)
    at.index = keys[i] === key ? i : i - 1
    return at.index >= 0
  }

  /** Moves `at` to the first entry whose key is at least `key`; false if there is none. */
  seekCeiling(at: Position, key: string): boolean {
    at.chunk = this.#chunkOf(key)
    const keys = this.#at(at.chunk).keys
    at.index = lowerBound(keys, key)
    if (at.index < keys.length) return true
    at.chunk++
    at.index = 0
    return at.chunk < this.#chunks.length
  }

  next(at: Position): boolean {
    if (++at.index < this.#at(at.chunk).keys.length) return true
    at.chunk++
    at.index = 0
    return at.chunk < this.#chunks.length
  }

  previous(at: Position): boolean {
    if (--at.index >= 0) return true
    if (at.chunk === 0) return false
    at.chunk--
    at.index = this.#at(at.chunk).keys.length - 1
    return true
  }

  keyAt(at: Position): string {
    return this.#at(at.chunk).keys[at.index] as string
  }

  valueAt(at: Position): V {
    return this.#at(at.chunk).values[at.index] as V
  }

  /** Calls `visit` for each entry of [begin, end) in order until it returns false. The map must not change meanwhile. */
  scan(begin: string, end: string, visit: (key: string, value: V) => boolean | undefined): void {
    const at = { chunk: 0, index: 0 }
    for (let more = this.seekCeiling(at, begin); more; more = this.next(at)) {
      const key = this.keyAt(at)
      if (key >= end || visit(key, this.valueAt(at)) === false) return
    }
  }

  /** As {@link scan}, from the last to the first. */
  scanBack(begin: string, end: string, visit: (key: string, value: V) => boolean | undefined): void {
    const at = { chunk: 0, index: 0 }
    this.seekCeiling(at, end)
    if (at.chunk === this.#chunks.length) {
      at.chunk--
      at.index = this.#at(at.chunk).keys.length
    }
    while (this.previous(at)) {
      const key = this.keyAt(at)
      if (key < begin || visit(key, this.valueAt(at)) === false) return
    }
  }

  /** The chunk that holds `key` or would: the last one that begins at or before it. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#at(middle).keys[0] as string) <= key) low = middle
      else high = middle - 1
    }
    return low
  }

  #at(chunk: number): Chunk<V> {
    return this.#chunks[chunk] as Chunk<V>
  }
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}
