// A model that thinks before it speaks is not silent, and what it thinks is not free.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callModel } from '../../regional/models/gateway.ts'
import { type ModelServer, MUCH, startModelServer, THOUGHT_MS, THOUGHTS } from '../support/model_server.ts'

let server: ModelServer
beforeAll(async () => {
  server = await startModelServer()
})
afterAll(() => server.close())

/** Shorter than all that is thought. */
const PATIENCE_MS = (THOUGHTS * THOUGHT_MS * 3) / 4
const never = new AbortController().signal
const THOUGHT_TOKENS = Math.ceil((THOUGHTS * 'Hmm. '.length) / 4)

function call(content: string, signal = never, maxOutputTokens = 100) {
  const { baseUrl } = server
  const prices = { inputTokenPrice: 0, outputTokenPrice: 0 }
  return callModel(
    {
      ...{ name: 'm', baseUrl, apiKey: null, upstreamModel: 'm', plans: [], enabled: true, maxConcurrent: 1 },
      ...prices,
    },
    { instructions: '', messages: [{ role: 'user', content }], parameters: { maxOutputTokens } },
    { signal, onText: async () => {} },
    { firstTextMs: PATIENCE_MS, silenceMs: PATIENCE_MS },
  )
}

test('a model that thinks longer than it may be silent has its time', async () => {
  expect(await call('thinking')).toMatchObject({ outcome: 'succeeded', text: 'Hello, world.' })
})

test('what was thought is charged where the upstream does not count', async () => {
  const { inputTokens, outputTokens, usageEstimated } = await call('thinking, uncounted')
  expect([inputTokens, usageEstimated]).toEqual([5, true])
  expect(outputTokens).toBe(Math.ceil((THOUGHTS * 'Hmm. '.length + 'Hello, world.'.length) / 4))
})

test.each(['-1000000 4', '11 -4', '1.5 2.25', '1e300 4'])(
  'what no number of tokens can be, such as %s, is not believed',
  async (counts) => {
    const content = `counts ${counts}`
    expect(await call(content)).toMatchObject({
      ...{ outcome: 'succeeded', usageEstimated: true },
      ...{ inputTokens: Math.ceil(content.length / 4), outputTokens: 4 },
    })
  },
)

test.each([
  '{}',
  '{"total_tokens":500}',
  '{"prompt_tokens":10}',
  '{"completion_tokens":4}',
  '{"prompt_tokens":0,"completion_tokens":0}',
  '{"prompt_tokens":10,"completion_tokens":0}',
  '{"prompt_tokens":0,"completion_tokens":4}',
])('what is told of only in part, or for nothing, is estimated: %s', async (usage) => {
  const content = `usage ${usage}`
  expect(await call(content)).toMatchObject({
    ...{ outcome: 'succeeded', usageEstimated: true },
    ...{ inputTokens: Math.ceil(content.length / 4), outputTokens: 4 },
  })
})

test.each(['length', 'eos', 'eos_token', 'end_turn'])('an answer that ends as %s is whole', async (why) => {
  expect(await call(`finish ${why}`)).toMatchObject({ outcome: 'succeeded', text: 'Hello, world.' })
})

test('an answer that ends in an error is not', async () => {
  expect(await call('finish error')).toMatchObject({ outcome: 'upstream_broken_off', text: 'Hello, world.' })
})

test('a model that says more than it was asked for is broken off, and what it said until then is charged', async () => {
  const called = await call('flood of text')
  expect(called).toMatchObject({ outcome: 'upstream_failed', text: MUCH, usageEstimated: true })
  expect(called.outputTokens).toBeGreaterThanOrEqual(MUCH.length / 4)
  await expect.poll(server.underWay).toBe(0)
})

test.each(['thoughts', 'data'])('a flood of %s that no text comes of ends as well', async (what) => {
  const content = `flood of ${what}`
  expect(await call(content)).toMatchObject({
    ...{ outcome: 'upstream_failed', text: '', usageEstimated: true },
    inputTokens: Math.ceil(content.length / 4),
  })
  await expect.poll(server.underWay).toBe(0)
})

test('a text that is as long as its tokens can be is taken whole', async () => {
  const called = await call('Hello', never, 1)
  expect(called).toMatchObject({ outcome: 'succeeded', text: 'Hello, world.' })
})

test('a prompt goes nowhere but to the model’s own server', async () => {
  const another = await startModelServer()
  try {
    const called = await call(`redirected ${another.baseUrl}/chat/completions`)
    expect(called).toMatchObject({ outcome: 'upstream_unavailable', inputTokens: 0, outputTokens: 0 })
    expect(another.served).toEqual([])
  } finally {
    await another.close()
  }
})

test('a model that breaks off in its thoughts had begun', async () => {
  expect(await call('thinking, but thoughtless')).toMatchObject({
    ...{ outcome: 'upstream_broken_off', text: '', usageEstimated: true },
    ...{ inputTokens: 7, outputTokens: THOUGHT_TOKENS },
  })
})

test('a call that is given up before the first word is charged its prompt', async () => {
  const leaving = new AbortController()
  const before = server.served.length
  const called = call('silent, 20 bytes so.', leaving.signal)
  await expect.poll(() => server.served.length).toBe(before + 1)
  leaving.abort()
  expect(await called).toMatchObject({
    ...{ outcome: 'cancelled', inputTokens: 5, outputTokens: 0, usageEstimated: true },
  })
})
