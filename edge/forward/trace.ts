// A client's trace goes on through us, or starts here.
import { readTraceParent, writeTraceParent } from '../../shared/trace.ts'

/** The headers to send on: the client's own where they are valid, otherwise a new trace, not sampled. */
export function traceHeaders(
  from: ReadonlyMap<string, string>,
  random: Uint8Array = crypto.getRandomValues(new Uint8Array(24)),
): Record<string, string> {
  const traceparent = from.get('traceparent')
  if (traceparent === undefined || readTraceParent(traceparent) === undefined) {
    const [traceId, spanId] = [random.subarray(0, 16).toHex(), random.subarray(16).toHex()]
    return { traceparent: writeTraceParent({ traceId, spanId, sampled: false }) }
  }
  const tracestate = from.get('tracestate')
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}
