// Edge and region agree on what takes long: each operation that works outside its transaction holds a concurrency slot.
import { expect, test } from 'vitest'
import { needsSlot } from '../../edge/limit/slots.ts'
import { type ServiceOptions, services } from '../../regional/services/index.ts'

const nothing = (): never => {
  throw new Error('nothing is asked for here')
}
/** What the operations work with; here they are only looked at. */
const parts: unknown = new Proxy(Object.assign(nothing, {}), { get: () => parts })
const operations = services(parts as ServiceOptions).flatMap((service) => service.operations)
const pathOf = (path: string): string => path.replaceAll(/\{\w+\}/g, 'prj_01h455vb4pex5vsknk084sn02q')

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
