// What came of deliveries, recorded: the attempts, when to try again, how far each endpoint is, and whether it goes on at
// all. One transaction for as many as there are; what it has recorded already, it recognises by the number of the attempt.
import { newId } from '../../shared/ids.ts'
import { beginningOf } from '../beginning_of.ts'
import { expireAt } from '../jobs/expiry.ts'
import type { Called } from '../outbound/client.ts'
import type { LogPosition } from '../storage/log_space.ts'
import { auditOf } from '../tenancy/audit.ts'
import { type EventData, emitting } from '../tenancy/events.ts'
import { profileSpace, type StatusRecord } from '../tenancy/records.ts'
import type { ServiceScope, TenantScope } from '../tenancy/region_database.ts'
import { eventsKeptFor } from '../tenancy/retention.ts'
import type { Lane, Sendable } from './lane.ts'
import {
  attemptSpace,
  type DeliveryMode,
  type DeliveryRecord,
  type DisableReason,
  deliverySpace,
  dueAtOf,
  type EndpointRecord,
  endpointSpace,
  hasArrived,
  KEPT_ATTEMPTS,
  type LaneRecord,
  laneSpace,
  SERVICE,
  writeDelivery,
} from './records.ts'
import { DISABLE_AFTER_MS, NOTICE_MS, orderedDelayMs, retryDelayMs, standingOf } from './schedule.ts'

/** A delivery that was tried. */
export interface Result extends Sendable {
  endpointId: string
  /** Where it went. */
  url: string
  called: Called
  /** When its sending was over. */
  sentMs: number
}

export interface Recorded {
  /** Deliveries that are tried again, and when. */
  again: Map<string, number>
  /** Endpoints that are disabled, by this or before. */
  disabled: EndpointRecord[]
}

export interface Recording {
  /** The tenant's standing, once it is sure that it is in hand: nothing is written before. */
  held: Promise<StatusRecord>
  nowMs: number
  random: () => number
}

const DAY_MS = 24 * 60 * 60 * 1000

/** @param cursorOf where an endpoint's cursor stands once these are recorded; undefined where nobody knows it any more */
export async function record(
  scope: TenantScope,
  recording: Recording,
  results: ReadonlyArray<Result>,
  cursorOf: (endpointId: string, recorded: ReadonlySet<string>) => LogPosition | undefined,
): Promise<Recorded> {
  const recorded: Recorded = { again: new Map(), disabled: [] }
  const kept = keptMsOf(scope)
  const ids = new Set<string>(results.map((result) => result.record.id))
  await Promise.all(
    [...Map.groupBy(results, ({ endpointId }) => endpointId)].map(async ([endpointId, own]) => {
      const cursor = cursorOf(endpointId, ids)
      await recordOne(scope, recording, { endpointId, results: own, cursor, kept }, recorded)
    }),
  )
  return recorded
}

/** Writes down how far these lanes are, and nothing else of them. The tenant has to be in hand. */
export async function recordCursors(scope: TenantScope, lanes: ReadonlyArray<Lane>): Promise<void> {
  const kept = scope.service(SERVICE).space(laneSpace)
  await Promise.all(
    lanes.map(async (lane) => {
      const before = await kept.get([lane.endpoint.id])
      const cursor = lane.cursorAfter(new Set())
      // Others may have recorded what this process does not know to be recorded yet.
      if (before !== undefined && cursor > before.cursor) kept.set([lane.endpoint.id], { ...before, cursor })
    }),
  )
}

interface OfEndpoint {
  endpointId: string
  results: ReadonlyArray<Result>
  cursor: LogPosition | undefined
  /** Milliseconds. */
  kept: Promise<number>
}

async function keptMsOf(scope: TenantScope): Promise<number> {
  const profile = await scope.system('profile', profileSpace).peek(['profile'])
  return profile ? eventsKeptFor(profile) : DAY_MS
}

async function recordOne(
  scope: TenantScope,
  recording: Recording,
  { endpointId, results, cursor, kept }: OfEndpoint,
  { again, disabled }: Recorded,
): Promise<void> {
  const tx = scope.service(SERVICE)
  const [status, keptMs, endpoint, lane, known] = await Promise.all([
    recording.held,
    kept,
    tx.space(endpointSpace).get([endpointId]),
    tx.space(laneSpace).get([endpointId]),
    Promise.all(results.map((result) => tx.space(deliverySpace).get([result.record.id]))),
  ])
  // It was removed meanwhile, with all that belongs to it.
  if (endpoint === undefined || lane === undefined) return
  let standing = { endpoint, lane: { ...lane, cursor: cursor ?? lane.cursor } }
  for (const [i, result] of results.entries()) {
    const before = known[i]
    // An earlier try of this very transaction has landed.
    if (before !== undefined && before.attempts > result.record.attempts) {
      if (before.nextAttemptMs !== null) again.set(before.id, before.nextAttemptMs)
      continue
    }
    // Forgotten while it was sent.
    if (before === undefined && result.record.attempts > 0) continue
    // What was on its way when the endpoint got another URL says nothing of what is there.
    const counts = result.url === endpoint.url
    const after = tried(before ?? result.record, result, { mode: endpoint.mode, counts }, recording)
    writeDelivery(tx, before, after)
    writeAttempt(tx, after, result)
    if (before === undefined) {
      await expireAt(scope, recording.nowMs + keptMs, 'delivery', after.id, recording.nowMs)
    }
    if (after.nextAttemptMs !== null) again.set(after.id, after.nextAttemptMs)
    if (after.sequence > standing.lane.highest) standing.lane.highest = after.sequence
    if (after.test === undefined && counts) {
      standing = judge(scope, { ...recording, status }, standing, after, result)
    }
  }
  tx.space(laneSpace).set([endpointId], standing.lane)
  if (standing.endpoint !== endpoint) tx.space(endpointSpace).set([endpointId], standing.endpoint)
  // Told even if it was an earlier try of this very transaction that has disabled it.
  if (!standing.endpoint.enabled) disabled.push(standing.endpoint)
}

const isSuccess = ({ called }: Result): boolean =>
  called.outcome === 'answered' && called.status >= 200 && called.status < 300

const GONE = 410
const isGone = ({ called }: Result): boolean => called.outcome === 'answered' && called.status === GONE

/** The delivery after this attempt. A failure that does not count is tried again as if it were the one before. */
function tried(
  before: DeliveryRecord,
  result: Result,
  { mode, counts }: { mode: DeliveryMode; counts: boolean },
  { nowMs, random }: Recording,
): DeliveryRecord {
  const { event: _, arrived: __, ...rest } = before
  const attempted = {
    ...rest,
    attempts: before.attempts + 1,
    attemptedAt: new Date(result.sentMs).toISOString(),
    nextAttemptMs: null,
    dueAt: null,
  }
  // What has arrived once is not missed, whatever becomes of the copy that somebody asked for: nothing waits behind it.
  if (isSuccess(result) || hasArrived(before)) return { ...attempted, status: 'delivered', failures: 0 }
  const failures = before.failures + (counts ? 1 : 0)
  const asked = result.called.outcome === 'answered' ? result.called.retryAfterMs : undefined
  const delayOf = mode === 'fifo' ? orderedDelayMs : retryDelayMs
  // What is gone is held until somebody enables the endpoint again.
  const delay = before.test ? undefined : isGone(result) ? 0 : delayOf(Math.max(failures, 1), random(), asked)
  const failed = { ...attempted, failures, event: result.event }
  if (delay === undefined) return { ...failed, status: 'failed' }
  const nextAttemptMs = nowMs + delay
  return { ...failed, status: 'pending', nextAttemptMs, dueAt: dueAtOf(before, mode, nextAttemptMs) }
}

/**
 * Of an answer, in bytes as they are stored. No quota counts them, and a receiver answers what it likes: so it is about as much
 * as the rest of a delivery takes.
 */
const KEPT_ANSWER_BYTES = { success: 256, failure: 1_024 }

/** Control characters would take six bytes each, and are nothing to be read. */
const keptAnswer = (answer: string, maxBytes: number): string =>
  beginningOf(answer.replace(/[^\P{Cc}\t\n\r]/gu, '\ufffd'), maxBytes).toWellFormed()

function writeAttempt(tx: ServiceScope, { id, attempts }: DeliveryRecord, result: Result): void {
  const { called, sentMs } = result
  const answered = called.outcome === 'answered'
  // How long it took to find nobody there would tell what is there.
  const durationMs = called.outcome === 'unreachable' ? null : called.durationMs
  if (attempts > KEPT_ATTEMPTS) tx.space(attemptSpace).clear([id, attempts - KEPT_ATTEMPTS])
  tx.space(attemptSpace).set([id, attempts], {
    at: new Date(sentMs - (durationMs ?? 0)).toISOString(),
    durationMs,
    status: answered ? called.status : null,
    error: answered ? null : called.outcome,
    answer: answered
      ? keptAnswer(called.answer, KEPT_ANSWER_BYTES[isSuccess(result) ? 'success' : 'failure'])
      : null,
  })
}

interface EndpointStanding {
  endpoint: EndpointRecord
  lane: LaneRecord
}

/** What an attempt means for its endpoint: told when it goes on failing, and disabled in the end. */
function judge(
  scope: TenantScope,
  { status, nowMs }: Recording & { status: StatusRecord },
  { endpoint, lane }: EndpointStanding,
  { type }: DeliveryRecord,
  result: Result,
): EndpointStanding {
  if (isSuccess(result)) return { endpoint, lane: { ...lane, failingSinceMs: null, warnings: 0 } }
  const failingSinceMs = lane.failingSinceMs ?? nowMs
  const failing = { ...lane, failingSinceMs }
  if (!endpoint.enabled) return { endpoint, lane: failing }
  const tell = (what: 'failing' | 'disabled', action: 'warn' | 'disable', data: EventData) => {
    const actor = { kind: 'system' as const, id: endpoint.id }
    const requestId = newId('req', nowMs)
    const emit = emitting(scope, { standing: status, nowMs, actor, requestId })
    emit(`webhook_endpoint.${what}`, endpoint.id, data)
    auditOf(scope).append(status.epoch, {
      at: new Date(nowMs).toISOString(),
      actor,
      action: `${SERVICE}.${action}`,
      target: endpoint.id,
      ip: null,
      requestId,
      outcome: 'done',
    })
  }
  const since = new Date(failingSinceMs).toISOString()
  const disable = (reason: DisableReason): EndpointStanding => {
    tell('disabled', 'disable', { reason, failingSince: since, lastType: type })
    const at = new Date(nowMs).toISOString()
    const version = endpoint.version + 1
    const after = { ...endpoint, enabled: false, disabled: { reason, at }, updatedAt: at, version }
    return { endpoint: after, lane: failing }
  }
  if (isGone(result)) return disable('gone')
  const { warnings, warnedMs } = lane
  const standing = standingOf({ sinceMs: failingSinceMs, warnings, warnedMs }, nowMs)
  if (standing.outcome === 'disable') return disable('failing')
  if (standing.outcome === 'fine') return { endpoint, lane: failing }
  const disablesAtMs = Math.max(failingSinceMs + DISABLE_AFTER_MS, nowMs + NOTICE_MS)
  tell('failing', 'warn', { failingSince: since, disablesAt: new Date(disablesAtMs).toISOString() })
  return { endpoint, lane: { ...failing, warnings: standing.warnings, warnedMs: nowMs } }
}
