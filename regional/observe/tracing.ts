// Traces by OpenTelemetry, exported by OTLP over HTTP. The edge hands on or begins a trace (`traceparent`) and tells its own
// span, which is exported here; below it a region's spans are the request and its stages. Whether a trace is kept depends on
// its id and a secret that all regions share, so that they agree, and a client can't have all of its own kept: neither by
// wishing for it nor by the ids that it chooses. It could fill the exporter.
import { createHmac, hkdfSync } from 'node:crypto'
import {
  type Context,
  context,
  type Span as OtelSpan,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { EdgeSpan, TraceParent } from '../../shared/trace.ts'
import type { Log } from '../log.ts'
import type { RequestSpan, Span } from './request.ts'
import { SpanBatches } from './span_batches.ts'

/** After so long a batch is lost: the next ones wait for it. */
const EXPORT_MS = 3_000

export interface Tracing {
  /**
   * @param edge of which it is a part, where it came through one
   * @returns undefined where this trace is not kept
   */
  request(
    method: string,
    parent: TraceParent | undefined,
    edge: EdgeSpan | undefined,
  ): RequestSpan | undefined
  /** Exports what is left, for so long at most. Never rejects. */
  stop(withinMs: number): Promise<void>
}

export interface TracingConfig {
  /** `OTEL_EXPORTER_OTLP_ENDPOINT`: spans go to `<endpoint>/v1/traces`. */
  endpoint: string
  /** `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`, as W3C Baggage writes it. */
  headers: Readonly<Record<string, string>>
  /** From 0 to 1. */
  ratio: number
  /** The same in all regions, and known to nobody else. */
  secret: string
  serviceName: string
  region: string
  /** So many spans could not be exported. */
  lost: (spans: number) => void
  log: Log
}

/** Loads OpenTelemetry, which nobody needs who does not export. */
export async function startTracing(config: TracingConfig): Promise<Tracing> {
  const [
    { AlwaysOnSampler, BasicTracerProvider, RandomIdGenerator },
    { OTLPTraceExporter },
    { resourceFromAttributes },
  ] = await Promise.all([
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const { endpoint, headers, serviceName, region, lost, log } = config
  const url = `${endpoint.replace(/\/$/, '')}/v1/traces`
  const exporter = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: EXPORT_MS })
  const batches = new SpanBatches({ exporter, lost, log })
  const random = new RandomIdGenerator()
  const isKept = keeping(config)
  /** Of the edge's span, which has them already. */
  let given: { traceId: string; spanId: string } | undefined
  const provider = new BasicTracerProvider({
    idGenerator: {
      generateTraceId: () => given?.traceId ?? random.generateTraceId(),
      generateSpanId: () => given?.spanId ?? random.generateSpanId(),
    },
    resource: resourceFromAttributes({ 'service.name': serviceName, 'cloud.region': region }),
    sampler: new AlwaysOnSampler(),
    spanProcessors: [batches],
  })
  const tracer = provider.getTracer('coditect.region')
  const edgeTracer = provider.getTracer('coditect.edge')
  const spanOfEdge = (method: string, parent: TraceParent, edge: EdgeSpan): OtelSpan => {
    const { startMs, spanId = parent.spanId } = edge
    given = { traceId: parent.traceId, spanId }
    const options = { kind: SpanKind.SERVER, startTime: startMs, root: edge.spanId === undefined }
    try {
      return edgeTracer.startSpan(`${method} at the edge`, options, remote(parent))
    } finally {
      given = undefined
    }
  }
  return {
    request(method, parent, edge) {
      if (!isKept(parent?.traceId ?? random.generateTraceId())) return undefined
      const outer = parent && edge && spanOfEdge(method, parent, edge)
      const from = outer ? trace.setSpan(context.active(), outer) : remote(parent)
      const span = tracer.startSpan(method, { kind: SpanKind.SERVER }, from)
      return new RecordedSpan(tracer, span, from, method, outer)
    },
    stop: (withinMs) => batches.stop(withinMs),
  }
}

/** Whether a trace is one of the part that is kept, by its id. */
function keeping({ ratio, secret }: Pick<TracingConfig, 'ratio' | 'secret'>): (traceId: string) => boolean {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'coditect traces v1', 32))
  return (traceId) => createHmac('sha256', key).update(traceId).digest().readUInt32BE() < ratio * 2 ** 32
}

function remote(parent: TraceParent | undefined): Context {
  if (parent === undefined) return context.active()
  const { traceId, spanId, sampled } = parent
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE
  return trace.setSpanContext(context.active(), { traceId, spanId, traceFlags, isRemote: true })
}

class RecordedSpan implements RequestSpan {
  private readonly tracer: Tracer
  private readonly span: OtelSpan
  private readonly inside: Context
  private readonly name: string
  private outer: OtelSpan | undefined

  /** @param outer ends with it */
  constructor(tracer: Tracer, span: OtelSpan, outside: Context, name: string, outer?: OtelSpan) {
    this.tracer = tracer
    this.outer = outer
    this.span = span
    this.inside = trace.setSpan(outside, span)
    this.name = name
  }

  get id(): string {
    return this.span.spanContext().spanId
  }

  child(name: string): Span {
    return new RecordedSpan(this.tracer, this.tracer.startSpan(name, {}, this.inside), this.inside, name)
  }

  goesOnElsewhere(): void {
    this.outer = undefined
  }

  end(attributes: Readonly<Record<string, string | number | boolean>> = {}, failed = false): void {
    this.span.setAttributes(attributes)
    const { 'http.route': route } = attributes
    if (route !== undefined) this.span.updateName(`${this.name} ${route}`)
    if (failed) this.span.setStatus({ code: SpanStatusCode.ERROR })
    this.span.end()
    this.outer?.end()
  }
}
