// Copies of bytes, by where their memory lies: who holds one buffer reaches by its `buffer` all that it shares memory with.
import { types } from 'node:util'

const SLAB_BYTES = 16 * 1024
const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype)
const lengthGetter = Object.getOwnPropertyDescriptor(typedArray, 'length')?.get

/** Whether it is what it says: nothing that only looks like an array of bytes, whatever its properties answer. */
export const isBytes = (value: unknown): value is Uint8Array => types.isUint8Array(value)

/** How many there are, whatever `bytes.length` says. */
export const lengthOf = (bytes: Uint8Array): number => lengthGetter?.call(bytes)

/** A copy with memory of its own. `Buffer.from` would follow `valueOf`, and may share memory with what it finds there. */
function copied(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(lengthOf(bytes))
  copy.set(bytes)
  return copy
}

/**
 * Makes copies in slabs that they share with each other and with nothing else. A short buffer with memory of its own takes
 * twice as much of it, and V8 is slow to read one as text.
 */
export function slabs(): (bytes: Uint8Array) => Buffer {
  let slab = Buffer.alloc(0)
  let used = 0
  return (bytes) => {
    const length = lengthOf(bytes)
    if (length > SLAB_BYTES / 4) return copied(bytes)
    if (used + length > slab.length) {
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      used = 0
    }
    slab.set(bytes, used)
    used += length
    return slab.subarray(used - length, used)
  }
}

/** For the prefixes of busy tenants alone: what soon goes again would leave holes. */
export const kept = slabs()
