// Which tenants metrics name: the largest, whatever the others do, and never more than so many.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readOtlpHeaders } from '../../regional/observe/otlp_headers.ts'
import { OTHER, TopTenants } from '../../regional/observe/top_tenants.ts'
import { asTenantNumber } from '../../shared/tenant.ts'

const LABELS = 3
const tenant = (number: number) => asTenantNumber(BigInt(number))

test('however many tenants there are, the labels in use stay bounded, and every unit is under one of them', () => {
  const use = fc.record({ number: fc.integer({ min: 1, max: 10_000 }), round: fc.boolean() })
  fc.assert(
    fc.property(fc.array(use, { maxLength: 500 }), (uses) => {
      const top = new TopTenants(LABELS)
      const counted = new Map<string, number>()
      let gone = 0
      for (const { number, round } of uses) {
        const label = top.note(tenant(number), 1)
        expect([String(number), OTHER]).toContain(label)
        counted.set(label, (counted.get(label) ?? 0) + 1)
        if (!round) continue
        for (const dropped of top.round()) {
          gone += counted.get(dropped) ?? 0
          counted.delete(dropped)
        }
        expect(counted.size).toBeLessThanOrEqual(LABELS + 1)
      }
      expect(gone + [...counted.values()].reduce((sum, each) => sum + each, 0)).toBe(uses.length)
    }),
  )
})

test('a tenant that uses a quarter of all is named, among ten thousand that come and go', () => {
  const top = new TopTenants(LABELS)
  for (let i = 1; i <= 10_000; i++) {
    top.note(tenant(i + 10), 3)
    top.note(tenant(1), 1)
    if (i % 1_000 === 0) top.round()
  }
  expect(top.note(tenant(1), 1)).toBe('1')
})

test('a label stays with its tenant while another has only a little more, and goes when it has much more', () => {
  const top = new TopTenants(1)
  top.note(tenant(1), 100)
  expect(top.round()).toEqual([])
  top.note(tenant(2), 55)
  top.round()
  expect(top.note(tenant(1), 0)).toBe('1')
  top.note(tenant(2), 500)
  expect(top.round()).toEqual(['1'])
  expect([top.note(tenant(1), 1), top.note(tenant(2), 1)]).toEqual([OTHER, '2'])
})

test('headers for the collector are read as the specification writes them', () => {
  expect(readOtlpHeaders('api-key=a%2Cb, x-tenant = ops ,broken,=none,odd=%')).toEqual({
    'api-key': 'a,b',
    'x-tenant': 'ops',
    odd: '%',
  })
  expect(readOtlpHeaders('')).toEqual({})
})
