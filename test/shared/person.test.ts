// What a token's claims say of a person, whoever reads them: it fits into a header, and of many roles none that can count
// is lost before those that can't.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8 } from '../../shared/bytes.ts'
import { personOf } from '../../shared/person.ts'

const rolesOf = (groups: unknown) => personOf({ sub: 'ann', exp: 1, groups }, 'groups')?.roles?.values

test('whatever roles there are, what is told of them has at most 6,000 bytes, and is the first of them', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 250 }),
    fc.string({ unit: fc.constantFrom('管', '\u0001', '"', '\ud800'), maxLength: 250 }),
  )
  const groups = fc.array(fc.oneof(text, fc.integer(), fc.constant(null)), { maxLength: 200, size: 'max' })
  fc.assert(
    fc.property(groups, (groups) => {
      const told = rolesOf(groups) ?? []
      expect(utf8(JSON.stringify(told)).length).toBeLessThanOrEqual(6_001)
      const mayCount = groups.filter(
        (each) => typeof each === 'string' && each.length <= 200 && each.isWellFormed(),
      )
      expect(told).toEqual(mayCount.slice(0, told.length))
      if (utf8(JSON.stringify(mayCount)).length <= 6_001) expect(told).toEqual(mayCount)
    }),
  )
})

test('of short roles more than a hundred count, and a long one that can’t takes no room of others', () => {
  const short = Array.from({ length: 300 }, (_, i) => `team-${i}`)
  expect(rolesOf(['x'.repeat(10_000), ...short])).toEqual(short)
})

test('when a token was issued is told as a number, or not at all', () => {
  expect(personOf({ sub: 'ann', exp: 1, iat: 7 }, null)).toMatchObject({ iat: 7 })
  for (const iat of [undefined, '7', { valueOf: 7 }, null]) {
    expect(personOf({ sub: 'ann', exp: 1, iat }, null)).not.toHaveProperty('iat')
  }
})
