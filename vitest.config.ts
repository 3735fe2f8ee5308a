import { randomBytes } from 'node:crypto'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const secret = () => randomBytes(32).toString('base64url')
/** What the worker itself needs to start, for tests that reach it or its Durable Object; the others make their own. */
const bindings = {
  PUBLIC_ORIGIN: 'https://edge.example',
  REGIONS: JSON.stringify({ us: ['http://127.0.0.1:1'] }),
  CONTROL_REGION: 'us',
  ASSERTION_KEYS: JSON.stringify({ us: [{ kid: 'us-1', secret: secret() }] }),
  SIGNING_ROOTS: JSON.stringify([{ id: 1, secret: secret(), state: 'active' }]),
  OPERATORS: '[]',
}

/** A busy machine takes longer than Vitest's one second for what comes about by itself. */
const poll = { timeout: 20_000 }

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
          expect: { poll },
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings },
            // Otherwise workerd prints a trace for every connection that a test wants refused.
            verbose: false,
          }),
        ],
        test: {
          name: 'workerd',
          include: ['test/edge/**/*.test.ts', 'test/shared/**/*.test.ts'],
          globalSetup: './test/support/loopback_region.ts',
          testTimeout: 60_000,
          expect: { poll },
        },
      },
    ],
  },
})
