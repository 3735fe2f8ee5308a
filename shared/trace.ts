// Trace context (W3C Recommendation, 2021-11-23): `traceparent`, as edge and region read and write it.

export interface TraceParent {
  /** 32 hexadecimal digits, not all zero. */
  traceId: string
  /** 16 hexadecimal digits, not all zero: the caller's span. */
  spanId: string
  sampled: boolean
}

const TRACEPARENT = /^(?!ff)[\da-f]{2}-((?!0{32})[\da-f]{32})-((?!0{16})[\da-f]{16})-([\da-f]{2})$/
const SAMPLED = 1

/** Undefined for none, and for one that is not well-formed. */
export function readTraceParent(text: string | null | undefined): TraceParent | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text ?? '') ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED }
}

export const writeTraceParent = ({ traceId, spanId, sampled }: TraceParent): string =>
  `00-${traceId}-${spanId}-0${sampled ? SAMPLED : 0}`

/** The edge's part of a trace, which a region exports together with its own: an edge has no exporter. */
export interface EdgeSpan {
  /** When the request came to the edge, in milliseconds since 1970 by the edge's clock. */
  startMs: number
  /** Below the caller's span; undefined where the trace begins at the edge, whose span is the one in `traceparent` then. */
  spanId?: string
}

const EDGE_SPAN = /^(\d{1,15})(?:;((?!0{16})[\da-f]{16}))?$/

/** Such as `1795643064000;00f067aa0ba902b7`. */
export const writeEdgeSpan = ({ startMs, spanId }: EdgeSpan): string =>
  spanId === undefined ? String(startMs) : `${startMs};${spanId}`

/** Undefined for none, and for one that is not well-formed. */
export function readEdgeSpan(text: string | null): EdgeSpan | undefined {
  const [, startMs, spanId] = EDGE_SPAN.exec(text ?? '') ?? []
  if (startMs === undefined) return undefined
  return { startMs: Number(startMs), ...(spanId !== undefined && { spanId }) }
}
