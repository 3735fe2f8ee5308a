// The typed client. Every operation of the OpenAPI document is a call: `client.call('POST /v1/projects', { body })`.
// Native fetch alone, so it runs in Node, browsers and workers.
import type { Operations } from './api.ts'
import { chunksOf, jsonOf, parse } from './body.ts'
import { CoditectProblem, ConnectionError, isLateProblem, mayPass } from './problem.ts'
import { type ClientOptions, pause, type Read, send } from './request.ts'
import { readEvents, type ServerSentEvent } from './server_sent_events.ts'

export type * from './api.ts'
export { CoditectProblem, ConnectionError } from './problem.ts'
export type { ClientOptions } from './request.ts'

type Name = keyof Operations
type Part<O, K extends string> = K extends keyof O ? Pick<O, K> : unknown
type Input<N extends Name> = Part<Operations[N], 'params'> &
  Part<Operations[N], 'query'> &
  Part<Operations[N], 'body'>
type Answer<N extends Name> = Operations[N]['answer']
/** Operations that list. */
type ListName = {
  [N in Name]: Answer<N> extends { data: unknown[]; nextCursor: string | null } ? N : never
}[Name]
type Listed<N extends Name> = Answer<N> extends { data: Array<infer T> } ? T : never
/** Operations that can be followed while they go on. */
type StreamName = { [N in Name]: Operations[N] extends { streams: true } ? N : never }[Name]
/** Operations that read a thing. */
type ReadName = Exclude<Extract<Name, `GET ${string}`>, ListName>

export interface CallOptions {
  signal?: AbortSignal
  /** An ETag, or `*`. An empty one would ask for nothing on the wire, and so is refused here. */
  ifMatch?: string
  /** One of your own, to send the same again in another process; otherwise each call has a new one. */
  idempotencyKey?: string
}
type Arguments<N extends Name> =
  Record<never, never> extends Input<N> ? [input?: Input<N> & CallOptions] : [input: Input<N> & CallOptions]

interface AnyInput extends CallOptions {
  params?: Record<string, unknown>
  query?: Record<string, unknown>
  body?: unknown
}

const MAX_WAIT_MS = 5_000

export class Coditect {
  private readonly options: ClientOptions

  constructor(options: ClientOptions) {
    this.options = options
  }

  /** @throws {CoditectProblem | ConnectionError} */
  async call<N extends Name>(name: N, ...[input]: Arguments<N>): Promise<Answer<N>> {
    const { body } = await this.ask(name, input ?? {}, asked)
    return body as Answer<N>
  }

  /**
   * A thing with its ETag, to change it with `ifMatch` only if nobody else has meanwhile.
   * @throws {CoditectProblem | ConnectionError}, and an Error where the thing has no ETag
   */
  async read<N extends ReadName>(
    name: N,
    ...[input]: Arguments<N>
  ): Promise<{ body: Answer<N>; etag: string }> {
    const { body, etag } = await this.ask(name, input ?? {}, asked)
    if (etag === null) throw new Error(`${name} is answered without an ETag`)
    return { body: body as Answer<N>, etag }
  }

  /**
   * Everything in a list, page by page as it is asked for.
   * @throws {ConnectionError} at the end, when regions did not answer and what lives there was left out
   */
  async *all<N extends ListName>(name: N, ...[input]: Arguments<N>): AsyncGenerator<Listed<N>> {
    const { query, ...rest }: AnyInput = input ?? {}
    const missing = new Set<string>()
    for (let cursor: string | null | undefined = undefined; cursor !== null; ) {
      const { body } = await this.ask(
        name,
        { ...rest, query: { ...query, ...(cursor && { cursor }) } },
        asked,
      )
      const page = body as { data: Listed<N>[]; nextCursor: string | null; unreachable?: string[] }
      yield* page.data
      for (const region of page.unreachable ?? []) missing.add(region)
      cursor = page.nextCursor
    }
    if (missing.size === 0) return
    throw new ConnectionError(`no answer from ${[...missing].join(', ')}: what lives there was not listed`)
  }

  /**
   * A list that goes on: each thing as it comes, for as long as it is iterated. Once it has begun, a connection that breaks
   * is taken up where it ended, so nothing is missed and nothing comes twice.
   * @throws {CoditectProblem} when it is refused, such as after the key was revoked
   * @throws {ConnectionError} when it cannot begin, and the signal's reason, whenever it is aborted
   */
  async *tail<N extends Extract<ListName, StreamName>>(
    name: N,
    ...[input]: Arguments<N>
  ): AsyncGenerator<Listed<N>> {
    const given: AnyInput = input ?? {}
    const stop = given.signal ?? new AbortController().signal
    let lastId: string | undefined
    let begun = false
    stop.throwIfAborted()
    for (let failures = 0; ; ) {
      try {
        const events = await this.open(name, given, lastId === undefined ? {} : { 'last-event-id': lastId })
        begun = true
        for await (const { id, event, data } of events) {
          lastId = id ?? lastId
          if (event !== 'message' || data === undefined) continue
          failures = 0
          yield parse(data) as Listed<N>
        }
      } catch (error) {
        stop.throwIfAborted()
        if (!begun || !mayPass(error)) throw error
      }
      await pause(Math.min(MAX_WAIT_MS, 100 * 2 ** failures++), stop)
    }
  }

  /**
   * Work that is told of while it goes on, such as an agent's run: each event as it comes. The last one, `done`, has what
   * {@link call} would answer.
   * @throws {CoditectProblem | ConnectionError}
   */
  async *stream<N extends Exclude<StreamName, ListName>>(
    name: N,
    ...[input]: Arguments<N>
  ): AsyncGenerator<{ event: string; data: unknown }> {
    for await (const { event, data } of await this.open(name, input ?? {})) {
      if (data === undefined) continue
      const told = unlessProblem(parse(data))
      yield { event, data: told }
      if (event === 'done') return
    }
    throw new ConnectionError('the stream broke off')
  }

  private open(
    name: Name,
    input: AnyInput,
    headers: Record<string, string> = {},
  ): Promise<AsyncGenerator<ServerSentEvent>> {
    return this.ask(name, input, events, { ...headers, accept: EVENT_STREAM })
  }

  /** @throws {TypeError} for an empty `ifMatch`, or a condition without a value */
  private async ask<T>(
    name: Name,
    { params = {}, query = {}, body, signal, ifMatch, idempotencyKey }: AnyInput,
    read: Read<T>,
    more: Record<string, string> = {},
  ): Promise<T> {
    if (ifMatch?.trim() === '') throw new TypeError('ifMatch is empty: give an ETag, or *')
    const [method = '', path = ''] = name.split(' ')
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(String(params[key])))
    const search = new URLSearchParams()
    for (const [key, value] of Object.entries(query)) if (value !== undefined) put(search, key, value)
    const target = search.size === 0 ? filled : `${filled}?${search}`
    const headers = { ...more, ...(ifMatch !== undefined && { 'if-match': ifMatch }) }
    return send(this.options, { method, target, body, headers, idempotencyKey, signal }, read)
  }
}

const EVENT_STREAM = 'text/event-stream'

/** @throws {ConnectionError} where there is nothing, and that was not said (204): it is not the platform’s, or broke off */
const asked: Read<{ body: unknown; etag: string | null }> = async (response, reading) => {
  const body = unlessProblem(await jsonOf(response, reading))
  if (body === undefined && response.status !== 204) throw new ConnectionError('an answer without a body')
  return { body, etag: response.headers.get('etag') }
}

/** @throws {ConnectionError} where it is something else, such as a proxy's page */
const events: Read<AsyncGenerator<ServerSentEvent>> = async ({ headers, body }, reading) => {
  if (body !== null && headers.get('content-type')?.startsWith(EVENT_STREAM)) {
    return readEvents(chunksOf(body, reading))
  }
  await body?.cancel().catch(() => undefined)
  throw new ConnectionError('an answer that is no stream')
}

/** @throws {CoditectProblem} for one whose answer had begun as if all were well */
function unlessProblem(body: unknown): unknown {
  if (isLateProblem(body)) throw new CoditectProblem(body.status, body)
  return body
}

/**
 * What has parts is written as `where[age][gt]=3`.
 * @throws {TypeError} for a condition without a value: left out, it would find what it was to keep out
 */
function put(search: URLSearchParams, name: string, value: unknown): void {
  const said = value instanceof Date ? value.toJSON() : value
  if (typeof said !== 'object' && said !== undefined) {
    search.set(name, String(said))
    return
  }
  const parts = Object.entries(said ?? {})
  // No conditions at all are a list of everything, and asked for as such.
  if (parts.length === 0 && !(name === 'where' && said)) {
    throw new TypeError(`the query’s ${name} has no value`)
  }
  for (const [key, part] of parts) put(search, `${name}[${key}]`, part)
}
