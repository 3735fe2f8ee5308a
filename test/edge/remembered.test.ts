import { expect, test } from 'vitest'
import { Remembered } from '../../edge/identify/remembered.ts'

test('an isolate remembers so many keys, and forgets the one that was used longest ago', () => {
  const remembered = new Remembered<number>(2)
  remembered.put('a', 1)
  remembered.put('b', 2)
  expect(remembered.get('a')).toBe(1)
  remembered.put('c', 3)
  expect(['a', 'b', 'c'].map((text) => remembered.get(text))).toEqual([1, undefined, 3])
})
