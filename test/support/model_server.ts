// An OpenAI-compatible server for tests that streams for real. What the last message says decides how it behaves.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface ModelServer {
  /** As an operator gives it. */
  baseUrl: string
  /** Requests that it has now, and the most that it had at the same time. */
  underWay(): number
  mostUnderWay(): number
  /** Whom it answered, in turn: the first word of each last message. */
  served: string[]
  /** The headers and body of the last request. */
  last(): { authorization: string | undefined; body: Body }
  /** Lets requests that `wait` go on. */
  release(): void
  close(): Promise<void>
}

/** What it thinks where it is asked to be `thinking`: so often, with so long after each. */
export const THOUGHTS = 20
export const THOUGHT_MS = 100

/** What it says again and again where it is asked for a `flood of` text, of thoughts, or of data that are no event yet. */
export const MUCH = 'x'.repeat(1_000)

interface Body {
  model: string
  messages: Array<{ role: string; content: string }>
  max_tokens?: number
  temperature?: number
}

export async function startModelServer(): Promise<ModelServer> {
  let now = 0
  let most = 0
  let released = Promise.withResolvers<void>()
  let last: { authorization: string | undefined; body: Body } | undefined
  const served: string[] = []

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const body = JSON.parse(text) as Body
    last = { authorization: request.headers.authorization, body }
    const said = body.messages.at(-1)?.content ?? ''
    served.push(said.split(' ')[0] ?? '')
    const event = (data: unknown) => response.write(`data: ${JSON.stringify(data)}\n\n`)
    const chunk = (content: string, finish: string | null = null, more: object = {}) =>
      event({
        id: 'c1',
        object: 'chat.completion.chunk',
        created: 1,
        model: body.model,
        choices: [{ index: 0, delta: { role: 'assistant', content, ...more }, finish_reason: finish }],
      })
    const refuse = (status: number, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify({ error: { message: `no: ${status}`, type: 'error' } }))
    }
    if (said.includes('rate-limited')) return refuse(429, { 'retry-after': '7' })
    if (said.includes('refused')) return refuse(400)
    const status = /status (\d+)/.exec(said)?.[1]
    if (status !== undefined) return refuse(Number(status))
    const redirected = /redirected (\S+)/.exec(said)?.[1]
    if (redirected !== undefined) return refuse(307, { location: redirected })
    if (said.includes('failing')) return refuse(500)
    if (said.includes('silent')) return
    if (said.includes('reset')) return void request.socket.destroy()
    if (said.includes('garbage')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end('data: {"choices": [nonsense\n\n')
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const flood = /flood of (\S+)/.exec(said)?.[1]
    if (flood === 'data') response.write('data: ')
    while (flood !== undefined && !response.destroyed) {
      if (flood === 'text') chunk(MUCH)
      else if (flood === 'thoughts') chunk('', null, { reasoning_content: MUCH })
      else response.write(MUCH)
      while (response.writableNeedDrain && !response.destroyed) await pause(1)
    }
    for (let thoughts = said.includes('thinking') ? THOUGHTS : 0; thoughts > 0; thoughts--) {
      chunk('', null, { reasoning_content: 'Hmm. ' })
      await pause(THOUGHT_MS)
    }
    if (said.includes('thoughtless')) return void request.socket.destroy()
    if (said.includes('wait')) {
      chunk('Wait')
      await Promise.race([released.promise, new Promise((resolve) => response.once('close', resolve))])
      if (response.destroyed) return
    }
    for (const word of ['Hello', ', ', 'world', '.']) {
      chunk(word)
      await pause(2)
    }
    if (said.includes('broken-off')) return void request.socket.destroy()
    if (said.includes('stalled')) return
    chunk('', /finish (\S+)/.exec(said)?.[1] ?? 'stop')
    const [, input = 11, output = 4] = /counts (\S+) (\S+)/.exec(said) ?? []
    const usage: unknown = JSON.parse(/usage (\{.*\})/.exec(said)?.[1] ?? 'null')
    if (!said.includes('uncounted')) {
      event({
        id: 'c1',
        object: 'chat.completion.chunk',
        created: 1,
        model: body.model,
        choices: [],
        usage: usage ?? { prompt_tokens: Number(input), completion_tokens: Number(output), total_tokens: 15 },
      })
    }
    response.end('data: [DONE]\n\n')
  }

  const server = createServer((request, response) => {
    most = Math.max(most, ++now)
    response.once('close', () => now--)
    answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    underWay: () => now,
    mostUnderWay: () => most,
    served,
    last() {
      if (last === undefined) throw new Error('nobody has asked')
      return last
    },
    release() {
      released.resolve()
      released = Promise.withResolvers<void>()
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
