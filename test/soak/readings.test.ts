import { expect, test } from 'vitest'
import { growths, readMetrics } from './readings.ts'

const over = (what: string, value: (n: number) => number) =>
  growths(Array.from({ length: 50 }, (_, n) => ({ [what]: value(n) })))[0]?.leaks

test('what goes up and down does not leak', () => {
  expect(over('memory', (n) => 300 + 60 * (n % 5))).toBe(false)
  expect(over('sockets', (n) => 40 + (n % 7))).toBe(false)
})

test('one peak is no leak', () => {
  expect(over('memory', (n) => (n === 40 ? 2_000 : 300))).toBe(false)
})

test('memory that grows all the time leaks, however it goes up and down meanwhile', () => {
  expect(over('memory', (n) => 300 + 60 * (n % 5) + 2 * n)).toBe(true)
})

test('a handle that is never given back leaks, before it is many', () => {
  expect(over('files', (n) => 40 + n / 3)).toBe(true)
  expect(over('active Timeout', (n) => n)).toBe(true)
})

test('the heap and the kinds of handles are read of the metrics', () => {
  const text = `# HELP nodejs_active_resources
nodejs_active_resources{type="Timeout"} 12
nodejs_active_resources{type="TCPSocketWrap"} 30
nodejs_heap_size_used_bytes 104857600
`
  expect(readMetrics(text)).toEqual({ 'active Timeout': 12, 'active TCPSocketWrap': 30, heap: 100 })
})
