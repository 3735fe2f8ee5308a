// Spans on their way to the collector: gathered, and sent a batch at a time. Whatever becomes of the collector, what
// waits is bounded, what is lost is counted, and nothing rejects: traces are no reason for a region to fail, nor to
// stop otherwise than it should.
import { TraceFlags } from '@opentelemetry/api'
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { Log } from '../log.ts'

const BATCH = 512
const MOST_WAITING = 2_048
/** So long spans wait for others. */
const GATHER_MS = 1_000
const STOP_MS = 1_000

export interface SpanBatchesDependencies {
  exporter: SpanExporter
  /** So many spans will never arrive. */
  lost: (spans: number) => void
  log: Log
}

export class SpanBatches implements SpanProcessor {
  private readonly dependencies: SpanBatchesDependencies
  private waiting: ReadableSpan[] = []
  /** Being sent now. */
  private sending = 0
  private round: Promise<void> | undefined
  private timer: NodeJS.Timeout | undefined
  private stopping = false
  /** Since spans began to be lost; 0 while none are. */
  private losses = 0
  /** Lost since the present batch was begun. */
  private lostMeanwhile = false

  constructor(dependencies: SpanBatchesDependencies) {
    this.dependencies = dependencies
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return
    if (this.stopping) this.lose(1, 'the region is stopping')
    else if (this.waiting.length >= MOST_WAITING) this.lose(1, 'too many spans wait already')
    else {
      this.waiting.push(span)
      if (this.waiting.length >= BATCH) void this.send()
      else this.gather()
    }
  }

  forceFlush(): Promise<void> {
    return this.send()
  }

  shutdown(): Promise<void> {
    return this.stop(STOP_MS)
  }

  /** Exports what is left, for so long at most. */
  async stop(withinMs: number): Promise<void> {
    if (this.stopping) return
    this.stopping = true
    const { promise: over, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, withinMs)
    await Promise.race([this.send(), over])
    clearTimeout(timer)
    const left = this.waiting.length + this.sending
    this.waiting = []
    this.sending = 0
    if (left > 0) this.lose(left, 'the region is stopping')
    this.dependencies.exporter.shutdown().catch(() => {})
  }

  private send(): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.waiting.length > 0) this.round ??= this.sendBatches()
    return this.round ?? Promise.resolve()
  }

  /** Batches that are full, and once one that is not; when it is stopping, all. */
  private async sendBatches(): Promise<void> {
    do {
      const batch = this.waiting.splice(0, BATCH)
      this.sending = batch.length
      this.lostMeanwhile = false
      const error = await this.exported(batch)
      // None where stopping has given it up.
      const { sending } = this
      this.sending = 0
      if (error === undefined && !this.lostMeanwhile) this.recover()
      else if (error !== undefined && sending > 0)
        this.lose(sending, 'the collector did not take them', error)
    } while (this.waiting.length >= BATCH || (this.stopping && this.waiting.length > 0))
    this.round = undefined
    if (this.waiting.length > 0) this.gather()
  }

  private gather(): void {
    this.timer ??= setTimeout(() => void this.send(), GATHER_MS).unref()
  }

  private exported(batch: ReadableSpan[]): Promise<Error | undefined> {
    return new Promise<Error | undefined>((resolve) =>
      this.dependencies.exporter.export(batch, ({ code, error }) =>
        resolve(code === 0 ? undefined : (error ?? new Error('the collector refused them'))),
      ),
    ).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))))
  }

  private lose(spans: number, reason: string, error?: Error): void {
    const { lost, log } = this.dependencies
    lost(spans)
    // Once, and not for each batch of a collector that is down for long.
    if (this.losses === 0) log.error('traces cannot be exported', { reason, ...(error && { error }) })
    this.losses += spans
    this.lostMeanwhile = true
  }

  private recover(): void {
    if (this.losses > 0) this.dependencies.log.info('traces are exported again', { lost: this.losses })
    this.losses = 0
  }
}
