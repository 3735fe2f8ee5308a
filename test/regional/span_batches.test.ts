import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SpanBatches } from '../../regional/observe/span_batches.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

type Done = Parameters<SpanExporter['export']>[1]

/** What `SpanBatches` looks at, of a span that is kept. */
const span = { spanContext: () => ({ traceFlags: 1 }) } as unknown as ReadableSpan

function batches(answer: (done: Done, sizes: ReadonlyArray<number>) => void) {
  const sizes: number[] = []
  const logged: string[] = []
  let lost = 0
  const exporter: SpanExporter = {
    export(spans, done) {
      sizes.push(spans.length)
      answer(done, sizes)
    },
    shutdown: () => Promise.reject(new Error('it hangs')),
  }
  const note = (message: string) => void logged.push(message)
  const made = new SpanBatches({
    exporter,
    lost: (spans) => {
      lost += spans
    },
    log: { info: note, error: note },
  })
  const end = (spans: number) => {
    for (let i = 0; i < spans; i++) made.onEnd(span)
  }
  return { made, end, sizes, logged, lost: () => lost }
}

test('spans wait a second for others, and go at once when a batch is full', async () => {
  const { end, sizes } = batches((done) => done({ code: 0 }))
  end(10)
  expect(sizes).toEqual([])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(sizes).toEqual([10])
  end(600)
  expect(sizes).toEqual([10, 512])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(sizes).toEqual([10, 512, 88])
})

test('behind a collector that hangs so many wait and no more; what is left counts as lost when it stops', async () => {
  const { made, end, sizes, logged, lost } = batches(() => {})
  end(10_000)
  expect(sizes).toEqual([512])
  expect(lost()).toBe(10_000 - 512 - 2_048)
  const stopped = made.stop(500)
  await vi.advanceTimersByTimeAsync(500)
  await stopped
  end(5)
  expect(lost()).toBe(10_000 + 5)
  expect(logged).toEqual(['traces cannot be exported'])
})

test('what is left is exported when it stops, batch by batch', async () => {
  const answers: Done[] = []
  const { made, end, sizes, lost } = batches((done) => answers.push(done))
  end(1_200)
  const stopped = made.stop(500)
  for (const expected of [[512], [512, 512], [512, 512, 176]]) {
    expect(sizes).toEqual(expected)
    answers.shift()?.({ code: 0 })
    await vi.advanceTimersByTimeAsync(0)
  }
  await stopped
  expect(lost()).toBe(0)
})

test('an exporter that throws loses a batch, not the region', async () => {
  const { end, logged, lost } = batches((done, sizes) => {
    if (sizes.length === 1) throw new TypeError('a bug')
    done({ code: 0 })
  })
  end(3)
  await vi.advanceTimersByTimeAsync(1_000)
  end(3)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(lost()).toBe(3)
  expect(logged).toEqual(['traces cannot be exported', 'traces are exported again'])
})
