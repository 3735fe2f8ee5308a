// Edge and region agree on what takes long: each operation that works outside its transaction holds a concurrency slot.
import { expect, test } from 'vitest'
import { needsSlot } from '../../edge/limit/slots.ts'
import { operations, pathOf } from './operations.ts'

test('each operation that works outside its transaction holds a slot, and no other that is no stream', () => {
  const slotted = operations.filter(({ declaration: { method, path } }) =>
    needsSlot(method.toUpperCase(), pathOf(path), 'application/json'),
  )
  const outside = operations.filter(({ answers }) => answers === 'outside')
  const shown = (those: typeof operations) => those.map(({ declaration }) => declaration.path).toSorted()
  expect(shown(outside)).toContain('/v1/projects/{projectId}/agents/{agentId}/runs')
  expect(shown(slotted)).toEqual(shown(outside))
})

test.each([
  ['text/event-stream', true],
  ['application/json, Text/Event-Stream;q=0.5', true],
  ['application/json', false],
  [undefined, false],
])('a request that accepts %s holds one: %s', (accept, holds) => {
  expect(needsSlot('GET', '/v1/events', accept)).toBe(holds)
})
