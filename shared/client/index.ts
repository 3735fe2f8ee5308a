// The typed client. Every operation of the OpenAPI document is a call: `client.call('POST /v1/projects', { body })`.
// Native fetch alone, so it runs in Node, browsers and workers.
import type { Operations } from './api.ts'
import { ConnectionError } from './problem.ts'
import { type ClientOptions, pause, send } from './request.ts'
import { readEvents } from './server_sent_events.ts'

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

export interface CallOptions {
  signal?: AbortSignal
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
    const response = await this.ask(name, input ?? {})
    const text = await response.text()
    return (text === '' ? undefined : JSON.parse(text)) as Answer<N>
  }

  /** Everything in a list, page by page as it is asked for. */
  async *all<N extends ListName>(name: N, ...[input]: Arguments<N>): AsyncGenerator<Listed<N>> {
    const { query, ...rest }: AnyInput = input ?? {}
    for (let cursor: string | null | undefined = undefined; cursor !== null; ) {
      const response = await this.ask(name, { ...rest, query: { ...query, ...(cursor && { cursor }) } })
      const page = (await response.json()) as { data: Listed<N>[]; nextCursor: string | null }
      yield* page.data
      cursor = page.nextCursor
    }
  }

  /**
   * A list that goes on: each thing as it comes, for as long as it is iterated. A connection that breaks is taken up
   * where it ended, so nothing is missed and nothing comes twice.
   * @throws {CoditectProblem} when it is refused, such as after the key was revoked
   */
  async *tail<N extends ListName>(name: N, ...[input]: Arguments<N>): AsyncGenerator<Listed<N>> {
    const given: AnyInput = input ?? {}
    const stop = given.signal ?? new AbortController().signal
    let lastId: string | undefined
    for (let failures = 0; !stop.aborted; ) {
      try {
        const headers = lastId === undefined ? {} : { 'last-event-id': lastId }
        const { body } = await this.ask(name, given, headers, true)
        if (body === null) throw new ConnectionError('an answer without a body')
        for await (const { id, event, data } of readEvents(body)) {
          failures = 0
          lastId = id ?? lastId
          if (event === 'message') yield JSON.parse(data) as Listed<N>
        }
      } catch (error) {
        stop.throwIfAborted()
        // Reading broke off: that is a TypeError of fetch's. A refusal is not taken up again.
        if (!(error instanceof TypeError || error instanceof ConnectionError)) throw error
      }
      await pause(Math.min(MAX_WAIT_MS, 100 * 2 ** failures++), stop)
    }
  }

  /**
   * Work that is told of while it goes on, such as an agent's run: each event as it comes. The last one, `done`, has what
   * {@link call} would answer.
   * @throws {CoditectProblem | ConnectionError}
   */
  async *stream<N extends Name>(
    name: N,
    ...[input]: Arguments<N>
  ): AsyncGenerator<{ event: string; data: unknown }> {
    const { body } = await this.ask(name, input ?? {}, {}, true)
    if (body === null) throw new ConnectionError('an answer without a body')
    let ended = false
    for await (const { event, data } of readEvents(body)) {
      ended ||= event === 'done' || event === 'error'
      yield { event, data: JSON.parse(data) as unknown }
    }
    if (!ended) throw new ConnectionError('the stream broke off')
  }

  private ask(
    name: Name,
    { params = {}, query = {}, body, signal, ifMatch, idempotencyKey }: AnyInput,
    more: Record<string, string> = {},
    streams = false,
  ): Promise<Response> {
    const [method = '', path = ''] = name.split(' ')
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(String(params[key])))
    const search = new URLSearchParams()
    for (const [key, value] of Object.entries(query)) put(search, key, value)
    const target = search.size === 0 ? filled : `${filled}?${search}`
    const headers = { ...more, ...(ifMatch !== undefined && { 'if-match': ifMatch }) }
    return send(this.options, { method, target, body, headers, idempotencyKey, signal }, streams)
  }
}

/** What has parts is written as `where[age][gt]=3`. */
function put(search: URLSearchParams, name: string, value: unknown): void {
  if (value === undefined) return
  if (typeof value !== 'object' || value === null) {
    search.set(name, String(value))
    return
  }
  for (const [key, part] of Object.entries(value)) put(search, `${name}[${key}]`, part)
}
