// The changes of a commit as bytes, from the main thread to the writer: kind, then each part with its length.
// Keys and values have no operations left in them; what to store was decided when the commit was resolved.
import type { Key } from './key.ts'

export const Change = { Set: 1, Clear: 2, ClearRange: 3 } as const

export type Effect =
  | { kind: typeof Change.Set; key: Key; value: Buffer }
  | { kind: typeof Change.Clear; key: Key }
  | { kind: typeof Change.ClearRange; begin: Key; end: Key }

const LENGTH = 4

export function encodedSize(effects: readonly Effect[]): number {
  let size = 0
  for (const effect of effects) {
    if (effect.kind === Change.Set) size += 1 + 2 * LENGTH + effect.key.length + effect.value.length
    else if (effect.kind === Change.Clear) size += 1 + LENGTH + effect.key.length
    else size += 1 + 2 * LENGTH + effect.begin.length + effect.end.length
  }
  return size
}

/** Writes the effects at `offset` and returns where they end. */
export function encode(effects: readonly Effect[], into: Buffer, offset: number): number {
  let at = offset
  const key = (text: Key): void => {
    at = into.writeUInt32LE(text.length, at)
    at += into.write(text, at, 'latin1')
  }
  for (const effect of effects) {
    at = into.writeUInt8(effect.kind, at)
    if (effect.kind === Change.ClearRange) {
      key(effect.begin)
      key(effect.end)
      continue
    }
    key(effect.key)
    if (effect.kind === Change.Set) {
      at = into.writeUInt32LE(effect.value.length, at)
      at += effect.value.copy(into, at)
    }
  }
  return at
}

export interface EffectSink {
  set(key: Uint8Array, value: Uint8Array): void
  clear(key: Uint8Array): void
  clearRange(begin: Uint8Array, end: Uint8Array): void
}

export function decode(bytes: Buffer, sink: EffectSink): void {
  let at = 0
  const part = (): Uint8Array => {
    const length = bytes.readUInt32LE(at)
    at += LENGTH + length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const kind = bytes[at++]
    if (kind === Change.Set) sink.set(part(), part())
    else if (kind === Change.Clear) sink.clear(part())
    else sink.clearRange(part(), part())
  }
}
