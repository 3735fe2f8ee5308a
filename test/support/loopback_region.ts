// What the edge's own tests have for a region: real HTTP servers on loopback that answer with what reached them.
// workerd can't listen, so Vitest starts them in Node (`globalSetup`); tests steer them over `/control`.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { TestProject } from 'vitest/node'
import type { Seen } from '../edge/seen.ts'
import { startOidcIssuers } from './oidc_issuers.ts'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const seen: Seen[] = []
  const streaming = new Map<string, ServerResponse>()
  const issuers = await startOidcIssuers()
  const providers = new Map<string, unknown>()
  const snapshots = new Map<string, unknown>()
  const steady = await listen(createServer(answer(seen, streaming, { providers, snapshots }, 'us')))
  /** The fragile one takes connections and says nothing. */
  let hangs = false
  const answerOfFragile = answer(seen, streaming, { providers, snapshots }, 'us')
  const fragile = await listen(
    createServer((request, response) => {
      if (hangs) seen.push({ ...entryOf(request, 'us'), body: 'never read' })
      else void answerOfFragile(request, response)
    }),
  )
  const other = await listen(createServer(answer(seen, streaming, { providers, snapshots }, 'eu')))
  const control = await listen(
    createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://control')
      const done = () => response.end('{}')
      if (pathname === '/close') fragile.close(done)
      else if (pathname === '/open') fragile.open(done)
      else if (pathname === '/hang' || pathname === '/wake') {
        hangs = pathname === '/hang'
        done()
      } else if (pathname === '/providers') {
        providers.set(searchParams.get('tenant') ?? '', JSON.parse(searchParams.get('answer') ?? 'null'))
        done()
      } else if (pathname === '/snapshot') {
        const asked = `${searchParams.get('region')} ${searchParams.get('asked')}`
        snapshots.set(asked, JSON.parse(searchParams.get('answer') ?? 'null'))
        done()
      } else if (pathname === '/push') {
        for (const [target, open] of streaming) {
          if (target.includes(searchParams.get('marker') ?? '')) open.write(searchParams.get('part'))
        }
        done()
      } else {
        const marker = searchParams.get('marker') ?? ''
        response.end(JSON.stringify(seen.filter(({ target }) => target.includes(marker))))
      }
    }),
  )
  project.provide('regions', {
    control: control.origin,
    steady: steady.origin,
    fragile: fragile.origin,
    other: other.origin,
  })
  project.provide('issuers', { origin: issuers.origin, privateKeys: issuers.privateKeys })
  return async () => {
    await issuers.close()
    for (const server of [steady, fragile, other, control])
      await new Promise<void>((done) => server.close(done))
  }
}

/** What tests have said of tenants. */
interface Told {
  /** By number. */
  providers: ReadonlyMap<string, unknown>
  /** By region, number and what the edge has. */
  snapshots: ReadonlyMap<string, unknown>
}

const entryOf = ({ method = '', url = '', headers }: IncomingMessage, region: string): Seen => ({
  region,
  method,
  target: url,
  headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
  body: '',
  aborted: false,
})

/** What those who stand before an instance say: without one, keeping somebody out, and with no more to spare. */
const BALANCERS: ReadonlyMap<string, number> = new Map([
  ['gateway', 502],
  ['wall', 403],
  ['nowhere', 404],
  ['elsewhere', 302],
  ['throttled', 429],
])

/** What the path asks for, after the whole body has arrived; otherwise an echo. */
function answer(seen: Seen[], streaming: Map<string, ServerResponse>, told: Told, region: string) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const entry = entryOf(request, region)
    seen.push(entry)
    response.on('close', () => {
      entry.aborted = !response.writableFinished
    })
    for await (const chunk of request.setEncoding('utf8')) entry.body += chunk
    // As every answer of a region has it, and nobody's who answers in its place.
    const balancer = BALANCERS.get(/^\/v1\/([a-z]+)/.exec(entry.target)?.[1] ?? '')
    if (balancer !== undefined) {
      response.statusCode = balancer
      response.setHeader('content-type', 'text/html')
      response.end('<html>no backend</html>')
      return
    }
    response.setHeader('coditect-took', '0.1')
    const own = /^\/edge\/v1\/(tenants\/(?:number|slug|domain)|identity-providers|snapshots)\/(.+)$/.exec(
      entry.target,
    )
    if (own !== null) {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(edgesAnswer(own[1] ?? '', own[2] ?? '', told, region)))
      return
    }
    const behaviour = /^\/(?:platform\/)?v1\/([a-z]+)/.exec(entry.target)?.[1]
    if (behaviour === 'silent') return
    // Longer than the edge waits before it looks whether anybody is there.
    if (behaviour === 'slow') await setTimeout(1_500)
    // At first it is leaving; who asks again, or often enough, finds it as it should be.
    const leavingTimes = { leaving: 1, balanced: 4, departed: Number.POSITIVE_INFINITY }[behaviour ?? ''] ?? 0
    if (seen.filter(({ target }) => target === entry.target).length <= leavingTimes) {
      response.statusCode = 503
      response.setHeader('coditect-draining', '1')
      response.setHeader('connection', 'close')
      response.end('{}')
      return
    }
    if (behaviour === 'reset') {
      request.socket.destroy()
      return
    }
    if (behaviour === 'failing') response.statusCode = 500
    if (behaviour === 'refusing') response.statusCode = 401
    // By a header, because it is the same whatever is asked.
    if (entry.headers['accept-language'] === 'not-a-member') {
      response.statusCode = 403
      response.setHeader('coditect-credential-refused', 'not_a_member')
      response.end('{"code":"not_a_member"}')
      return
    }
    if (entry.headers['accept-language'] === 'credential-refused') {
      response.statusCode = 401
      response.setHeader('coditect-credential-refused', 'api_key_revoked')
      response.setHeader('www-authenticate', 'Bearer realm="coditect"')
      response.end('{"code":"api_key_revoked"}')
      return
    }
    if (behaviour === 'chatty') {
      response.setHeader('connection', 'x-hop')
      response.setHeader('x-hop', 'of this connection only')
      response.setHeader('coditect-internal', 'for the edge only')
      response.setHeader('x-request-id', 'req_of_the_region')
      response.setHeader('cache-control', 'private, max-age=5')
      response.setHeader('etag', '"1"')
      response.setHeader('vary', 'Accept')
    }
    const { searchParams } = new URL(entry.target, 'http://region')
    const snapshot = searchParams.get('snapshot')
    if (behaviour === 'moved' && searchParams.get('from')?.split(',').includes(region)) {
      response.statusCode = 421
      response.setHeader('coditect-moved-to', searchParams.get('to') ?? '')
    } else if (snapshot !== null) {
      response.setHeader('coditect-snapshot', snapshot)
    }
    if (behaviour === 'stream') {
      response.write('first')
      streaming.set(entry.target, response)
      return
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(entry))
  }
}

/** A tenant is there when a test has said what providers it has, by number, `slug-<number>` or `own-<number>.example`. */
function edgesAnswer(asked: string, name: string, { providers, snapshots }: Told, region: string): unknown {
  if (asked === 'snapshots') return snapshots.get(`${region} ${name}`) ?? { snapshot: null }
  const number = name.replace(/^(?:slug|own)-/, '').replace(/\.example$/, '')
  const known = providers.get(number)
  if (asked === 'identity-providers') return known ?? { outcome: 'unknown' }
  return { tenant: known === undefined ? null : { number, region: 'us' } }
}

interface Listener {
  origin: string
  open(done: () => void): void
  close(done: () => void): void
}

async function listen(server: Server): Promise<Listener> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    open: (done) => server.listen(port, '127.0.0.1', done),
    close: (done) => {
      server.close(done)
      for (const socket of sockets) socket.destroy()
    },
  }
}
