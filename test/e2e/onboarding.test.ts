// A new organisation is live at once: the key that came back with it works in its home region with the next request.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onboard } from '../bench/onboard.ts'
import { type Stack, startStack } from './stack.ts'

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack.stop())

test('from asking for an organisation to its first record, in either region, nobody waits for anything', async () => {
  for (const region of ['us', 'eu', 'us', 'eu']) {
    const record = await onboard(stack, `new-${crypto.randomUUID().slice(0, 8)}`, region)
    expect(record).toMatchObject({ data: { text: 'Hello' } })
  }
})
