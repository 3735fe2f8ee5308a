import { expect, test } from 'vitest'
import { seedOf } from './random.ts'
import { runRegions } from './region_run.ts'

const REQUESTS = 3_000

test('over a failing database every request is applied once, and the books are right', async () => {
  const seed = seedOf(1)
  const { anomalies, requests, statuses, chaos } = await runRegions(seed, REQUESTS)
  expect(anomalies, `to run it again: FUZZ_SEED=${seed}`).toEqual([])
  expect(requests).toBeGreaterThanOrEqual(REQUESTS)
  // The run met what it is about: changes that succeeded, and commits of every unknown kind.
  expect((statuses[200] ?? 0) + (statuses[201] ?? 0) + (statuses[204] ?? 0)).toBeGreaterThan(REQUESTS / 5)
  for (const { landed, lost, lateLanded } of chaos)
    for (const count of [landed, lost, lateLanded]) expect(count).toBeGreaterThan(0)
}, 120_000)
