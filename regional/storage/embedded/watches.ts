// Watches whose transaction has committed: each fires when its key's value differs from the one it was set
// for. Looked at after every durable commit that touched the key.
import { code, fdbError } from './errors.ts'
import type { Key } from './key.ts'
import { DEFAULT_MAX_WATCHES } from './limits.ts'
import { Change, type Effect } from './mutation_codec.ts'
import { OrderedMap } from './ordered_map.ts'

/** Behind every key: a character of one is a byte. */
const PAST_ALL: Key = '\u0100'

type Outcome = { changed: true } | { failure: Error }

export class Watch {
  readonly key: Key
  /** The value that the watching transaction saw or wrote. */
  value: Buffer | undefined
  #settle: ((outcome: Outcome) => void) | undefined
  readonly #onEnd: (() => void)[] = []

  constructor(key: Key, value: Buffer | undefined, settle: (outcome: Outcome) => void) {
    this.key = key
    this.value = value
    this.#settle = settle
  }

  get isOpen(): boolean {
    return this.#settle !== undefined
  }

  onEnd(callback: () => void): void {
    this.#onEnd.push(callback)
  }

  fire(): void {
    this.#end({ changed: true })
  }

  fail(failure: Error): void {
    this.#end({ failure })
  }

  #end(outcome: Outcome): void {
    const settle = this.#settle
    this.#settle = undefined
    settle?.(outcome)
    for (const callback of this.#onEnd.splice(0)) callback()
  }
}

export const sameValue = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b)

export class Watches {
  /** In order, so that a cleared range finds its own. */
  readonly #byKey = new OrderedMap<Set<Watch>>()
  /** Set in a transaction, committed or not: all count against the limit. */
  #open = 0
  limit = DEFAULT_MAX_WATCHES

  /** Counts a new watch in; throws 1032 when there are too many. */
  admit(watch: Watch): void {
    if (this.#open >= this.limit) throw fdbError(code.tooManyWatches)
    this.#open++
    watch.onEnd(() => {
      this.#open--
    })
  }

  /** Begins to watch. */
  add(watch: Watch, currentValue: (key: Key) => Buffer | undefined): void {
    if (!watch.isOpen) return
    compare([watch], watch.key, currentValue)
    if (!watch.isOpen) return
    const others = this.#byKey.get(watch.key) ?? new Set()
    others.add(watch)
    this.#byKey.set(watch.key, others)
    watch.onEnd(() => {
      others.delete(watch)
      if (others.size === 0 && this.#byKey.get(watch.key) === others) this.#byKey.delete(watch.key)
    })
  }

  /** A commit with these effects is durable; `currentValue` reads the newest durable value. */
  changed(effects: readonly Effect[], currentValue: (key: Key) => Buffer | undefined): void {
    if (this.#byKey.size === 0) return
    for (const effect of effects) {
      if (effect.kind !== Change.ClearRange) {
        this.#look(effect.key, currentValue)
        continue
      }
      for (const key of this.#keys(effect.begin, effect.end)) this.#look(key, currentValue)
    }
  }

  failAll(failure: Error): void {
    for (const key of this.#keys('', PAST_ALL)) {
      for (const watch of [...(this.#byKey.get(key) ?? [])]) watch.fail(failure)
    }
  }

  /** A copy: watches that end leave the map. */
  #keys(begin: Key, end: Key): Key[] {
    const keys: Key[] = []
    this.#byKey.scan(begin, end, (key) => {
      keys.push(key)
      return true
    })
    return keys
  }

  #look(key: Key, currentValue: (key: Key) => Buffer | undefined): void {
    const watches = this.#byKey.get(key)
    if (!watches) return
    compare([...watches], key, currentValue)
  }
}

/** Ends those whose value is another now. A value that can't be read ends all of them. */
function compare(watches: readonly Watch[], key: Key, currentValue: (key: Key) => Buffer | undefined): void {
  let now: Buffer | undefined
  try {
    now = currentValue(key)
  } catch (error) {
    for (const watch of watches) watch.fail(error as Error)
    return
  }
  for (const watch of watches) if (!sameValue(watch.value, now)) watch.fire()
}
