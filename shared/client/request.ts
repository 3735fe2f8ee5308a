// One call: sent until it is answered, refused for good, or out of time. Whatever changes something carries an
// Idempotency-Key, the same for each try, so that sending it again never does it twice.
import { CoditectProblem, ConnectionError, isProblemBody } from './problem.ts'

export interface ClientOptions {
  /** Where the platform is, such as `https://api.example.com`. */
  url: string
  /** An API key, a JWT, or an operator's token. */
  token: string
  /** The organisation's id or slug, where the token alone does not say it (a JWT). */
  tenant?: string
  /** Of a call with all its tries; 30 s otherwise. */
  timeoutMs?: number
  /** Tries after the first one; 4 otherwise. */
  retries?: number
  fetch?: typeof fetch
  /** From 0 to 1. */
  random?: () => number
}

export interface Sent {
  method: string
  /** Path and query. */
  target: string
  body?: unknown
  headers?: Readonly<Record<string, string>>
  idempotencyKey?: string | undefined
  signal?: AbortSignal | undefined
}

const TIMEOUT_MS = 30_000
const RETRIES = 4
const FIRST_WAIT_MS = 100
const MAX_WAIT_MS = 5_000
/** Refusals that another time may not be. */
const AGAIN = new Set([429, 502, 503, 504])

/**
 * @returns an answer below 300
 * @throws {CoditectProblem | ConnectionError} and the signal's reason
 */
export async function send(options: ClientOptions, sent: Sent, streams = false): Promise<Response> {
  const { timeoutMs = TIMEOUT_MS, retries = RETRIES, random = Math.random } = options
  const deadline = AbortSignal.timeout(timeoutMs)
  // A stream lasts as long as it is wanted: the deadline is for its beginning alone.
  const beginning = new AbortController()
  const begun = () => beginning.abort(new ConnectionError(`no answer within ${timeoutMs} ms`))
  if (streams) deadline.addEventListener('abort', begun, { once: true })
  const signals = [streams ? beginning.signal : deadline, ...(sent.signal ? [sent.signal] : [])]
  const signal = AbortSignal.any(signals)
  const headers = headersOf(options, sent, streams)
  for (let tries = 0; ; tries++) {
    const outcome = await attempt(options, sent, headers, signal)
    if (outcome instanceof Response && outcome.ok) {
      deadline.removeEventListener('abort', begun)
      return outcome
    }
    sent.signal?.throwIfAborted()
    const error = outcome instanceof Response ? await refusal(outcome) : outcome
    const again =
      error instanceof ConnectionError || AGAIN.has(error.status) || error.code === 'request_in_progress'
    if (!again || tries >= retries || deadline.aborted) throw error
    const asked = outcome instanceof Response ? Number(outcome.headers.get('retry-after') ?? 0) * 1000 : 0
    const backOff = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** tries) * (0.5 + random() / 2)
    await pause(Math.max(asked || 0, backOff), signal).catch(() => {
      sent.signal?.throwIfAborted()
      throw error
    })
  }
}

function headersOf({ token, tenant }: ClientOptions, sent: Sent, streams: boolean): Headers {
  const { method, body, idempotencyKey = crypto.randomUUID() } = sent
  const headers = new Headers(sent.headers)
  headers.set('authorization', `Bearer ${token}`)
  headers.set('accept', streams ? 'text/event-stream' : 'application/json')
  if (tenant !== undefined) headers.set('x-tenant', tenant)
  if (body !== undefined) headers.set('content-type', 'application/json')
  if (method !== 'GET') headers.set('idempotency-key', idempotencyKey)
  return headers
}

async function attempt(
  { url, fetch: ask = fetch }: ClientOptions,
  { method, target, body }: Sent,
  headers: Headers,
  signal: AbortSignal,
): Promise<Response | ConnectionError> {
  try {
    const text = body === undefined ? {} : { body: JSON.stringify(body) }
    return await ask(url.replace(/\/$/, '') + target, { method, headers, signal, ...text })
  } catch (cause) {
    return new ConnectionError(`${method} ${target} was not answered`, { cause })
  }
}

async function refusal(response: Response): Promise<CoditectProblem | ConnectionError> {
  const body: unknown = await response.json().catch(() => undefined)
  if (isProblemBody(body)) return new CoditectProblem(response.status, body)
  return new ConnectionError(`an answer ${response.status} that is not the platform’s`)
}

export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
  })
