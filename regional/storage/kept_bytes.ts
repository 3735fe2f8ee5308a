// Bytes that are kept for long: prefixes, and what grants are checked by. Node cuts small buffers out of slabs of 64 KiB that
// they share with whatever passes by at that moment, and one that stays keeps all of its slab: those of two thousand tenants
// kept 220 MB for 3 MB. Here they have slabs of their own, for what stays alone: what soon goes again would leave holes.

const SLAB_BYTES = 16 * 1024
let slab = Buffer.alloc(0)
let used = 0

/** A copy. */
export function kept(bytes: Uint8Array): Buffer {
  const { length } = bytes
  if (length > SLAB_BYTES / 4) return Buffer.from(Uint8Array.from(bytes).buffer)
  if (used + length > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    used = 0
  }
  slab.set(bytes, used)
  used += length
  return slab.subarray(used - length, used)
}
