// Everything committed since the reader's SQLite snapshot, in versions: with it any read version from that
// snapshot on can be answered exactly, while the writer goes on. In-flight commits are in it too, under
// versions that no reader has been given yet.
import { DATABASE_END, FIRST_KEY, type Key, keyAfter } from './key.ts'
import { LazyIndex } from './lazy_index.ts'
import { OrderedMap } from './ordered_map.ts'

/** A key's changes, the newest first. */
interface Change {
  readonly version: number
  /** undefined: cleared */
  value: Buffer | undefined
  older: Change | undefined
}

/** A key, and what a reader finds there: undefined where it was cleared. */
export interface Changed {
  readonly key: Key
  readonly value: Buffer | undefined
}

/** Holds a key's newest change, so that a new one needs no look-up in order. */
interface Changes {
  newest: Change
}

/** The change that a reader at `version` sees. */
function changeAt({ newest }: Changes, version: number): Change | undefined {
  let change: Change | undefined = newest
  while (change && change.version > version) change = change.older
  return change
}

/** A value, `cleared`, or undefined where the snapshot below decides. */
export type Found = Buffer | typeof cleared | undefined
export const cleared = Symbol('cleared')

/** What an entry costs beside its bytes, roughly. */
const ENTRY_BYTES = 160

export class Memtable {
  readonly #changes = new LazyIndex<Changes>()
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
    this.#changes.scan(begin, end, (_, changes) => {
      if (changes.newest.value !== undefined) push(changes, version, undefined)
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
    const change = changes && changeAt(changes, version)
    if (change) return change.value ?? cleared
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
    if (this.#changes.hasWithin(begin, end)) return true
    if (this.#clears.size === 1) return false
    const at = { chunk: 0, index: 0 }
    this.#clears.seekFloor(at, begin)
    do {
      if (this.#clears.valueAt(at) !== 0) return true
    } while (this.#clears.next(at) && this.#clears.keyAt(at) < end)
    return false
  }

  /** The keys of [begin, end) that have a change at or before `version`, with their value then: the first `most` in the order asked for. */
  visible(
    begin: Key,
    end: Key,
    version: number,
    { most = Number.MAX_SAFE_INTEGER, reverse = false } = {},
  ): Changed[] {
    const found: Changed[] = []
    const see = (key: Key, changes: Changes): boolean => {
      const change = changeAt(changes, version)
      if (change) found.push({ key, value: change.value })
      return found.length < most
    }
    this.#changes.scan(begin, end, see, reverse)
    return found
  }

  /** The keys that have a change at or before `version`, with their value then; undefined if ranges were cleared, so that any may. */
  changed(version: number): Iterable<Changed> | undefined {
    return this.#clears.size === 1 ? this.#changed(version) : undefined
  }

  *#changed(version: number): Generator<Changed, void, undefined> {
    for (const [key, changes] of this.#changes.entries()) {
      const change = changeAt(changes, version)
      if (change) yield { key, value: change.value }
    }
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
    const kept: [Key, Change][] = []
    this.#entries = 0
    this.#bytes = 0
    this.#oldest = 0
    for (const [key, { newest }] of this.#changes.entries())
      for (let change: Change | undefined = newest; change; change = change.older)
        if (keep(change.version)) kept.push([key, change])
    this.#changes.clear()
    // From the oldest on, so that each comes to stand over those before it.
    for (const [key, { version, value }] of kept.reverse()) this.#change(version, key, value)
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
    this.#entries++
    this.#bytes += ENTRY_BYTES + 2 * key.length + (value?.length ?? 0)
    const changes = this.#changes.get(key)
    if (changes) push(changes, version, value)
    else this.#changes.set(key, { newest: { version, value, older: undefined } })
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

/** Within one commit a later change of a key replaces the earlier one. */
function push(changes: Changes, version: number, value: Buffer | undefined): void {
  if (changes.newest.version === version) changes.newest.value = value
  else changes.newest = { version, value, older: changes.newest }
}
