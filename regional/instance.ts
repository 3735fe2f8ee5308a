// One instance of a region: a listener with an app, its streams, its long work and its worker. Instances come and go while
// the others go on. One that leaves says so to whoever asks it, before it closes anything: an edge takes such a request to
// another instance, whatever it is, since nothing was done.
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createAdaptorServer, type ServerType } from '@hono/node-server'

/** Longer than the edge keeps an idle connection: whoever closes first must not be the one that is written to. */
const KEEP_ALIVE_MS = 75_000
/** How often connections are looked at, when no more will be asked on them. */
const CLOSE_IDLE_MS = 50

/** So long a connection that was just made may take to ask something: what is on its way must not be cut off. */
const FIRST_REQUEST_MS = 1_000

/** How an instance leaves; milliseconds from the start on. */
export interface Drain {
  /** So long the listener stays, to tell whoever comes to go elsewhere. */
  noticeMs: number
  /** Until then long work may end by itself; afterwards it is aborted and settled. */
  graceMs: number
  /** What is still unanswered then is cut off. */
  cutMs: number
}

/** For a process that is alone: nobody could go elsewhere. */
export const AT_ONCE: Drain = { noticeMs: 0, graceMs: 0, cutMs: 10_000 }

/** The longest drain that leaves time, of these milliseconds, to write down what is only in memory. */
export const drainWithin = (ms: number): Drain => ({ noticeMs: ms / 5, graceMs: ms * 0.6, cutMs: ms * 0.85 })

/** What listens, and what has to end before it does not any more. */
export interface InstanceParts {
  fetch: (request: Request) => Response | Promise<Response>
  /** Ends streams, each with a word for its client. */
  endStreams(): void
  /** Lets long work end, and aborts it after the grace. Resolves when all of it is settled. */
  endWork(graceMs: number): Promise<void>
  /** Called once it listens. */
  startJobs(): Jobs
}

/** A worker: `stop` ends the steps under way and hands their leases back. */
export interface Jobs {
  readonly waiting: number
  stop(): Promise<void>
}

export class Instance {
  readonly url: string
  private readonly server: ServerType
  private readonly parts: InstanceParts
  private readonly leaving: AbortController
  /** With when each was opened, by `performance.now()`. */
  private readonly sockets: ReadonlyMap<Socket, number>
  private readonly jobs: Jobs
  private readonly closed: Promise<void>

  private constructor(
    server: ServerType,
    parts: InstanceParts,
    leaving: AbortController,
    sockets: ReadonlyMap<Socket, number>,
    host: string,
  ) {
    this.server = server
    this.parts = parts
    this.leaving = leaving
    this.sockets = sockets
    this.url = `http://${host}:${(server.address() as AddressInfo).port}`
    this.jobs = parts.startJobs()
    this.closed = new Promise((resolve) => server.once('close', resolve))
  }

  /**
   * @param port 0 is any free one
   * @param make its parts; `draining` says from then on whether it is leaving
   * @throws errors of `listen`, such as EADDRINUSE
   */
  static async start(
    host: string,
    port: number,
    make: (draining: () => boolean) => Promise<InstanceParts>,
  ): Promise<Instance> {
    const leaving = new AbortController()
    const parts = await make(() => leaving.signal.aborted)
    const server = createAdaptorServer({
      fetch: parts.fetch,
      serverOptions: { keepAliveTimeout: KEEP_ALIVE_MS },
    })
    const sockets = new Map<Socket, number>()
    server.on('connection', (socket: Socket) => {
      sockets.set(socket, performance.now())
      socket.once('close', () => sockets.delete(socket))
    })
    server.listen(port, host)
    await once(server, 'listening')
    return new Instance(server, parts, leaving, sockets, host)
  }

  /** Tenants that wait for its worker. */
  get waiting(): number {
    return this.jobs.waiting
  }

  /** Ends what is under way, refuses what is new, and closes. */
  async drain({ noticeMs, graceMs, cutMs }: Drain): Promise<void> {
    this.leaving.abort()
    const cut = setTimeout(() => this.cut(), cutMs)
    this.parts.endStreams()
    const ended = Promise.all([this.parts.endWork(graceMs), this.jobs.stop()])
    if (noticeMs > 0) await pause(noticeMs)
    await this.close()
    clearTimeout(cut)
    // What a request began that was under way is known by now.
    await Promise.all([ended, this.parts.endWork(0)])
  }

  /** Ends at once, connections and all, as a crash would. Its worker goes on. */
  async drop(): Promise<void> {
    this.leaving.abort()
    const closed = this.close()
    this.cut()
    await closed
  }

  /** Each connection as soon as it is idle, although it was kept for more. */
  private async close(): Promise<void> {
    this.server.close()
    const timer = setInterval(() => this.closeIdle(), CLOSE_IDLE_MS)
    this.closeIdle()
    await this.closed
    clearInterval(timer)
  }

  private closeIdle(): void {
    if ('closeIdleConnections' in this.server) this.server.closeIdleConnections()
    // One on which nothing was ever asked is not idle to Node, but waiting for its first request.
    const before = performance.now() - FIRST_REQUEST_MS
    for (const [socket, openedAt] of this.sockets) {
      if (socket.bytesRead === 0 && openedAt < before) socket.destroy()
    }
  }

  private cut(): void {
    for (const socket of this.sockets.keys()) socket.destroy()
  }
}
