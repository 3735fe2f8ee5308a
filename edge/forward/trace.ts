// A client's trace goes on through us, or starts here. The edge's own span is told to the region, which exports it.
import { EDGE_SPAN } from '../../shared/headers.ts'
import { readTraceParent, writeEdgeSpan, writeTraceParent } from '../../shared/trace.ts'
import type { HeaderFields } from '../context.ts'

/**
 * The headers to send on: the client's own where they are valid, otherwise a new trace, not sampled.
 * @param startMs when the request came, in milliseconds since 1970
 */
export function traceHeaders(
  from: ReadonlyMap<string, string>,
  startMs: number,
  random: Uint8Array = crypto.getRandomValues(new Uint8Array(24)),
): HeaderFields {
  const spanId = random.subarray(16).toHex()
  const traceparent = from.get('traceparent')
  if (traceparent === undefined || readTraceParent(traceparent) === undefined) {
    const traceId = random.subarray(0, 16).toHex()
    return {
      traceparent: writeTraceParent({ traceId, spanId, sampled: false }),
      [EDGE_SPAN]: writeEdgeSpan({ startMs }),
    }
  }
  const tracestate = from.get('tracestate')
  return {
    traceparent,
    ...(tracestate !== undefined && { tracestate }),
    [EDGE_SPAN]: writeEdgeSpan({ startMs, spanId }),
  }
}
