// The mutants are tried by `npm run test:mutants`, which takes long. That there are any to try is seen here, at once.
import { expect, test } from 'vitest'
import { mutantsOf, SOURCES } from './mutant.ts'

test.each(SOURCES)('every rule still finds what it takes from %s.ts', (source) => {
  expect(mutantsOf(source).length).toBeGreaterThan(10)
})
