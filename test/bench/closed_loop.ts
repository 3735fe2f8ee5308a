// A closed-loop load generator: each connection sends its next request when the last one is answered. On plain
// sockets, because on a small machine an HTTP client would cost more than what it measures.
import { connect, type Socket } from 'node:net'

export interface Load {
  origin: string
  method: 'GET' | 'POST'
  path: string
  headers: Readonly<Record<string, string>>
  body?: string
  /** Another request each time: what it has beside, or instead of, the above. */
  each?: () => Pick<Load, 'headers' | 'body'>
  connections: number
  durationMs: number
}

/** Every answer's time in milliseconds, in no order. */
export interface Measured {
  latenciesMs: number[]
  elapsedMs: number
}

/** @throws {Error} for an answer that is not 2xx: a refusal is quick, and no figure. */
export async function measure(load: Load): Promise<Measured> {
  const latenciesMs: number[] = []
  const from = performance.now()
  const until = from + load.durationMs
  await Promise.all(Array.from({ length: load.connections }, () => keepAsking(load, until, latenciesMs)))
  return { latenciesMs, elapsedMs: performance.now() - from }
}

function requestBytes({ origin, method, path, headers, body }: Load): Buffer {
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${new URL(origin).host}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (body !== undefined) lines.push(`Content-Length: ${Buffer.byteLength(body)}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`)
}

function keepAsking(load: Load, until: number, latenciesMs: number[]): Promise<void> {
  const { hostname, port } = new URL(load.origin)
  const same = requestBytes(load)
  return new Promise((resolve, reject) => {
    let sentAt = 0
    let received = ''
    const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true })
    const ask = () => {
      const bytes = load.each === undefined ? same : requestBytes({ ...load, ...load.each() })
      sentAt = performance.now()
      socket.write(bytes)
    }
    socket.setEncoding('latin1')
    socket.on('connect', ask)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed in the middle')))
    socket.on('data', (text: string) => {
      received += text
      if (!isWhole(received)) return
      if (!/^HTTP\/1\.1 2/.test(received)) {
        socket.destroy()
        reject(new Error(`an answer is no success: ${received}`))
        return
      }
      received = ''
      const now = performance.now()
      latenciesMs.push(now - sentAt)
      if (now < until) ask()
      else socket.removeAllListeners('close').end(resolve)
    })
  })
}

/** One answer at a time is under way, so its end is the end of what was received. */
export function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n')
  if (head < 0) return false
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer.slice(0, head))?.[1]
  return length === undefined ? answer.endsWith('\r\n0\r\n\r\n') : answer.length - head - 4 >= Number(length)
}

/** By nearest rank. */
export function percentile(values: ReadonlyArray<number>, percent: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN
}

export const median = (values: ReadonlyArray<number>): number => percentile(values, 50)
