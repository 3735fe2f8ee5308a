// What is sealed opens with the key that sealed it, for what it was sealed for, and while that key is still known.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { Sealer } from '../../regional/tenancy/idempotency.ts'

const [old, fresh, other] = [randomBytes(32), randomBytes(32), randomBytes(32)]

test('a key is replaced without losing what the former one sealed', () => {
  const sealed = new Sealer(old).seal('answer', 'tenant 1')
  const rotated = new Sealer(fresh, old)
  expect(rotated.open(sealed, 'tenant 1')).toBe('answer')
  expect(new Sealer(fresh).open(rotated.seal('next', 'tenant 1'), 'tenant 1')).toBe('next')
  expect(() => new Sealer(fresh).open(sealed, 'tenant 1')).toThrow()
  expect(() => new Sealer(fresh, other).open(sealed, 'tenant 1')).toThrow()
  expect(() => rotated.open(sealed, 'tenant 2')).toThrow()
})
