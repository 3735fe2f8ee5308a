// POSTs to hosts that tenants have named. Whatever the other side does (nothing, too much, something else), it comes to
// a typed outcome within the time that it has. Redirects are answers like any other: where they lead to, nobody checked.
import { Agent, type Dispatcher, errors, request } from 'undici'
import { type ConnectOptions, guardedConnector, TlsFailed, Unreachable } from './connect.ts'
import { retryAfterMs } from './retry_after.ts'

export const TIMEOUT_MS = 15_000
/** What is read of an answer: a connection whose answers are longer is not used again. */
export const MAX_ANSWER_BYTES = 4_096
/** After the head of an answer: its body may be waited for so long, and no longer. */
const BODY_MS = 2_000
/** Shorter than receivers usually keep theirs, so that none closes what is being written to. */
const KEEP_ALIVE_MS = 4_000

export const CALL_FAILURES = [
  'unreachable',
  'tls_failed',
  'connection_lost',
  'timed_out',
  'not_http',
] as const
export type CallFailure = (typeof CALL_FAILURES)[number]

export type Called = { durationMs: number } & (
  | {
      outcome: 'answered'
      status: number
      /** The beginning of it: at most {@link MAX_ANSWER_BYTES}, as text. */
      answer: string
      /** From `Retry-After`. */
      retryAfterMs: number | undefined
    }
  | { outcome: CallFailure }
)

export interface Call {
  url: string
  headers: Readonly<Record<string, string>>
  body: string
  /** Aborts with the process that it is called from. */
  signal: AbortSignal
}

export interface Outbound {
  post(call: Call): Promise<Called>
  close(): Promise<void>
}

export interface OutboundOptions extends ConnectOptions {
  now: () => number
  timeoutMs?: number
}

export function outboundClient({ now, timeoutMs = TIMEOUT_MS, ...options }: OutboundOptions): Outbound {
  const agent = new Agent({
    connect: guardedConnector(options),
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    // The whole request has one time, below.
    headersTimeout: 0,
    bodyTimeout: 0,
    allowH2: false,
  })

  /** When each connection was made; and those that were lost, by the error of the request on it. */
  const madeAt = new WeakMap<Dispatcher, number>()
  const lostMadeAt = new WeakMap<Error, number>()
  agent.on('connect', (_, through) => {
    const connection = through.at(-1)
    if (connection !== undefined) madeAt.set(connection, performance.now())
  })
  agent.on('disconnect', (_, through, error) => {
    const connection = through.at(-1)
    const since = connection && madeAt.get(connection)
    if (since !== undefined) lostMadeAt.set(error, since)
  })

  /** Closed at its other end while we wrote, but made for a request before, which it has answered: no word on this one. */
  function wasKeptTooLong(error: unknown, startedAt: number): boolean {
    const since = error instanceof Error ? lostMadeAt.get(error) : undefined
    return since !== undefined && since < startedAt && failureOf(error) === 'connection_lost'
  }

  async function once({ url, headers, body }: Call, signal: AbortSignal) {
    const answered = await request(url, {
      dispatcher: agent,
      method: 'POST',
      headers: { ...headers },
      body,
      signal,
    })
    const retryAfter = [answered.headers['retry-after']].flat()[0]
    return {
      outcome: 'answered' as const,
      status: answered.statusCode,
      // Its head has said it: whatever becomes of the body, this is the answer.
      answer: await beginningOf(answered.body),
      retryAfterMs: retryAfterMs(retryAfter, now()),
    }
  }

  return {
    async post(call) {
      const startedAt = performance.now()
      const tookMs = () => Math.round(performance.now() - startedAt)
      const signal = AbortSignal.any([call.signal, AbortSignal.timeout(timeoutMs)])
      for (let again = false; ; again = true) {
        try {
          return { ...(await once(call, signal)), durationMs: tookMs() }
        } catch (error) {
          if (!again && wasKeptTooLong(error, startedAt) && !signal.aborted) continue
          return { outcome: failureOf(error), durationMs: tookMs() }
        }
      }
    },
    close: () => agent.destroy(),
  }
}

function failureOf(error: unknown): CallFailure {
  if (error instanceof Unreachable) return 'unreachable'
  if (error instanceof TlsFailed) return 'tls_failed'
  if (error instanceof Error && ['AbortError', 'TimeoutError'].includes(error.name)) return 'timed_out'
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError) {
    return 'not_http'
  }
  return 'connection_lost'
}

async function beginningOf(body: AsyncIterable<Buffer> & { destroy(): unknown }): Promise<string> {
  const chunks: Buffer[] = []
  const timer = setTimeout(() => body.destroy(), BODY_MS)
  try {
    let bytes = 0
    for await (const chunk of body) {
      chunks.push(chunk)
      bytes += chunk.length
      // Leaving the loop ends the connection: what else comes is nobody's.
      if (bytes >= MAX_ANSWER_BYTES) break
    }
  } catch {
    // What came is kept.
  } finally {
    clearTimeout(timer)
  }
  return Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES).toString('utf8')
}
