// Everything committed since the reader's SQLite snapshot, in versions: with it any read version from that
// snapshot on can be answered exactly, while the writer goes on. In-flight commits are in it too, under
// versions that no reader has been given yet.
import { DATABASE_END, FIRST_KEY, type Key, keyAfter } from './key.ts'
import { LazyIndex } from './lazy_index.ts'
import { OrderedMap } from './ordered_map.ts'

interface Change {
  version: number
  /** undefined: cleared */
  value: Buffer | undefined
}

/** A value, `cleared`, or undefined where the snapshot below decides. */
export type Found = Buffer | typeof cleared | undefined
export const cleared = Symbol('cleared')

/** What an entry costs beside its bytes, roughly. */
const ENTRY_BYTES = 160

export class Memtable {
  readonly #changes = new LazyIndex<Change[]>()
  /** From each key to the next: the version of the first clear over that range, or 0. */
  readonly #clears = new OrderedMap<number>()
  #entries = 0
  #bytes = 0
  #oldest = 0
  #newest = 0

  constructor() {
    this.#clears.set(FIRST_KEY, 0)
  }

  get entries(): number {
    return this.#entries
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The version of the first change in it; 0 if there is none. */
  get oldest(): number {
    return this.#oldest
  }

  set(version: number, key: Key, value: Buffer): void {
    this.#change(version, key, value)
  }

  clear(version: number, key: Key): void {
    this.#change(version, key, undefined)
  }

  clearRange(version: number, begin: Key, end: Key): void {
    if (end === keyAfter(begin)) {
      this.clear(version, begin)
      return
    }
    this.#note(version)
    this.#entries++
    this.#bytes += ENTRY_BYTES + begin.length + end.length
    this.#changes.ordered.scan(begin, end, (_, changes) => {
      if (changes.at(-1)?.value !== undefined) this.#push(changes, version, undefined)
      return true
    })
    this.#splitClears(begin)
    this.#splitClears(end)
    const untouched: Key[] = []
    this.#clears.scan(begin, end, (key, first) => {
      if (first === 0) untouched.push(key)
      return true
    })
    for (const key of untouched) this.#clears.set(key, version)
  }

  get(key: Key, version: number): Found {
    const changes = this.#changes.get(key)
    if (changes) {
      for (let i = changes.length - 1; i >= 0; i--) {
        const change = changes[i] as Change
        if (change.version <= version) return change.value ?? cleared
      }
    }
    return this.isCleared(key, version) ? cleared : undefined
  }

  isCleared(key: Key, version: number): boolean {
    if (this.#clears.size === 1) return false
    const at = { chunk: 0, index: 0 }
    this.#clears.seekFloor(at, key)
    const first = this.#clears.valueAt(at)
    return first !== 0 && first <= version
  }

  /** Whether anything in [begin, end) has changed at any version. */
  touches(begin: Key, end: Key): boolean {
    if (this.#entries === 0) return false
    const at = { chunk: 0, index: 0 }
    const { ordered } = this.#changes
    if (ordered.seekCeiling(at, begin) && ordered.keyAt(at) < end) return true
    if (this.#clears.size === 1) return false
    this.#clears.seekFloor(at, begin)
    do {
      if (this.#clears.valueAt(at) !== 0) return true
    } while (this.#clears.next(at) && this.#clears.keyAt(at) < end)
    return false
  }

  /** The keys of [begin, end) that have a change at or before `version`, with their value then. */
  visible(begin: Key, end: Key, version: number): { key: Key; value: Buffer | undefined }[] {
    const found: { key: Key; value: Buffer | undefined }[] = []
    this.#changes.ordered.scan(begin, end, (key, changes) => {
      for (let i = changes.length - 1; i >= 0; i--) {
        const change = changes[i] as Change
        if (change.version > version) continue
        found.push({ key, value: change.value })
        break
      }
      return true
    })
    return found
  }

  /** Forgets what a snapshot at `version` holds. */
  foldUpTo(version: number): void {
    if (version >= this.#newest) this.#forgetAll()
    else this.#filter((changed) => changed > version)
  }

  /** Forgets commits after `version`: they have failed. */
  dropAfter(version: number): void {
    this.#filter((changed) => changed <= version)
  }

  #filter(keep: (version: number) => boolean): void {
    const kept: [Key, Change[]][] = []
    this.#entries = 0
    this.#bytes = 0
    this.#oldest = 0
    for (const [key, changes] of this.#changes.entries()) {
      const left = changes.filter(({ version }) => keep(version))
      if (left.length > 0) kept.push([key, left])
    }
    this.#changes.clear()
    for (const [key, changes] of kept) {
      this.#changes.add(key, changes)
      for (const { version, value } of changes) this.#count(version, key, value)
    }
    const clears: [Key, number][] = []
    let before = 0
    this.#clears.scan(FIRST_KEY, keyAfter(DATABASE_END), (key, version) => {
      const first = version !== 0 && keep(version) ? version : 0
      if (first !== before) clears.push([key, first])
      before = first
      return true
    })
    this.#clears.clear()
    this.#clears.set(FIRST_KEY, 0)
    for (const [key, version] of clears) {
      this.#clears.set(key, version)
      if (version !== 0) {
        this.#entries++
        this.#bytes += ENTRY_BYTES + key.length
        if (this.#oldest === 0 || version < this.#oldest) this.#oldest = version
      }
    }
  }

  #change(version: number, key: Key, value: Buffer | undefined): void {
    this.#note(version)
    let changes = this.#changes.get(key)
    if (!changes) {
      changes = []
      this.#changes.add(key, changes)
    }
    this.#count(version, key, value)
    this.#push(changes, version, value)
  }

  /** Within one commit a later change of a key replaces the earlier one. */
  #push(changes: Change[], version: number, value: Buffer | undefined): void {
    const last = changes.at(-1)
    if (last?.version === version) last.value = value
    else changes.push({ version, value })
  }

  #count(version: number, key: Key, value: Buffer | undefined): void {
    this.#note(version)
    this.#entries++
    this.#bytes += ENTRY_BYTES + 2 * key.length + (value?.length ?? 0)
  }

  #forgetAll(): void {
    this.#changes.clear()
    this.#clears.clear()
    this.#clears.set(FIRST_KEY, 0)
    this.#entries = 0
    this.#bytes = 0
    this.#oldest = 0
    this.#newest = 0
  }

  #note(version: number): void {
    if (version > this.#newest) this.#newest = version
    if (this.#oldest === 0 || version < this.#oldest) this.#oldest = version
  }

  #splitClears(key: Key): void {
    const at = { chunk: 0, index: 0 }
    this.#clears.seekFloor(at, key)
    if (this.#clears.keyAt(at) !== key) this.#clears.set(key, this.#clears.valueAt(at))
  }
}
