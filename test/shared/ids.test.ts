import fc from 'fast-check'
import { expect, test } from 'vitest'
import { idBytes, idFromBytes, newId, uuidv7 } from '../../shared/ids.ts'

const times = fc.integer({ min: 0, max: 2 ** 48 - 1 })

test('a new id is a UUIDv7 of its time, in the one spelling that it has', () => {
  fc.assert(
    fc.property(times, (nowMs) => {
      const id = newId('prj', nowMs)
      const bytes = idBytes('prj', id)
      if (bytes === undefined) throw new Error(`${id} is no id`)
      expect(idFromBytes('prj', bytes)).toBe(id)
      // What version, variant and time make of these very random bits.
      expect(bytes).toEqual(uuidv7(nowMs, bytes.subarray(6)))
    }),
    { numRuns: 2_000 },
  )
})

test('each of the 74 bits that are left to chance is one half of the time, and no two ids are alike', () => {
  const ids = Array.from({ length: 4_000 }, () => newId('req', 1_800_000_000_000))
  expect(new Set(ids).size).toBe(ids.length)
  const set = new Array<number>(128).fill(0)
  for (const id of ids) {
    for (const [i, byte] of (idBytes('req', id) ?? []).entries()) {
      for (let bit = 0; bit < 8; bit++)
        if (byte & (0x80 >> bit)) set[8 * i + bit] = (set[8 * i + bit] ?? 0) + 1
    }
  }
  // Ten standard deviations.
  const isChance = (count: number) => Math.abs(count - ids.length / 2) < 10 * Math.sqrt(ids.length / 4)
  expect(set.slice(48).filter(isChance)).toHaveLength(74)
})

test('ids sort by the time they were made', () => {
  fc.assert(
    fc.property(times, times, (a, b) => {
      fc.pre(a !== b)
      expect(newId('evt', a) < newId('evt', b)).toBe(a < b)
    }),
  )
})
