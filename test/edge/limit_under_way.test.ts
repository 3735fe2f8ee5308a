import { expect, test } from 'vitest'
import { UnderWay } from '../../edge/limit/under_way.ts'

test('what is over does not count; what never said so counts as long as it may take', () => {
  const calls = new UnderWay(1_000)
  const end = calls.begin(0, 3)
  calls.begin(400, 4)
  expect([calls.count(500), calls.units(500)]).toEqual([2, 7])
  end()
  end()
  expect([calls.count(500), calls.units(500)]).toEqual([1, 4])
  expect([calls.count(1_400), calls.count(1_401)]).toEqual([1, 0])
  expect(calls.units(1_401)).toBe(0)
})

test('a clock that went back far leaves nothing that counts for ever', () => {
  const calls = new UnderWay(1_000)
  calls.begin(3_600_000)
  expect(calls.count(0)).toBe(0)
})
