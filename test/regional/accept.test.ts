import { expect, test } from 'vitest'
import { needsSlot } from '../../edge/limit/cost.ts'
import { wantsEvents } from '../../regional/accept.ts'

test.each([
  ['text/event-stream', true],
  ['TEXT/Event-Stream', true],
  ['text/event-stream; charset=utf-8', true],
  ['text/event-stream;q=0.1, */*', true],
  ['application/json, text/event-stream', true],
  ['application/json;q=0.5,text/event-stream;q=0.6', true],
  ['application/json, text/event-stream;q=0.5', false],
  ['Application/JSON;q=1, text/event-stream;Q=0.9', false],
  ['text/event-stream;q=0', false],
  ['text/event-stream ; q=0.000', false],
  ['application/json;note="text/event-stream"', false],
  ['text/event-streams', false],
  ['text/*, */*', false],
  ['application/json', false],
  ['', false],
  [undefined, false],
])('%s asks for events: %s', (accept, wants) => {
  expect(wantsEvents(accept)).toBe(wants)
  if (wants) expect(needsSlot('GET', '/v1/events', accept)).toBe(true)
})
