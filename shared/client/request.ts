// One call: sent until it is answered, refused for good, or out of time. Whatever changes something carries an
// Idempotency-Key, the same for each try, so that sending it again never does it twice.
import { jsonOf, type Reading } from './body.ts'
import { CoditectProblem, ConnectionError, isProblemBody, isUnderWay, mayPass, reasonOf } from './problem.ts'
import { after } from './timer.ts'

export interface ClientOptions {
  /** Where the platform is, such as `https://api.example.com`. */
  url: string
  /** An API key, a JWT, or an operator's token. */
  token: string
  /** The organisation's id or slug, where the token alone does not say it (a JWT). */
  tenant?: string
  /** Until an answer begins, with all tries; 30 s otherwise. Once begun it may take as long as it goes on. */
  timeoutMs?: number
  /** The longest that nothing may come of an answer that has begun; 45 s otherwise. The platform sends something every 15 s. */
  silenceMs?: number
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

/** What goes out, the same for each try. */
type Prepared = Pick<Sent, 'method' | 'target' | 'signal'> & { headers: Headers; body: string | undefined }

/** Makes of an answer below 300 what was asked for. What it throws, but for a ConnectionError, is how the call ends. */
export type Read<T> = (response: Response, reading: Reading) => T | Promise<T>

const TIMEOUT_MS = 30_000
const SILENCE_MS = 45_000
const RETRIES = 4
const FIRST_WAIT_MS = 100
const MAX_WAIT_MS = 5_000

/** @throws {CoditectProblem | ConnectionError} and the signal's reason; a TypeError for what cannot be sent */
export async function send<T>(options: ClientOptions, sent: Sent, read: Read<T>): Promise<T> {
  const { timeoutMs = TIMEOUT_MS, retries = RETRIES, random = Math.random } = options
  const prepared = prepare(options, sent)
  let until = performance.now() + timeoutMs
  for (let tries = 0; ; ) {
    const outcome = await attempt(options, prepared, until - performance.now(), read)
    if ('answer' in outcome) return outcome.answer
    sent.signal?.throwIfAborted()
    const { error, asked, begun } = outcome
    // What broke off may have been long under way: to ask for it again has a time of its own.
    if (begun) until = performance.now() + timeoutMs
    const backOff = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** tries) * (0.5 + random() / 2)
    const waitMs = Math.max(asked, backOff)
    if (!mayPass(error) || performance.now() + waitMs >= until) throw error
    // What goes on, such as a run whose answer broke off, is over some time: asking for it is no try.
    if (!isUnderWay(error) && tries++ >= retries) throw error
    await pause(waitMs, sent.signal)
  }
}

/** @throws {TypeError} for a token that no header can hold, or a body that is no JSON: no other try would be better */
function prepare({ token, tenant }: ClientOptions, sent: Sent): Prepared {
  const { method, target, body, signal, idempotencyKey } = sent
  const headers = new Headers({ accept: 'application/json', ...sent.headers })
  headers.set('authorization', `Bearer ${token}`)
  if (tenant !== undefined) headers.set('x-tenant', tenant)
  if (body !== undefined) headers.set('content-type', 'application/json')
  if (method !== 'GET') headers.set('idempotency-key', idempotencyKey ?? newKey())
  return { method, target, signal, headers, body: JSON.stringify(body) }
}

/** Not `crypto.randomUUID`: browsers have that in secure contexts only. */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )

interface Failure {
  error: CoditectProblem | ConnectionError
  /** How long the platform asks to wait, in ms. */
  asked: number
  /** There was an answer, and it broke off. */
  begun: boolean
}

async function attempt<T>(
  options: ClientOptions,
  sent: Prepared,
  leftMs: number,
  read: Read<T>,
): Promise<{ answer: T } | Failure> {
  const reading = { silenceMs: options.silenceMs ?? SILENCE_MS, signal: sent.signal }
  let response: Response
  try {
    response = await begin(options, sent, leftMs)
  } catch (cause) {
    const message = `${sent.method} ${sent.target} was not answered by ${originOf(options.url)}: ${reasonOf(cause)}`
    return { error: new ConnectionError(message, { cause }), asked: 0, begun: false }
  }
  if (!response.ok) {
    const seconds = Number(response.headers.get('retry-after') ?? 0)
    return { error: await refusal(response, reading), asked: seconds * 1000 || 0, begun: false }
  }
  try {
    return { answer: await read(response, reading) }
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    return { error, asked: 0, begun: true }
  }
}

/** The head of an answer; what follows takes its time. */
async function begin(options: ClientOptions, sent: Prepared, leftMs: number): Promise<Response> {
  const { url, fetch: ask = fetch, timeoutMs = TIMEOUT_MS } = options
  const { method, target, headers, body, signal } = sent
  const late = new AbortController()
  const timer = after(leftMs, () => late.abort(new Error(`no answer within ${timeoutMs} ms`)))
  try {
    return await ask(url.replace(/\/$/, '') + target, {
      method,
      headers,
      // The token is for this place alone, and a POST would arrive elsewhere as a GET.
      redirect: 'manual',
      signal: signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]),
      ...(body !== undefined && { body }),
    })
  } finally {
    clearTimeout(timer)
  }
}

/** Without a name and password that may stand in a URL; whole where it is none of a server. */
function originOf(url: string): string {
  const origin = URL.canParse(url) ? new URL(url).origin : 'null'
  return origin === 'null' ? url : origin
}

async function refusal(response: Response, reading: Reading): Promise<CoditectProblem | ConnectionError> {
  const body = await jsonOf(response, reading).catch(() => undefined)
  if (isProblemBody(body)) return new CoditectProblem(response.status, body)
  // All that browsers say of a redirect is 0.
  const leadsElsewhere = response.status < 400
  return new ConnectionError(strange(response), { leadsElsewhere })
}

function strange({ status, headers }: Response): string {
  if (status === 0) return 'an answer that leads elsewhere'
  const place = headers.get('location')
  return place === null
    ? `an answer ${status} that is not the platform’s`
    : `an answer ${status} that leads to ${place}`
}

export const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = after(ms, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    signal?.addEventListener('abort', stop, { once: true })
  })
