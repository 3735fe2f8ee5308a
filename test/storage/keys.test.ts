import { expect, test } from 'vitest'
import { serviceSubspace, subspaceName, systemSubspace } from '../../regional/storage/keys.ts'

test('only the services that look after a system subspace are given one, whatever a name means elsewhere', () => {
  expect(serviceSubspace('api-keys')).toEqual(systemSubspace('credentials'))
  for (const name of ['projects', 'constructor'])
    expect(subspaceName(serviceSubspace(name))).toBe(`service ${name}`)
  for (const name of ['toString', 'hasOwnProperty', '__proto__', '', 'Projects', 'a\0b'])
    expect(() => serviceSubspace(name)).toThrow(RangeError)
})
