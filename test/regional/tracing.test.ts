// Which traces a region keeps: a part of all, the same ones in every region, and none because a client wants it.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { startTracing } from '../../regional/observe/tracing.ts'

/** Whether a region with this secret keeps the trace. */
async function keeper(ratio: number, secret = 'shared') {
  const note = () => {}
  const tracing = await startTracing({
    ...{ endpoint: 'http://127.0.0.1:1', headers: {}, serviceName: 'test', region: 'us' },
    ...{ ratio, secret, lost: note, log: { info: note, error: note } },
  })
  return (traceId: string) =>
    tracing.request('GET', { traceId, spanId: 'c'.repeat(16), sampled: true }, undefined) !== undefined
}

const ids = Array.from({ length: 2_000 }, () => randomBytes(16).toString('hex'))

test('of all traces as large a part is kept as is said, and every region keeps the same ones', async () => {
  const [one, another] = [await keeper(0.25), await keeper(0.25)]
  const kept = ids.filter(one)
  expect(kept.length).toBeGreaterThan(350)
  expect(kept.length).toBeLessThan(650)
  expect(ids.filter(another)).toEqual(kept)
  expect(ids.filter(await keeper(0))).toEqual([])
  expect(ids.filter(await keeper(1))).toEqual(ids)
})

test('a client that chooses its traces’ ids does not choose which are kept', async () => {
  const isKept = await keeper(0.01)
  // Their words come to nothing by XOR, which is how OpenTelemetry’s own sampler draws.
  const chosen = Array.from({ length: 1_000 }, () => randomBytes(4).toString('hex').repeat(4))
  expect(chosen.filter(isKept).length).toBeLessThan(50)
  const known = ids.filter(await keeper(0.01, 'another'))
  expect(known.filter(isKept).length).toBeLessThan(known.length)
})
