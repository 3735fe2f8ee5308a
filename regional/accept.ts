// Who is answered with server-sent events, by `Accept` (RFC 9110 section 12.5.1).
import { parseAccept } from 'hono/utils/accept'

export const EVENT_STREAM = 'text/event-stream'

/**
 * Whether events are asked for by their name, and JSON is not asked for rather: whoever takes just anything gets JSON. The edge
 * holds a concurrency slot for everyone who names them at all (edge/limit/slots.ts).
 */
export function wantsEvents(accept: string | undefined): boolean {
  const types = parseAccept(accept ?? '')
  const quality = (name: string) => types.find(({ type }) => type.toLowerCase() === name)?.q ?? 0
  return quality(EVENT_STREAM) > 0 && quality(EVENT_STREAM) >= quality('application/json')
}
