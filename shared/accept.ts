// Who is answered with server-sent events. The edge, which holds a concurrency slot for a stream, and the region, which opens it,
// have to read `Accept` alike (RFC 9110 section 12.5.1).
import { parseAccept } from 'hono/utils/accept'

export const EVENT_STREAM = 'text/event-stream'

/** Whether events are asked for by their name, and JSON is not asked for rather. Whoever takes just anything gets JSON. */
export function wantsEvents(accept: string | undefined): boolean {
  if (!accept?.toLowerCase().includes(EVENT_STREAM)) return false
  const types = parseAccept(accept)
  const quality = (name: string) => types.find(({ type }) => type.toLowerCase() === name)?.q ?? 0
  return quality(EVENT_STREAM) > 0 && quality(EVENT_STREAM) >= quality('application/json')
}
