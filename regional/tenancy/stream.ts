// Streams: an operation's answer as server-sent events. Each batch is a transaction of its own in which the client is
// authorised anew, so nothing is read for a revoked key or a suspended tenant from that commit on; and since such a commit
// fires the tenant's watch, their streams end at once. A reader that stops reading holds one batch, and is let go in time.
// (WHATWG HTML, "Server-sent events".)
import { PROBLEMS, Problem, type ProblemCode } from '../../shared/problems.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Admission, Asking } from '../admission/admission.ts'
import { askingOf, type TenantRequest, type TransactDependencies } from './admission.ts'
import type { Tails } from './tails.ts'
import type { TenantTransaction } from './tenant_transaction.ts'
import { readOn, transact } from './transact.ts'

/** What an operation streams, place by place: text that a client may come back with. */
export interface StreamSource {
  /** Where a client begins. Its problems are answered before anything is streamed. */
  open(tx: TenantTransaction): Promise<string>
  /** What lies behind a place. */
  batch(tx: TenantTransaction, place: string): Promise<StreamBatch>
}

export interface StreamBatch {
  messages: ReadonlyArray<{ id: string; data: unknown }>
  /** Where the next batch begins. */
  place: string
  /** There is more already. */
  more: boolean
}

export interface StreamDependencies {
  transact: TransactDependencies
  tails: Tails
  admission: Admission
}

/** Told of what becomes of a stream once its head is out. */
export interface StreamWatcher {
  /** What is nobody's fault but ours. */
  report(error: unknown): void
  /** Why its client is told that it ends. */
  failed(code: ProblemCode): void
  /** As {@link failed}, where nothing failed: the region stops. */
  stopped(code: ProblemCode): void
  /** Its client does not read: the connection is to be cut, since whatever else is sent would wait for that. */
  unread(why: string): void
}

/** Shows either side that the other has gone, and when a credential ends by the clock. */
const HEARTBEAT_MS = 15_000
/** Heartbeats that a client leaves unread before it is let go. */
const MAX_UNREAD_BEATS = 4
const RETRY_MS = 1_000
/** For a client to read why its stream ends, when the region stops. */
const LAST_WORD_MS = 1_000

/** Ends a stream that a client may come back to at once. */
const STOPPING: ProblemCode = 'region_unavailable'
const TELL_US = 'Try again; if it stays, tell us the request id.'

/** @throws {Problem} as any request, until the stream has begun */
export async function openStream(
  { transact: dependencies, tails, admission }: StreamDependencies,
  request: TenantRequest,
  source: StreamSource,
  watcher: StreamWatcher,
): Promise<ReadableStream<Uint8Array>> {
  const { tenant } = request.verified.principal
  const inTransaction = async <T>(
    asked: TenantRequest,
    asking: Asking,
    run: typeof transact,
    work: (tx: TenantTransaction) => Promise<T>,
  ) => {
    let value: { of: T } | undefined
    await admission.run(asking, (meter) =>
      run(dependencies, { ...asked, meter }, async (tx) => {
        value = { of: await work(tx) }
        return { status: 200 }
      }),
    )
    if (value === undefined) throw new Error('a transaction that was done has a value')
    return value.of
  }
  const opening: TenantRequest = { ...request, kind: 'read' }
  const place = await inTransaction(opening, askingOf(opening), transact, (tx) => source.open(tx))
  const going: TenantRequest = { ...opening, deadlineMs: undefined, tell: () => {} }
  // Between its transactions a stream takes nothing of anybody's turn; once begun it is not refused its next one.
  const goingOn = { ...askingOf(going), begun: true as const }
  const stream = new TenantStream({ tenant, tails, place, watcher }, (from) =>
    inTransaction(going, goingOn, readOn, (tx) => source.batch(tx, from)),
  )
  return stream.readable
}

interface Opened {
  tenant: TenantNumber
  tails: Tails
  place: string
  watcher: StreamWatcher
}

const utf8 = new TextEncoder()

class TenantStream {
  readonly readable: ReadableStream<Uint8Array>
  private readonly read: (place: string) => Promise<StreamBatch>
  private readonly watcher: StreamWatcher
  private place: string
  /** Set by every wake, so that one between a reading and the waiting after it is not lost. */
  private stale = true
  private stopping = false
  private over = false
  private unread = 0
  private reading = false
  private resume: () => void = () => {}
  private unsubscribe: () => void = () => {}
  private heart: NodeJS.Timeout | undefined

  constructor({ tenant, tails, place, watcher }: Opened, read: (place: string) => Promise<StreamBatch>) {
    this.read = read
    this.watcher = watcher
    this.place = place
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          controller.enqueue(utf8.encode(`retry: ${RETRY_MS}\nid: ${place}\n\n`))
          this.heart = setInterval(() => this.beat(controller), HEARTBEAT_MS)
          this.unsubscribe = tails.subscribe(tenant, {
            changed: () => this.wake(),
            stopping: () => {
              this.stopping = true
              this.wake()
              // Whoever does not read is not waited for.
              setTimeout(() => this.drop(controller, 'the region is stopping'), LAST_WORD_MS)
            },
          })
        },
        pull: (controller) => this.fill(controller),
        cancel: () => this.release(),
      },
      { highWaterMark: 1 },
    )
  }

  /** Resolves once there is something to send: nothing is read ahead of the reader. */
  private async fill(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.reading = true
    this.unread = 0
    try {
      while (!this.over) {
        if (this.stopping) {
          this.watcher.stopped(STOPPING)
          return this.end(controller, STOPPING, 'The region is stopping. Connect again.')
        }
        if (!this.stale) {
          await new Promise<void>((resolve) => {
            this.resume = resolve
          })
          continue
        }
        this.stale = false
        const { messages, place, more } = await this.read(this.place)
        if (more) this.stale = true
        if (this.over) return
        const text = messages.map(({ id, data }) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`).join('')
        // Where the last of them was not wanted, a client still learns how far it is.
        const passed = place === (messages.at(-1)?.id ?? this.place) ? '' : `id: ${place}\n\n`
        this.place = place
        if (text + passed !== '') return controller.enqueue(utf8.encode(text + passed))
      }
    } catch (error) {
      if (this.over) return
      const isProblem = error instanceof Problem
      if (!isProblem) this.watcher.report(error)
      // With a word and in good order: a connection that breaks looks like an instance that is down.
      const { code, detail } = isProblem ? error : new Problem('internal', TELL_US)
      this.watcher.failed(code)
      this.end(controller, code, detail)
    } finally {
      this.reading = false
    }
  }

  private wake(): void {
    this.stale = true
    this.resume()
  }

  private beat(controller: ReadableStreamDefaultController<Uint8Array>): void {
    if (this.over) return
    if (this.reading) {
      controller.enqueue(utf8.encode(':\n\n'))
      // A credential may have ended by the clock, which fires no watch.
      this.wake()
    } else if (++this.unread > MAX_UNREAD_BEATS) {
      this.drop(controller, 'the client does not read')
    }
  }

  private drop(controller: ReadableStreamDefaultController<Uint8Array>, why: string): void {
    if (this.over) return
    this.release()
    controller.close()
    this.watcher.unread(why)
  }

  private end(
    controller: ReadableStreamDefaultController<Uint8Array>,
    code: ProblemCode,
    detail: string,
  ): void {
    this.release()
    const { status, title } = PROBLEMS[code]
    const data = JSON.stringify({ code, status, title, detail })
    controller.enqueue(utf8.encode(`event: end\ndata: ${data}\n\n`))
    controller.close()
  }

  private release(): void {
    this.over = true
    clearInterval(this.heart)
    this.unsubscribe()
    this.resume()
  }
}
