// How much room stored answers may take, which no quota counts: those that are forgotten in the same hour a 24th of what the
// tenant's plan lets it store. With keys, which live for a day, that is a day's worth of what it stores; answers to signed URLs live as
// long as the URL. Beyond it a request is remembered without its answer. Small ones are always kept:
// they take hardly more than what the request leaves in the audit trail.
import { limitsOf } from '../../shared/plans.ts'
import { expiryHour } from '../jobs/expiry.ts'
import type { IdempotencyRecord } from './idempotency.ts'
import { profileSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** Sealed: about 1 KiB of an answer. */
const SMALL_BYTES = 1_500
const LEAST_BYTES_AN_HOUR = 2 ** 20

/** The record as it is to be kept. Writers at the same time may together keep a little more: none waits for another. */
export async function withinRoom(scope: TenantScope, record: IdempotencyRecord): Promise<IdempotencyRecord> {
  const { sealed, ...bare } = record
  if (sealed === undefined || sealed.length <= SMALL_BYTES) return record
  const kept = scope.keptAnswers()
  // Those with a client's key live for a day, those without for minutes: each kind has its own account of an hour.
  const hour = [expiryHour(record.expiresAt), record.fingerprint === undefined ? 'request' : 'key'] as const
  const [bytes = 0, profile] = await Promise.all([
    kept.peek(hour),
    scope.snapshot('profile', profileSpace).get(['profile']),
  ])
  const stored = profile === undefined ? 0 : limitsOf(profile.plan, profile.overrides).storedBytes
  if (bytes + sealed.length > Math.max(LEAST_BYTES_AN_HOUR, stored / 24)) return bare
  kept.add(hour, sealed.length)
  return record
}
