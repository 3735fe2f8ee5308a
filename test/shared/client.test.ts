// The client's parts that need no server, in Node and in workerd.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Coditect } from '../../shared/client/index.ts'
import { readEvents, type ServerSentEvent } from '../../shared/client/server_sent_events.ts'

const text = fc.string({ unit: fc.constantFrom('a', 'ü', '😀', ':', ' ', '{') })
const events = fc.array(fc.record({ id: text, data: fc.array(text, { minLength: 1, maxLength: 3 }) }))

test('events are read whole wherever the network cuts them', async () => {
  await fc.assert(
    fc.asyncProperty(events, fc.integer({ min: 1, max: 7 }), async (sent, size) => {
      const stream = sent
        .map(({ id, data }) => `: here\n\nid: ${id}\n${data.map((line) => `data: ${line}\n`).join('')}\n`)
        .join('')
      const bytes = new TextEncoder().encode(`${stream}id: cut\ndata: off`)
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size))
          controller.close()
        },
      })
      const read: ServerSentEvent[] = []
      for await (const event of readEvents(body)) read.push(event)
      expect(read).toEqual(sent.map(({ id, data }) => ({ id, event: 'message', data: data.join('\n') })))
    }),
    { numRuns: 100 },
  )
})

test('a call says what the operation wants: path, query, body and key', async () => {
  const asked: Request[] = []
  const answering: typeof fetch = async (input, init) => {
    asked.push(new Request(input as string, init as RequestInit))
    return Response.json({ data: [], nextCursor: null })
  }
  const client = new Coditect({ url: 'https://api.test/', token: 'ck', tenant: 'acme', fetch: answering })
  await client.call('GET /v1/projects/{projectId}/collections/{name}/records', {
    params: { projectId: 'prj_1', name: 'a/b' },
    query: { where: { age: { gt: 3 } }, limit: 5 },
  })
  const [request] = asked
  expect(decodeURIComponent(request?.url ?? '')).toContain('/records?where[age][gt]=3&limit=5')
  expect(request?.url).toContain('/collections/a%2Fb/')
  expect(request?.headers.get('authorization')).toBe('Bearer ck')
  expect(request?.headers.get('x-tenant')).toBe('acme')
  expect(request?.headers.get('idempotency-key')).toBeNull()
  await client.call('POST /v1/projects', { body: { name: 'P' } })
  expect(asked[1]?.headers.get('idempotency-key')).toMatch(/^[\w-]{32}$/)
})
