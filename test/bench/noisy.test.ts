import { expect, test } from 'vitest'
import { isSpared } from './noisy.ts'

test.each([
  ['as when all ask alike', {}, true],
  ['a little later', { p99Ms: 25 }, true],
  ['late', { p99Ms: 31 }, false],
  ['refused', { refusedShare: 0.003 }, false],
  ['failed', { errors: 3 }, false],
])('beside a noisy neighbour the others are spared: %s', (_what, felt, spared) => {
  const fair = { p99Ms: 20, refusedShare: 0.001, errors: 2 }
  expect(isSpared(fair, { ...fair, ...felt })).toBe(spared)
})
