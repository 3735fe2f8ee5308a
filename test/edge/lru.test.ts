import { expect, test } from 'vitest'
import { Lru } from '../../edge/lru.ts'

test('an isolate keeps so many entries, and forgets the one that was used longest ago', () => {
  const remembered = new Lru<string, number>(2)
  remembered.set('a', 1)
  remembered.set('b', 2)
  expect(remembered.get('a')).toBe(1)
  remembered.set('c', 3)
  expect(['a', 'b', 'c'].map((text) => remembered.get(text))).toEqual([1, undefined, 3])
})
