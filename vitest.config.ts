import { randomBytes } from 'node:crypto'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'
import { COMPILED } from './dev/region.ts'

// What tests start is compiled once, not each time.
process.env.NODE_COMPILE_CACHE ??= COMPILED

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

/** What measures rates, delays and fairness, or kills what it started: by itself, so that nothing else makes it wait. */
const ALONE = ['limit', 'admission', 'faults', 'jobs'].map((folder) => `test/${folder}/**/*.test.ts`)

/**
 * `node`: engine, region and whole-stack tests on Node, two files at a time, since they mostly wait. `alone`: one at a time. `workerd`:
 * the edge inside the real runtime.
 */
export default defineConfig({
  test: {
    reporters: [process.env.CI ? 'dot' : 'default'],
    projects: [
      {
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/edge/**', ...ALONE],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll },
        },
      },
      {
        test: {
          name: 'alone',
          include: ALONE,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
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
          isolate: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          include: ['test/edge/**/*.test.ts', 'test/shared/**/*.test.ts'],
          globalSetup: './test/support/loopback_region.ts',
          testTimeout: 60_000,
          expect: { poll },
        },
      },
    ],
  },
})
