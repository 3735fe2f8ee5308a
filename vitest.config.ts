import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

/** `node`: region, storage and whole-stack tests on Node. `workerd`: the edge inside the real runtime. */
export default defineConfig({
  test: {
    reporters: process.env.CI ? ['dot', './test/summary.ts'] : ['default', './test/summary.ts'],
    projects: [
      {
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/edge/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            // Otherwise workerd prints a trace for every connection that a test wants refused.
            verbose: false,
          }),
        ],
        test: {
          name: 'workerd',
          include: ['test/edge/**/*.test.ts', 'test/shared/**/*.test.ts'],
          globalSetup: './test/support/loopback_region.ts',
          testTimeout: 60_000,
        },
      },
    ],
  },
})
