// Receivers that fail in every way there is, over real sockets: each comes to an end that its people can read, none keeps
// another waiting, and once it works it gets what it missed.

import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../regional/config.ts'
import { startRegion } from '../../regional/server.ts'
import { testCertificate } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { type Regions, startRegions } from './support.ts'

let regions: Regions
let aheadMs = 0
const servers: Server[] = []
const sockets = new Set<Socket>()

beforeAll(async () => {
  regions = await startRegions({}, (environment) =>
    startRegion(readConfig({ ...environment, WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' }), {
      writeLog: () => {},
      now: () => Date.now() + aheadMs,
      outbound: { timeoutMs: 1_000 },
    }),
  )
})
afterAll(async () => {
  await regions.close()
  for (const socket of sockets) socket.destroy()
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
})

type Answering = (socket: Socket) => void

interface Failing {
  answer: Answering
  /** What its people read of the attempt. */
  attempt: { status?: number; error?: string; answer?: string | RegExp }
  scheme?: 'https'
  tls?: Server
}

let insideConnections = 0
let inside = 0
const text =
  (of: string): Answering =>
  (socket) =>
    void socket.end(of)
const FAILING: Record<string, Failing> = {
  'never answers': { answer: () => {}, attempt: { error: 'timed_out' } },
  'is too slow': {
    answer: (socket) => {
      const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 50)
      socket.once('close', () => clearInterval(timer))
    },
    attempt: { error: 'timed_out' },
  },
  resets: { answer: (socket) => void socket.resetAndDestroy(), attempt: { error: 'connection_lost' } },
  'hangs up': { answer: (socket) => void socket.end(), attempt: { error: 'connection_lost' } },
  'speaks something else': { answer: text('220 mail.example\r\n'), attempt: { error: 'not_http' } },
  'has nobody’s certificate': {
    answer: text('HTTP/1.1 200 OK\r\n\r\n'),
    attempt: { error: 'tls_failed' },
    scheme: 'https',
    tls: createTlsServer(testCertificate),
  },
  'has no TLS': {
    answer: text('HTTP/1.1 200 OK\r\n\r\n'),
    attempt: { error: 'tls_failed' },
    scheme: 'https',
  },
  'sends without end': {
    answer: (socket) => {
      socket.write('HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n')
      const more = () => {
        while (!socket.destroyed && socket.write(`10000\r\n${'y'.repeat(0x10000)}\r\n`));
      }
      socket.on('drain', more)
      more()
    },
    attempt: { status: 500, answer: /^y{1000,1024}$/ },
  },
  redirects: {
    answer: (socket) =>
      void socket.end(`HTTP/1.1 308 Gone there\r\nLocation: http://127.0.0.1:${inside}/\r\n\r\n`),
    attempt: { status: 308, answer: '' },
  },
  'is broken': {
    answer: text('HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy'),
    attempt: { status: 503, answer: 'busy' },
  },
}

/** The event of each request that came, once the receiver works. */
const came = new Map<string, string[]>()

async function listen(onSocket: Answering, server: Server = createServer(onSocket)): Promise<number> {
  servers.push(server)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

test('each way to fail is told apart, keeps nobody waiting, and is made good', {
  timeout: 60_000,
}, async () => {
  inside = await listen(() => void insideConnections++)
  const { key } = await regions.newTenant('receivers', 'eu')
  const ask = (method: string, path: string, body?: unknown) =>
    regions.ask('eu', { as: key, method, path, ...(body !== undefined && { body }) })
  const endpoint = async (name: string, url: string) => {
    const body = { url, description: name, types: ['project.created'] }
    const made = await ask('POST', '/v1/webhook-endpoints', body)
    expect(made.status).toBe(201)
    return made.body.id as string
  }
  let works = false
  const endpoints = new Map<string, string>()
  for (const [name, { answer, scheme = 'http', tls }] of Object.entries(FAILING)) {
    const onSocket = (socket: Socket) => {
      let received = ''
      socket.on('error', () => {})
      socket.on('data', (data) => {
        received += data
        const id = /\r\nwebhook-id: (\S+)\r\n/i.exec(received)?.[1]
        if (id === undefined) return
        received = ''
        if (!works) return answer(socket)
        came.set(name, [...(came.get(name) ?? []), id])
        socket.write('HTTP/1.1 204 No Content\r\n\r\n')
      })
      // What never sees a request (its TLS fails) hangs up by itself.
      if (scheme === 'https' && tls === undefined) answer(socket)
    }
    tls?.on('secureConnection', onSocket)
    endpoints.set(name, await endpoint(name, `${scheme}://127.0.0.1:${await listen(onSocket, tls)}/`))
  }
  const good: string[] = []
  const goodPort = await listen((socket) => {
    socket.on('data', (data) => {
      const id = /\r\nwebhook-id: (\S+)\r\n/i.exec(String(data))?.[1]
      if (id !== undefined) good.push(id)
      socket.write('HTTP/1.1 204 No Content\r\n\r\n')
    })
  })
  await endpoint('works', `http://127.0.0.1:${goodPort}/`)
  const project = (await ask('POST', '/v1/projects', { name: 'One' })).body
  expect(project.id).toMatch(/^prj_/)
  await eventually(() => expect(good).toHaveLength(1))

  for (const [name, { attempt }] of Object.entries(FAILING)) {
    await eventually(async () => {
      const { data } = (await ask('GET', `/v1/deliveries?endpoint=${endpoints.get(name)}`)).body
      expect([name, data]).toMatchObject([name, [{ status: 'pending', eventId: good[0] }]])
      const { attempts } = (await ask('GET', `/v1/deliveries/${data[0].id}`)).body
      const [first] = attempts
      expect([name, attempts.length, { status: first.status, error: first.error }]).toEqual([
        name,
        1,
        { status: attempt.status ?? null, error: attempt.error ?? null },
      ])
      if (attempt.answer !== undefined)
        expect([name, first.answer]).toEqual([name, expect.stringMatching(attempt.answer)])
    })
  }
  expect(insideConnections).toBe(0)

  works = true
  aheadMs += 10_000
  const mended = Object.entries(FAILING).filter(([, { scheme }]) => scheme !== 'https')
  await eventually(() => {
    for (const [name] of mended) expect([name, came.get(name)]).toEqual([name, good])
  })
})
