// Events: what changed in a tenant, in the order of the commits that changed it. An event is written in the commit of the
// change itself, so it can neither tell of something that did not happen, nor miss something that did.
// Every commit with an event also sets the tail, a key that streams watch. It is set blindly, so writers never conflict.
import type { EventType } from '../../shared/event_types.ts'
import { type Id, idFromBytes, newId, uuidv7 } from '../../shared/ids.ts'
import { beginningOf, jsonLog, justBefore, type Log, type LogPosition } from '../storage/log_space.ts'
import { jsonSpace } from '../storage/space.ts'
import { callWebhooks } from '../webhooks/call.ts'
import type { Actor } from './audit.ts'
import { type LogStanding, statusSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'
import { trimmedThrough } from './retention.ts'

/** A change as the outbox holds it: a reference, not a copy. */
export interface OutboxEntry {
  id: Id<'evt'>
  type: EventType
  /** The id or name of what changed. */
  resource: string
  /** RFC 3339 */
  at: string
  actor: Actor
  requestId: string
  /** A few small facts beside the reference, such as the project that a record lies in. */
  data?: EventData
}

export type EventData = Readonly<Record<string, string | number | boolean | null>>

/** An event as the feed, streams and webhooks show it. */
export interface TenantEvent extends Omit<OutboxEntry, 'requestId'> {
  /** Where it stands: sorts as text in the order of the commits, and is where reading goes on. */
  sequence: LogPosition
}

export interface EventPage {
  events: ReadonlyArray<TenantEvent>
  more: boolean
}

/** The feed, to read. */
export interface EventFeed {
  /** Events behind `after`, oldest first. @param limit 1 to 1000 */
  page(limit: number, after?: LogPosition): Promise<EventPage>
  /** Where the event of this id stands. */
  find(id: string): Promise<LogPosition | undefined>
  /** The event at a place. */
  at(place: LogPosition): Promise<TenantEvent | undefined>
  /** A place that all events from a time on lie behind, as far as the clocks of the region agree to a minute. */
  before(atMs: number): Promise<LogPosition>
  /** The last event that is not kept any more; undefined while all of them are. */
  trimmed(): Promise<LogPosition | undefined>
  /**
   * Where the newest event stood when this transaction began, be it kept or not; {@link FEED_BEGINNING} where there was
   * none.
   */
  end(): Promise<LogPosition>
  /**
   * Whether a place is none that this feed ever gave. Behind its end is none, but for what a restore has lost: that is of an
   * earlier epoch.
   */
  isNone(place: LogPosition): Promise<boolean>
}

/** How far the clocks of a region's processes may be apart. */
export const CLOCKS_MS = 60_000

/** Before every event. */
export const FEED_BEGINNING: LogPosition = '0'.repeat(40)

const outboxLog = jsonLog<OutboxEntry>('event', ({ id }) => id)
export const outboxOf = (scope: TenantScope): Log<OutboxEntry> => scope.log('outbox', outboxLog)

/** Changes with every commit that has an event, or something else to deliver: the id of that event, or one of none. */
export const tailSpace = jsonSpace<['tail'], Id<'evt'>>('tail')

export type Emit = (type: EventType, resource: string, data?: EventData) => void

/** On whose behalf a transaction changes something. */
export interface Emitter {
  standing: LogStanding
  nowMs: number
  actor: Actor
  requestId: string
  /** Webhooks that have led to it, each by the one before; its events say it. */
  hops?: number | undefined
}

export function emitting(scope: TenantScope, { standing, nowMs, actor, requestId, hops }: Emitter): Emit {
  const at = new Date(nowMs).toISOString()
  return (type, resource, facts) => {
    const data = hops === undefined ? facts : { ...facts, hops }
    const id = newId('evt', nowMs)
    outboxOf(scope).append(standing.epoch, {
      id,
      type,
      resource,
      at,
      actor,
      requestId,
      ...(data && { data }),
    })
    scope.system('outbox', tailSpace).set(['tail'], id)
    if (standing.webhooks) callWebhooks(scope)
  }
}

/** Has deliveries looked at after this commit, without an event: in whichever process the tenant is in hand. */
export function callDeliveries(scope: TenantScope, nowMs: number): void {
  scope.system('outbox', tailSpace).set(['tail'], newId('evt', nowMs))
  callWebhooks(scope)
}

export function feedOf(scope: TenantScope): EventFeed {
  return {
    async page(limit, after) {
      const { entries, more } = await outboxOf(scope).page(limit, after)
      return { events: entries.map(([sequence, entry]) => shownEvent(sequence, entry)), more }
    },
    find: (id) => outboxOf(scope).find(id),
    async at(place) {
      const entry = await outboxOf(scope).at(place)
      return entry && shownEvent(place, entry)
    },
    async before(atMs) {
      const id = idFromBytes('evt', uuidv7(Math.max(0, atMs - CLOCKS_MS), new Uint8Array(10)))
      const first = await outboxOf(scope).firstFrom(id)
      return first === undefined ? this.end() : justBefore(first)
    },
    trimmed: () => trimmedThrough(scope),
    async end() {
      const [{ entries }, trimmed] = await Promise.all([
        outboxOf(scope).peekPage(1, undefined, true),
        trimmedThrough(scope),
      ])
      return entries[0]?.[0] ?? trimmed ?? FEED_BEGINNING
    },
    async isNone(place) {
      const [end, status] = await Promise.all([
        this.end(),
        scope.system('status', statusSpace).get(['status']),
      ])
      return place > end && (status === undefined || place >= beginningOf(status.epoch))
    },
  }
}

const shownEvent = (sequence: LogPosition, entry: OutboxEntry): TenantEvent => {
  const { requestId: _, ...shown } = entry
  return { ...shown, sequence }
}
