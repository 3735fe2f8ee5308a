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

test('where entries differ in size, it keeps so much of them, whatever is changed or taken out', () => {
  const remembered = new Lru<string, string>(10, (_, text) => text.length)
  for (const [key, text] of Object.entries({ a: 'xxxx', b: 'xxxx', c: 'xx' })) remembered.set(key, text)
  expect(remembered.size).toBe(3)
  remembered.set('b', 'xxx')
  remembered.delete('c')
  remembered.set('d', 'xxx')
  expect(remembered.size).toBe(3)
  remembered.set('e', 'xxxxxxx')
  expect(['a', 'b', 'd', 'e'].map((key) => remembered.get(key)?.length)).toEqual([undefined, undefined, 3, 7])
  remembered.set('f', 'x'.repeat(11))
  expect(remembered.size).toBe(0)
})
