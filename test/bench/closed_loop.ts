// A closed-loop load generator: each connection sends its next request when the last one is answered. On plain
// sockets, because on a small machine an HTTP client would cost more than what it measures.
import { Connection, requestBytes } from './traffic/connection.ts'

export interface Load {
  origin: string
  method: 'GET' | 'POST'
  path: string
  headers: Readonly<Record<string, string>>
  body?: string
  /** Another request each time: what it has beside, or instead of, the above. */
  each?: () => Partial<Pick<Load, 'path' | 'headers' | 'body'>>
  connections: number
  durationMs: number
  /** Ends sooner, after so many. */
  requests?: number
}

/** Requests as they go over the wire. */
export interface BytesLoad {
  origin: string
  next: () => Buffer
  connections: number
  durationMs: number
  /** Ends sooner, after so many. */
  requests?: number
}

/** Every answer's time in milliseconds, in no order. */
export interface Measured {
  latenciesMs: number[]
  elapsedMs: number
}

/** @throws {Error} for an answer that is not 2xx: a refusal is quick, and no figure. */
export function measure(load: Load): Promise<Measured> {
  const { each, ...rest } = load
  const same = bytesOf(load)
  const next = each === undefined ? () => same : () => bytesOf({ ...load, ...each() })
  return measureBytes({ ...rest, next })
}

/** @throws {Error} as {@link measure} does */
export async function measureBytes(load: BytesLoad): Promise<Measured> {
  const latenciesMs: number[] = []
  const from = performance.now()
  const until = from + load.durationMs
  const most = load.requests ?? Number.POSITIVE_INFINITY
  const mayAsk = () => performance.now() < until && latenciesMs.length < most
  await Promise.all(Array.from({ length: load.connections }, () => keepAsking(load, mayAsk, latenciesMs)))
  return { latenciesMs, elapsedMs: performance.now() - from }
}

const bytesOf = ({ origin, method, path, headers, body }: Load): Buffer =>
  requestBytes(new URL(origin), method, path, headers, body)

function keepAsking(
  { origin, next }: BytesLoad,
  mayAsk: () => boolean,
  latenciesMs: number[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    const connection = new Connection(new URL(origin), () => {})
    const ask = () => {
      const sentAt = performance.now()
      connection.ask(next(), (answer) => {
        const now = performance.now()
        if (answer === undefined) return reject(new Error('the connection was closed in the middle'))
        latenciesMs.push(now - sentAt)
        const isGood = answer.status >= 200 && answer.status < 300
        if (isGood && mayAsk()) return ask()
        connection.close()
        return isGood ? resolve() : reject(new Error(`an answer is no success: ${answer.head}`))
      })
    }
    ask()
  })
}

/** By nearest rank. */
export function percentile(values: ReadonlyArray<number>, percent: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN
}

export const median = (values: ReadonlyArray<number>): number => percentile(values, 50)
