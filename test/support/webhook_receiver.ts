// A receiver of webhooks for tests, over real HTTP. How it behaves is up to the test, by the path that is called.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  path: string
  headers: IncomingMessage['headers']
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: payloads of several kinds, each checked where it is used
  body: any
  atMs: number
}

export type Behaviour = (received: Received, response: ServerResponse, request: IncomingMessage) => void

export interface WebhookReceiver {
  url(path: string): string
  /** What came to a path, in its order. */
  at(path: string): Received[]
  received: Received[]
  /** How a path answers from now on; 204 without. */
  answer(path: string, behaviour: Behaviour | number): void
  connections(): number
  close(): Promise<void>
}

export async function startReceiver(): Promise<WebhookReceiver> {
  const behaviours = new Map<string, Behaviour>()
  const received: Received[] = []
  let connections = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('error', () => {})
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const path = request.url ?? ''
      const one = { path, headers: request.headers, text, body: JSON.parse(text), atMs: Date.now() }
      received.push(one)
      const behaviour = behaviours.get(path)
      if (behaviour === undefined) response.writeHead(204).end()
      else behaviour(one, response, request)
    })
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: (path) => `http://127.0.0.1:${port}${path}`,
    at: (path) => received.filter((each) => each.path === path),
    received,
    answer(path, behaviour) {
      const status = typeof behaviour === 'number' ? behaviour : undefined
      behaviours.set(
        path,
        typeof behaviour === 'number' ? (_, response) => response.writeHead(status ?? 204).end() : behaviour,
      )
    },
    connections: () => connections,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
