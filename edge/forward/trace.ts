// Trace context (W3C Recommendation, 2021-11-23): a client's trace goes on through us, or starts here.

const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/

/** The headers to send on: the client's own where they are valid, otherwise a new trace, not sampled. */
export function traceHeaders(
  from: Headers,
  random: Uint8Array = crypto.getRandomValues(new Uint8Array(24)),
): Record<string, string> {
  const traceparent = from.get('traceparent')
  if (traceparent === null || !TRACEPARENT.test(traceparent)) {
    return { traceparent: `00-${random.subarray(0, 16).toHex()}-${random.subarray(16).toHex()}-00` }
  }
  const tracestate = from.get('tracestate')
  return tracestate === null ? { traceparent } : { traceparent, tracestate }
}
