import { join } from 'node:path'
import { expect, test } from 'vitest'
import { describeFailure, replayAll } from './trace.ts'

test('every scenario recorded on a real cluster gets the same answers, step by step', async () => {
  const { passed, failures } = await replayAll(join(import.meta.dirname, 'traces'))
  expect(failures.map(describeFailure)).toEqual([])
  expect(passed).toBeGreaterThan(1000)
})
