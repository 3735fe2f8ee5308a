// GET /v1/events: what changed, oldest first. A page says where to go on; so does every event.
import { z } from 'zod'
import { idTimeMs, isId } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import {
  type EventFeed,
  isLogPosition,
  pageOf,
  readCursor,
  type Service,
  type TenantEvent,
  tenantOperation,
  writeCursor,
} from '../../tenancy/service.ts'
import { Event, eventQuery, typeFilter } from './schema.ts'

const LIST = 'events'
const STREAM_BATCH = 100
/** Read in one transaction while looking for events of the wanted types, so many at a time. */
const MAX_READ = 500
const READ_STEP = 100

export const events: Service = {
  name: 'events',
  operations: [
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/events',
      tag: 'Events',
      summary: 'Read what changed, oldest first',
      scope: 'events:read',
      query: eventQuery,
      answers: {
        200: pageOf(Event).extend({
          through: z.string().meta({
            description:
              'How far the feed was read for this page, events of other types too: `after` takes it, now or later.',
          }),
        }),
      },
      problems: ['events_expired'],
      async handle(tx, { query }) {
        const after = await placeOf(tx.events, query.cursor ?? query.after)
        const page = await wanted(tx.events, query.limit, after, typeFilter(query.types))
        return {
          status: 200,
          body: {
            data: page.events,
            nextCursor: page.more && page.through !== undefined ? writeCursor(LIST, page.through) : null,
            through: page.through ?? (await tx.events.end()),
          },
        }
      },
      stream: ({ query, lastEventId }) => ({
        open: async (tx) =>
          (await beginningOf(tx.events, lastEventId, query.cursor ?? query.after)) ?? tx.events.end(),
        async batch(tx, place) {
          await requireKept(tx.events, place)
          const { events, through, more } = await wanted(
            tx.events,
            STREAM_BATCH,
            place,
            typeFilter(query.types),
          )
          return {
            messages: events.map((event) => ({ id: event.sequence, data: event })),
            place: through ?? place,
            more,
          }
        },
      }),
    }),
  ],
}

/**
 * Behind an event, by its id or its sequence, or where a page ended.
 * @throws {Problem} `invalid_cursor`, `events_expired`
 */
async function placeOf(feed: EventFeed, text: string | undefined): Promise<string | undefined> {
  if (text === undefined) return undefined
  const place = await readPlace(feed, text)
  if (place !== undefined) {
    const [isNone] = await Promise.all([feed.isNone(place), requireKept(feed, place)])
    if (isNone) throw unknownPlace()
    return place
  }
  if ((await feed.trimmed()) === undefined) throw unknownPlace()
  const oldest = await oldestIn(feed)
  // Where a forgotten event stood is not known any more, but its id says when it was.
  throw oldest === undefined || timeOf(text) < Date.parse(oldest.at) ? expired(oldest) : unknownPlace()
}

/** @throws {Problem} `events_expired` where some of what lies behind a place is not kept any more */
async function requireKept(feed: EventFeed, place: string): Promise<void> {
  const trimmed = await feed.trimmed()
  if (trimmed !== undefined && place < trimmed) throw expired(await oldestIn(feed))
}

const oldestIn = async (feed: EventFeed): Promise<TenantEvent | undefined> => (await feed.page(1)).events[0]

const expired = (oldest: TenantEvent | undefined): Problem =>
  new Problem(
    'events_expired',
    `Events behind that one are not kept any more; the oldest is ${oldest?.id ?? 'none'}. Begin again without \`after\`.`,
  )

const timeOf = (eventId: string): number => idTimeMs('evt', eventId) ?? Number.POSITIVE_INFINITY

const unknownPlace = (): Problem =>
  new Problem(
    'invalid_cursor',
    'Use the id or sequence of an event, or a nextCursor or through of this list.',
  )

/**
 * @returns undefined for the id of an event that there is not
 * @throws {Problem} `invalid_cursor`
 */
async function readPlace(feed: EventFeed, text: string): Promise<string | undefined> {
  if (isLogPosition(text)) return text
  if (isId('evt', text)) return feed.find(text)
  const place = readCursor(LIST, text, unknownPlace)?.[0]
  if (place === undefined || !isLogPosition(place)) throw unknownPlace()
  return place
}

/**
 * Where a stream begins: never before the place in its query, which may be all that its reader was given, by a signed URL.
 * @throws {Problem} `invalid_cursor`, `events_expired`
 */
async function beginningOf(
  feed: EventFeed,
  lastEventId: string | undefined,
  asked: string | undefined,
): Promise<string | undefined> {
  if (lastEventId === undefined || asked === undefined) return placeOf(feed, lastEventId ?? asked)
  // Events as old as what was asked for may be kept no more: whoever is past them goes on all the same.
  const [last, first] = await Promise.all([placeOf(feed, lastEventId), readPlace(feed, asked)])
  if (first !== undefined && (await feed.isNone(first))) throw unknownPlace()
  return last !== undefined && first !== undefined && first > last ? first : last
}

/** Up to `limit` events of the wanted types, and how far the feed was read for them. */
export async function wanted(
  feed: Pick<EventFeed, 'page'>,
  limit: number,
  after: string | undefined,
  isWanted: (type: string) => boolean,
): Promise<{ events: TenantEvent[]; through: string | undefined; more: boolean }> {
  const events: TenantEvent[] = []
  let through = after
  let more = true
  for (let read = 0; more && read < MAX_READ && events.length < limit; ) {
    // Where the first of them are not all wanted, few of those behind them may be.
    const page = await feed.page(read === 0 ? Math.min(limit, READ_STEP) : READ_STEP, through)
    more = page.more
    read += page.events.length
    for (const event of page.events) {
      if (events.length === limit) return { events, through, more: true }
      through = event.sequence
      if (isWanted(event.type)) events.push(event)
    }
  }
  return { events, through, more }
}
