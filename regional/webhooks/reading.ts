// What a pump reads in one go: endpoints that have changed, events behind where its lanes stand, deliveries whose time has
// come. Only reads; the pump takes what was read once all of it is there.
import { MOST } from '../../shared/plans.ts'
import type { LogPosition } from '../storage/log_space.ts'
import { FEED_BEGINNING, feedOf, type TenantEvent } from '../tenancy/events.ts'
import { weightIn } from '../tenancy/profile.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import type { Hold } from './hold.ts'
import type { DuePage, Lane } from './lane.ts'
import {
  changedSpace,
  deliveryId,
  deliverySpace,
  dueSpace,
  type EndpointRecord,
  endpointSpace,
  type LaneRecord,
  laneSpace,
  SERVICE,
  wants,
} from './records.ts'

const FEED_PAGE = 100
const DUE_PAGE = 64

export interface Wanted {
  /** What the endpoints were read at; undefined when they were not. */
  changed: string | undefined
  /** Lanes whose due deliveries are to be read, and what was known of them before. */
  dueOf: ReadonlyArray<DueOf>
  /** Lanes that have room for events, by where they stand in the feed. */
  behind: ReadonlyMap<LogPosition, ReadonlyArray<Lane>>
}

interface DueOf {
  lane: Lane
  version: number
}

/** The endpoints have changed: nothing else was read. */
export interface ReadEndpoints {
  changed: string
  endpoints: ReadonlyArray<EndpointRecord>
  /** By endpoint. */
  lanes: ReadonlyMap<string, LaneRecord>
}

export interface ReadWork {
  dues: ReadonlyArray<ReadDue>
  pages: ReadonlyArray<FeedPage>
}

type ReadDue = DueOf & DuePage

interface FeedPage {
  /** Up to here it was read. */
  through: LogPosition
  /** The feed goes on behind it. */
  more: boolean
  lanes: ReadonlyArray<{ lane: Lane; events: TenantEvent[] }>
}

/**
 * @returns with it what turns of the tenant weigh
 * @throws {Over} where the tenant is not in hand any more
 */
export async function readNext(
  scope: TenantScope,
  hold: Hold,
  { changed: known, dueOf, behind }: Wanted,
  nowMs: number,
): Promise<{ weight: number; read: ReadEndpoints | ReadWork }> {
  const [weight, changed = '', trimmed] = await Promise.all([
    weightIn(scope),
    scope.service(SERVICE).space(changedSpace).get(['changed']),
    feedOf(scope).trimmed(),
    hold.check(scope),
  ])
  if (changed !== known) return { weight, read: { changed, ...(await readEndpoints(scope)) } }
  const [dues, pages] = await Promise.all([
    Promise.all(dueOf.map((each) => readDue(scope, each, nowMs))),
    Promise.all([...behind].map(([position, lanes]) => readFeed(scope, { position, trimmed }, lanes))),
  ])
  return { weight, read: { dues, pages } }
}

async function readEndpoints(scope: TenantScope): Promise<Omit<ReadEndpoints, 'changed'>> {
  const tx = scope.service(SERVICE)
  const [endpoints, lanes] = await Promise.all([
    tx.space(endpointSpace).page({ limit: MOST.webhookEndpoints }),
    tx.space(laneSpace).page({ limit: MOST.webhookEndpoints }),
  ])
  return {
    endpoints: endpoints.entries.map(([, endpoint]) => endpoint),
    lanes: new Map(lanes.entries.map(([[id], lane]) => [id, lane] as const)),
  }
}

async function readFeed(
  scope: TenantScope,
  { position, trimmed }: { position: LogPosition; trimmed: LogPosition | undefined },
  lanes: ReadonlyArray<Lane>,
): Promise<FeedPage> {
  // What is not kept any more cannot be sent: the reading goes on behind it.
  const from = trimmed !== undefined && trimmed > position ? trimmed : position
  const { events, more } = await feedOf(scope).page(FEED_PAGE, from)
  return {
    more,
    through: events.at(-1)?.sequence ?? from,
    lanes: await Promise.all(
      lanes.map(async (lane) => ({ lane, events: await notRecorded(scope, lane, events) })),
    ),
  }
}

async function readDue(scope: TenantScope, { lane, version }: DueOf, nowMs: number): Promise<ReadDue> {
  const tx = scope.service(SERVICE)
  const { enabled, mode } = lane.endpoint
  const isOrdered = mode === 'fifo'
  const { entries, more } = await tx.space(dueSpace).page({ under: [lane.endpoint.id], limit: DUE_PAGE })
  const isTest = (sequence: LogPosition) => sequence === FEED_BEGINNING
  const waiting = entries.filter(([[, , sequence, id]]) => !lane.isBusy(id) && (enabled || isTest(sequence)))
  const ready = isOrdered ? waiting.slice(0, 1) : waiting.filter(([, due]) => due.notBeforeMs <= nowMs)
  const records = await Promise.all(ready.map(([[, , , id]]) => tx.space(deliverySpace).get([id])))
  const due = ready.flatMap(([, { notBeforeMs }], i) => {
    const record = records[i]
    return record === undefined ? [] : [{ record, notBeforeMs }]
  })
  const next = isOrdered ? undefined : waiting.find(([, { notBeforeMs }]) => notBeforeMs > nowMs)
  return { lane, version, due, nextDueMs: next?.[1].notBeforeMs, more: more && next === undefined }
}

/** Of these events, those that the lane's endpoint wants and that nobody has recorded. */
async function notRecorded(
  scope: TenantScope,
  lane: Lane,
  events: ReadonlyArray<TenantEvent>,
): Promise<TenantEvent[]> {
  const deliveries = scope.service(SERVICE).space(deliverySpace)
  const wanted = events.filter((event) => wants(lane.endpoint, event))
  const known = await Promise.all(
    wanted.map(({ id, sequence }) =>
      sequence <= lane.recordedTo ? deliveries.get([deliveryId(lane.endpoint.id, id)]) : undefined,
    ),
  )
  return wanted.filter((_, i) => known[i] === undefined)
}
