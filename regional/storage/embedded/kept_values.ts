// Values read of the file lately: what every request reads (a key's record, its tenant's) then costs a look into a map, and
// not a walk of SQLite's tree. Two generations bound it: whoever is read again moves to the young one, and when that
// is full, the old one goes. Its owner says what changes in the file.
import type { Key } from './key.ts'

/** Of each generation. With keys of some 40 bytes this is 2 MiB, and 8 MiB at most. */
const ENTRIES = 4_096
/** Of a key and its value: longer ones cost more memory than they save time. */
const MOST_BYTES = 1_024

/** The value of a commit may be a part of larger memory, which would be kept with it. */
function ownCopy(value: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(value.length)
  copy.set(value)
  return copy
}

export class KeptValues {
  #young = new Map<Key, Buffer>()
  #old = new Map<Key, Buffer>()

  get(key: Key): Buffer | undefined {
    const found = this.#young.get(key)
    if (found !== undefined) return found
    const aged = this.#old.get(key)
    if (aged !== undefined) this.keep(key, aged)
    return aged
  }

  keep(key: Key, value: Buffer): void {
    if (key.length + value.length > MOST_BYTES) return
    if (this.#young.size >= ENTRIES) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  /** What is kept of this key is `value` from now on, or nothing. */
  replace(key: Key, value: Buffer | undefined): void {
    for (const generation of [this.#young, this.#old]) {
      if (!generation.has(key)) continue
      if (value === undefined || key.length + value.length > MOST_BYTES) generation.delete(key)
      else generation.set(key, ownCopy(value))
    }
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }
}
