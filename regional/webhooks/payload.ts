// What an endpoint is sent: an event, as Standard Webhooks has payloads (`type`, `timestamp`, `data`), with its id and its
// place in the order of all events of the organisation.
import type { TenantEvent } from '../tenancy/events.ts'

export interface Payload {
  type: string
  /** RFC 3339 */
  timestamp: string
  id: string
  /** Sorts as text in the order of the commits. */
  sequence: string
  /** What the event carries, and beside it: the id or name of what changed, and whose doing it was. */
  data: Readonly<Record<string, unknown>> & Pick<TenantEvent, 'resource' | 'actor'>
}

export const payloadOf = ({ type, at, id, sequence, resource, actor, data }: TenantEvent): Payload => ({
  type,
  timestamp: at,
  id,
  sequence,
  data: { ...data, resource, actor },
})
