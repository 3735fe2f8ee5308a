import fc from 'fast-check'
import { expect, test } from 'vitest'
import { kept } from '../../regional/storage/kept_bytes.ts'

test('what is kept is a copy that nothing else writes into, however long', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 6_000 }), { maxLength: 40 }), (texts) => {
      const copies = texts.map(kept)
      const before = texts.map((text) => Buffer.from(text))
      for (const text of texts) text.fill(0)
      expect(copies).toEqual(before)
    }),
  )
})

test('a thousand short ones have slabs of their own, not one of Node’s each', () => {
  const slabs = new Set<ArrayBufferLike>()
  for (let i = 0; i < 1_000; i++) {
    // What passes by meanwhile.
    Buffer.allocUnsafe(4_000)
    slabs.add(kept(Buffer.from(`prefix of tenant ${i}`)).buffer)
  }
  expect(slabs.size).toBeLessThan(4)
})
