// A transaction in the simplest words: a copy of the database at its read version, and its operations applied
// to it one after the other. What the engine must answer, without any of its cleverness.
import { applyAtomicOp, type Op } from '../../regional/storage/embedded/atomic_ops.ts'
import type { Key } from '../../regional/storage/embedded/key.ts'

export type State = ReadonlyMap<Key, Buffer>
export type Span = readonly [begin: Key, end: Key]

export type Write =
  | { op: 'set'; key: Key; value: Buffer }
  | { op: 'clearRange'; begin: Key; end: Key }
  | { op: 'atomic'; type: Op; key: Key; value: Buffer }

export interface SelectorSpec {
  key: Key
  orEqual: boolean
  offset: number
}

export type Read =
  | { op: 'get'; key: Key }
  | { op: 'getKey'; selector: SelectorSpec }
  | { op: 'getRange'; begin: SelectorSpec; end: SelectorSpec; limit: number; reverse: boolean }

export function applyWrite(state: State, write: Write): State {
  const next = new Map(state)
  if (write.op === 'set') next.set(write.key, write.value)
  else if (write.op === 'clearRange') {
    for (const key of state.keys()) if (key >= write.begin && key < write.end) next.delete(key)
  } else {
    const value = applyAtomicOp(write.type, state.get(write.key), write.value)
    if (value === undefined) next.delete(write.key)
    else next.set(write.key, value)
  }
  return next
}

const sortedKeys = (state: State): Key[] => [...state.keys()].sort((a, b) => (a < b ? -1 : 1))

function resolve(keys: readonly Key[], { key, orEqual, offset }: SelectorSpec): Key {
  const base = keys.findIndex((other) => (orEqual ? other > key : other >= key))
  const at = (base < 0 ? keys.length : base) + offset - 1
  if (at < 0) return ''
  return keys[at] ?? '\xff'
}

/** The answer as text, to be compared. */
export function answer(state: State, read: Read): string {
  if (read.op === 'get') return state.get(read.key)?.toString('hex') ?? 'none'
  const keys = sortedKeys(state)
  if (read.op === 'getKey') return resolve(keys, read.selector)
  const begin = resolve(keys, read.begin)
  const end = resolve(keys, read.end)
  const found = keys.filter((key) => key >= begin && key < end)
  if (read.reverse) found.reverse()
  const rows = read.limit > 0 ? found.slice(0, read.limit) : found
  return rows.map((key) => `${key}=${state.get(key)?.toString('hex')}`).join(',')
}

export const writtenSpan = (write: Write): Span =>
  write.op === 'clearRange' ? [write.begin, write.end] : [write.key, `${write.key}\0`]

/** Everything that a read could depend on at most. */
export const readEnvelope = (read: Read): Span =>
  read.op === 'get' ? [read.key, `${read.key}\0`] : ['', '\xff']

export const overlaps = ([a, b]: Span, [c, d]: Span): boolean => a < d && c < b
