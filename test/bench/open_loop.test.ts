// What the open-loop generator promises: every request that was to be sent is in the figures, however it ended.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { Random } from '../faults/random.ts'
import { countOf, measureOpen } from './open_loop.ts'
import { requestBytes } from './traffic/connection.ts'

/** Answers so many requests and no more, and never closes. @returns its origin */
async function silentAfter(answers: number): Promise<string> {
  let left = answers
  const server = createServer((socket) => {
    socket.on('data', () => left-- > 0 && socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('requests that are not answered, or never had a connection, count as errors', async () => {
  const origin = await silentAfter(10)
  const bytes = requestBytes(new URL(origin), 'GET', '/', {})
  const { groups, total } = await measureOpen({
    origin,
    perSecond: 500,
    next: () => ({ group: 'all', bytes }),
    warmUpMs: 0,
    durationMs: 200,
    random: new Random(1),
    maxConnections: 2,
    patienceMs: 100,
  })
  expect(total.asked).toBeGreaterThan(20)
  expect(total.latenciesMs).toHaveLength(10)
  expect(total.errors).toEqual({ 'no answer': total.asked - 10 })
  expect(countOf(groups.get('all')?.errors ?? {})).toBe(total.asked - 10)
})
