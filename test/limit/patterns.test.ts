// The edge knows operations by patterns of their paths; here they are held to what the regions declare: each operation that works
// outside its transaction holds a concurrency slot, and each that answers a page costs what a list does.
import { expect, test } from 'vitest'
import { z } from 'zod'
import { costOf, needsSlot } from '../../edge/limit/cost.ts'
import { pageQuery } from '../../regional/operation.ts'
import { operations, pathOf } from './operations.ts'

const shown = (those: typeof operations) =>
  those.map(({ declaration: { method, path } }) => `${method} ${path}`).toSorted()

test('each operation that works outside its transaction holds a slot, and no other that is no stream', () => {
  const slotted = operations.filter(({ declaration: { method, path } }) =>
    needsSlot(method.toUpperCase(), pathOf(path), 'application/json'),
  )
  const outside = operations.filter(({ answers }) => answers === 'outside')
  expect(shown(outside)).toContain('post /v1/projects/{projectId}/agents/{agentId}/runs')
  expect(shown(slotted)).toEqual(shown(outside))
})

test('each operation that answers a page costs two units, each batch five, and every other one', () => {
  const costing = (units: number) =>
    shown(
      operations.filter(
        ({ declaration: { method, path } }) => costOf(method.toUpperCase(), pathOf(path)) === units,
      ),
    )
  const pages = shown(
    operations.filter(
      ({ declaration: { query } }) =>
        query instanceof z.ZodObject && Object.keys(pageQuery.shape).every((name) => name in query.shape),
    ),
  )
  expect(pages).toContain('get /v1/webhook-sources/{sourceId}/received')
  const batches = shown(operations.filter(({ declaration: { path } }) => path.endsWith(':batch')))
  expect([costing(2), costing(5)]).toEqual([pages, batches])
  expect(costing(1)).toHaveLength(operations.length - pages.length - batches.length)
})

test.each([
  ['/v1/projects/prj_01j9zq3k7fe6t8yq0vb5s4m2wd/collections/events', 1],
  ['/v1/projects/prj_01j9zq3k7fe6t8yq0vb5s4m2wd/collections/events/records', 2],
  ['/v1/projects/prj_01j9zq3k7fe6t8yq0vb5s4m2wd/collections/collections/records', 2],
])('whatever a collection is called, it is one thing, and its records a list: %s costs %i', (path, units) => {
  expect(costOf('GET', path)).toBe(units)
})

test.each([
  ['text/event-stream', true],
  ['application/json, Text/Event-Stream;q=0.5', true],
  ['application/json', false],
  [undefined, false],
])('a request that accepts %s holds one: %s', (accept, holds) => {
  expect(needsSlot('GET', '/v1/events', accept)).toBe(holds)
})
