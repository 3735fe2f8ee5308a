// How mutants.ts runs the fence's tests: with one source file swapped for its mutant, in memory only, so that
// neither the working tree nor the product ever holds a switch that opens the fence.

import { readFileSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const { MUTANT_OF, MUTANT_SOURCE } = process.env

export default defineConfig({
  plugins: [
    {
      name: 'mutant',
      enforce: 'pre',
      transform(_code, id) {
        return id === MUTANT_OF && MUTANT_SOURCE !== undefined ? readFileSync(MUTANT_SOURCE, 'utf8') : null
      },
    },
  ],
  test: {
    include: ['test/isolation/fence*.test.ts'],
    testTimeout: 30_000,
    bail: 1,
    // The cache goes by the file on disk: it would answer with the fence as it is, or keep a mutant.
    fsModuleCache: false,
    reporters: ['json'],
    maxWorkers: 1,
    pool: 'threads',
    isolate: false,
  },
})
